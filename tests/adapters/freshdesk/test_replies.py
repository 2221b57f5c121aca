"""The replies of a ticket of Freshdesk: its description and its conversations, by whom and over what."""

from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat, TicketRef, Visibility


async def read(adapter, ticket_id, since=None):
    """Return the replies of a ticket."""
    ticket = await adapter.resolve(TicketRef(number=str(ticket_id)))
    return [reply async for reply in adapter.replies(ticket, since)]


@pytest.fixture
def ticket(freshdesk, clock):
    """A ticket that a customer opened by e-mail an hour ago."""
    return freshdesk.open_ticket(clock.now() - timedelta(hours=1))


class TestConversations:
    """All of them, once each."""

    async def test_the_description_is_the_first_message(self, adapter, freshdesk, ticket):
        """The first message is the ticket's description, with an id of its own: no conversation holds it."""
        freshdesk.write(ticket, "Hello?")
        first, second = await read(adapter, ticket)
        assert (first.id, first.first_message, first.author.kind) == (
            f"description:{ticket}",
            True,
            AuthorKind.CUSTOMER,
        )
        assert (first.body.text, first.body.format) == ("<div>It does not open.</div>", BodyFormat.HTML)
        assert not second.first_message

    async def test_an_empty_description_is_no_message(self, adapter, freshdesk, ticket):
        """A ticket without a text (a call that was logged) has its conversations alone."""
        freshdesk.touch(ticket, description=None, description_text="")
        written = freshdesk.write(ticket, "Rang back.", by=freshdesk.me)
        assert [reply.id for reply in await read(adapter, ticket)] == [str(written)]

    async def test_more_than_ten_and_more_than_a_page(self, adapter, freshdesk, ticket):
        """All of 230 conversations come: include=conversations, which ends at the tenth, is never asked for."""
        written = [str(freshdesk.write(ticket, f"line {turn}")) for turn in range(230)]
        assert [reply.id for reply in await read(adapter, ticket)] == [f"description:{ticket}", *written]
        assert not any("conversations" in query.get("include", "") for _, query in freshdesk.requests)

    async def test_one_that_is_deleted_meanwhile_hides_no_other(self, adapter, freshdesk, ticket):
        """A conversation that is deleted between two pages moves others forward: what crosses a border is read."""
        freshdesk.page_size = 3
        written = [freshdesk.write(ticket, f"line {turn}") for turn in range(8)]
        path = f"/api/v2/tickets/{ticket}/conversations"

        def delete_before_the_second_page():
            freshdesk.meanwhile[path] = lambda: freshdesk.conversations[ticket].pop(0)

        freshdesk.meanwhile[path] = delete_before_the_second_page
        told = [reply.id for reply in await read(adapter, ticket)][1:]
        assert set(map(str, written[1:])) <= set(told)
        assert len(told) == len(set(told))

    async def test_a_page_that_repeats_is_an_error(self, adapter, freshdesk, ticket):
        """A list of conversations that names the present page as its next one is no endless read, and not the end."""
        freshdesk.write(ticket, "Hello?")
        known = await adapter.resolve(TicketRef(number=str(ticket)))
        freshdesk.repeats_next = True
        with pytest.raises(UnexpectedAnswer):
            [reply async for reply in adapter.replies(known, None)]

    async def test_they_are_sorted_here(self, adapter, freshdesk, ticket, clock):
        """The order of conversations is not documented, so they are sorted by time and then by id."""
        late = freshdesk.write(ticket, "second", at=clock.now())
        early = freshdesk.write(ticket, "first", at=clock.now() - timedelta(minutes=5))
        again = freshdesk.write(ticket, "third", at=clock.now())
        assert [reply.id for reply in await read(adapter, ticket)][1:] == [str(early), str(late), str(again)]

    async def test_since_is_a_whole_second(self, adapter, freshdesk, ticket, clock):
        """From a part of a second on, the replies of that second come too."""
        written = freshdesk.write(ticket, "x", at=clock.now())
        told = await read(adapter, ticket, clock.now() + timedelta(milliseconds=900))
        assert [reply.id for reply in told] == [str(written)]

    async def test_a_deleted_conversation_is_gone(self, adapter, freshdesk, ticket):
        """A conversation that is marked as deleted is not told, and one that disappears is no failure."""
        freshdesk.write(ticket, "by mistake", deleted=True)
        assert [reply.first_message for reply in await read(adapter, ticket)] == [True]

    async def test_edits_are_told(self, adapter, freshdesk, ticket, clock):
        """A note that was edited has its time of edit, though updated_at need not follow."""
        freshdesk.note(ticket, "x", private=False, last_edited_at="2026-01-02T03:04:05Z")
        assert (await read(adapter, ticket))[-1].edited_at.isoformat() == "2026-01-02T03:04:05+00:00"

    async def test_attachments_have_no_addresses(self, adapter, freshdesk, ticket):
        """Files are told by name, size and kind; their signed addresses would open them for anybody."""
        file = {
            "id": 1,
            "name": "a.png",
            "size": 7,
            "content_type": "image/png",
            "attachment_url": "https://s3/x?sig=1",
        }
        freshdesk.write(ticket, "See there.", attachments=[file])
        (found,) = (await read(adapter, ticket))[-1].attachments
        assert (found.name, found.size_bytes, found.media_type, found.link) == ("a.png", 7, "image/png", None)


class TestVisibility:
    """What is internal."""

    @pytest.mark.parametrize("private", [True, None, "false", 0, "no"])
    async def test_only_a_plain_false_is_public(self, adapter, freshdesk, ticket, private):
        """A note, a forward and whatever does not say that it is public are internal."""
        freshdesk.write(ticket, "for colleagues", by=freshdesk.me, private=private)
        assert (await read(adapter, ticket))[-1].visibility is Visibility.INTERNAL

    async def test_a_forward_is_internal(self, adapter, freshdesk, ticket):
        """A mail that was forwarded to a third party is private, and no answer to the customer."""
        freshdesk.write(ticket, "Can you look?", by=freshdesk.me, source=8, private=True)
        assert (await read(adapter, ticket))[-1].visibility is Visibility.INTERNAL

    @pytest.mark.parametrize(("source", "visibility"), [(14, Visibility.INTERNAL), (10, Visibility.PUBLIC)])
    async def test_an_internal_task_is_for_colleagues(self, adapter, freshdesk, clock, source, visibility):
        """What an agent wrote down as an internal task (14) stays here; an outbound mail (10) went to the customer."""
        ticket = freshdesk.open_ticket(clock.now(), source=source)
        assert (await read(adapter, ticket))[0].visibility is visibility


class TestAuthors:
    """Which way, and who."""

    async def test_both_directions(self, adapter, freshdesk, ticket):
        """Incoming is the customer's, the rest is the agent's, with the name."""
        freshdesk.write(ticket, "Hello?")
        freshdesk.write(ticket, "Hello.", by=freshdesk.me)
        _, asked, answered = await read(adapter, ticket)
        assert (asked.author.kind, asked.author.name) == (AuthorKind.CUSTOMER, None)
        assert (answered.author.kind, answered.author.name) == (AuthorKind.AGENT, "Anna Agent")

    @pytest.mark.parametrize("source", [10, 14])
    async def test_outbound_tickets_were_written_by_agents(self, adapter, freshdesk, clock, source):
        """The description of an outbound e-mail (10) or an internal task (14) is the agent's, not the requester's."""
        ticket = freshdesk.open_ticket(clock.now(), source=source)
        assert (await read(adapter, ticket))[0].author.kind is AuthorKind.AGENT

    async def test_incoming_is_about_the_way_and_not_the_person(self, adapter, freshdesk, ticket):
        """An agent who answers by mail from outside comes in, and is an agent all the same."""
        freshdesk.write(ticket, "From my phone.", by=freshdesk.me, incoming=True)
        assert (await read(adapter, ticket))[-1].author.kind is AuthorKind.AGENT

    async def test_an_agent_with_a_request_of_its_own_is_the_customer(self, adapter, freshdesk, clock):
        """What comes in from the requester is the customer's, even if the requester is an agent."""
        ticket = freshdesk.open_ticket(clock.now(), requester_id=freshdesk.me)
        freshdesk.write(ticket, "Still broken.", by=freshdesk.me, incoming=True)
        freshdesk.write(ticket, "Mended.", by=freshdesk.me, incoming=False)
        kinds = [reply.author.kind for reply in (await read(adapter, ticket))[1:]]
        assert kinds == [AuthorKind.CUSTOMER, AuthorKind.AGENT]

    async def test_a_note_of_the_requester_in_the_portal_is_the_customers(self, adapter, freshdesk, ticket):
        """A public note that did not come in from outside, but was written by the requester, is the customer's."""
        freshdesk.write(ticket, "In the portal.", incoming=False, source=2)
        assert (await read(adapter, ticket))[-1].author.kind is AuthorKind.CUSTOMER

    @pytest.mark.parametrize("mark", [{"auto_response": True}, {"automation_id": 77}])
    async def test_automatic_messages(self, adapter, freshdesk, ticket, mark):
        """What a rule or a bot wrote is the system's."""
        freshdesk.write(ticket, "We got your mail.", by=freshdesk.me, **mark)
        assert (await read(adapter, ticket))[-1].author.kind is AuthorKind.SYSTEM

    async def test_an_unreadable_direction_of_a_stranger_is_unknown(self, adapter, freshdesk, ticket):
        """Who wrote a conversation that does not say its direction is unknown, unless the id tells."""
        freshdesk.write(ticket, "x", by=4711, incoming=None)
        assert (await read(adapter, ticket))[-1].author.kind is AuthorKind.UNKNOWN

    async def test_names_take_an_administrator(self, adapter, freshdesk, ticket):
        """Without an administrator's key other agents have no name, one's own is known, and it is asked for once."""
        freshdesk.is_admin = False
        other = freshdesk.add_agent("Olaf Other")
        freshdesk.write(ticket, "Hello.", by=freshdesk.me)
        freshdesk.write(ticket, "Hello again.", by=other)
        for _ in range(2):
            told = await read(adapter, ticket)
            assert [reply.author.name for reply in told[1:]] == ["Anna Agent", None]
            assert {reply.author.kind for reply in told[1:]} == {AuthorKind.AGENT}
        assert freshdesk.count("/agents") == 2

    async def test_agents_who_came_or_left_since(self, adapter, freshdesk, ticket):
        """An agent who is not on the list is asked for once: found, or remembered as unknown."""
        await read(adapter, ticket)
        new = freshdesk.add_agent("Nina New")
        freshdesk.write(ticket, "Hello.", by=new)
        freshdesk.write(ticket, "Bye.", by=99)
        freshdesk.forget()
        for _ in range(2):
            told = await read(adapter, ticket)
            assert [reply.author.name for reply in told[1:]] == ["Nina New", None]
        assert freshdesk.count("/agents/") == 2

    async def test_customers_are_not_looked_up(self, adapter, freshdesk, ticket):
        """Replies of customers cost no request for their names."""
        for person in range(5):
            freshdesk.write(ticket, "cc", by=8000 + person, incoming=True)
        await read(adapter, ticket)
        assert [path for path, _ in freshdesk.requests if "/agents" in path] == ["/api/v2/agents"]


class TestChannels:
    """Sources of tickets and of conversations, which are two sets of numbers."""

    @pytest.mark.parametrize(
        ("source", "word", "channel"),
        [
            *((1, "email", Channel.EMAIL), (10, "outbound email", Channel.EMAIL), (3, "phone", Channel.PHONE)),
            *((22, "sms", Channel.TEXT_MESSAGE), (7, "chat", Channel.CHAT), (13, "whatsapp", Channel.CHAT)),
            *((17, "instagram message", Channel.CHAT), (19, "facebook message", Channel.CHAT)),
            *((2, "portal", Channel.OTHER), (5, "twitter", Channel.OTHER), (14, "internal task", Channel.OTHER)),
            *((101, "source 101", Channel.OTHER), (None, "source None", Channel.OTHER)),
        ],
    )
    async def test_of_a_ticket(self, adapter, freshdesk, clock, source, word, channel):
        """Each source of a ticket has its channel, and one that nobody knows is OTHER."""
        first = (await read(adapter, freshdesk.open_ticket(clock.now(), source=source)))[0]
        assert (first.vendor_channel, first.channel) == (word, channel)

    @pytest.mark.parametrize(
        ("of_ticket", "source", "recipients", "channel"),
        [
            *((1, 9, [], Channel.PHONE), (19, 7, [], Channel.CHAT), (6, 7, [], Channel.OTHER)),
            *((5, 5, [], Channel.OTHER), (1, 11, [], Channel.OTHER), (2, 0, ["c@x.test"], Channel.EMAIL)),
            *((3, 0, ["c@x.test"], Channel.EMAIL), (13, 0, ["c@x.test"], Channel.CHAT), (2, 0, [], Channel.OTHER)),
            *((2, 0, None, Channel.OTHER), (3, 2, [], Channel.PHONE), (2, 8, ["c@x.test"], Channel.EMAIL)),
            *((1, 6, [], Channel.OTHER), (1, 77, [], Channel.EMAIL)),
        ],
    )
    async def test_of_a_conversation(self, adapter, freshdesk, clock, of_ticket, source, recipients, channel):
        """A conversation has its ticket's channel, unless its own source says a call, post, survey or sent mail."""
        ticket = freshdesk.open_ticket(clock.now(), source=of_ticket)
        freshdesk.write(ticket, "x", by=freshdesk.me, source=source, to_emails=recipients)
        assert (await read(adapter, ticket))[-1].channel is channel


class TestWebChat:
    """The message that is there twice."""

    async def test_the_repeated_message_is_told_once(self, adapter, freshdesk, clock):
        """The first conversation of a web chat repeats the description: the description stays, whenever it is read."""
        ticket = freshdesk.open_ticket(clock.now(), "Hi  there", source=15)
        before = [reply.id for reply in await read(adapter, ticket)]
        freshdesk.write(ticket, "Hello, I am a bot.", by=freshdesk.me)
        freshdesk.write(ticket, "<p>Hi there</p>")
        after = await read(adapter, ticket)
        assert before == [f"description:{ticket}"]
        assert [reply.author.kind for reply in after] == [AuthorKind.CUSTOMER, AuthorKind.AGENT]

    async def test_what_is_said_again_later_is_told(self, adapter, freshdesk, clock):
        """Only the first message of the customer can be the repetition; the same words later are words."""
        ticket = freshdesk.open_ticket(clock.now(), "Hi", source=15)
        for text in ("Hi", "Anybody?", "Hi"):
            freshdesk.write(ticket, text)
        assert len(await read(adapter, ticket)) == 3

    @pytest.mark.parametrize("source", [1, 7])
    async def test_elsewhere_nothing_is_left_out(self, adapter, freshdesk, clock, source):
        """On a ticket of another source a reply that repeats the description is a reply."""
        ticket = freshdesk.open_ticket(clock.now(), "Hi", source=source)
        freshdesk.write(ticket, "Hi")
        assert len(await read(adapter, ticket)) == 2

    async def test_nothing_is_not_repeated(self, adapter, freshdesk, clock):
        """A chat that began with a file alone has an empty description; the message with the file is told."""
        ticket = freshdesk.open_ticket(clock.now(), "", source=15, description="", description_text="")
        written = freshdesk.write(ticket, "", body="", body_text="", attachments=[{"name": "locker.png", "size": 3}])
        assert [reply.id for reply in await read(adapter, ticket)] == [str(written)]

    async def test_a_note_is_no_repetition(self, adapter, freshdesk, clock):
        """An internal note with the words of the description is still told, as internal."""
        ticket = freshdesk.open_ticket(clock.now(), "Hi", source=15)
        freshdesk.note(ticket, "Hi", incoming=True)
        assert (await read(adapter, ticket))[-1].visibility is Visibility.INTERNAL


class TestArchive:
    """Tickets that moved."""

    async def test_an_archived_ticket_is_read_from_the_archive(self, adapter, freshdesk, ticket):
        """A ticket that its own path does not find any more is read with its conversations from the archive."""
        written = freshdesk.write(ticket, "Thanks.")
        freshdesk.archive(ticket)
        assert [reply.id for reply in await read(adapter, ticket)] == [f"description:{ticket}", str(written)]

    async def test_archived_between_two_requests(self, adapter, freshdesk, ticket):
        """A ticket that is archived after it was read, and before its conversations are, loses none of them."""
        freshdesk.write(ticket, "Thanks.")
        known = await adapter.resolve(TicketRef(number=str(ticket)))
        freshdesk.archive(ticket)
        assert len([reply async for reply in adapter.replies(known, None)]) == 2

    async def test_deleted_between_two_requests(self, adapter, freshdesk, ticket):
        """A ticket that is deleted for good in between is gone, and not a ticket without replies."""
        known = await adapter.resolve(TicketRef(number=str(ticket)))
        freshdesk.purge(ticket)
        with pytest.raises(TicketUnavailable, match="gone"):
            [reply async for reply in adapter.replies(known, None)]

    async def test_conversations_alone_that_are_missing_are_a_failure(self, adapter, freshdesk, ticket):
        """A ticket that is there while its conversations answer 404 has failed, and is not without replies."""
        known = await adapter.resolve(TicketRef(number=str(ticket)))
        freshdesk.loses_conversations = True
        with pytest.raises(UnexpectedAnswer):
            [reply async for reply in adapter.replies(known, None)]

    async def test_forbidden_between_two_requests(self, adapter, freshdesk, ticket):
        """Conversations that may not be read make their ticket forbidden."""
        known = await adapter.resolve(TicketRef(number=str(ticket)))
        freshdesk.forbidden.add(ticket)
        with pytest.raises(TicketUnavailable, match="forbidden"):
            [reply async for reply in adapter.replies(known, None)]


class TestCosts:
    """Requests for one ticket."""

    async def test_a_changed_ticket_costs_two_requests(self, adapter, freshdesk, ticket):
        """State and replies cost one request each: what the replies need of the ticket was kept from its state."""
        (known,) = await adapter.tickets([str(ticket)])
        freshdesk.forget()
        (known,) = await adapter.tickets([str(ticket)])
        assert len([reply async for reply in adapter.replies(known, None)]) == 1
        assert [path for path, _ in freshdesk.requests] == [
            f"/api/v2/tickets/{ticket}",
            f"/api/v2/tickets/{ticket}/conversations",
        ]

    async def test_what_was_kept_is_used_once(self, adapter, freshdesk, ticket):
        """A second reading of the replies asks for the ticket again, so that no old description is told."""
        known = await adapter.resolve(TicketRef(number=str(ticket)))
        [reply async for reply in adapter.replies(known, None)]
        freshdesk.touch(ticket, description="<div>Corrected.</div>")
        told = [reply async for reply in adapter.replies(known, None)]
        assert told[0].body.text == "<div>Corrected.</div>"
