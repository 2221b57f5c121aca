"""Zoho Desk, API v1: modified tickets from its search, and all messages of a ticket, each read whole.

Three things shape this module. The list of a ticket's messages holds only their beginnings, so each new one is asked
for by itself. The search that tells of changes needs both ends of a time and trails behind, so Zoho's own clock is
asked, and a while is read twice. And a day has so many credits, so nothing is asked for twice without need.

docs/adapters/zoho_desk.md names the pages relied on, and says what maps to what and what Zoho Desk cannot tell.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from adapters._webhooks_shared import ZOHO_DESK
from adapters._zoho_desk_api import API, ZohoDeskApi
from adapters._zoho_desk_feed import Mark, Row, find_next_start, in_milliseconds, require_in_range, rows_again
from adapters._zoho_desk_records import (
    PENDING,
    Thread,
    age_of,
    find_description,
    find_opening,
    find_unsent,
    parse_comment,
    parse_reply,
    parse_thread,
    parse_ticket,
)
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import (
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailability,
    Unavailable,
    Visibility,
)
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, Http, TokenAuthentication
from syncd.sources.links import match_ticket_ref
from syncd.sources.records import Record


class ZohoDeskConfig(AdapterConfig):
    """`[systems.NAME.options]` of one organisation in Zoho Desk."""

    base_url: str = Field(
        description="Address of Zoho Desk in the account's data centre, such as https://desk.zoho.eu."
    )
    org_id: str = Field(
        pattern=r"^[0-9]{1,20}$", description="Id of the organisation (Setup > Developer Space > API): only digits."
    )
    client_id: str = Field(min_length=1, description="Client ID of a Self Client in the API console.")
    client_secret: SecretStr = Field(min_length=1, description="Client secret of that Self Client.")
    refresh_token: SecretStr = Field(min_length=1, description="Refresh token, made once from a code of that client.")
    accounts_url: str = Field(
        "",
        description="Where tokens are given out; left out, it is accounts. in the place of desk. in base_url.",
    )

    @field_validator("base_url")
    @classmethod
    def _without_api(cls, base_url: str) -> str:
        return base_url.rstrip("/").removesuffix(API)

    @field_validator("accounts_url")
    @classmethod
    def _is_web_address(cls, accounts_url: str) -> str:
        parts = urlsplit(accounts_url)
        is_local = parts.scheme == "http" and parts.hostname == "127.0.0.1"
        if accounts_url and not (parts.hostname and (parts.scheme == "https" or is_local)):
            raise ValueError("write it as https://HOST")
        return accounts_url.rstrip("/")

    @model_validator(mode="after")
    def _knows_where_tokens_are(self) -> Self:
        if not self.accounts_url and not _accounts_beside(self.base_url):
            raise ValueError("give accounts_url: base_url does not begin with https://desk., so it cannot be told")
        return self


UNSENT_KEPT = 20_000  # threads that were seen before they were sent
LOOKS = 30  # sweeps that look again at a ticket with a message on its way: half an hour, as a rule
_ID = re.compile(r"[1-9][0-9]{9,19}", re.ASCII)
_NUMBER = re.compile(r"#?([1-9][0-9]{0,11})", re.ASCII)
_LINK = re.compile(
    r"^(?:/support/[^/?#]+/ShowHomePage\.do(?:\?[^#]*)?#Cases/dv/|/agent/(?:[^/?#]+/){1,2}tickets/details/"
    r"|/portal/(?:[^/?#]+/){1,4}tickets?/(?:details/)?)(?P<id>[1-9][0-9]{9,19})(?=$|[/?#&])",
    re.ASCII,
)
_HINT = (
    "this is no ticket of Zoho Desk; write its number, such as 101, or a link such as "
    "https://HOST/support/PORTAL/ShowHomePage.do#Cases/dv/ID or https://HOST/agent/.../tickets/details/ID"
)


class ZohoDesk(Adapter[ZohoDeskConfig]):
    """Tickets, threads and comments of one organisation."""

    config = ZohoDeskConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED})
    title = "Zoho Desk"
    documentation = "https://desk.zoho.com/DeskAPIDocument"
    permissions = (
        "scopes Desk.tickets.READ, Desk.search.READ and Desk.basic.READ, of an agent who sees the departments concerned"
    )
    webhook = ZOHO_DESK

    def __init__(self, options: ZohoDeskConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._api = ZohoDeskApi(http, options.base_url)
        self._unsent: dict[str, None] = {}
        self._looks_left: dict[str, int] = {}

    @classmethod
    def connection(cls, options: ZohoDeskConfig) -> Connection:
        """Return how to reach it: a request a second, two at once.

        No pace is documented but simultaneous requests (five on the smallest plan) and the credits of a day, which
        other programs of the organisation need too. https://desk.zoho.com/DeskAPIDocument#OauthTokens and
        https://desk.zoho.com/DeskAPIDocument#APILimits
        """
        authentication = TokenAuthentication(
            "/oauth/v2/token",
            options.client_id,
            options.client_secret,
            form={"grant_type": "refresh_token"},
            secret_form={"refresh_token": options.refresh_token},
            scheme="Zoho-oauthtoken",
            base_url=options.accounts_url or _accounts_beside(options.base_url),
        )
        headers = {"orgId": options.org_id}
        return Connection(options.base_url, authentication, requests_per_minute=60, concurrency=2, headers=headers)

    async def check(self) -> Identity:
        """Tell the agent and the organisation, and whether tickets are found.

        https://desk.zoho.com/DeskAPIDocument#Organizations_Getallorganizations
        """
        organizations = {one.get_key("id"): one for one in await self._api.organizations()}
        if self.options.org_id not in organizations:
            known = ", ".join(organizations) or "none"
            raise PauseSystem(f"org_id is not among the organisations of the credentials, which are: {known}")
        name = organizations[self.options.org_id].find_text("portalName") or self.options.org_id
        me, credits_left = await self._api.me()
        notes = (f"API credits left today: {credits_left}",) if credits_left else ()
        warnings = () if await self._api.sees_tickets() else ("no ticket is found: check the agent's departments",)
        agent = me.find_text("email") or me.find_text("emailId") or me.find_text("name") or me.get_key("id")
        return Identity(f"{agent} ({name})", notes, warnings)

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number, which is searched for, or by a link, which may hold the id in its fragment.

        https://desk.zoho.com/DeskAPIDocument#Search_SearchTickets
        """
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint=_HINT,
        )
        ticket_id = match[1] if ref.link is not None else await self._api.find_number(match[1])
        if ticket_id is None:
            raise TicketUnavailable(Unavailable(match[1], Unavailability.GONE))
        return _require_there(await self._ticket(ticket_id))

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Ask for one after the other: no search takes several ids.

        https://desk.zoho.com/DeskAPIDocument#Tickets_Getaticket
        """
        states: list[Ticket | Unavailable] = []
        for ticket_id in dict.fromkeys(ids):
            try:
                states.append(parse_ticket(await self._ticket(ticket_id)))
            except TicketUnavailable as error:
                states.append(error.unavailable)
        return states

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield threads and comments, oldest first; the text of a thread is asked for if it is of `since` or later.

        One that was seen before it was sent is yielded too, however old it is: its time may be when it was begun.
        All comments are yielded, as they can be edited and made public, and come whole with their list.
        https://desk.zoho.com/DeskAPIDocument#Threads and https://desk.zoho.com/DeskAPIDocument#TicketsComments
        """
        since = since and in_milliseconds(since)
        record = await self._ticket(ticket.id)
        _require_there(record)
        rows = await self._api.threads(ticket.id, record.find_int("threadCount"))
        threads = self._sent(ticket.id, rows)
        opening = find_opening(record, threads)
        entries: list[Thread | Reply] = [
            one for one in threads if since is None or one.created_at >= since or one.id in self._unsent
        ]
        description = find_description(record, rows) if opening is None else None
        if description is not None and (since is None or description.created_at >= since):
            entries.append(description)
        count = record.find_int("commentCount")
        comments = [] if count == 0 else await self._api.comments(ticket.id, count)
        entries += [parse_comment(row) for row in comments]
        for entry in sorted(entries, key=age_of):
            if isinstance(entry, Thread):
                yield replace(await self._whole(ticket.id, entry), first_message=entry is opening)
            else:
                yield entry

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the tickets that a search by time of change shows, up to now by Zoho's clock.

        Each page is asked for from the time of the last ticket before it: by place alone, pages would shift whenever
        a ticket changes meanwhile, cost more and more, and end at 5,000. Only where times do not lead on places are
        counted; a tenth is read again either way. https://desk.zoho.com/DeskAPIDocument#Search_SearchTickets
        """
        mark = Mark.parse(start)
        until = max(await self._api.now(), mark.reached)
        since, place, is_last = mark.begin, 0, False
        newest, before = mark.reached, list[Row]()
        while not is_last:
            found = await self._api.changed(since, until, place)
            rows = [Row.parse(row) for row in found.rows]
            require_in_range(rows, since)
            if rows and place and rows == before:
                raise UnexpectedAnswer("tickets/search answers the same page again and again")
            is_last = not rows or found.ends_at(place)
            newest = max([newest, *(one.modified_at or until for one in rows)])
            following = find_next_start(rows, since, until)
            ids, mark, before = mark.news(rows), mark.moved_over(rows, until), rows
            if is_last:
                mark, ids = mark.at(min(newest, until)), (*ids, *self._to_look_at(ids))
            elif following is not None:
                since, place, mark = following, 0, mark.at(following)
            else:
                place += len(rows) - rows_again(rows)
            yield ChangePage(mark.cursor(), ids)

    async def _ticket(self, ticket_id: str) -> Record:
        if not _ID.fullmatch(ticket_id):
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
        record = await self._api.ticket(ticket_id)
        if record.get_key("id") != ticket_id:
            raise UnexpectedAnswer(f"{record.where} answered another ticket")
        return record

    def _sent(self, ticket_id: str, rows: Sequence[Record]) -> list[Thread]:
        """Return the threads that were sent or received, and note those that were not.

        Whether it changes its ticket that a message has been sent is not documented, so tickets with one on its way
        are looked at again.
        """
        unsent = {row.get_key("id"): find_unsent(row) for row in rows}
        self._unsent |= dict.fromkeys(key for key, state in unsent.items() if state)
        while len(self._unsent) > UNSENT_KEPT:
            del self._unsent[next(iter(self._unsent))]
        if PENDING not in unsent.values():
            self._looks_left.pop(ticket_id, None)
        elif len(self._looks_left) < UNSENT_KEPT:
            self._looks_left.setdefault(ticket_id, LOOKS)
        return [parse_thread(row) for row in rows if not unsent[row.get_key("id")]]

    def _to_look_at(self, ids: Collection[str]) -> tuple[str, ...]:
        """Return the tickets with a message on its way, beside those that are named anyway."""
        waiting = tuple(key for key, left in self._looks_left.items() if left and key not in ids)
        self._looks_left |= {key: self._looks_left[key] - 1 for key in waiting}
        return waiting

    async def _whole(self, ticket_id: str, thread: Thread) -> Reply:
        """Return a thread with its whole text; of one that stays inside, its beginning will do."""
        if thread.visibility is Visibility.INTERNAL:
            return parse_reply(thread, None, thread.summary)
        return parse_reply(thread, *await self._api.thread(ticket_id, thread.id))


def _accounts_beside(base_url: str) -> str:
    """Return where the data centre of an address gives out tokens, or nothing if the address does not tell."""
    name = base_url.removeprefix("https://desk.")
    return "" if name == base_url else f"https://accounts.{name}"


def _require_there(record: Record) -> Ticket:
    state = parse_ticket(record)
    if isinstance(state, Unavailable):
        raise TicketUnavailable(state)
    return state
