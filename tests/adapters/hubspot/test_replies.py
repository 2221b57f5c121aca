"""The messages of a ticket's threads as its replies."""

from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat, Ticket, Unavailability, Visibility
from tests.adapters.hubspot.stand_in import AGENT, BOT, CUSTOMER, OWNERS_READ


@pytest.fixture
def ticket(hubspot):
    """A ticket with one thread; both ids."""
    ticket_id = hubspot.open_ticket()
    return ticket_id, hubspot.open_thread(ticket_id)


class TestThreads:
    """Which threads are a ticket's."""

    async def test_several_threads(self, hubspot, read, clock):
        """The messages of all threads of a ticket come in one order, by their times, and one of them is the first."""
        ticket_id, now = hubspot.open_ticket(), clock.now()
        mail, chat = hubspot.open_thread(ticket_id), hubspot.open_thread(ticket_id, channel="1000")
        ids = [hubspot.write(thread, "x", now + timedelta(seconds=at)) for at, thread in enumerate((chat, mail, chat))]
        replies = await read(ticket_id)
        assert [reply.id for reply in replies] == ids
        assert [reply.first_message for reply in replies] == [True, False, False]
        assert [reply.channel for reply in replies] == [Channel.CHAT, Channel.EMAIL, Channel.CHAT]

    async def test_filter_is_not_known(self, hubspot, read, ticket):
        """Where the filter by ticket is ignored, messages of other tickets are a failure and never replies of this."""
        hubspot.write(ticket[1], "mine")
        hubspot.write(hubspot.open_thread(hubspot.open_ticket()), "somebody else's")
        hubspot.knows_ticket_filter = False
        with pytest.raises(UnexpectedAnswer, match="other tickets"):
            await read(ticket[0])

    async def test_filter_shows_a_thread_without_a_ticket(self, hubspot, read, ticket):
        """A thread that names no ticket is none of the ticket's, whatever the list says."""
        hubspot.write(hubspot.open_thread(), "of nobody")
        hubspot.knows_ticket_filter = False
        with pytest.raises(UnexpectedAnswer, match="other tickets"):
            await read(ticket[0])

    async def test_spam(self, hubspot, read, ticket):
        """What is in a thread that is spam is internal, and neither vanishes nor is the first message."""
        spam = hubspot.write(hubspot.open_thread(ticket[0], spam=True), "buy now")
        kept = hubspot.write(ticket[1], "real")
        assert {reply.id: (reply.visibility, reply.first_message) for reply in await read(ticket[0])} == {
            spam: (Visibility.INTERNAL, False),
            kept: (Visibility.PUBLIC, True),
        }

    async def test_spam_that_is_none(self, hubspot, read, ticket):
        """A thread that was taken for spam keeps its messages, which are public again when it is not."""
        message = hubspot.write(ticket[1], "real")
        told = []
        for is_spam in (False, True, False):
            hubspot.threads[ticket[1]]["spam"] = is_spam
            told += [(reply.id, reply.visibility) for reply in await read(ticket[0])]
        assert told == [(message, word) for word in (Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PUBLIC)]

    async def test_thread_that_is_attached_later(self, hubspot, read, ticket, clock):
        """A thread that is attached to a ticket brings older messages, which are told whatever instant is asked for."""
        now = clock.now()
        hubspot.write(ticket[1], "newest", now)
        older = hubspot.open_thread()
        chat = hubspot.write(older, "from yesterday", now - timedelta(days=1), by=CUSTOMER)
        hubspot.threads[older]["ticket"] = ticket[0]
        assert chat in [reply.id for reply in await read(ticket[0], now)]

    async def test_ticket_without_a_thread(self, hubspot, read):
        """A ticket without a conversation has no replies; its description is not one, as it may be a note."""
        assert await read(hubspot.open_ticket(content="Called, is angry.")) == []

    async def test_description_as_message(self, hubspot, sign_in, read, clock):
        """Where the settings say so, the description of a ticket without a conversation is its first message."""
        now = clock.now()
        ticket_id = hubspot.open_ticket(now, content="My locker is stuck.")
        (reply,) = await read(ticket_id, now, sign_in(description_is_message=True))
        assert (reply.id, reply.first_message, reply.created_at) == (f"{ticket_id}-description", True, now)
        assert (reply.body.text, reply.author.kind) == ("My locker is stuck.", AuthorKind.CUSTOMER)

    async def test_description_repeats_the_first_message(self, hubspot, sign_in, read, ticket):
        """A conversation that began the ticket is repeated by its description, which then is internal."""
        hubspot.touch(ticket[0], content="hello")
        message = hubspot.write(ticket[1], "hello", by=CUSTOMER)
        replies = await read(ticket[0], None, sign_in(description_is_message=True))
        assert {reply.id: (reply.visibility, reply.first_message) for reply in replies} == {
            message: (Visibility.PUBLIC, True),
            f"{ticket[0]}-description": (Visibility.INTERNAL, False),
        }

    async def test_description_before_the_conversation(self, hubspot, sign_in, read, clock):
        """A description that was told stays told, as the first message, when the conversation begins later."""
        ticket_id, opened_at = hubspot.open_ticket(content="My locker is stuck."), clock.now()
        adapter = sign_in(description_is_message=True)
        (told,) = await read(ticket_id, None, adapter)
        await clock.sleep(600)
        answer = hubspot.write(hubspot.open_thread(ticket_id), "We are on our way.")
        first, second = await read(ticket_id, opened_at, adapter)
        assert first == told
        assert (second.id, second.first_message) == (answer, False)

    async def test_description_beside_spam(self, hubspot, sign_in, read):
        """The description of a ticket whose conversation is spam is spam as well."""
        ticket_id = hubspot.open_ticket(content="buy now")
        hubspot.open_thread(ticket_id, spam=True)
        (reply,) = await read(ticket_id, None, sign_in(description_is_message=True))
        assert reply.visibility is Visibility.INTERNAL

    async def test_gone(self, hubspot, read, ticket):
        """A deleted ticket has no list of threads, which is not the same as having no replies."""
        hubspot.delete_ticket(ticket[0])
        with pytest.raises(TicketUnavailable) as caught:
            await read(ticket[0])
        assert caught.value.unavailable.reason is Unavailability.GONE

    async def test_merged(self, hubspot, read, ticket):
        """A ticket that was merged into another says so, and the replies are the other's."""
        message = hubspot.write(ticket[1], "hello")
        winner = hubspot.open_ticket()
        hubspot.merge(ticket[0], winner)
        with pytest.raises(TicketUnavailable) as caught:
            await read(ticket[0])
        assert caught.value.unavailable.merged_into == winner
        assert [reply.id for reply in await read(winner)] == [message]

    async def test_one_forbidden_thread(self, hubspot, read, ticket):
        """A thread that may not be read makes its ticket forbidden, and pauses nothing."""
        hubspot.forbidden_threads.add(ticket[1])
        with pytest.raises(TicketUnavailable) as caught:
            await read(ticket[0])
        assert caught.value.unavailable.reason is Unavailability.FORBIDDEN

    async def test_scope_is_missing(self, hubspot, read, ticket):
        """A missing scope is about us, not about the ticket: the system pauses."""
        hubspot.scopes = {"tickets", OWNERS_READ}
        with pytest.raises(PauseSystem, match=r"conversations\.read"):
            await read(ticket[0])


class TestTypes:
    """What of a thread is a reply."""

    async def test_comment_is_internal(self, hubspot, read, ticket):
        """A COMMENT stands in the same list as messages, and is internal."""
        note = hubspot.write(ticket[1], "hush", kind="COMMENT")
        (reply,) = await read(ticket[0])
        assert (reply.id, reply.visibility, reply.first_message) == (note, Visibility.INTERNAL, False)

    @pytest.mark.parametrize("kind", ["NEW_KIND", ...])
    async def test_unknown_type_is_internal(self, hubspot, read, ticket, kind):
        """What is of a type that is not known, or of none, is internal."""
        hubspot.write(ticket[1], "what", type=kind)
        assert [reply.visibility for reply in await read(ticket[0])] == [Visibility.INTERNAL]

    async def test_events_are_skipped(self, hubspot, read, ticket):
        """Events stand among the messages, without text or direction, and are no replies."""
        for kind in ("ASSIGNMENT", "THREAD_STATUS_CHANGE", "THREAD_INBOX_CHANGE"):
            hubspot.event(ticket[1], kind)
        assert await read(ticket[0]) == []

    async def test_welcome_message(self, hubspot, read, ticket, clock):
        """The greeting of a chat is automatic, and not the first message of the ticket."""
        hubspot.write(ticket[1], "How can we help?", clock.now(), by=BOT, kind="WELCOME_MESSAGE")
        hubspot.write(ticket[1], "My locker", clock.now() + timedelta(seconds=1), by=CUSTOMER)
        greeting, question = await read(ticket[0])
        assert (greeting.author.kind, greeting.first_message) == (AuthorKind.SYSTEM, False)
        assert question.first_message

    async def test_failed(self, hubspot, read, ticket):
        """A message that could not be sent reached nobody, and is internal."""
        hubspot.write(ticket[1], "lost", status={"statusType": "FAILED", "failureDetails": {"errorMessage": "bounced"}})
        assert [reply.visibility for reply in await read(ticket[0])] == [Visibility.INTERNAL]

    async def test_archived(self, hubspot, read, ticket):
        """A message that was removed is internal, so that what waits of it is not sent."""
        hubspot.write(ticket[1], "oops", archived=True)
        assert [reply.visibility for reply in await read(ticket[0])] == [Visibility.INTERNAL]


class TestAuthors:
    """Who wrote a message."""

    @pytest.mark.parametrize(
        ("actor", "direction", "kind"),
        [
            (AGENT, "OUTGOING", AuthorKind.AGENT),
            (AGENT, "INCOMING", AuthorKind.AGENT),
            (CUSTOMER, "INCOMING", AuthorKind.CUSTOMER),
            (CUSTOMER, ..., AuthorKind.CUSTOMER),
            (BOT, "OUTGOING", AuthorKind.SYSTEM),
            ("L-1", "OUTGOING", AuthorKind.SYSTEM),
            ("I-1", "OUTGOING", AuthorKind.SYSTEM),
            ("S-hubspot", "OUTGOING", AuthorKind.SYSTEM),
            ("I-1", "INCOMING", AuthorKind.CUSTOMER),
            ("E-a@x.test", "INCOMING", AuthorKind.CUSTOMER),
            ("E-a@x.test", "OUTGOING", AuthorKind.AGENT),
            ("E-a@x.test", "SIDEWAYS", AuthorKind.UNKNOWN),
        ],
    )
    async def test_side(self, hubspot, read, ticket, actor, direction, kind):
        """Agents are told by their ids, everybody else by the direction, and programs that send are automatic."""
        hubspot.write(ticket[1], "x", by=actor, direction=direction)
        assert [reply.author.kind for reply in await read(ticket[0])] == [kind]

    async def test_nobody(self, hubspot, read, ticket):
        """Who is known by an address alone has no id at all, and the direction decides."""
        hubspot.write(ticket[1], "x", by=CUSTOMER, createdBy=..., senders=[{"name": "Zoe"}])
        hubspot.write(ticket[1], "y", by=AGENT, createdBy=..., senders=[])
        kinds = {reply.body.text[3]: reply.author.kind for reply in await read(ticket[0])}
        assert kinds == {"x": AuthorKind.CUSTOMER, "y": AuthorKind.AGENT}

    async def test_sent_by_hubspot(self, hubspot, read, ticket):
        """What HubSpot sends for nobody is automatic."""
        hubspot.write(ticket[1], "x", by="E-a@x.test", direction="OUTGOING", client={"clientType": "SYSTEM"})
        assert [reply.author.kind for reply in await read(ticket[0])] == [AuthorKind.SYSTEM]

    async def test_names(self, hubspot, read, ticket):
        """Agents have the names of their actors, asked for once; customers have none."""
        hubspot.write(ticket[1], "x", senders=[{"name": "Anna from Acme", "actorId": AGENT}])
        hubspot.write(ticket[1], "y", by=CUSTOMER)
        for _ in range(2):
            assert {reply.author.name for reply in await read(ticket[0])} == {"Anna Agent", None}
        assert hubspot.count("actors/batch/read") == 1

    async def test_forgotten_agent(self, hubspot, read, ticket):
        """An agent whom the batch (207) does not know has the name that the message was sent under."""
        hubspot.write(ticket[1], "x", by="A-99", senders=[{"name": "Gone Gary", "actorId": "A-99"}])
        assert [reply.author.name for reply in await read(ticket[0])] == ["Gone Gary"]


class TestTexts:
    """What a message says."""

    @pytest.mark.parametrize("status", ["TRUNCATED", "TRUNCATED_TO_MOST_RECENT_REPLY"])
    async def test_truncated(self, hubspot, read, ticket, status):
        """A message that is shortened in the list is read as a whole."""
        message = hubspot.write(ticket[1], "Hel", truncationStatus=status)
        hubspot.originals[message] = {"text": "Hello", "richText": "<b>Hello</b>"}
        (reply,) = await read(ticket[0])
        assert (reply.body.text, reply.body.format) == ("<b>Hello</b>", BodyFormat.HTML)

    async def test_original_is_gone(self, hubspot, read, ticket):
        """Where the whole text is not there any more, what the list shows of it is the reply."""
        hubspot.write(ticket[1], "Hel", truncationStatus="TRUNCATED")
        assert [reply.body.text for reply in await read(ticket[0])] == ["<p>Hel</p>"]

    async def test_whole_texts_are_read_once(self, hubspot, read, ticket, clock):
        """Only what is news is read as a whole."""
        old = hubspot.write(ticket[1], "a", clock.now() - timedelta(hours=1), truncationStatus="TRUNCATED")
        hubspot.originals[old] = {"text": "abc"}
        hubspot.write(ticket[1], "b")
        assert len(await read(ticket[0], clock.now())) == 1
        assert hubspot.count("original-content") == 0

    async def test_plain(self, hubspot, read, ticket):
        """A chat message has neither subject nor HTML."""
        hubspot.write(ticket[1], "hi", richText=..., subject=...)
        (reply,) = await read(ticket[0])
        assert (reply.body.text, reply.body.format, reply.subject) == ("hi", BodyFormat.TEXT, None)

    @pytest.mark.parametrize("signed", ["Expires=1&Signature=abc", "portalId=1&X-Amz-Signature=abc", "token=abc"])
    async def test_signed_links(self, hubspot, read, ticket, signed):
        """A link that is signed opens a private file for whoever has it: the file comes without a link."""
        file = {"type": "FILE", "fileId": "1", "name": "a.pdf", "url": f"https://x.test/a.pdf?{signed}"}
        hubspot.write(ticket[1], "x", attachments=[file])
        (reply,) = await read(ticket[0])
        assert [(one.name, one.link) for one in reply.attachments] == [("a.pdf", None)]

    async def test_attachments(self, hubspot, read, ticket):
        """Files are named with their links, other things by what they are; buttons of a bot are none."""
        file = {"type": "FILE", "fileId": "1", "name": "a.pdf", "url": "https://x.test/a.pdf", "fileUsageType": "OTHER"}
        others = [{"type": "LOCATION"}, {"type": "QUICK_REPLIES", "quickReplies": []}]
        hubspot.write(ticket[1], "x", attachments=[file, *others])
        (reply,) = await read(ticket[0])
        assert [(one.name, one.link) for one in reply.attachments] == [
            ("a.pdf", "https://x.test/a.pdf"),
            ("a location", None),
        ]


class TestChannels:
    """Over which channel a message went."""

    @pytest.mark.parametrize(
        ("channel_id", "channel", "word"),
        [
            ("1000", Channel.CHAT, "LIVE_CHAT"),
            ("1001", Channel.CHAT, "FB_MESSENGER"),
            ("1002", Channel.EMAIL, "EMAIL"),
            ("1003", Channel.OTHER, "FORMS"),
            ("1007", Channel.TEXT_MESSAGE, "WHATSAPP"),
            ("1008", Channel.PHONE, "CALLING"),
            ("77", Channel.TEXT_MESSAGE, "Our pager"),
            ("78", Channel.OTHER, "78"),
        ],
    )
    async def test_channel(self, hubspot, read, ticket, channel_id, channel, word):
        """A channel is told by its name, else by its known id, else by the kind of the address."""
        hubspot.channels["77"] = "Our pager"
        address = {"type": "HS_PHONE_NUMBER" if channel_id == "77" else "NEW", "value": "1"}
        hubspot.write(ticket[1], "x", channelId=channel_id, senders=[{"actorId": AGENT, "deliveryIdentifier": address}])
        (reply,) = await read(ticket[0])
        assert (reply.channel, reply.vendor_channel) == (channel, word)


class TestReading:
    """How a thread is read."""

    @pytest.mark.parametrize("oldest_first", [True, False])
    async def test_order_of_the_list(self, hubspot, read, ticket, clock, oldest_first):
        """Newest first, as seen, or oldest first, as others saw it: replies come oldest first, and none is missed."""
        hubspot.oldest_first, hubspot.largest_page = oldest_first, 3
        start = clock.now() - timedelta(hours=1)
        ids = [hubspot.write(ticket[1], "x", start + timedelta(seconds=at)) for at in range(8)]
        assert [reply.id for reply in await read(ticket[0])] == ids
        assert [reply.id for reply in await read(ticket[0], start + timedelta(seconds=5))] == ids

    async def test_last_page_is_empty(self, hubspot, read, ticket):
        """A page is the last one when it names no next one, however little is on it."""
        hubspot.largest_page = 3
        ids = {hubspot.write(ticket[1], "x") for _ in range(6)}
        assert {reply.id for reply in await read(ticket[0])} == ids
        assert hubspot.count(f"{ticket[1]}/messages") == 3

    async def test_token_is_encoded_once(self, hubspot, read, ticket):
        """A token that comes encoded for an address is not encoded again: the stand-in refuses that."""
        hubspot.largest_page = 2
        for _ in range(5):
            hubspot.write(ticket[1], "x")
        assert len(await read(ticket[0])) == 5
        assert {query["after"] for _, query in hubspot.requests if "after" in query} == {"Mgo=", "NAo="}

    async def test_late_mail(self, hubspot, read, ticket, clock):
        """An e-mail keeps the time that it was written at; one that came since is news, however old that is."""
        now = clock.now()
        late = hubspot.write(ticket[1], "x", now - timedelta(hours=3), by=CUSTOMER, updatedAt=now.isoformat())
        assert [reply.id for reply in await read(ticket[0], now)] == [late]

    async def test_times(self, hubspot, read, ticket, clock):
        """Times come with or without milliseconds."""
        now = clock.now()
        fine = now + timedelta(milliseconds=123)
        hubspot.write(ticket[1], "x", now)
        hubspot.write(ticket[1], "y", fine)
        assert [reply.created_at for reply in await read(ticket[0])] == [now, fine]

    async def test_cost(self, hubspot, adapter, ticket):
        """A ticket with one thread costs two requests once channels and agents are known."""
        hubspot.write(ticket[1], "x")
        for _ in range(2):
            hubspot.forget()
            assert [reply async for reply in adapter.replies(Ticket(ticket[0], ticket[0]), None)]
        assert len(hubspot.requests) == 2
