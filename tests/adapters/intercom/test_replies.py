"""The messages of conversations and tickets: which there are, who wrote them, and who sees them."""

import json
from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import RetryLater, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Author, AuthorKind, BodyFormat, Ticket, Unavailability, Visibility
from tests.adapters.intercom.stand_in import MOST_PARTS


def ago(clock, count):
    """Return the instant so many seconds before now, as exactly as Intercom tells it."""
    return clock.now().replace(microsecond=0) - timedelta(seconds=count)


@pytest.fixture
def read(adapter):
    """Reads the replies of a conversation or ticket by its id in syncd."""

    async def read_replies(ticket_id, by=adapter, since=None):
        return [reply async for reply in by.replies(Ticket(id=ticket_id, number="1"), since)]

    return read_replies


def public(replies):
    """Return the texts that the customer sees."""
    return [reply.body.text for reply in replies if reply.visibility is Visibility.PUBLIC]


class TestFirstMessage:
    """What began a conversation or ticket."""

    async def test_outside_the_parts(self, read, intercom, clock):
        """The first message is the source and no part: it comes first, once, with an id of its own."""
        key = intercom.open_conversation(ago(clock, 90), text="<p>Help!</p>")
        part = intercom.add(key, "comment", "<p>Sure.</p>", ago(clock, 80))
        first, second = await read(key)
        assert (first.id, first.first_message, first.body.text) == (f"source:{key}", True, "<p>Help!</p>")
        assert (first.created_at, first.author.kind) == (ago(clock, 90), AuthorKind.CUSTOMER)
        assert first.body.format is BodyFormat.HTML
        assert (second.id, second.first_message) == (part, False)

    async def test_one_campaign(self, read, intercom, clock):
        """Two conversations from one campaign have one source id, and yet replies with different ids."""
        keys = [intercom.open_conversation(ago(clock, 90)) for _ in range(2)]
        assert len({intercom.conversations[key]["source"]["id"] for key in keys}) == 1
        assert len({(await read(key))[0].id for key in keys}) == 2

    async def test_no_source(self, read, intercom, clock):
        """A conversation whose source is null has no first message, and its parts are read."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        part = intercom.add(key, "comment", "<p>Hello</p>", ago(clock, 80))
        assert [(reply.id, reply.first_message) for reply in await read(key)] == [(part, False)]

    async def test_nothing_said(self, read, intercom, clock):
        """A source without words, subject and files (a call) is no message."""
        key = intercom.open_conversation(ago(clock, 90), text=None, kind="phone_call")
        assert await read(key) == []

    async def test_subject(self, read, intercom, clock):
        """The subject of a mail may be marked up, and comes as a plain line."""
        key = intercom.open_conversation(ago(clock, 90), kind="email")
        intercom.conversations[key]["source"]["subject"] = "<p>Q&amp;A</p>"
        (first,) = await read(key)
        assert first.subject == "Q&A"

    @pytest.mark.parametrize("delivered_as", ["automated", "campaigns_initiated", "operator_initiated"])
    async def test_campaign(self, read, intercom, clock, delivered_as):
        """What a campaign sent in an agent's name is automatic; what an agent sent is the agent's."""
        key = intercom.open_conversation(ago(clock, 90))
        source = intercom.conversations[key]["source"]
        source |= {"author": intercom.agent, "delivered_as": delivered_as}
        assert (await read(key))[0].author.kind is AuthorKind.SYSTEM
        source["delivered_as"] = "admin_initiated"
        assert (await read(key))[0].author == Author(AuthorKind.AGENT, "Änne Agent")

    async def test_ticket(self, read, intercom, clock):
        """A ticket begins with its description, which is escaped and no part either."""
        key = intercom.open_ticket(ago(clock, 90), description="Phone &amp; SMS")
        intercom.add(key, "comment", "<p>Sure.</p>", ago(clock, 90))
        first, second = await read(f"ticket-{key}")
        assert (first.id, first.body.text, first.first_message) == (f"description:{key}", "Phone & SMS", True)
        assert (first.author.kind, first.visibility) == (AuthorKind.CUSTOMER, Visibility.PUBLIC)
        assert second.first_message is False

    @pytest.mark.parametrize("attributes", [None, {}, {"_default_description_": None}, {"_default_description_": " "}])
    async def test_no_description(self, read, intercom, clock, attributes):
        """A ticket without a description begins with its oldest part, as one does that was a conversation."""
        key = intercom.open_conversation(ago(clock, 90), text="<p>Help!</p>")
        intercom.convert(key)
        intercom.touch(key, ticket_attributes=attributes)
        intercom.add(key, "comment", "<p>Sure.</p>", ago(clock, 80))
        replies = await read(f"ticket-{key}")
        assert [(reply.body.text, reply.first_message) for reply in replies] == [
            ("<p>Help!</p>", True),
            ("<p>Sure.</p>", False),
        ]


class TestVisibility:
    """What the customer sees."""

    @pytest.mark.parametrize("kind", ["comment", "quick_reply", "close", "open", "assignment", "assign_and_reopen"])
    async def test_answers(self, read, intercom, clock, kind):
        """An answer may be given with closing, opening or assigning, and is public there, too."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        intercom.add(key, kind, "<p>Done.</p>", ago(clock, 80))
        assert public(await read(key)) == ["<p>Done.</p>"]

    @pytest.mark.parametrize("kind", ["assignment", "assign_and_reopen"])
    async def test_assignments_are_notes(self, read, sign_in, intercom, clock, kind):
        """Where the settings say that words of an assignment are for the assignee, they are internal."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        intercom.add(key, kind, "<p>Please look.</p>", ago(clock, 80))
        intercom.add(key, "close", "<p>Done.</p>", ago(clock, 70))
        replies = await read(key, sign_in(assignments="internal"))
        assert len(replies) == 2
        assert public(replies) == ["<p>Done.</p>"]

    @pytest.mark.parametrize(
        "kind", ["note", "note_and_reopen", "conversation_rating_changed", "snoozed", "new_kind", "", None]
    )
    async def test_notes(self, read, intercom, clock, kind):
        """Notes, and words in whatever is not known to be an answer, are internal."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        intercom.add(key, kind, "<p>He is angry.</p>", ago(clock, 80))
        (reply,) = await read(key)
        assert reply.visibility is Visibility.INTERNAL

    @pytest.mark.parametrize("body", [None, "", "<p></p>", "<p>&nbsp;</p>\n"])
    async def test_events(self, read, intercom, clock, body):
        """A part without words is an event and no reply."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        for kind in ("assignment", "close", "snoozed", "quick_reply", "merged_secondary_conversation"):
            intercom.add(key, kind, body, ago(clock, 80))
        assert await read(key) == []

    async def test_a_picture_alone(self, read, intercom, clock):
        """A picture in the text, or a file without text, is a message."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        intercom.add(key, "comment", '<img src="https://downloads.test/a">', ago(clock, 80))
        intercom.add(key, "comment", None, ago(clock, 70), attachments=[{"name": "a.pdf", "url": "https://x.test"}])
        assert len(public(await read(key))) == 2

    @pytest.mark.parametrize("tag", ["iframe", "video", "audio", "IMG"])
    async def test_a_film_alone(self, read, intercom, clock, tag):
        """A film or a recording without a word is a message, and no event."""
        body = f'<div class="intercom-interblocks-video"><{tag} src="https://videos.test/7"></{tag}></div>'
        key = intercom.open_conversation(ago(clock, 90), source=None)
        intercom.add(key, "comment", body, ago(clock, 80))
        assert public(await read(key)) == [body]

    async def test_redacted(self, read, intercom, clock):
        """A redacted message keeps its place and is internal, so that what waits of it is not sent."""
        key = intercom.open_conversation(ago(clock, 90))
        part = intercom.add(key, "comment", "<p>1234</p>", ago(clock, 80))
        before = await read(key)
        intercom.part(part).update(redacted=True, body="<p><i>This message was deleted</i></p>")
        intercom.conversations[key]["source"] |= {"redacted": True, "body": None}
        after = await read(key)
        assert [reply.id for reply in after] == [reply.id for reply in before]
        assert public(after) == []

    @pytest.mark.parametrize("fields", [{"is_shared": False}, {"is_shared": None}, {"category": "Back-office"}])
    async def test_a_ticket_that_is_not_shared(self, read, intercom, clock, fields):
        """Of a back-office ticket, or one that is not shared with the customer, everything is internal."""
        key = intercom.open_ticket(ago(clock, 90), **fields)
        intercom.add(key, "comment", "<p>Between us.</p>", ago(clock, 80))
        replies = await read(f"ticket-{key}")
        assert len(replies) == 2
        assert public(replies) == []


class TestAuthors:
    """Who wrote it."""

    @pytest.mark.parametrize(
        ("author", "kind"),
        [
            ({"type": "user"}, AuthorKind.CUSTOMER),
            ({"type": "lead"}, AuthorKind.CUSTOMER),
            ({"type": "contact"}, AuthorKind.CUSTOMER),
            ({"type": "admin"}, AuthorKind.AGENT),
            ({"type": "team"}, AuthorKind.AGENT),
            ({"type": "bot"}, AuthorKind.SYSTEM),
            ({"type": "admin", "email": "operator+xwvpdtlu@intercom.io"}, AuthorKind.SYSTEM),
            ({"type": "admin", "from_ai_agent": True}, AuthorKind.SYSTEM),
            ({"type": "admin", "is_ai_answer": True}, AuthorKind.SYSTEM),
            ({"type": "somebody"}, AuthorKind.UNKNOWN),
            ({"type": None}, AuthorKind.UNKNOWN),
        ],
    )
    async def test_kinds(self, read, intercom, clock, author, kind):
        """The type of an author tells the side; Intercom's robots may look like agents. Names may be null."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        intercom.add(key, "comment", "<p>x</p>", by={"id": "7", "name": None, "email": None, **author})
        assert (await read(key))[0].author == Author(kind)

    async def test_nobody(self, read, intercom, clock):
        """A part without an author is by somebody unknown."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        intercom.part(intercom.add(key, "comment", "<p>x</p>"))["author"] = None
        assert (await read(key))[0].author == Author(AuthorKind.UNKNOWN)


class TestParts:
    """The list of parts."""

    async def test_order(self, read, intercom, clock):
        """Parts of one second come by their ids as numbers, which have different lengths."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        for part_id in ("1000", "999", "20"):
            intercom.add(key, "comment", "<p>x</p>", ago(clock, 80), id=part_id)
        assert [reply.id for reply in await read(key)] == ["20", "999", "1000"]

    async def test_the_newest_500(self, read, intercom, clock):
        """Of a long conversation the newest 500 parts and the source can be read, and that is no failure."""
        key = intercom.open_conversation(ago(clock, 9000))
        parts = [intercom.add(key, "comment", "<p>x</p>", ago(clock, 8000 - number)) for number in range(510)]
        assert [reply.id for reply in await read(key)] == [f"source:{key}", *parts[10:]]

    async def test_cut_ticket(self, read, intercom, clock):
        """Of a ticket whose oldest parts are cut off none is taken for the first message."""
        key = intercom.open_ticket(ago(clock, 9000), description=None)
        for number in range(MOST_PARTS + 1):
            intercom.add(key, "comment", "<p>x</p>", ago(clock, 8000 - number))
        assert not any(reply.first_message for reply in await read(f"ticket-{key}"))

    async def test_counted_and_missing(self, read, intercom, clock):
        """An empty list of parts that are counted is a failure: it would read as a conversation without replies."""
        key = intercom.open_conversation(ago(clock, 90))
        answer = {"id": key, "created_at": 1, "conversation_parts": {"conversation_parts": [], "total_count": 2}}
        intercom.next_answers.append((200, {}, json.dumps(answer), "application/json"))
        with pytest.raises(UnexpectedAnswer, match="counts parts"):
            await read(key)

    async def test_empty_answer(self, read, intercom, clock):
        """A 200 without a body is to be tried again, and no conversation without replies."""
        key = intercom.open_conversation(ago(clock, 90))
        intercom.next_answers.append((200, {}, "", "application/json"))
        with pytest.raises(RetryLater):
            await read(key)

    async def test_edited(self, read, intercom, clock):
        """A part that changed later tells when; it comes again although it is older than asked for."""
        key = intercom.open_conversation(ago(clock, 900), source=None)
        part = intercom.add(key, "comment", "<p>x</p>", ago(clock, 800))
        intercom.part(part)["updated_at"] += 60
        (reply,) = await read(key, since=ago(clock, 30))
        assert (reply.created_at, reply.edited_at) == (ago(clock, 800), ago(clock, 740))

    async def test_files(self, read, intercom, clock):
        """Files are told without their links, which are signed anew for every answer: a reply reads the same twice."""
        key = intercom.open_conversation(ago(clock, 90), source=None)
        file = {"type": "upload", "name": "a.pdf", "content_type": "application/pdf", "filesize": 12}
        part = intercom.add(key, "comment", "<p>x</p>", attachments=[{**file, "url": "https://x.test/?sign=1"}])
        before = await read(key)
        intercom.part(part)["attachments"][0]["url"] = "https://x.test/?sign=2"
        assert await read(key) == before
        (attachment,) = before[0].attachments
        assert (attachment.name, attachment.size_bytes, attachment.link) == ("a.pdf", 12, None)

    @pytest.mark.parametrize(
        ("kind", "channel"),
        [
            ("conversation", Channel.CHAT),
            ("email", Channel.EMAIL),
            ("sms", Channel.TEXT_MESSAGE),
            ("whatsapp", Channel.TEXT_MESSAGE),
            ("phone_call", Channel.PHONE),
            ("facebook", Channel.CHAT),
            ("something", Channel.OTHER),
            (None, Channel.OTHER),
        ],
    )
    async def test_channels(self, read, intercom, clock, kind, channel):
        """The source tells the channel of all parts, except of those that went by mail."""
        key = intercom.open_conversation(ago(clock, 90), kind=kind)
        intercom.add(key, "comment", "<p>x</p>", ago(clock, 80))
        intercom.add(key, "comment", "<p>x</p>", ago(clock, 70), email_message_metadata={"subject": "x"})
        assert [(reply.channel, reply.vendor_channel) for reply in await read(key)] == [
            (channel, kind),
            (channel, kind),
            (Channel.EMAIL, "email"),
        ]

    async def test_deleted(self, read, intercom, clock):
        """A conversation that was deleted is gone, even while the searches still have it."""
        key = intercom.open_conversation(ago(clock, 90))
        intercom.leave_ghost(key)
        with pytest.raises(TicketUnavailable) as caught:
            await read(key)
        assert caught.value.unavailable.reason is Unavailability.GONE

    @pytest.mark.parametrize("ticket_id", ["ticket-", "../1", "12/34", "ticket-ticket-1", "1" * 30])
    async def test_no_id_of_ours(self, read, intercom, ticket_id):
        """An id that cannot be one of this adapter's is gone, and nothing is asked."""
        with pytest.raises(TicketUnavailable):
            await read(ticket_id)
        assert intercom.requests == []
