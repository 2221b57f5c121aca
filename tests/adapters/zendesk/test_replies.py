"""Reading the comments of one ticket of Zendesk."""

from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat, Visibility


async def read_replies(adapter, ticket_id, since=None):
    """Return a ticket's replies as the core asks for them."""
    (ticket,) = await adapter.tickets([str(ticket_id)])
    return [reply async for reply in adapter.replies(ticket, since)]


def ago(clock, seconds):
    """Return the instant so many seconds before now."""
    return clock.now() - timedelta(seconds=seconds)


class TestReplies:
    """Comments of one ticket."""

    async def test_first_message(self, adapter, zendesk, clock):
        """The first comment is the ticket's description, once, and the only first message."""
        opened_at = ago(clock, 900).replace(microsecond=0)
        ticket_id, first = zendesk.open_ticket(opened_at)
        second = zendesk.comment(ticket_id, zendesk.agent, "hi", ago(clock, 800))
        replies = await read_replies(adapter, ticket_id)
        assert [(reply.id, reply.first_message) for reply in replies] == [(str(first), True), (str(second), False)]
        assert await read_replies(adapter, ticket_id, opened_at) == replies

    async def test_resolution(self, adapter, zendesk, clock):
        """Zendesk tells whole seconds, so a comment of the second in which `since` lies is never missed."""
        since = ago(clock, 900).replace(microsecond=900_000)
        ticket_id, first = zendesk.open_ticket(since)
        assert [reply.id for reply in await read_replies(adapter, ticket_id, since)] == [str(first)]

    async def test_since(self, adapter, zendesk, clock):
        """Without a filter of Zendesk's, new comments are read from the newest back: one page of a long ticket."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 90_000))
        for number in range(300):
            zendesk.comment(ticket_id, zendesk.agent, "x", ago(clock, 80_000 - number))
        last = zendesk.comment(ticket_id, zendesk.customer, "new", ago(clock, 10))
        assert [reply.id for reply in await read_replies(adapter, ticket_id, ago(clock, 60))] == [str(last)]
        assert zendesk.count("/comments") == 1

    async def test_same_second(self, adapter, zendesk, clock):
        """Comments of the same second lie on both sides of a page's border, and `since` includes them all."""
        zendesk.comments_page = 3
        ticket_id, first = zendesk.open_ticket(ago(clock, 900))
        same = [zendesk.comment(ticket_id, zendesk.agent, "x", ago(clock, 500)) for _ in range(7)]
        since = await read_replies(adapter, ticket_id, ago(clock, 500))
        assert [reply.id for reply in since] == list(map(str, same))
        assert [reply.id for reply in await read_replies(adapter, ticket_id)] == list(map(str, [first, *same]))

    async def test_visibility(self, adapter, zendesk, clock):
        """Notes are internal, what was made private too, and so is what does not say whether it is public."""
        ticket_id, first = zendesk.open_ticket(ago(clock, 900))
        zendesk.comment(ticket_id, zendesk.agent, "note", public=False)
        zendesk.comment(ticket_id, zendesk.agent, "odd", public=None)
        zendesk.make_private(ticket_id, first)
        assert {reply.visibility for reply in await read_replies(adapter, ticket_id)} == {Visibility.INTERNAL}

    async def test_body(self, adapter, zendesk, clock):
        """The body is html_body with redactions in it; a comment without one has its marked-up text."""
        ticket_id, _ = zendesk.open_ticket(clock.now(), text="my card is ▇▇▇▇")
        zendesk.comment(ticket_id, zendesk.agent, "**bold**", html_body=None)
        first, second = await read_replies(adapter, ticket_id)
        assert (first.body.format, "▇▇▇▇" in first.body.text) == (BodyFormat.HTML, True)
        assert (second.body.format, second.body.text) == (BodyFormat.MARKDOWN, "**bold**")

    async def test_authors(self, adapter, zendesk, clock):
        """Roles tell customers from agents, but requester, rules and the system come first; the deleted are unknown."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900), requester=zendesk.agent)  # an agent's own request
        admin, cc = zendesk.add_user("Ada Admin", "admin"), zendesk.add_user("Cleo Copied", "end-user")
        for author in (cc, admin, -1, 424_242):
            zendesk.comment(ticket_id, author, "x")
        zendesk.comment(ticket_id, admin, "automatic", via="rule")
        kinds = [reply.author.kind for reply in await read_replies(adapter, ticket_id)]
        assert kinds == [
            *(AuthorKind.CUSTOMER, AuthorKind.CUSTOMER, AuthorKind.AGENT),
            *(AuthorKind.SYSTEM, AuthorKind.UNKNOWN, AuthorKind.SYSTEM),
        ]

    @pytest.mark.parametrize(
        ("via", "ticket_via", "channel"),
        [
            *(("email", "web", Channel.EMAIL), ("Mail", "web", Channel.EMAIL), (4, "web", Channel.EMAIL)),
            *(("sms", "web", Channel.TEXT_MESSAGE), ("Text", "web", Channel.TEXT_MESSAGE)),
            *((57, "web", Channel.TEXT_MESSAGE), (45, "web", Channel.PHONE), ("voice", "web", Channel.PHONE)),
            *(("whatsapp", "web", Channel.CHAT), (29, "web", Channel.CHAT), (26, "web", Channel.CHAT)),
            *(("twitter", "web", Channel.OTHER), ("facebook", "web", Channel.OTHER), (38, "web", Channel.OTHER)),
            *(("api", "email", Channel.OTHER), ("invented", "email", Channel.OTHER), ("web", "api", Channel.OTHER)),
            *(("web", "email", Channel.EMAIL), (0, 4, Channel.EMAIL), ("web", "web_form", Channel.EMAIL)),
            *(("merge", "email", Channel.EMAIL), (19, "sms", Channel.TEXT_MESSAGE), (None, "chat", Channel.CHAT)),
        ],
    )
    async def test_channel_of_agents(self, adapter, zendesk, clock, via, ticket_via, channel):
        """Channels come as words or numbers; an agent in the web answers mail by mail; some are no channel at all."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900), via=ticket_via)
        zendesk.comment(ticket_id, zendesk.agent, "x", via=via)
        reply = (await read_replies(adapter, ticket_id))[-1]
        assert (reply.channel, reply.vendor_channel) == (
            channel,
            None if via is None else str(via).lower(),
        )

    async def test_other_channels(self, adapter, zendesk, clock):
        """A customer in the web writes no mail, a direct message is a chat, and a call's comment is the phone."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900), via="email")
        zendesk.comment(ticket_id, zendesk.customer, "x", via="web")
        zendesk.comment(ticket_id, zendesk.customer, "x")
        zendesk.comments[ticket_id][-1]["via"] = {"channel": "twitter", "source": {"rel": "direct_message"}}
        zendesk.comment(ticket_id, zendesk.customer, "call", type="VoiceComment", data={"recording_url": "https://x"})
        channels = [reply.channel for reply in await read_replies(adapter, ticket_id)]
        assert channels == [Channel.EMAIL, Channel.OTHER, Channel.CHAT, Channel.PHONE]

    async def test_attachments(self, adapter, zendesk, clock):
        """Deleted and inline files are left out, and malware is named without a link."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))
        base = {"size": 7, "content_type": "image/png", "inline": False, "deleted": False}
        files = [{**base, "file_name": name, "content_url": f"https://cdn/{name}"} for name in "abcd"]
        files[1]["inline"], files[2]["deleted"], files[3]["malware_scan_result"] = True, True, "malware_found"
        zendesk.comment(ticket_id, zendesk.agent, "x", attachments=files)
        found = (await read_replies(adapter, ticket_id))[-1].attachments
        assert [(file.name, file.link) for file in found] == [("a", "https://cdn/a"), ("d", None)]

    async def test_token_repeats(self, adapter, zendesk, clock):
        """A page token that repeats is an error, not an endless loop."""
        zendesk.comments_page, zendesk.repeat_comments_token = 1, True
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))
        for _ in range(3):
            zendesk.comment(ticket_id, zendesk.agent, "x")
        with pytest.raises(UnexpectedAnswer, match="after_cursor"):
            await read_replies(adapter, ticket_id)

    async def test_deleted_meanwhile(self, adapter, zendesk, clock):
        """A ticket deleted between the feed and its comments is gone, not a failure."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))
        (ticket,) = await adapter.tickets([str(ticket_id)])
        del zendesk.tickets[ticket_id]
        with pytest.raises(TicketUnavailable):
            [reply async for reply in adapter.replies(ticket, None)]
