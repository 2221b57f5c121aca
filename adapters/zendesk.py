"""Zendesk Support, API v2: all changes of an account from its exports, or ticket by ticket without an administrator.

docs/adapters/zendesk.md names the pages relied on, and says what maps to what and what Zendesk cannot tell.
"""

import re
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from math import inf
from typing import ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from adapters._webhooks_signed import ZENDESK
from adapters._zendesk_api import EXPORTS, OVERLAP_SECONDS, Exports, ZendeskApi, answer_of
from adapters._zendesk_records import (
    NOBODY,
    STATUSES,
    SYSTEM_ID,
    Event,
    Json,
    Person,
    SeenTicket,
    parse_event,
    parse_person,
    parse_reply,
    parse_ticket,
)
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import ChangePage, Cursor, Identity, Reply, Ticket, TicketRef, Unavailable
from syncd.sources.adapter import (
    Adapter,
    AdapterConfig,
    Authentication,
    BasicAuthentication,
    Capability,
    Connection,
    HeaderAuthentication,
    Http,
    TokenAuthentication,
)
from syncd.sources.links import parse_ticket_link
from syncd.sources.records import Record, records_in


class ZendeskConfig(AdapterConfig):
    """The account and one of three ways to sign in: OAuth client, OAuth token, or an API token while those last."""

    base_url: str = Field(description="The account's own address, https://SUBDOMAIN.zendesk.com; no path, no brand.")
    client_id: str | None = Field(None, description="Identifier of an OAuth client: the way to sign in that lasts.")
    client_secret: SecretStr | None = Field(None, description="Secret of that OAuth client.")
    oauth_token: SecretStr | None = Field(None, description="A ready OAuth access token, instead of a client.")
    email: str | None = Field(None, description="Agent whom an API token stands for; ends on 30 April 2027.")
    api_token: SecretStr | None = Field(None, description="API token of the account; ends on 30 April 2027.")

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Self:
        given = {name for name in type(self).model_fields if name != "base_url" and getattr(self, name)}
        if given not in ({"client_id", "client_secret"}, {"oauth_token"}, {"email", "api_token"}):
            ways = "client_id with client_secret (recommended), or oauth_token, or email with api_token"
            raise ValueError(f"give exactly one way to sign in: {ways}; found: {', '.join(sorted(given)) or 'none'}")
        return self


EXPORTS_PER_MINUTE = 9.0  # Zendesk allows 10; a pace lets one more than its rate through in some window of a minute
TICKETS_KEPT, PEOPLE_KEPT = 50_000, 20_000
PAGES_AHEAD = 5  # of tickets, read before the events of their time: it bounds the memory of a long catch-up
LONG_PAST = 1_332_034_771  # the instant of Zendesk's own examples: the sample is asked for its status alone
TICKET_PATH = re.compile(r"/(?:tickets|requests)/(\d{1,18})(?=$|[/.#?])", re.ASCII)


class _TicketsAhead:
    """Pages of the export of tickets that wait for the events of their time.

    They are read first, because the comments of events are judged by their tickets, and yielded with the events, so
    that a ticket is not closed before the reply that closed it. `bookmark` is behind what was taken.
    """

    def __init__(self, bookmark: str) -> None:
        self.bookmark = self.newest = bookmark
        self.ended = False
        self.pages: deque[tuple[str, list[SeenTicket]]] = deque()

    def put(self, tickets: list[SeenTicket], behind: str, *, last: bool) -> None:
        """Add a page with the bookmark behind it."""
        self.pages.append((behind, tickets))
        self.newest, self.ended = behind, last

    def take(self, until: float) -> list[SeenTicket]:
        """Remove and return what was exported up to `until` (Unix seconds)."""
        taken: list[SeenTicket] = []
        while self.pages:
            behind, tickets = self.pages.popleft()
            taken += [seen for seen in tickets if seen.exported_at <= until]
            later = [seen for seen in tickets if seen.exported_at > until]
            if later:
                self.pages.appendleft((behind, later))
                break
            self.bookmark = behind
        return taken


class Zendesk(Adapter[ZendeskConfig]):
    """Tickets and comments of one Zendesk account."""

    config = ZendeskConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    title = "Zendesk Support"
    documentation = "https://developer.zendesk.com/api-reference/ticketing/introduction/"
    permissions = "scope read; a user with the role admin for the change feed, else an agent with access to all tickets"
    webhook = ZENDESK

    def __init__(self, options: ZendeskConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._has_feed: bool | None = None
        self._api = ZendeskApi(http)
        self._seen: dict[str, SeenTicket] = {}
        self._people: dict[int, Person] = {}
        self._people_of_day = 0

    @classmethod
    def connection(cls, options: ZendeskConfig) -> Connection:
        """Return the connection: half the pace of the smallest plan, and a budget of their own for the exports."""
        authentication: Authentication
        if options.client_id and options.client_secret:
            form: dict[str, str | int] = {"grant_type": "client_credentials", "scope": "read", "expires_in": 86_400}
            client = (options.client_id, options.client_secret)
            authentication = TokenAuthentication("/oauth/tokens", *client, form=form, as_json=True)
        elif options.oauth_token:
            authentication = HeaderAuthentication(options.oauth_token, scheme="Bearer")
        else:
            authentication = BasicAuthentication(f"{options.email}/token", options.api_token or SecretStr(""))
        return Connection(options.base_url, authentication, 100, budgets={EXPORTS: EXPORTS_PER_MINUTE})

    @classmethod
    def warnings(cls, options: ZendeskConfig) -> tuple[str, ...]:
        """Warn of API tokens, which Zendesk switches off."""
        end = "API tokens stop working on 30 April 2027: make an OAuth client and set client_id and client_secret"
        return (end,) if options.api_token else ()

    async def check(self) -> Identity:
        """Tell who we are signed in as, and whether the exports are open to us."""
        response = await self._api.get("/api/v2/users/me", expect={403, 404})
        if response.status != 200:
            raise PauseSystem(
                f"{response.path} answered {response.status}: base_url must be https://SUBDOMAIN.zendesk.com, and the "
                "credentials need the scope read"
            )
        user = answer_of(response, "user", dict)["user"]
        role = user.get("role")
        if user.get("id") is None:
            raise PauseSystem("Zendesk takes us for an anonymous visitor: mend the credentials of the system")
        if role not in {"agent", "admin"} or user.get("suspended") is True or user.get("active") is False:
            raise PauseSystem(f"the Zendesk user has the role {role} or is switched off: use an active agent or admin")
        self._has_feed = role == "admin" and await self._sees_exports()
        account, warnings = f"{user.get('email') or user['id']} ({role})", self.warnings(self.options)
        if self._has_feed:
            return Identity(account, ("the change feed of the account is open",), warnings)
        if (await self._api.get("/api/v2/tickets/show_many", {"ids": "1"}, expect={403, 404})).status == 403:
            raise PauseSystem("the Zendesk user may not read tickets: give it access, and the credentials scope read")
        return Identity(account, (), (*warnings, "not an admin, so no change feed: tickets are read one by one"))

    async def _sees_exports(self) -> bool:
        """Ask for a sample: a 403 says no. There are 10 samples per 20 minutes; past them the role has to do."""
        place = {"start_time": LONG_PAST}
        return (await self._api.get(f"{EXPORTS}/ticket_events/sample", place, expect={403, 429})).status != 403

    async def available(self) -> frozenset[Capability]:
        """Return all capabilities for an administrator, else reading tickets in bulk alone."""
        if self._has_feed is None:
            await self.check()
        return self.capabilities if self._has_feed else frozenset({Capability.BULK_TICKETS})

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number (with or without #) or by any of Zendesk's links to it."""
        return (await self._states([self._keep(await self._api.show(self._parse_ref(ref)))]))[0]

    def _parse_ref(self, ref: TicketRef) -> str:
        if ref.link is not None:
            parts = parse_ticket_link(ref.link, self.options.base_url, self.link_hosts)
            match = TICKET_PATH.search(f"{parts.path}#{parts.fragment}")
        else:
            match = re.fullmatch(r"#?(\d{1,18})", (ref.number or "").strip(), re.ASCII)
        if match is None or not int(match[1]):
            raise InvalidTicketRef(
                f"{ref} is no Zendesk ticket: write its number, or a link that ends in /tickets/NUMBER"
            )
        return str(int(match[1]))

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Return the state of tickets, a hundred per request; one that is left out is asked for, to learn why."""
        seen = {one.id: one for one in map(self._keep, await self._api.show_many("tickets", map(int, ids)))}
        lost: list[Ticket | Unavailable] = []
        for ticket_id in ids:
            if ticket_id not in seen:
                try:
                    seen[ticket_id] = self._keep(await self._api.show(ticket_id))
                except TicketUnavailable as error:
                    lost.append(error.unavailable)
        return [*lost, *await self._states(seen.values())]

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield comments oldest first: read onward from the start, or back from the newest to those before `since`."""
        # Who wrote, and over what, is judged by the ticket's requester and channel, which `ticket` does not carry.
        seen = self._seen.get(ticket.id) or self._keep(await self._api.show(ticket.id))
        since = since and since.replace(microsecond=0)  # Zendesk tells whole seconds: an earlier part is the same one
        read_back: list[Reply] = []
        after, more, first = None, True, True
        while more:
            answer, after = await self._api.comments(seen.id, after, newest_first=since is not None)
            people = {
                user.get_int("id"): parse_person(user) for user in Record(answer, "the comments").find_records("users")
            }
            people |= await self._meet({raw.get("author_id") for raw in answer["comments"]} - people.keys())
            replies = [parse_reply(raw, seen, people) for raw in answer["comments"]]
            more = after is not None
            if since is None:
                for reply in replies:
                    yield replace(reply, first_message=first)
                    first = False
            else:
                read_back += replies
                more = more and all(reply.created_at >= since for reply in replies)
        # The oldest that was read is the ticket's first message, or it is older than asked for.
        read_back.sort(key=_age)
        for place, reply in enumerate(read_back):
            if since is not None and reply.created_at >= since:
                yield replace(reply, first_message=place == 0)

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the export of events with its comments, and beside each page the tickets as exported up to its time.

        A cursor is `REACHED|BOOKMARK`: the newest event's time, and the bookmark of the export of tickets.
        """
        exports = Exports(self._api)
        reached, bookmark = _parse_cursor(start)
        ahead = _TicketsAhead(bookmark)
        time, ended = max(0, reached - OVERLAP_SECONDS), False
        while not (ended and ahead.ended and not ahead.pages):
            while not ahead.ended and len(ahead.pages) < PAGES_AHEAD:
                raw_tickets, behind, last = await exports.tickets(ahead.newest)
                ahead.put([self._keep(raw) for raw in raw_tickets], behind, last=last)
            events: list[Json] = []
            if not ended:
                events, time, ended = await exports.events(time)
                reached = max(reached, time) if events else reached
            tickets = ahead.take(inf if ended else time)
            yield await self._change_page(events, tickets, Cursor(f"{reached}|{ahead.bookmark}"))

    async def _change_page(self, raw_events: list[Json], tickets: list[SeenTicket], cursor: Cursor) -> ChangePage:
        events = [parse_event(raw) for raw in raw_events]
        fresh = {seen.id: seen for seen in tickets}
        strange = {int(event.ticket_id) for event in events if event.comments and event.ticket_id not in self._seen}
        fresh |= {seen.id: seen for seen in map(self._keep, await self._api.show_many("tickets", strange))}
        for event in events:
            seen = fresh.get(event.ticket_id) or self._seen.get(event.ticket_id)
            # Tickets were read a moment before their events: a change of status since then is told by its event.
            if seen and event.status and (seen.updated_at is None or seen.updated_at < event.happened_at):
                changed = replace(seen, status=event.status, updated_at=event.happened_at)
                fresh[seen.id] = self._seen[seen.id] = changed
        replies = await self._new_replies(events)
        states = await self._states(fresh.values())
        touched = dict.fromkeys([*fresh, *(event.ticket_id for event in events)])
        unread = {event.ticket_id for event in events if event.incomplete}
        return ChangePage(
            cursor, tuple(touched), tuple(states), {key: replies.get(key, ()) for key in touched if key not in unread}
        )

    async def _new_replies(self, events: list[Event]) -> dict[str, tuple[Reply, ...]]:
        """Return the comments of events by ticket, oldest first."""
        self._forget_old_roles(events)
        written = [(event, self._seen.get(event.ticket_id), raw) for event in events for raw in event.comments]
        # Who asked is a customer by that alone, so the many customers of an account are never looked up.
        authors = {
            raw.get("author_id") for _, seen, raw in written if not seen or raw.get("author_id") != seen.requester_id
        }
        people = await self._meet(authors)
        found: dict[str, dict[str, Reply]] = {}
        for event, seen, raw in written:
            reply = parse_reply(raw, seen, people, first_message=event.opening)
            found.setdefault(event.ticket_id, {})[reply.id] = reply
        return {ticket_id: tuple(sorted(replies.values(), key=_age)) for ticket_id, replies in found.items()}

    def _keep(self, raw: Json) -> SeenTicket:
        """Remember what a ticket is; the longest known are forgotten where there are too many."""
        seen = parse_ticket(raw)
        self._seen.pop(seen.id, None)
        self._seen[seen.id] = seen
        while len(self._seen) > TICKETS_KEPT:
            del self._seen[next(iter(self._seen))]
        return seen

    async def _meet(self, user_ids: Collection[int | None]) -> dict[int, Person]:
        """Return these users. Only the unknown are looked up, and who is not found is remembered as nobody."""
        wanted = {user_id for user_id in user_ids if user_id is not None and user_id != SYSTEM_ID}
        known = {user_id: self._people[user_id] for user_id in wanted & self._people.keys()}
        users = records_in(await self._api.show_many("users", wanted - known.keys()), "the users")
        found = {user.get_int("id"): parse_person(user) for user in users}
        met = {user_id: found.get(user_id, NOBODY) for user_id in wanted - known.keys()}
        self._people |= met
        return known | met

    def _forget_old_roles(self, events: list[Event]) -> None:
        """Forget all users once a day of the feed, because roles and names change."""
        day = max((event.happened_at.toordinal() for event in events), default=self._people_of_day)
        if day != self._people_of_day or len(self._people) > PEOPLE_KEPT:
            self._people_of_day, self._people = day, {}

    async def _states(self, tickets: Collection[SeenTicket]) -> list[Ticket]:
        """Return tickets as the core knows them, with the names of their assignees."""
        people = await self._meet({seen.assignee_id for seen in tickets})
        return [
            Ticket(
                id=seen.id,
                number=seen.id,
                link=f"{self.options.base_url.rstrip('/')}/agent/tickets/{seen.id}",
                subject=seen.subject,
                vendor_status=seen.status or None,
                status=STATUSES.get(seen.status),
                assignee=people.get(seen.assignee_id or SYSTEM_ID, NOBODY).name,
                updated_at=seen.updated_at,
            )
            for seen in tickets
        ]


def _parse_cursor(start: Cursor | datetime) -> tuple[int, str]:
    if isinstance(start, datetime):
        return int(start.timestamp()), f"@{int(start.timestamp())}"
    reached, _, bookmark = start.partition("|")
    if not reached.isdecimal() or not bookmark:
        raise UnexpectedAnswer("the stored cursor is none of Zendesk's: was the system another one before?")
    return int(reached), bookmark


def _age(reply: Reply) -> tuple[datetime, int]:
    return reply.created_at, int(reply.id)
