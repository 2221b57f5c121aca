"""The articles of a ticket as replies."""

from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Attachment, AuthorKind, BodyFormat, Ticket, Unavailability, Visibility
from tests.adapters.znuny.stand_in import CHAT, EMAIL, INTERNAL, PHONE, ago


async def read(adapter, ticket_id, since=None):
    """Return the replies of a ticket."""
    return [reply async for reply in adapter.replies(Ticket(id=str(ticket_id), number="1"), since)]


async def read_one(adapter, ticket_id):
    """Return the only reply of a ticket."""
    (reply,) = await read(adapter, ticket_id)
    return reply


@pytest.fixture
def ticket_id(znuny):
    """A ticket without articles."""
    return znuny.open_ticket()


class TestWho:
    """Authors and visibility."""

    @pytest.mark.parametrize(
        ("fields", "kind", "name"),
        [
            ({"sender": "customer"}, AuthorKind.CUSTOMER, "Carla Customer"),
            ({"sender": "customer", "From": ""}, AuthorKind.CUSTOMER, "carla.customer"),
            ({"sender": "agent"}, AuthorKind.AGENT, "Peter Meyer"),
            ({"sender": "agent", "From": '"Größe, Anna" <a@acme.test>'}, AuthorKind.AGENT, "Größe, Anna"),
            ({"sender": "agent", "From": "<a@acme.test>"}, AuthorKind.AGENT, "a@acme.test"),
            ({"sender": "agent", "CreateBy": 1}, AuthorKind.UNKNOWN, "Peter Meyer"),
            ({"sender": "agent", "CreateBy": "1"}, AuthorKind.UNKNOWN, "Peter Meyer"),
            ({"sender": "agent", "CreateBy": ""}, AuthorKind.UNKNOWN, "Peter Meyer"),
            ({"sender": "system", "From": "Support"}, AuthorKind.SYSTEM, "Support"),
            ({"sender": "customer", "SenderType": "robot"}, AuthorKind.UNKNOWN, "Carla Customer"),
        ],
    )
    async def test_author(self, adapter, znuny, ticket_id, fields, kind, name):
        """The sender type tells the kind, except of agents whom no agent's user created: customers may claim that."""
        znuny.write(ticket_id, **fields)
        author = (await read_one(adapter, ticket_id)).author
        assert (author.kind, author.name) == (kind, name)

    @pytest.mark.parametrize("flag", [1, "1"])
    async def test_public(self, adapter, znuny, ticket_id, flag):
        """What customers see is public, be the flag a number or a text, and whatever the channel."""
        znuny.write(ticket_id, channel=INTERNAL, sender="agent", IsVisibleForCustomer=flag)
        assert (await read_one(adapter, ticket_id)).visibility is Visibility.PUBLIC

    @pytest.mark.parametrize("flag", [0, "0", "", None, True, 2, "yes", 1.0, [1], {"1": 1}])
    async def test_internal(self, adapter, znuny, ticket_id, flag):
        """Any other flag makes an article internal, also in a channel that customers use."""
        znuny.write(ticket_id, channel=EMAIL, sender="agent", IsVisibleForCustomer=flag)
        assert (await read_one(adapter, ticket_id)).visibility is Visibility.INTERNAL

    async def test_without_a_flag(self, adapter, znuny, ticket_id):
        """An article without the flag is internal."""
        znuny.write(ticket_id)
        del znuny.articles[ticket_id][0]["IsVisibleForCustomer"]
        assert (await read_one(adapter, ticket_id)).visibility is Visibility.INTERNAL


class TestWhat:
    """Texts, times, channels and files."""

    @pytest.mark.parametrize(
        ("channel", "expected", "word"),
        [
            (EMAIL, Channel.EMAIL, "Email"),
            (PHONE, Channel.PHONE, "Phone"),
            (INTERNAL, Channel.OTHER, "Internal"),
            (CHAT, Channel.CHAT, "Chat"),
            ("2", Channel.PHONE, "Phone"),
            (17, Channel.OTHER, "17"),
        ],
    )
    async def test_channel(self, adapter, znuny, ticket_id, channel, expected, word):
        """The four channels of a new installation have names; one of an add-on has its number, which can be mapped."""
        znuny.write(ticket_id, channel=channel)
        reply = await read_one(adapter, ticket_id)
        assert (reply.channel, reply.vendor_channel) == (expected, word)

    async def test_time(self, open_adapter, znuny, clock):
        """The instant is the number, whatever zone the text beside it is in; only without it the zone counts."""
        adapter = open_adapter(zone="Asia/Tokyo")
        ticket_id = znuny.open_ticket()
        znuny.write(ticket_id)
        znuny.write(ticket_id, IncomingTime="")
        by_number, by_text = await read(adapter, ticket_id)
        now = clock.now().replace(microsecond=0)
        assert by_number.created_at == now
        assert by_text.created_at == now - timedelta(hours=9)

    async def test_body(self, adapter, znuny, ticket_id):
        """The text is plain, without the blank lines that Znuny puts around one that it made of HTML."""
        znuny.write(ticket_id, "Größe <A4>\n\n> zitiert")
        body = (await read_one(adapter, ticket_id)).body
        assert (body.text, body.format) == ("Größe <A4>\n\n> zitiert", BodyFormat.TEXT)

    async def test_old_html(self, adapter, znuny, ticket_id):
        """An article that says that it is HTML is read as HTML."""
        znuny.write(ticket_id, "<p>x</p>", ContentType="text/html; charset=utf8")
        assert (await read_one(adapter, ticket_id)).body.format is BodyFormat.HTML

    async def test_chat(self, adapter, znuny, ticket_id):
        """An article of a chat, which has neither text nor subject, has its lines."""
        lines = [{"ChatterName": "Carla", "MessageText": "Hi"}, {"ChatterName": "Peter", "MessageText": "Hello"}]
        znuny.write(ticket_id, channel=CHAT, ChatMessageList=lines)
        del znuny.articles[ticket_id][0]["Body"], znuny.articles[ticket_id][0]["Subject"]
        reply = await read_one(adapter, ticket_id)
        assert (reply.body.text, reply.subject) == ("Carla: Hi\nPeter: Hello", None)

    async def test_files(self, adapter, znuny, ticket_id):
        """Files are named with their pages and never fetched; the body's HTML and the pictures in it are no files."""
        article = znuny.write(ticket_id)
        znuny.attach(article, "Rechnung.pdf", size=120_000)
        znuny.attach(article, "inline.pdf", Disposition="inline")
        znuny.attach(article, "logo.png", "image/png", Disposition="inline", ContentID="<1@x>")
        znuny.attach(article, "file-2", 'text/html; charset="utf8"', Disposition="inline")
        files = (await read_one(adapter, ticket_id)).attachments
        page = f"{znuny.base_url}/index.pl?Action=AgentTicketAttachment;TicketID=1;ArticleID=1;FileID="
        assert files == (
            Attachment("Rechnung.pdf", 120_000, "application/pdf", f"{page}1"),
            Attachment("inline.pdf", 60, "application/pdf", f"{page}2"),
        )
        assert znuny.requests[-1][1]["GetAttachmentContents"] == "0"

    async def test_edited_and_deleted(self, adapter, znuny, clock, ticket_id):
        """OTOBO marks what was edited, with its time; what it marks as deleted is not told."""
        znuny.write(ticket_id, at=ago(clock, hours=1), IsEdited=1, ChangeTime=znuny.text(clock.now()))
        znuny.write(ticket_id, IsDeleted=1)
        reply = await read_one(adapter, ticket_id)
        assert reply.edited_at == clock.now().replace(microsecond=0)

    async def test_mixed_types(self, adapter, znuny, ticket_id):
        """Numbers that come as texts, as from other databases, make the same reply."""
        znuny.write(ticket_id, sender="agent")
        as_numbers = await read_one(adapter, ticket_id)
        article = znuny.articles[ticket_id][0]
        for key, value in article.items():
            article[key] = str(value) if isinstance(value, int) else value
        assert await read_one(adapter, ticket_id) == as_numbers


class TestList:
    """The list of articles."""

    async def test_order(self, adapter, znuny, ticket_id):
        """Replies come in the order of their ids and not of their numbers, and the first alone is the first message."""
        ids = [str(znuny.write(ticket_id)) for _ in range(12)]
        znuny.articles[ticket_id].sort(key=lambda one: one["ArticleNumber"])
        replies = await read(adapter, ticket_id)
        assert [reply.id for reply in replies] == ids
        assert [reply.first_message for reply in replies] == [True] + [False] * 11

    async def test_one_request(self, adapter, znuny, ticket_id):
        """However many articles: one request."""
        for _ in range(60):
            znuny.write(ticket_id)
        assert len(await read(adapter, ticket_id)) == 60
        assert len(znuny.requests) == 1

    async def test_none(self, adapter, ticket_id):
        """A ticket without articles has no key for them, and no replies."""
        assert await read(adapter, ticket_id) == []

    async def test_half_stored(self, adapter, znuny, ticket_id):
        """An article that is being stored, of which there is all but nothing, fails the reading: it is made again."""
        znuny.write(ticket_id)
        znuny.articles[ticket_id].append({"TimeUnit": 0})
        with pytest.raises(UnexpectedAnswer, match="ArticleID"):
            await read(adapter, ticket_id)

    async def test_other_ticket(self, adapter, znuny, ticket_id):
        """An answer about another ticket is a failure."""
        znuny.write(ticket_id)
        body = '{"Ticket": [{"TicketID": 7, "StateType": "open"}]}'
        znuny.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match="other tickets"):
            await read(adapter, ticket_id)

    async def test_merged(self, adapter, znuny):
        """A merged ticket is told as such with the other one; the note that says so is no reply."""
        gone, stays = znuny.open_ticket(), znuny.open_ticket()
        znuny.write(gone)
        znuny.merge(gone, stays)
        with pytest.raises(TicketUnavailable) as caught:
            await read(adapter, gone)
        assert (caught.value.unavailable.reason, caught.value.unavailable.merged_into) == (
            Unavailability.MERGED,
            str(stays),
        )
