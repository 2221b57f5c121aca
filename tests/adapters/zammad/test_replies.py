"""The articles of Zammad's tickets as replies."""

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat, Unavailability, Visibility
from tests.adapters.zammad.stand_in import AGENT, OTHER_AGENT


async def read(adapter, ticket_id, since=None):
    """Return the replies of a ticket."""
    (ticket,) = await adapter.tickets([str(ticket_id)])
    return [reply async for reply in adapter.replies(ticket, since)]


@pytest.fixture
def opened(zammad):
    """A ticket with one article."""
    return zammad.open_ticket()[0]


class TestAuthors:
    """Who speaks."""

    async def test_sender_decides(self, adapter, zammad, opened):
        """A call that an agent notes down is the customer's: `sender` decides, and never `created_by`."""
        zammad.write(opened, "called about the invoice", sender="Customer", kind="phone", by=AGENT)
        reply = (await read(adapter, opened))[-1]
        assert (reply.author.kind, reply.author.name) == (AuthorKind.CUSTOMER, None)

    async def test_agent_is_named(self, adapter, zammad, opened):
        """An agent has a name, not the display text of `from`."""
        zammad.write(opened, "answer")
        assert (await read(adapter, opened))[-1].author.name == "Anna Agent"

    async def test_on_behalf(self, adapter, zammad, opened):
        """Who wrote through another account is named by `origin_by`."""
        zammad.write(opened, "answer", origin_by_id=OTHER_AGENT)
        assert (await read(adapter, opened))[-1].author.name == "Otto Other"

    async def test_names_are_read_once(self, adapter, zammad, opened):
        """The name of an agent is asked for once."""
        for _ in range(3):
            zammad.write(opened, "answer")
        await read(adapter, opened)
        await read(adapter, opened)
        assert zammad.count(f"/users/{AGENT}") == 1

    async def test_deleted_agent(self, adapter, zammad, opened):
        """An agent who is there no more is known as an agent, without a name."""
        zammad.write(opened, "answer")
        del zammad.users[AGENT]
        author = (await read(adapter, opened))[-1].author
        assert (author.kind, author.name) == (AuthorKind.AGENT, None)

    async def test_system(self, adapter, zammad, opened):
        """What a trigger sent is the system's."""
        zammad.write(opened, "We have got your message.", sender="System")
        assert (await read(adapter, opened))[-1].author.kind is AuthorKind.SYSTEM

    async def test_unknown_sender(self, adapter, zammad, opened):
        """A sender that is not known makes an unknown author, and no customer."""
        zammad.articles[zammad.write(opened, "x")]["sender"] = "Robot"
        assert (await read(adapter, opened))[-1].author.kind is AuthorKind.UNKNOWN


class TestVisibility:
    """What customers can see."""

    @pytest.mark.parametrize("internal", [True, None, "false", 0, "missing"])
    async def test_internal(self, adapter, zammad, opened, internal):
        """Anything but JSON's false is internal."""
        article = zammad.articles[zammad.write(opened, "hush", kind="note")]
        article["internal"] = internal
        if internal == "missing":
            del article["internal"]
        assert (await read(adapter, opened))[-1].visibility is Visibility.INTERNAL

    async def test_public_note(self, adapter, zammad, opened):
        """A note that was made public is public, whatever its type says about communication."""
        zammad.write(opened, "for you", kind="note")
        assert (await read(adapter, opened))[-1].visibility is Visibility.PUBLIC

    async def test_published_later(self, adapter, zammad, opened, clock):
        """An old note that is made public is read again by its time of change, and its ticket is in the feed."""
        note = zammad.write(opened, "for you", kind="note", internal=True)
        cursor = [page async for page in adapter.changes(clock.now())][-1].cursor
        await clock.sleep(3600)
        zammad.publish(note)
        (reply,) = await read(adapter, opened, clock.now())
        assert (reply.id, reply.visibility) == (str(note), Visibility.PUBLIC)
        assert str(opened) in [one async for page in adapter.changes(cursor) for one in page.ticket_ids]


class TestArticles:
    """What articles are made of."""

    async def test_order(self, adapter, zammad, opened, clock):
        """Versions that give no order are sorted here: oldest first, and by id within one millisecond."""
        zammad.orders_articles = False
        ids = [zammad.write(opened, "x", clock.now()) for _ in range(3)]
        assert [reply.id for reply in await read(adapter, opened)][1:] == [str(key) for key in ids]

    async def test_since(self, adapter, zammad, opened, clock):
        """There is no filter: older articles are left out here, and that of the very instant is not."""
        await clock.sleep(60)
        article = zammad.write(opened, "x", since := clock.now())
        assert [reply.id for reply in await read(adapter, opened, since)] == [str(article)]

    @pytest.mark.parametrize(
        ("content_type", "body_format"),
        [("text/html", BodyFormat.HTML), ("text/plain", BodyFormat.TEXT), (None, BodyFormat.TEXT)],
    )
    async def test_format(self, adapter, zammad, opened, content_type, body_format):
        """`content_type` says how a body is read; nothing is taken out of a plain one."""
        zammad.write(opened, "a <b> c", content_type=content_type)
        body = (await read(adapter, opened))[-1].body
        assert (body.format, body.text) == (body_format, "a <b> c")

    async def test_empty(self, adapter, zammad, opened):
        """An article without text and subject is a reply all the same; its subject is the ticket's."""
        zammad.write(opened, None, subject="")
        reply = (await read(adapter, opened))[-1]
        assert (reply.body.text, reply.subject) == ("", None)

    async def test_inline_image(self, adapter, zammad, opened):
        """The relative address of an image inside the text, which needs a sign-in, is left out; the rest stays."""
        zammad.write(opened, '<p>see <img alt="plan" src="cid:174?view=inline"> and "cid:9"</p>')
        text = (await read(adapter, opened))[-1].body.text
        assert '<p>see <img alt="plan" src="cid:174">' in text

    async def test_attachments(self, adapter, zammad, opened):
        """Files have name, size (which comes as text), type and link; the mail's HTML as a file is none."""
        file = {"id": 174, "filename": "a.pdf", "size": "35574", "preferences": {"Content-Type": "application/pdf"}}
        copy = {"id": 175, "filename": "message.html", "size": "9", "preferences": {"original-format": True}}
        article = zammad.write(opened, "x", attachments=[file, copy])
        (found,) = (await read(adapter, opened))[-1].attachments
        assert (found.name, found.size_bytes, found.media_type) == ("a.pdf", 35574, "application/pdf")
        assert found.link == f"{zammad.base_url}/api/v1/ticket_attachment/{opened}/{article}/174"

    @pytest.mark.parametrize(
        ("kind", "channel"),
        [
            ("email", Channel.EMAIL),
            ("sms", Channel.TEXT_MESSAGE),
            ("fax", Channel.FAX),
            ("phone", Channel.PHONE),
            ("chat", Channel.CHAT),
            ("twitter direct-message", Channel.CHAT),
            ("facebook direct-message", Channel.CHAT),
            ("telegram personal-message", Channel.CHAT),
            ("whatsapp message", Channel.CHAT),
            ("twitter status", Channel.OTHER),
            ("facebook feed post", Channel.OTHER),
            ("web", Channel.OTHER),
            ("note", Channel.OTHER),
            ("invented", Channel.OTHER),
        ],
    )
    async def test_channel(self, adapter, zammad, opened, kind, channel):
        """Each type of article has its channel, by name, and keeps its word."""
        zammad.write(opened, "x", kind=kind)
        reply = (await read(adapter, opened))[-1]
        assert (reply.channel, reply.vendor_channel) == (channel, kind)

    async def test_first_message(self, adapter, zammad, opened):
        """The oldest article is the first message, and an article like the others."""
        zammad.write(opened, "answer")
        assert [reply.first_message for reply in await read(adapter, opened)] == [True, False]


class TestUnsent:
    """Messages that did not reach anybody."""

    @pytest.mark.parametrize(("status", "retries", "told"), [("success", 1, 2), ("fail", 1, 2), ("fail", 4, 1)])
    async def test_unsent(self, adapter, zammad, opened, status, retries, told):
        """A message that Zammad gave up sending is no reply; one that it tries again is."""
        zammad.mail_out(zammad.write(opened, "answer"), status, retries)
        assert len(await read(adapter, opened)) == told

    async def test_sent_after_all(self, adapter, zammad, opened, clock):
        """A message that was sent after all is read by its time of change."""
        article = zammad.write(opened, "answer")
        zammad.mail_out(article, "fail", 4)
        assert len(await read(adapter, opened)) == 1
        since = clock.now()
        await clock.sleep(3600)
        zammad.mail_out(article, at=clock.now())
        assert [reply.id for reply in await read(adapter, opened, since)] == [str(article)]


class TestUnavailable:
    """Tickets that cannot be read."""

    async def test_deleted_meanwhile(self, adapter, zammad, opened):
        """A ticket that is deleted between its state and its replies is gone, not a failure."""
        (ticket,) = await adapter.tickets([str(opened)])
        zammad.delete_ticket(opened)
        with pytest.raises(TicketUnavailable) as error:
            [reply async for reply in adapter.replies(ticket, None)]
        assert error.value.unavailable.reason is Unavailability.GONE

    async def test_moved_to_another_group(self, adapter, zammad, opened):
        """A ticket that moved to a group that is closed to us is forbidden."""
        (ticket,) = await adapter.tickets([str(opened)])
        zammad.tickets[opened]["group_id"] = 9
        zammad.hidden_groups.add(9)
        with pytest.raises(TicketUnavailable) as error:
            [reply async for reply in adapter.replies(ticket, None)]
        assert error.value.unavailable.reason is Unavailability.FORBIDDEN

    async def test_error_in_a_200(self, adapter, zammad, opened):
        """An error inside a 200 is a failure, and never a ticket without replies."""
        (ticket,) = await adapter.tickets([str(opened)])
        zammad.next_answers.append((200, {}, '{"error": "Not authorized"}', "application/json"))
        with pytest.raises(UnexpectedAnswer):
            [reply async for reply in adapter.replies(ticket, None)]
