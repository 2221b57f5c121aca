"""Znuny, ((OTRS)) Community Edition 6 and OTOBO, over a web service of their generic interface.

Three things shape this module. Nearly everything is answered with status 200, errors too, and a search that fails is
answered like one that finds nothing: so an empty list of changes is never believed. The feed lives in the server's own
clock, which has no zone: positions come from its data and go back to it as it wrote them. A ticket that is gone is
answered like one that is forbidden. docs/adapters/znuny.md says what maps to what.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator

from adapters._webhooks_shared import ZNUNY
from adapters._znuny_api import ARTICLES, NEWEST, TICKETS_AT_ONCE, NoWebService, Routes, ZnunyApi, is_session_over
from adapters._znuny_records import Mark, Source, articles_in, in_order, is_merged, parse_replies, parse_ticket
from syncd.model.errors import PauseSystem, RetryLater, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import (
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailability,
    Unavailable,
)
from syncd.sources.adapter import (
    Adapter,
    AdapterConfig,
    Capability,
    Connection,
    HeaderAuthentication,
    Http,
    ParameterAuthentication,
    Refused,
    SessionAuthentication,
)
from syncd.sources.links import match_ticket_ref
from syncd.sources.records import Record

INTERFACE = "/nph-genericinterface.pl"
ROUTE = r"(/[A-Za-z0-9._~-]+)+"


class ZnunyConfig(AdapterConfig):
    """The web service, who signs in to it and how, and the zone of the server's clock."""

    base_url: str = Field(description="Address of the start page without index.pl, such as https://HOST/znuny.")
    web_service: str = Field(
        default="GenericTicketConnectorREST",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Name of the web service (Admin > Web Services).",
    )
    user: str = Field(min_length=1, description="Login of an agent.")
    password: SecretStr = Field(description="Password of that agent.")
    sign_in: Literal["headers", "session", "query"] = Field(
        default="headers",
        description="headers: with every request, in headers that newer Znuny reads; session: opened once, for OTOBO "
        "and older ones; query: with every request, in its address, which servers write into their logs.",
    )
    zone: str = Field(default="UTC", description="Zone of the server's times: its setting OTRSTimeZone.")
    search_route: str = Field(default="/Ticket", pattern=f"^{ROUTE}$", description="Route of TicketSearch (GET).")
    ticket_route: str = Field(
        default="/Ticket", pattern=f"^{ROUTE}$", description="Route of TicketGet (GET), without /:TicketID."
    )
    history_route: str = Field(
        default="/TicketHistory",
        pattern=f"^{ROUTE}$",
        description="Route of TicketHistoryGet (GET), without /:TicketID; it need not be there.",
    )
    session_route: str = Field(
        default="/Session", pattern=f"^{ROUTE}$", description="Route of SessionCreate (POST), for sign_in = session."
    )

    @field_validator("base_url")
    @classmethod
    def _start_page(cls, base_url: str) -> str:
        return re.sub(rf"/(?:index\.pl|{INTERFACE[1:]}).*$", "", base_url).rstrip("/")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (OSError, ValueError, LookupError):
            raise ValueError("is no zone of the IANA database, such as Europe/Berlin") from None
        return zone

    @property
    def service(self) -> str:
        """Return the path of the web service."""
        return f"{INTERFACE}/Webservice/{self.web_service}"


OVERLAP = timedelta(minutes=5)
"""How far before the newest change known a search begins: clocks of several servers, large mails that are stored."""
TICKETS_READ = 100
"""Changed tickets whose articles are read with the feed; of a larger number at once only the last ones are."""
TICKETS_NAMED = 500

NUMBER = re.compile(r"(?:[A-Za-z]{1,20}#)?(?P<number>[0-9]{1,40})", re.ASCII)
LINK = re.compile(
    r"/(?:index|customer)\.pl\?(?:[^#]*[;&])?Ticket(?:ID=(?P<id>[1-9][0-9]{0,17})|Number=(?P<number>[0-9]{1,40}))"
    r"(?=[;&#]|$)",
    re.ASCII,
)
TICKET_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Changed:
    """A ticket that changed, the instant of its newest change, and its new replies (None: some may be missing)."""

    at: datetime
    merged: bool
    ticket: Ticket
    replies: tuple[Reply, ...] | None


class Znuny(Adapter[ZnunyConfig]):
    """Tickets and articles that an agent sees in a Znuny."""

    config = ZnunyConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    title = "Znuny, ((OTRS)) Community Edition 6, OTOBO"
    documentation = "https://doc.znuny.org/znuny/admin/webservices/provider/index.html"
    permissions = "an agent with the permission ro on the groups of the queues concerned, and a REST web service"
    webhook = ZNUNY

    def __init__(self, options: ZnunyConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        routes = Routes(options.search_route, options.ticket_route, options.history_route)
        self._api = ZnunyApi(http, options.service, routes)
        self._source = Source(options.base_url, ZoneInfo(options.zone))

    @classmethod
    def connection(cls, options: ZnunyConfig) -> Connection:
        """Return how to reach it. Znuny sets no limit; a small machine answered 36 reads a second.

        A password with each request opens no session, of which an agent may have 20; one session is kept and used
        until it is refused. The headers: https://doc.znuny.org/znuny/admin/webservices/provider/index.html
        """
        pace, at_once = 240, 2
        if options.sign_in == "session":
            form: dict[str, str | SecretStr] = {"UserLogin": options.user, "Password": options.password}
            path = options.service + options.session_route
            session = SessionAuthentication(
                path, "SessionID", form=form, parameter="SessionID", is_over=is_session_over
            )
            return Connection(options.base_url, session, pace, at_once)
        if options.sign_in == "query":
            query = ParameterAuthentication({"UserLogin": options.user, "Password": options.password})
            return Connection(options.base_url, query, pace, at_once)
        header = HeaderAuthentication(options.password, header="X-OTRS-Header-Password")
        return Connection(options.base_url, header, pace, at_once, headers={"X-OTRS-Header-UserLogin": options.user})

    @classmethod
    def warnings(cls, options: ZnunyConfig) -> tuple[str, ...]:
        """Warn of a password that is written into logs."""
        logged = (
            'with sign_in = "query" the password is in the address of every request, and so in the access log of the '
            'web server: use "headers" (newer Znuny) or "session"'
        )
        return (logged,) if options.sign_in == "query" else ()

    async def check(self) -> Identity:
        """Read the newest ticket by all three operations, and hold its times against the zone."""
        try:
            newest = await self._api.find_newest()
            tickets = await self._api.find_tickets([newest], **NEWEST) if newest else None
        except NoWebService as error:
            reason = str(error)
        except Refused as error:
            reason = f"{error}; is base_url the address of the start page of Znuny, without index.pl?"
        else:
            notes, warnings = [f"web service {self.options.web_service}"], list(self.warnings(self.options))
            if newest is None or tickets is None:
                warnings.append("the agent sees no ticket: give it the permission ro on the groups of the queues")
            else:
                warnings += self._odd_zone(tickets[0])
                if not await self._api.has_history(newest):
                    notes.append("no route of TicketHistoryGet: it is not told into which ticket another was merged")
            return Identity(f"{self.options.user} (agent)", tuple(notes), tuple(warnings))
        raise PauseSystem(reason)

    def _odd_zone(self, raw: Record) -> list[str]:
        """Compare an article's time without a zone with the same instant as a number, which it has too."""
        for article in in_order(articles_in(raw))[-1:]:
            told = article.find_instant("CreateTime", self._source.zone)
            meant = article.find_epoch("IncomingTime") if article.find_int("IncomingTime") else None
            hours = round((told - meant).total_seconds() / 900) / 4 if told and meant else 0
            if hours:
                return [f"the server's clock is {hours:+g} hours off: set zone to the server's setting OTRSTimeZone"]
        return []

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number, or by a link of an agent's or a customer's page to it."""
        match = match_ticket_ref(
            ref,
            number=NUMBER,
            link=LINK,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint="this is no ticket of Znuny: write its number, such as 2026080110000019, or a link with TicketID= or "
            "TicketNumber= in it",
        )
        found = match.groupdict()
        ticket_id = found.get("id") or await self._find_id(found["number"])
        if ticket_id is None:
            raise TicketUnavailable(Unavailable(found["number"], Unavailability.GONE))
        (state,) = await self.tickets([ticket_id])
        if isinstance(state, Unavailable):
            raise TicketUnavailable(state)
        if found["number"] is not None and state.number != found["number"]:
            raise UnexpectedAnswer("the search for a ticket number found another ticket")
        return state

    async def _find_id(self, number: str) -> str | None:
        """Search for a number. * and % would be wildcards, so only digits get here."""
        ids = await self._api.search(2, TicketNumber=number)
        return ids[0] if ids else None

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Return the state of tickets, fifty per request; one that is refused fails them all, so then in halves."""
        wanted = [key for key in dict.fromkeys(ids) if TICKET_ID.fullmatch(key)]
        raws: dict[str, Record | None] = {}
        for batch in _batches(wanted, TICKETS_AT_ONCE):
            raws |= await self._api.each_ticket(batch)
        return [await self._state(key, raws.get(key)) for key in dict.fromkeys(ids)]

    async def _state(self, ticket_id: str, raw: Record | None) -> Ticket | Unavailable:
        """Return what a ticket is. `AccessDenied` is the answer for one that is gone as well; the word is kept."""
        if raw is None:
            return Unavailable(ticket_id, Unavailability.FORBIDDEN)
        if is_merged(raw):
            return Unavailable(ticket_id, Unavailability.MERGED, await self._api.find_merged_into(ticket_id))
        return parse_ticket(raw, self._source)

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:  # noqa: ARG002
        """Yield all articles, which come in one answer; there is neither paging nor a filter by time.

        Those before `since` are yielded too: what a merge has moved here is older, and would be missed.
        """
        tickets = await self._api.find_tickets([ticket.id], **ARTICLES)
        if tickets is None:
            raise TicketUnavailable(Unavailable(ticket.id, Unavailability.FORBIDDEN))
        (raw,) = tickets
        if is_merged(raw):
            into = await self._api.find_merged_into(ticket.id)
            raise TicketUnavailable(Unavailable(ticket.id, Unavailability.MERGED, into))
        for reply in parse_replies(raw, in_order(articles_in(raw)), self._source, from_first=True):
            yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the tickets that changed, the last hundred of them with their state and new replies."""
        mark = Mark.parse(start)
        since = self._source.text(mark.at - OVERLAP)
        ids = await self._api.changed(since)
        if not ids:
            mark, ids = await self._believed(mark, since)
        named, recent = ids[:-TICKETS_READ], ids[-TICKETS_READ:]
        for batch in _batches(named, TICKETS_NAMED):
            yield ChangePage(mark.cursor(), tuple(batch))
        changed: list[Changed] = []
        for batch in _batches(recent, TICKETS_AT_ONCE):
            raws = (await self._api.each_ticket(batch, **NEWEST)).values()
            changed += [one for one in (self._find_changed(raw, since) for raw in raws if raw) if one]
        if changed:
            mark = Mark(max([one.at for one in changed] + ([mark.at] if mark.known else [])), known=True)
        yield _page(mark, recent, changed, whole=len(changed) == len(ids))

    async def _believed(self, mark: Mark, since: str) -> tuple[Mark, list[str]]:
        """Return where the feed goes on if a search found nothing, and what it has to tell.

        Nothing is also the answer to a search that failed, and to one from a time that the server takes for the
        future. So the ticket that was changed last of all is looked at: if it was changed since, the search is wrong.
        """
        newest = await self._api.find_newest()
        if newest is None:
            if mark.known:
                raise RetryLater("the search shows no ticket at all any more: check the permission ro of the agent")
            return mark, []
        tails = await self._api.find_tickets([newest], **NEWEST)
        if tails is None:
            raise RetryLater("the ticket that was changed last cannot be read; the feed is tried again")
        last = self._find_changed(tails[0], since)
        if last is None or self._source.text(last.at) >= since:
            raise UnexpectedAnswer(
                f"the search for changes leaves out ticket {newest}, which was changed later than was asked for; is "
                "zone the server's OTRSTimeZone?"
            )
        return Mark(last.at, known=True), [newest]

    def _find_changed(self, raw: Record, since: str) -> Changed | None:
        """Return what a changed ticket tells, None if it cannot be read: alone, it will say why."""
        zone, articles = self._source.zone, articles_in(raw)
        try:
            instants = [article.get_instant("CreateTime", zone) for article in articles]
            return Changed(
                at=max([raw.get_instant("Changed", zone), *instants]),
                merged=is_merged(raw),
                ticket=parse_ticket(raw, self._source),
                replies=self._new_replies(raw, in_order(articles), since),
            )
        except UnexpectedAnswer:
            return None

    def _new_replies(self, raw: Record, articles: Sequence[Record], since: str) -> tuple[Reply, ...] | None:
        """Return the replies of a ticket since a time of the server's, or None if some may be missing.

        The articles have to reach behind that time: the older ones are cut off, and an old server (before March 2021)
        cuts off more, down to the number that another ticket of the same answer has. So none of these is the first.
        """
        fresh = [article for article in articles if article.get_text("CreateTime") >= since]
        if len(fresh) == len(articles):
            return None
        return tuple(parse_replies(raw, fresh, self._source, from_first=False))


def _page(mark: Mark, ids: Sequence[str], changed: Sequence[Changed], *, whole: bool) -> ChangePage:
    """Return a page of tickets that changed. A merge moves articles of any age to another ticket: then none are told.

    Nor are they if some of the changed tickets were not read (not `whole`): one of those may have been merged.
    """
    if not whole or any(one.merged for one in changed):
        return ChangePage(mark.cursor(), tuple(ids))
    told = {one.ticket.id: one.replies for one in changed if one.replies is not None}
    tickets = tuple(one.ticket for one in changed if one.ticket.id in told)
    return ChangePage(mark.cursor(), tuple(ids), tickets, told)


def _batches(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    return [ids[place : place + size] for place in range(0, len(ids), size)]
