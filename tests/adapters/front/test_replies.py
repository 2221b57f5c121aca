"""What a conversation of Front holds, read from the conversation."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat, Ticket, Unavailability, Unavailable, Visibility

QUOTING = '<div>Thanks!</div><blockquote class="front-blockquote">On Monday Anne wrote:<br>At the desk.</blockquote>'


@pytest.fixture
def read(adapter):
    """Reads all replies of a conversation."""

    async def read_all(conversation, since=None):
        return [reply async for reply in adapter.replies(Ticket(conversation, conversation), since)]

    return read_all


@pytest.fixture
def talk(front, clock):
    """A conversation that began an hour ago."""
    return front.open_conversation(clock.now() - timedelta(hours=1))[0]


class TestOrder:
    """Which messages come, and in which order."""

    async def test_oldest_first(self, read, front, talk, clock):
        """The default is newest first, so the order is asked for, with the largest page that there is."""
        late = front.write(talk, "two", clock.now() - timedelta(minutes=1))
        early = front.write(talk, "one", clock.now() - timedelta(minutes=2))
        replies = await read(talk)
        assert [reply.id for reply in replies[1:]] == [early, late]
        assert [reply.first_message for reply in replies] == [True, False, False]
        asked = dict(front.requests)[f"/conversations/{talk}/messages"]
        assert asked == {"limit": "100", "sort_by": "created_at", "sort_order": "asc"}

    async def test_milliseconds(self, read, front):
        """Times have milliseconds, which are kept as they are."""
        conversation, _ = front.open_conversation(datetime(2026, 3, 1, 8, 0, 0, 999_000, UTC))
        (reply,) = await read(conversation)
        assert reply.created_at == datetime(2026, 3, 1, 8, 0, 0, 999_000, UTC)

    async def test_ids_of_different_lengths(self, read, front, talk, clock):
        """Messages of the same instant come in the order of their ids, of which the shorter is the older."""
        for name in ("msg_10", "msg_z"):
            front.message(front.write(talk, name, clock.now()))["id"] = name
        assert [reply.id for reply in await read(talk)][1:] == ["msg_z", "msg_10"]

    async def test_whatever_since(self, read, front, talk, clock):
        """All are read whatever instant is asked for: a message that was sent late may stand among older ones."""
        front.write(talk, "late", clock.now() - timedelta(minutes=50))
        assert len(await read(talk, clock.now())) == 2

    async def test_cost(self, read, front, talk):
        """A conversation is two requests: its messages and its comments."""
        for _ in range(99):
            front.write(talk, "x")
        assert len(await read(talk)) == 100
        assert len(front.requests) == 2

    async def test_next_pages(self, read, front, talk):
        """Next pages are named at another host: their path and query are used at the configured one."""
        front.largest_page = 2
        ids = [front.write(talk, "x") for _ in range(4)]
        assert [reply.id for reply in await read(talk)][1:] == ids
        assert front.count("/messages") == 3
        assert all(urlsplit(path).netloc == "" for path, _ in front.requests)

    async def test_the_same_next_page(self, read, front, talk):
        """A next page that was read before is an error, not an endless read."""
        place = f"https://acme.api.frontapp.com/conversations/{talk}/messages?page_token=t"
        page = f'{{"_pagination": {{"next": "{place}"}}, "_results": [{{"id": "msg_%d"}}]}}'
        front.next_answers.extend((200, {}, page % number, "application/json") for number in (1, 2))
        with pytest.raises(UnexpectedAnswer, match="already"):
            await read(talk)

    async def test_endless_pages(self, read, front, talk):
        """Next pages that never end and hold nothing new are an error, whatever their tokens are."""
        front.endless = "messages"
        with pytest.raises(UnexpectedAnswer, match="nothing new"):
            await read(talk)

    async def test_no_word_about_a_next_page(self, read, front, talk):
        """A list that does not say whether it goes on is refused: it may be one page of many."""
        for body in ('{"_results": []}', '{"_results": [], "_pagination": {}}'):
            front.next_answers.append((200, {}, body, "application/json"))
            with pytest.raises(UnexpectedAnswer):
                await read(talk)


class TestNotTold:
    """What is no reply."""

    @pytest.mark.parametrize("fields", [{"draft_mode": "private"}, {"draft_mode": "shared"}, {"is_draft": True}])
    async def test_drafts(self, read, front, talk, fields):
        """Drafts stand among the messages, and are none; the fields of two ages of the API say so."""
        front.write(talk, "not yet", inbound=False, **fields)
        assert len(await read(talk)) == 1

    async def test_a_draft_that_was_sent(self, read, front, talk):
        """A draft that is sent is a reply from then on."""
        draft = front.write(talk, "not yet", inbound=False, draft_mode="shared")
        front.message(draft)["draft_mode"] = None
        assert (await read(talk))[1].id == draft

    async def test_failed_sending(self, read, front, talk):
        """What could not be sent is no reply."""
        front.write(talk, "lost", inbound=False, error_type="bounced")
        assert len(await read(talk)) == 1

    @pytest.mark.parametrize("inbound", [True, False])
    async def test_warning_about_the_sender(self, read, front, talk, inbound):
        """`error_type` stands on mails that arrived as well, as a warning that the sender may be another."""
        message = front.write(talk, "it is me", inbound=inbound, error_type="id_usurpation")
        assert (await read(talk))[1].id == message

    async def test_error_on_what_came_in(self, read, front, talk):
        """Whatever error_type is on what came in: it came in."""
        message = front.write(talk, "it is me", error_type="something_new")
        assert (await read(talk))[1].visibility is Visibility.PUBLIC
        assert (await read(talk))[1].id == message


class TestInternal:
    """What colleagues alone see."""

    async def test_comments(self, read, front, talk, clock):
        """Comments are the internal notes; they have a list of their own and stand among the replies by their time."""
        note = front.comment(talk, "for colleagues", clock.now() - timedelta(minutes=30))
        front.write(talk, "later")
        replies = await read(talk)
        assert replies[1].id == note
        assert replies[1].visibility is Visibility.INTERNAL
        assert replies[1].author.name == "Änne Agent"

    async def test_comment_of_nobody(self, read, front, talk):
        """A comment may have no author, or a program."""
        front.comment(talk, "one", author=None)
        front.comment(talk, "two", author={**front.agent, "type": "csat"})
        assert [one.author.kind for one in (await read(talk))[1:]] == [AuthorKind.UNKNOWN, AuthorKind.SYSTEM]

    async def test_comment_before_the_first_message(self, read, front, talk, clock):
        """A comment is never the first message, though it may be older."""
        front.comment(talk, "for colleagues", clock.now() - timedelta(hours=2))
        assert [reply.first_message for reply in await read(talk)] == [False, True]

    @pytest.mark.parametrize(
        "fields", [{"type": "internal"}, {"type": None}, {"is_inbound": None}, {"is_inbound": "no"}]
    )
    async def test_posts_and_what_cannot_be_read(self, read, front, talk, fields):
        """Posts of discussions, and messages without type or direction, are internal."""
        front.write(talk, "for colleagues", **fields)
        assert (await read(talk))[1].visibility is Visibility.INTERNAL

    async def test_new_type(self, read, front, talk):
        """Types are added without notice: one that is not known is public, and its channel is OTHER."""
        front.write(talk, "hello", type="telepathy")
        reply = (await read(talk))[1]
        assert (reply.visibility, reply.channel, reply.vendor_channel) == (
            Visibility.PUBLIC,
            Channel.OTHER,
            "telepathy",
        )

    async def test_without_scope_for_comments(self, read, front, talk):
        """A token that reads messages and not comments is a failure that names the scope, and no missing ticket."""
        front.refused_scopes = {"comments"}
        with pytest.raises(UnexpectedAnswer, match="comments:read"):
            await read(talk)


class TestAuthors:
    """Who wrote."""

    async def test_customer_and_agent(self, read, front, talk):
        """The direction tells who wrote; the author has the agent's name, and of customers none is needed."""
        front.write(talk, "At the desk.", inbound=False)
        first, second = await read(talk)
        assert (first.author.kind, first.author.name) == (AuthorKind.CUSTOMER, None)
        assert (second.author.kind, second.author.name) == (AuthorKind.AGENT, "Änne Agent")

    async def test_sent_from_a_mail_program(self, read, front, talk):
        """An answer that an agent sent from a mail program has no author: the name is the sender's among recipients."""
        message = front.message(front.write(talk, "from my phone", inbound=False, author=None))
        message["recipients"][0]["name"] = "Anne at home"
        assert (await read(talk))[1].author.name == "Anne at home"
        message["recipients"][0]["name"] = None
        assert (await read(talk))[1].author.name == "support@acme.test"
        message["recipients"] = []
        author = (await read(talk))[1].author
        assert (author.kind, author.name) == (AuthorKind.AGENT, None)

    @pytest.mark.parametrize("kind", ["rule", "macro", "api", "application", "integration", "bulk_reply", "smart_csat"])
    async def test_programs(self, read, front, talk, kind):
        """What programs send is automatic: the type of the teammate tells."""
        front.write(talk, "We got it.", inbound=False, author={**front.agent, "type": kind})
        assert (await read(talk))[1].author.kind is AuthorKind.SYSTEM

    async def test_teammate_without_type(self, read, front, talk):
        """Teammates in older answers have no type; they are people."""
        author = {key: value for key, value in front.agent.items() if key != "type"}
        front.write(talk, "At the desk.", inbound=False, author=author)
        assert (await read(talk))[1].author.kind is AuthorKind.AGENT


class TestContents:
    """Text, channel and files."""

    async def test_whole_text(self, read, front, talk):
        """The text is `body` with what it quotes: `text` leaves that out, and with it what was forwarded."""
        front.write(talk, "x", body=QUOTING, text="Thanks!\n")
        reply = (await read(talk))[1]
        assert (reply.body.text, reply.body.format) == (QUOTING, BodyFormat.HTML)

    async def test_plain_text(self, read, front, talk):
        """Where there is no `body`, `text` is better than nothing."""
        front.write(talk, "x", body="", text="Thanks!")
        reply = (await read(talk))[1]
        assert (reply.body.text, reply.body.format) == ("Thanks!", BodyFormat.TEXT)

    @pytest.mark.parametrize(
        ("kind", "channel"),
        [
            ("email", Channel.EMAIL),
            ("sms", Channel.TEXT_MESSAGE),
            ("whatsapp", Channel.TEXT_MESSAGE),
            ("yalo_wha", Channel.TEXT_MESSAGE),
            ("call", Channel.PHONE),
            ("phone-call", Channel.PHONE),
            ("front_chat", Channel.CHAT),
            ("facebook", Channel.CHAT),
            ("tweet_dm", Channel.CHAT),
            ("tweet", Channel.OTHER),
            ("googleplay", Channel.OTHER),
            ("custom", Channel.OTHER),
        ],
    )
    async def test_channel(self, read, front, talk, kind, channel):
        """The type of a message is its channel, and is kept as Front writes it."""
        front.write(talk, "hello", type=kind)
        reply = (await read(talk))[1]
        assert (reply.channel, reply.vendor_channel) == (channel, kind)

    async def test_files(self, read, front, talk):
        """Files have name, size and type; no link, as those of the API need the token; images in the text are none."""
        files = [
            {"id": "fil_1", "url": f"{front.base_url}/x", "filename": "a.pdf", "content_type": "x/y", "size": 12},
            {"id": "fil_2", "filename": "logo.png", "metadata": {"is_inline": True, "cid": "1"}},
            {"id": "fil_3", "filename": None, "metadata": {"is_inline": False}},
        ]
        front.write(talk, "see there", attachments=files)
        one, other = (await read(talk))[1].attachments
        assert (one.name, one.size_bytes, one.media_type, one.link) == ("a.pdf", 12, "x/y", None)
        assert other.name == "attachment"


class TestUnavailable:
    """Conversations that cannot be read."""

    async def test_merged(self, read, front, talk):
        """The messages of a merged conversation answer 301, too: it is read and not followed."""
        into, _ = front.open_conversation()
        front.merge(talk, into)
        front.forget()
        with pytest.raises(TicketUnavailable) as caught:
            await read(talk)
        assert caught.value.unavailable == Unavailable(talk, Unavailability.MERGED, into)
        assert front.count(into) == 0

    async def test_merged_meanwhile(self, read, front, talk):
        """A conversation that is merged between its messages and its comments is merged, and not without notes."""
        into, _ = front.open_conversation()
        front.meanwhile[f"/conversations/{talk}/comments"] = lambda: front.merge(talk, into)
        with pytest.raises(TicketUnavailable) as caught:
            await read(talk)
        assert caught.value.unavailable.merged_into == into

    async def test_deleted_meanwhile(self, read, front, talk):
        """One that is deleted in between is gone."""
        front.meanwhile[f"/conversations/{talk}/comments"] = lambda: front.delete(talk)
        with pytest.raises(TicketUnavailable) as caught:
            await read(talk)
        assert caught.value.unavailable.reason is Unavailability.GONE

    async def test_messages_of_a_merged_one_keep_their_ids(self, read, front, talk):
        """After a merge the messages are in the other conversation under the ids that they had."""
        into, _ = front.open_conversation()
        ids = {reply.id for reply in await read(talk)}
        front.merge(talk, into)
        assert ids <= {reply.id for reply in await read(into)}

    async def test_trash(self, read, front, talk):
        """A conversation in the trash can still be read."""
        front.set_status(talk, "deleted", "trash")
        assert len(await read(talk)) == 1

    async def test_no_id(self, read, front):
        """What is no conversation's id is gone, and is not asked for."""
        with pytest.raises(TicketUnavailable):
            await read("../events")
        assert front.requests == []
