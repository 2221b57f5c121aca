"""The messages of one ticket of Gorgias as replies."""

from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, Body, BodyFormat, Ticket, Unavailability, Visibility
from tests.adapters.gorgias.reading import ago, read


@pytest.fixture
def replies_of(adapter):
    """Reads the replies of a ticket by its id."""

    async def read_replies(ticket_id, since=None):
        ticket = Ticket(id=str(ticket_id), number=str(ticket_id))
        return await read(adapter.replies(ticket, since))

    return read_replies


@pytest.fixture
def told(gorgias, clock, replies_of):
    """Writes one message with these fields after a ticket's first, and reads it."""

    async def tell(text="hi", **fields):
        ticket, _ = gorgias.open_ticket(ago(clock, 900))
        message = gorgias.add(ticket, text, ago(clock, 100), **fields)
        found = {reply.id: reply for reply in await replies_of(ticket)}
        return found.get(str(message))

    return tell


class TestReading:
    """Where replies are read."""

    async def test_the_list_of_messages(self, gorgias, clock, replies_of):
        """The list is read to its end, not what is inside a ticket: that may be cut, and does not tell."""
        gorgias.inline_cap, gorgias.page_size = 5, 10
        ticket, _ = gorgias.open_ticket(ago(clock, 900))
        for number in range(24):
            gorgias.add(ticket, "x", ago(clock, 800 - number))
        gorgias.open_ticket(ago(clock, 500))
        gorgias.forget()
        assert len(await replies_of(ticket)) == 25
        assert [path for path, _ in gorgias.requests] == ["/api/messages"] * 3

    async def test_one_request(self, gorgias, clock, replies_of):
        """A ticket of up to a hundred messages is one request, whatever instant is asked for."""
        ticket, _ = gorgias.open_ticket(ago(clock, 900))
        for number in range(99):
            gorgias.add(ticket, "x", ago(clock, 800 - number))
        assert len(await replies_of(ticket, ago(clock, 800))) == 100
        assert len(gorgias.requests) == 1

    async def test_sent_long_after_it_was_made(self, gorgias, clock, replies_of):
        """A message that was made before an instant and sent after it is among those from then on."""
        ticket, _ = gorgias.open_ticket(ago(clock, 90_000))
        late = gorgias.add(ticket, "late", ago(clock, 80_000), from_agent=True, sent_datetime=ago(clock, 5).isoformat())
        gorgias.add(ticket, "in between", ago(clock, 700))
        found = await replies_of(ticket, ago(clock, 600))
        assert found[-1].id == str(late)
        assert found[-1].created_at > ago(clock, 60)

    async def test_a_filter_that_is_ignored(self, adapter, gorgias, clock, replies_of):
        """Messages of another ticket are a failure: they are never told as this one's."""
        ticket, message = gorgias.open_ticket(ago(clock, 900))
        body = f'{{"data": [{{"id": {message}, "ticket_id": 1}}], "meta": {{"next_cursor": null}}}}'
        gorgias.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match="another ticket"):
            await replies_of(ticket)

    async def test_nothing_is_no_answer(self, gorgias, clock, replies_of):
        """An empty list about a ticket that has messages inside is a failure, and not the absence of replies."""
        ticket, message = gorgias.open_ticket(ago(clock, 900))
        gorgias.hidden.add(message)
        with pytest.raises(UnexpectedAnswer, match="no message"):
            await replies_of(ticket)

    async def test_gone(self, gorgias, clock, replies_of):
        """The list says nothing about a ticket that is gone, so the ticket is asked, and says it."""
        ticket, _ = gorgias.open_ticket(ago(clock, 900))
        gorgias.delete(ticket)
        with pytest.raises(TicketUnavailable) as caught:
            await replies_of(ticket)
        assert caught.value.unavailable.reason is Unavailability.GONE

    async def test_merged_away(self, gorgias, clock, replies_of):
        """A ticket that a merge left without messages has no replies; those of the other are on the other."""
        old, first = gorgias.open_ticket(ago(clock, 900))
        left, second = gorgias.open_ticket(ago(clock, 800))
        gorgias.merge(old, left, leaves_it=True)
        assert await replies_of(old) == []
        assert {reply.id for reply in await replies_of(left)} == {str(first), str(second)}

    async def test_no_id(self, gorgias, replies_of):
        """An id that none of Gorgias's tickets can have is gone, and is not made a path of."""
        with pytest.raises(TicketUnavailable):
            await replies_of("1/../../account")
        assert gorgias.requests == []

    async def test_first_message(self, gorgias, clock, replies_of):
        """The oldest message is the first one, by number where two are of the same instant."""
        ticket, first = gorgias.open_ticket(ago(clock, 900))
        at = ago(clock, 901)
        gorgias.messages[first]["created_datetime"] = at.isoformat()
        second = gorgias.add(ticket, "x", at)
        found = await replies_of(ticket)
        assert [(reply.id, reply.first_message) for reply in found] == [(str(first), True), (str(second), False)]


class TestAuthors:
    """Who wrote it."""

    async def test_agent(self, told):
        """What comes from the company was written by an agent, with a name."""
        reply = await told(from_agent=True)
        assert (reply.author.kind, reply.author.name) == (AuthorKind.AGENT, "Änne Agent")

    async def test_customer(self, told):
        """What does not is the customer's, whose name is not read."""
        reply = await told()
        assert (reply.author.kind, reply.author.name) == (AuthorKind.CUSTOMER, None)

    async def test_a_customer_who_is_an_agent_too(self, gorgias, told):
        """The mark counts, and not who the sender is elsewhere."""
        assert (await told(sender=gorgias.agent)).author.kind is AuthorKind.CUSTOMER

    @pytest.mark.parametrize("marks", [{"rule_id": 12}, {"via": "rule"}])
    async def test_rules(self, gorgias, told, marks):
        """What a rule sends is an automatic message, though it is marked as an agent's."""
        assert (await told(from_agent=True, sender=gorgias.bot, **marks)).author.kind is AuthorKind.SYSTEM

    @pytest.mark.parametrize("value", [None, "perhaps", [], {}])
    async def test_unknown(self, gorgias, clock, replies_of, value):
        """A mark that cannot be read makes the author unknown, and what was not sent does not go out by it."""
        ticket, _ = gorgias.open_ticket(ago(clock, 900))
        sent = gorgias.add(ticket, "x", ago(clock, 100), sent_datetime=ago(clock, 100).isoformat())
        waits = gorgias.add(ticket, "x", ago(clock, 90))
        for message in (sent, waits):
            gorgias.messages[message]["from_agent"] = value
        found = {reply.id: reply for reply in await replies_of(ticket)}
        assert found[str(sent)].author.kind is AuthorKind.UNKNOWN
        assert str(waits) not in found


class TestVisibility:
    """What customers see."""

    @pytest.mark.parametrize(
        "marks",
        [
            {"public": False},
            {"public": None},
            {"public": "true"},
            {"channel": "internal-note"},
            {"via": "internal-note"},
            {"source": {"type": "internal-note"}},
        ],
    )
    async def test_internal(self, told, marks):
        """A note is marked twice, and either mark is enough; so is a mark that cannot be read."""
        assert (await told(from_agent=True, **marks)).visibility is Visibility.INTERNAL

    @pytest.mark.parametrize(
        "source", [{"type": "email", "extra": {"include_thread": True, "forward": True}}, {"type": "email-forward"}]
    )
    async def test_a_forward_is_internal(self, clock, told, source):
        """What an agent forwards to a third party is marked as public, and is internal: no answer to the customer."""
        sent = await told(from_agent=True, source=source, sent_datetime=clock.now().isoformat())
        waits = await told(from_agent=True, source=source, sent_datetime=None)
        assert [sent.visibility, waits.visibility] == [Visibility.INTERNAL] * 2

    @pytest.mark.parametrize(
        ("from_agent", "source"),
        [
            (True, {"type": "email", "extra": {"include_thread": True, "forward": False}}),
            (True, {"type": "email", "extra": {}}),
            (True, {"type": "email", "extra": None}),
            (False, {"type": "email", "extra": {"forward": True}}),
            (False, {"type": "email-forward"}),
        ],
    )
    async def test_no_forward(self, told, from_agent, source):
        """An agent's answer with the thread below it is public, and so is what a customer forwards to the company."""
        assert (await told(from_agent=from_agent, source=source)).visibility is Visibility.PUBLIC

    async def test_a_note_is_never_sent(self, gorgias, clock, replies_of):
        """A note has no time of sending and no receiver, and still is told, as internal."""
        ticket, _ = gorgias.open_ticket(ago(clock, 900))
        note = gorgias.note(ticket, "hm")
        assert [reply.visibility for reply in await replies_of(ticket) if reply.id == str(note)] == [
            Visibility.INTERNAL
        ]

    async def test_system_message(self, told):
        """A message of the system is an event, and no reply."""
        assert await told(channel="system-message") is None

    async def test_pending(self, told):
        """What an agent wrote and Gorgias has not sent yet is no reply."""
        assert await told(from_agent=True, sent_datetime=None) is None

    async def test_failed(self, clock, told):
        """What could not be sent is no reply, though it may have a time of sending as well."""
        assert await told(from_agent=True, failed_datetime=clock.now().isoformat()) is None

    async def test_the_sample_ticket(self, gorgias, clock, replies_of):
        """The sample ticket of a new account has a customer's message without a time of sending and without details."""
        ticket, message = gorgias.open_ticket(ago(clock, 900))
        gorgias.messages[message] |= {"source": None, "sent_datetime": None, "receiver": None, "sender": None}
        assert [reply.id for reply in await replies_of(ticket)] == [str(message)]


class TestTimes:
    """When it was written."""

    async def test_agents(self, clock, told):
        """What an agent wrote has the time at which it went out."""
        sent_at = ago(clock, 50)
        assert (await told(from_agent=True, sent_datetime=sent_at.isoformat())).created_at == sent_at

    async def test_customers(self, clock, told):
        """What a customer wrote has the time at which it came in: the other may be of the customer's own clock."""
        odd = clock.now() + timedelta(days=400)
        assert (await told(sent_datetime=odd.isoformat())).created_at < clock.now()


class TestContents:
    """Texts, channels and files."""

    async def test_whole_text(self, told):
        """The whole text is read: the one without quotes is null for many messages, and cuts what is forwarded."""
        assert (await told("all\n> of it", stripped_text="all")).body == Body("all\n> of it")
        assert (await told("all", stripped_text=None)).body == Body("all")

    @pytest.mark.parametrize(
        ("fields", "body"),
        [
            ({"body_html": "<p>x</p>"}, Body("<p>x</p>", BodyFormat.HTML)),
            ({"body_html": None, "stripped_text": "x"}, Body("x")),
            ({"body_html": "", "stripped_html": "<p>x</p>"}, Body("<p>x</p>", BodyFormat.HTML)),
            ({"body_html": None}, Body("")),
        ],
    )
    async def test_other_texts(self, told, fields, body):
        """Where there is no plain text, the others are taken; a message of files alone has none."""
        assert (await told(None, **fields)).body == body

    @pytest.mark.parametrize(
        ("channel", "source", "via", "expected"),
        [
            ("email", "email", "email", Channel.EMAIL),
            ("contact_form", None, "contact_form", Channel.EMAIL),
            ("chat", None, "gorgias_chat", Channel.CHAT),
            ("phone", None, "aircall", Channel.PHONE),
            ("sms", None, "sms", Channel.TEXT_MESSAGE),
            ("whatsapp", None, "whatsapp", Channel.TEXT_MESSAGE),
            ("facebook-messenger", None, "helpdesk", Channel.CHAT),
            ("facebook-comment", "email", "helpdesk", Channel.OTHER),
            ("api", "sms", "api", Channel.TEXT_MESSAGE),
            ("acme-lockers", None, "gorgias_chat", Channel.CHAT),
            ("acme-lockers", None, "api", Channel.OTHER),
            (None, None, None, Channel.OTHER),
        ],
    )
    async def test_channels(self, told, channel, source, via, expected):
        """The channel tells the medium, else the source, else the way in; accounts can have channels of their own."""
        reply = await told(channel=channel, source={"type": source} if source else None, via=via)
        assert reply.channel is expected
        assert reply.vendor_channel == channel

    @pytest.mark.parametrize("files", [None, []])
    async def test_no_files(self, told, files):
        """A message without files has null or an empty list."""
        assert (await told(attachments=files)).attachments == ()

    async def test_files(self, told):
        """A file is told by name, size, type and address; what is missing is left open."""
        whole = {"url": "https://uploads.test/a", "name": "a.pdf", "size": 12, "content_type": "application/pdf"}
        reply = await told(attachments=[whole, {"url": None, "name": None, "size": None}])
        first, second = reply.attachments
        assert (first.name, first.size_bytes, first.media_type, first.link) == (
            "a.pdf",
            12,
            "application/pdf",
            "https://uploads.test/a",
        )
        assert (second.name, second.size_bytes, second.link) == ("", None, None)
