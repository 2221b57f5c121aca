"""The Zendesk adapter against a strict stand-in over HTTP: each test names a trap of the real system."""

import importlib.util
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.zendesk import Zendesk, ZendeskConfig
from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, RetryLater, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat, Cursor, TicketRef, Unavailability, Unavailable, Visibility
from syncd.sources.adapter import Capability
from syncd.sources.http import VendorHttp

# Tests are no package here, so the stand-in beside this file is loaded by its path.
_SPEC = importlib.util.spec_from_file_location("zendesk_stand_in", Path(__file__).with_name("zendesk_stand_in.py"))
stand_in_module = sys.modules.setdefault(_SPEC.name, importlib.util.module_from_spec(_SPEC))
_SPEC.loader.exec_module(stand_in_module)

HTML_404 = (404, {}, "<html>No help desk here</html>", "text/html")
OAUTH = {"client_id": "syncd", "client_secret": "client-secret-1"}
API_TOKEN = {"email": "syncd@example.com", "api_token": "api-token-1"}


@pytest.fixture
async def zendesk(clock):
    """A running account."""
    async with stand_in_module.ZendeskStandIn(clock) as account:
        yield account


@pytest.fixture
async def connect(zendesk, clock):
    """Makes adapters signed in to the account."""
    opened = []

    def connect_with(link_hosts=(), **credentials):
        options = ZendeskConfig(base_url=zendesk.base_url, **(credentials or {"oauth_token": "oauth-token-1"}))
        opened.append(VendorHttp(Zendesk.connection(options), clock=clock))
        return Zendesk(options, opened[-1], link_hosts)

    yield connect_with
    for http in opened:
        await http.close()


@pytest.fixture
def adapter(connect):
    """An adapter signed in by a ready token."""
    return connect()


async def read(pages):
    """Return all of an asynchronous iterator."""
    return [page async for page in pages]


async def read_replies(adapter, ticket_id, since=None):
    """Return a ticket's replies as the core asks for them."""
    (ticket,) = await adapter.tickets([str(ticket_id)])
    return [reply async for reply in adapter.replies(ticket, since)]


def replies_in(pages):
    """Return all replies of pages of the feed by their ids."""
    return {reply.id: reply for page in pages for replies in page.replies.values() for reply in replies}


def ago(clock, seconds):
    """Return the instant so many seconds before now."""
    return clock.now() - timedelta(seconds=seconds)


class TestOptions:
    """What the settings may say."""

    @pytest.mark.parametrize(
        ("credentials", "found"),
        [
            ({}, "none"),
            ({"client_id": "a"}, "client_id"),
            ({**OAUTH, "oauth_token": "b"}, "client_id, client_secret, oauth_token"),
            ({"oauth_token": "b", **API_TOKEN}, "api_token, email, oauth_token"),
            ({"email": "c", "api_token": ""}, "email"),
        ],
    )
    def test_one_way(self, credentials, found):
        """Anything but exactly one whole way to sign in is refused, and the message tells what was found."""
        with pytest.raises(ValidationError, match=f"exactly one way to sign in: .*; found: {found}"):
            ZendeskConfig(base_url="https://acme.zendesk.com", **credentials)

    def test_secrets(self):
        """No secret is in the repr of the options, nor in the message about unknown ones."""
        options = ZendeskConfig(base_url="https://acme.zendesk.com", **OAUTH)
        with pytest.raises(ValidationError) as refused:
            ZendeskConfig(base_url="https://acme.zendesk.com", **OAUTH, subdomain="acme")
        assert "client-secret-1" not in repr(options) + repr(Zendesk.connection(options)) + str(refused.value)

    def test_api_tokens_end(self):
        """Of API tokens, which Zendesk switches off on 30 April 2027, an operator is warned; of OAuth not."""
        old, new = (ZendeskConfig(base_url="https://acme.zendesk.com", **way) for way in (API_TOKEN, OAUTH))
        assert "30 April 2027" in Zendesk.warnings(old)[0]
        assert Zendesk.warnings(new) == ()


class TestSigningIn:
    """Credentials, roles, and what they open."""

    @pytest.mark.parametrize("way", [OAUTH, API_TOKEN, {"oauth_token": "oauth-token-1"}])
    async def test_each_way(self, connect, way):
        """Each of the three ways to sign in is accepted (the API token with /token behind the e-mail address)."""
        assert "(admin)" in (await connect(**way).check()).account

    async def test_token_ends(self, connect, zendesk, clock):
        """A client's token is fetched once and again when it has ended."""
        adapter = connect(**OAUTH)
        await adapter.check()
        await adapter.tickets(["1"])
        assert zendesk.count("/oauth/tokens") == 1
        await clock.sleep(2 * 86_400)
        await adapter.tickets(["1"])
        assert zendesk.count("/oauth/tokens") == 2

    @pytest.mark.parametrize("way", [{**OAUTH, "client_secret": "no"}, {**API_TOKEN, "api_token": "no"}])
    async def test_refused(self, connect, way):
        """Refused credentials pause the system."""
        with pytest.raises(PauseSystem):
            await connect(**way).check()

    async def test_anonymous(self, adapter, zendesk):
        """The 200 that Zendesk gives to anonymous visitors is no sign-in."""
        body = '{"user": {"id": null, "name": "Anonymous user", "role": "end-user"}}'
        zendesk.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(PauseSystem, match="anonymous"):
            await adapter.check()

    async def test_customer(self, adapter, zendesk):
        """An end user cannot serve: tickets of others are closed to it."""
        zendesk.role = "end-user"
        with pytest.raises(PauseSystem, match="end-user"):
            await adapter.check()

    async def test_wrong_subdomain(self, adapter, zendesk):
        """A web page from a subdomain that does not exist tells to look at base_url."""
        zendesk.next_answers.append(HTML_404)
        with pytest.raises(PauseSystem, match="base_url"):
            await adapter.check()

    async def test_admin(self, adapter, zendesk):
        """An administrator has all capabilities; it costs one sample of the ten in twenty minutes."""
        await adapter.check()
        assert await adapter.available() == Zendesk.capabilities
        assert zendesk.count("/sample") == 1

    async def test_agent(self, connect, zendesk):
        """A plain agent has no change feed, is told so, and still reads tickets in bulk."""
        zendesk.role = "agent"
        adapter = connect(**API_TOKEN)
        warnings = (await adapter.check()).warnings
        assert "30 April 2027" in warnings[0]
        assert "no change feed" in warnings[1]
        assert await adapter.available() == {Capability.BULK_TICKETS}
        assert zendesk.count("/incremental") == 0

    async def test_admin_without_exports(self, adapter, zendesk):
        """Not the role but the answer of the export decides: a 403 means no change feed."""
        zendesk.exports_open = False
        assert await adapter.available() == {Capability.BULK_TICKETS}

    async def test_samples_used_up(self, connect, zendesk, clock):
        """When the ten samples of twenty minutes are used up, checking still works, by the role."""
        for _ in range(12):
            adapter = connect()
            await adapter.check()
            await clock.sleep(10)
        assert await adapter.available() == Zendesk.capabilities


class TestResolve:
    """Numbers and links."""

    @pytest.mark.parametrize(
        "shape",
        [
            "/agent/tickets/{}",
            "/agent/tickets/{}/events?brand=1#top",
            "/agent/#/tickets/{}",
            "/tickets/{}",
            "/hc/requests/{}",
            "/hc/en-us/requests/{}?page=2",
            "/requests/{}",
            "/api/v2/tickets/{}.json",
            "/api/v2/requests/{}.json",
        ],
    )
    async def test_link(self, adapter, zendesk, clock, shape):
        """Every shape of a link, agents' and customers', old and new, leads to the ticket."""
        ticket_id, _ = zendesk.open_ticket(clock.now())
        ticket = await adapter.resolve(TicketRef(link=zendesk.base_url + shape.format(ticket_id)))
        assert (ticket.id, ticket.link) == (str(ticket_id), f"{zendesk.base_url}/agent/tickets/{ticket_id}")

    @pytest.mark.parametrize("shape", ["{}", "#{}", " #0{} "])
    async def test_number(self, adapter, zendesk, clock, shape):
        """The number people quote is the id, with or without #."""
        ticket_id, _ = zendesk.open_ticket(clock.now())
        assert (await adapter.resolve(TicketRef(number=shape.format(ticket_id)))).id == str(ticket_id)

    @pytest.mark.parametrize(
        "ref",
        [
            TicketRef(number="A12"),
            TicketRef(number="0"),
            TicketRef(number="٣"),
            TicketRef(link="https://help.brand.example/hc/requests/1"),
            TicketRef(link="http://127.0.0.1/hc/articles/42"),
            TicketRef(link="http://127.0.0.1/agent/tickets/12x"),
        ],
    )
    async def test_no_ticket(self, adapter, zendesk, ref):
        """What cannot be a ticket of this account is refused without asking."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(ref)
        assert zendesk.requests == []

    async def test_brand(self, connect, zendesk, clock):
        """A link on a brand's or a mapped host is good when the host is named; the account's own host is asked."""
        ticket_id, _ = zendesk.open_ticket(clock.now())
        ref = TicketRef(link=f"https://help.brand.example/hc/requests/{ticket_id}")
        assert (await connect(link_hosts=["help.brand.example"]).resolve(ref)).id == str(ticket_id)

    async def test_gone_and_forbidden(self, adapter, zendesk, clock):
        """A deleted ticket is gone (there is no 410) and one that is closed to us forbidden (`error` is an object)."""
        ticket_id, _ = zendesk.open_ticket(clock.now())
        zendesk.forbidden.add(ticket_id)
        for number, reason in ((str(ticket_id), Unavailability.FORBIDDEN), ("987654", Unavailability.GONE)):
            with pytest.raises(TicketUnavailable) as error:
                await adapter.resolve(TicketRef(number=number))
            assert error.value.unavailable == Unavailable(number, reason)

    @pytest.mark.parametrize("answer", [HTML_404, (404, {}, '{"error": "InvalidEndpoint"}', "application/json")])
    async def test_not_zendesks_word(self, adapter, zendesk, answer):
        """A 404 of a proxy, or of a path that does not exist, does not make a ticket gone."""
        zendesk.next_answers.append(answer)
        with pytest.raises(UnexpectedAnswer):
            await adapter.resolve(TicketRef(number="42"))


class TestTickets:
    """States in bulk."""

    async def test_bulk(self, adapter, zendesk, clock):
        """250 tickets with their assignees cost three requests and one for the names."""
        ids = [str(zendesk.open_ticket(clock.now(), subject=None, assignee_id=zendesk.agent)[0]) for _ in range(250)]
        tickets = await adapter.tickets(ids)
        assert sorted(ticket.id for ticket in tickets) == sorted(ids)
        assert {(ticket.subject, ticket.assignee) for ticket in tickets} == {(None, "Anna Agent")}
        assert len(zendesk.requests) == 4

    async def test_left_out(self, adapter, zendesk, clock):
        """show_many leaves out what is unknown or closed to us; each such ticket is told apart."""
        good, bad = (zendesk.open_ticket(clock.now())[0] for _ in range(2))
        zendesk.forbidden.add(bad)
        found = await adapter.tickets([str(good), str(bad), "987654"])
        assert {item.ticket_id: item.reason for item in found if isinstance(item, Unavailable)} == {
            str(bad): Unavailability.FORBIDDEN,
            "987654": Unavailability.GONE,
        }

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("new", ThreadStatus.CREATED),
            *((word, ThreadStatus.ONGOING) for word in ("open", "pending", "hold")),
            *((word, ThreadStatus.CLOSED) for word in ("solved", "closed", "deleted")),
            ("invented", None),
        ],
    )
    async def test_status(self, adapter, zendesk, clock, word, status):
        """Each status of Zendesk has its level; an unknown one has none, and keeps its word."""
        ticket_id, _ = zendesk.open_ticket(clock.now(), status=word)
        (ticket,) = await adapter.tickets([str(ticket_id)])
        assert (ticket.status, ticket.vendor_status) == (status, word)


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
            await read(adapter.replies(ticket, None))


class TestFeed:
    """The two exports as one change feed."""

    async def test_newest_minute(self, adapter, zendesk, clock):
        """Starting now is allowed though start_time must be 60 s old; the newest minute comes with a later read."""
        ticket_id, comment = zendesk.open_ticket(clock.now())
        pages = await read(adapter.changes(clock.now()))
        assert replies_in(pages) == {}
        await clock.sleep(120)
        pages = await read(adapter.changes(pages[-1].cursor))
        assert list(replies_in(pages)) == [str(comment)]
        assert pages[0].ticket_ids == (str(ticket_id),)

    async def test_latecomer(self, adapter, zendesk, clock):
        """A record that the export shows late, with an older time, is still read: the overlap holds it."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 600))
        zendesk.comment(ticket_id, zendesk.agent, "in time", ago(clock, 100))
        cursor = (await read(adapter.changes(ago(clock, 3600))))[-1].cursor
        late = zendesk.comment(ticket_id, zendesk.agent, "late", ago(clock, 300))
        assert str(late) in replies_in(await read(adapter.changes(cursor)))

    async def test_empty(self, adapter, zendesk, clock):
        """An empty page has neither end_time nor next_page: the cursor stays where it was, however often."""
        start = ago(clock, 3600)
        cursor = (await read(adapter.changes(start)))[-1].cursor
        for _ in range(5):
            cursor = (await read(adapter.changes(cursor)))[-1].cursor
        first = [query["start_time"] for path, query in zendesk.requests if "events" in path]
        assert len(set(first)) == 1
        assert int(first[0]) <= start.timestamp()

    async def test_borders(self, adapter, zendesk, clock):
        """Pages repeat their last second and exceed their size for it; every cursor goes on without a loss."""
        zendesk.export_page = 5
        seconds = [900, 900, 900, 850, 850, 800, 700, 700, 700, 700, 650]
        tickets = [zendesk.open_ticket(ago(clock, 950 + number))[0] for number in range(3)]
        for number, second in enumerate(seconds):
            zendesk.comment(tickets[number % 3], zendesk.agent, "x", ago(clock, second))
        everything = {str(raw["id"]) for comments in zendesk.comments.values() for raw in comments}
        pages = await read(adapter.changes(ago(clock, 1000)))
        assert set(replies_in(pages)) == everything
        for number, page in enumerate(pages):
            rest = await read(adapter.changes(page.cursor))
            assert set(replies_in([*pages[: number + 1], *rest])) == everything
            assert {ticket.id for page in [*pages[: number + 1], *rest] for ticket in page.tickets} >= {
                str(ticket) for ticket in tickets
            }

    async def test_long_catch_up(self, adapter, zendesk, clock):
        """When more tickets changed than are read ahead, states still come with their events and none is lost."""
        zendesk.export_page, zendesk.export_requests_per_minute = 2, 10_000
        tickets = [zendesk.open_ticket(ago(clock, 9000 - 100 * number))[0] for number in range(30)]
        pages = await read(adapter.changes(ago(clock, 10_000)))
        assert [int(ticket.id) for page in pages for ticket in page.tickets] == tickets
        for page in pages[:-1]:
            assert {ticket.id for ticket in page.tickets} <= {key for key, replies in page.replies.items() if replies}
        assert zendesk.count("show_many") == 1  # the names

    async def test_stands_still(self, adapter, zendesk, clock):
        """An end_time or an after_cursor that does not advance though more is to come is an error, not a loop."""
        zendesk.open_ticket(ago(clock, 300))
        zendesk.stuck = True
        with pytest.raises(UnexpectedAnswer, match="after_cursor"):
            await read(adapter.changes(ago(clock, 3600)))
        body = '{"tickets": [], "after_cursor": null, "end_of_stream": true}'
        zendesk.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match="stands still"):
            await read(adapter.changes(ago(clock, 3600)))

    @pytest.mark.parametrize("body", ['{"tickets": []}', '{"error": "oops"}', '{"tickets": [], "error": "oops"}', "[]"])
    async def test_error_inside(self, adapter, zendesk, clock, body):
        """A 200 with an error inside, or without end_of_stream, is a failure and not an empty feed."""
        zendesk.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer):
            await read(adapter.changes(ago(clock, 3600)))

    async def test_foreign_cursor(self, adapter):
        """A cursor that this adapter did not make is refused."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter.changes(Cursor("abc")))

    async def test_budget(self, adapter, zendesk, clock):
        """The exports' ten requests a minute are kept, whatever the pace of the rest: no 429 in a long read."""
        zendesk.export_page = 2
        for number in range(25):
            zendesk.open_ticket(ago(clock, 2000 - 10 * number))
        assert len(replies_in(await read(adapter.changes(ago(clock, 3600))))) == 25
        exports = zendesk.count("/incremental")
        assert exports == len(set(map(str, zendesk.requests))) - zendesk.count("show_many")  # none was asked twice

    async def test_few_requests(self, adapter, zendesk, clock):
        """2,000 changed tickets of as many customers with five comments each cost at most 16 requests."""
        begin, opened = ago(clock, 30_000), []
        for number in range(2000):
            customer = zendesk.add_user(f"Customer {number}", "end-user")
            opened.append((zendesk.open_ticket(begin + timedelta(seconds=number), requester=customer)[0], customer))
        for turn in range(1, 5):
            for number, (ticket_id, customer) in enumerate(opened):
                at = begin + timedelta(seconds=5000 * turn + number)
                zendesk.comment(ticket_id, zendesk.agent if turn % 2 else customer, "x", at)
        pages = await read(adapter.changes(begin))
        replies = replies_in(pages)
        assert len(replies) == 10_000
        assert AuthorKind.UNKNOWN not in {reply.author.kind for reply in replies.values()}
        assert len({ticket.id for page in pages for ticket in page.tickets}) == 2000
        assert len(zendesk.requests) <= 16

    async def test_same_reply(self, adapter, zendesk, clock):
        """A comment reads the same from the feed and from its ticket."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))
        zendesk.comment(ticket_id, zendesk.agent, "answer", ago(clock, 800), via="web")
        fed = replies_in(await read(adapter.changes(ago(clock, 3600))))
        assert list(fed.values()) == await read_replies(adapter, ticket_id)

    async def test_status_beside_its_reply(self, adapter, zendesk, clock):
        """The reply that solves a ticket comes with the new status, even if it was made between the two exports."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))

        def solve():
            solved = [zendesk.changed("status", "solved")]
            zendesk.tickets[ticket_id]["status"] = "solved"
            zendesk.comment(ticket_id, zendesk.agent, "done", ago(clock, 70), beside=solved)

        zendesk.meanwhile["/api/v2/incremental/ticket_events"] = solve
        pages = await read(adapter.changes(ago(clock, 3600)))
        assert len(replies_in(pages)) == 2
        assert [ticket.status for page in pages for ticket in page.tickets] == [ThreadStatus.CLOSED]

    async def test_no_comment(self, adapter, zendesk, clock):
        """A change without a comment names its ticket and state, and claims that there is no reply to ask for."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 90_000))
        zendesk.change(ticket_id, ago(clock, 600), status="solved", assignee_id=zendesk.agent)
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert page.replies == {str(ticket_id): ()}
        assert [(ticket.status, ticket.assignee) for ticket in page.tickets] == [(ThreadStatus.CLOSED, "Anna Agent")]

    async def test_no_sideload(self, adapter, zendesk, clock):
        """Where flags stand in the place of comments, the ticket is named for asking and nothing is claimed."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))
        zendesk.sideload = False
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert (page.ticket_ids, page.replies) == ((str(ticket_id),), {})

    async def test_made_private(self, adapter, zendesk, clock):
        """A comment made private in place brings no comment: its ticket is named for asking."""
        ticket_id, comment = zendesk.open_ticket(ago(clock, 90_000))
        zendesk.make_private(ticket_id, comment)
        await clock.sleep(120)
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert (page.ticket_ids, page.replies) == ((str(ticket_id),), {})

    async def test_author_beside_requester(self, adapter, zendesk, clock):
        """The requester is a customer even if it is an agent, in the feed too; who is not found is unknown."""
        ticket_id, first = zendesk.open_ticket(ago(clock, 900), requester=zendesk.agent)
        copied = zendesk.comment(ticket_id, zendesk.customer, "x", ago(clock, 800))
        deleted = zendesk.comment(ticket_id, 424_242, "x", ago(clock, 700))
        replies = replies_in(await read(adapter.changes(ago(clock, 3600))))
        kinds = [replies[str(reply_id)].author.kind for reply_id in (first, copied, deleted)]
        assert kinds == [AuthorKind.CUSTOMER, AuthorKind.CUSTOMER, AuthorKind.UNKNOWN]

    async def test_roles_change(self, adapter, zendesk, clock):
        """Roles are the present ones: on another day of the feed they are asked for again."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 900))
        zendesk.comment(ticket_id, zendesk.agent, "x", ago(clock, 800))
        cursor = (await read(adapter.changes(ago(clock, 3600))))[-1].cursor
        zendesk.users[zendesk.agent]["role"] = "end-user"
        await clock.sleep(86_400)
        comment = zendesk.comment(ticket_id, zendesk.agent, "x", ago(clock, 100))
        replies = replies_in(await read(adapter.changes(cursor)))
        assert replies[str(comment)].author.kind is AuthorKind.CUSTOMER

    async def test_deleted(self, adapter, zendesk, clock):
        """Deleted tickets stay in the exports: they are closed, and the subject of a wiped one is nobody's."""
        ticket_id, _ = zendesk.open_ticket(ago(clock, 90_000))
        zendesk.change(ticket_id, ago(clock, 600), status="deleted", subject="SCRUBBED", description="X")
        (page,) = await read(adapter.changes(ago(clock, 3600)))
        assert [(ticket.status, ticket.subject) for ticket in page.tickets] == [(ThreadStatus.CLOSED, None)]

    async def test_deleted_before_asking(self, adapter, zendesk, clock):
        """Events of a ticket that cannot be asked any more do not stop the feed."""
        ticket_id, comment = zendesk.open_ticket(ago(clock, 900))
        del zendesk.tickets[ticket_id]
        replies = replies_in(await read(adapter.changes(ago(clock, 3600))))
        assert replies[str(comment)].author.kind is AuthorKind.CUSTOMER  # by its role

    async def test_large_pages_time_out(self, adapter, zendesk, clock):
        """A 504 for a large page halves the pages, and one for small pages too is a passing failure."""
        _, comment = zendesk.open_ticket(ago(clock, 900))
        zendesk.slow_above = 250
        assert list(replies_in(await read(adapter.changes(ago(clock, 3600))))) == [str(comment)]
        zendesk.slow_above = 0
        with pytest.raises(RetryLater, match="62"):
            await read(adapter.changes(ago(clock, 3600)))

    @pytest.mark.parametrize("status", [409, 520])
    async def test_again_later(self, adapter, zendesk, clock, status):
        """A 409 and the gateway's own statuses pass."""
        zendesk.next_answers.append((status, {}, "<html></html>", "text/html"))
        with pytest.raises(RetryLater):
            await read(adapter.changes(ago(clock, 3600)))

    async def test_no_admin_any_more(self, adapter, zendesk, clock):
        """Who is no administrator any more cannot read the exports: a person must know."""
        zendesk.role = "agent"
        with pytest.raises(PauseSystem, match="admin"):
            await read(adapter.changes(ago(clock, 3600)))
