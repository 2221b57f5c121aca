"""GLPI: tickets by their time of change from the search, followups and solutions from each ticket's own lists.

Four things shape this module. A session sees the entities that are active in it, and is replaced without a word when it
has ended: so it is widened before anything is read, and again before anything counts as forbidden. Times are those of
GLPI's own clock, without a zone. What is not known is ignored: criteria outside the search, and filters of lists; so
answers are held against what was asked. And a merge copies messages: only their originals are yielded.

docs/adapters/glpi.md names the pages relied on, and says what maps to what and what GLPI cannot tell.
"""

import re
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator

from adapters._glpi_answers import MOST_ROWS
from adapters._glpi_api import GlpiApi
from adapters._glpi_check import lacks_of, wrong_zone
from adapters._glpi_feed import Mark, require_in_order, wall_of
from adapters._glpi_people import Sides
from adapters._glpi_records import FOLLOWUP, SOLUTION, TASK, Places, Row, SeenTicket
from adapters._webhooks_signed import GLPI
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import (
    Author,
    AuthorKind,
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailability,
    Unavailable,
)
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection, Http, SessionAuthentication
from syncd.sources.links import match_ticket_ref

API = "/apirest.php"


class GlpiConfig(AdapterConfig):
    """`[systems.NAME.options]` of a GLPI."""

    base_url: str = Field(
        description="Address of the API, such as https://HOST/glpi/apirest.php; of a start page its API is taken."
    )
    user_token: SecretStr = Field(
        min_length=1, description="API token of the account (its preferences > Remote access keys > API token)."
    )
    app_token: SecretStr | None = Field(
        default=None, min_length=1, description="Application token, if the API client has one (Setup > General > API)."
    )
    zone: str = Field(
        default="UTC",
        description="Zone of the times that GLPI answers: the account's own preference, else that of the server.",
    )
    tasks: bool = Field(default=False, description="Whether tasks count as replies, as far as they are not private.")
    observers: Literal["customer", "agent"] = Field(
        default="customer", description="What the observers of a ticket are, unless they request it or are assigned."
    )
    others: Literal["agent", "customer", "unknown"] = Field(
        default="agent",
        description="What those are who write on a ticket without being its requesters, observers or assigned to it.",
    )

    @field_validator("base_url")
    @classmethod
    def _of_the_api(cls, base_url: str) -> str:
        address = base_url.rstrip("/")
        return address if _API_PATH.search(address) else f"{address}{API}"

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (OSError, ValueError, LookupError):
            raise ValueError("is no zone of the IANA database, such as Europe/Berlin") from None
        return zone

    @property
    def places(self) -> Places:
        """Return the address of the start page, and the zone."""
        return Places(_API_PATH.sub("", self.base_url), ZoneInfo(self.zone))


LARGEST_SEARCH = 50_000
"""Tickets of one and the same second that are asked for at once, as a mass action makes them."""
SOURCES_KEPT = 500
"""Merged tickets whose messages are kept. All of a ticket's are read, however many: its own lists hold their copies."""

_API_PATH = re.compile(r"/(?:apirest\.php|api\.php/v1|api(?:/v1)?)$")
_ID = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_NUMBER = re.compile(r"\[?(?:GLPI ?)?#?0{0,9}(?P<number>[1-9][0-9]{0,9})\]?", re.ASCII | re.IGNORECASE)
_LINK = re.compile(
    r"(?:/ticket\.form\.php\?(?:[^#]*&)?id="
    r"|[?&]redirect=(?:ticket_|%2Ffront%2Fticket\.form\.php%3F(?:[^#&]*%26)?id%3D))"
    r"(?P<number>[1-9][0-9]{0,9})(?![0-9])",
    re.ASCII | re.IGNORECASE,
)
_HINT = "this is no ticket of GLPI; write its number, such as 123, or a link such as HOST/front/ticket.form.php?id=123"


class Glpi(Adapter[GlpiConfig]):
    """Tickets, followups and solutions of one GLPI, as an account with a profile sees them."""

    config = GlpiConfig
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED, Capability.BULK_TICKETS})
    title = "GLPI"
    documentation = "https://github.com/glpi-project/glpi/blob/main/apirest.md"
    permissions = "one profile, recursive on the entities concerned, with See all tickets and See public followups"
    webhook = GLPI

    def __init__(self, options: GlpiConfig, http: Http, link_hosts: Collection[str] = ()) -> None:
        super().__init__(options, http, link_hosts)
        self._places = options.places
        self._api = GlpiApi(http, self._places)
        self._sides = Sides(AuthorKind(options.observers), AuthorKind(options.others))
        self._kinds = (FOLLOWUP, SOLUTION, TASK) if options.tasks else (FOLLOWUP, SOLUTION)
        self._sources: dict[str, tuple[list[Reply], set[str]]] = {}

    @classmethod
    def connection(cls, options: GlpiConfig) -> Connection:
        """Return how to reach it. GLPI sets no limit; two requests at a time leave most of its workers to people.

        One session is opened, kept and used until it is refused.
        https://github.com/glpi-project/glpi/blob/main/apirest.md#init-session
        """
        session = SessionAuthentication(
            path="/initSession",
            answer_key="session_token",
            headers={"Authorization": SecretStr(f"user_token {options.user_token.get_secret_value()}")},
            header="Session-Token",
        )
        return Connection(
            options.base_url,
            session,
            requests_per_minute=240,
            concurrency=2,
            headers={"Content-Type": "application/json"},
            secret_headers={"App-Token": options.app_token} if options.app_token else {},
        )

    async def check(self) -> Identity:
        """Tell the account, its profile, what that keeps from it, and whether the zone fits.

        https://github.com/glpi-project/glpi/blob/main/apirest.md#get-full-session
        """
        self._api.forget()
        await self._api.widen()
        session, told_at = await self._api.session()
        account, profile = session.find_text("glpiname"), session.find_record("glpiactiveprofile")
        if account is None or profile is None:
            raise PauseSystem("GLPI names no account and no profile: mend the user token of the system")
        warnings = [*lacks_of(profile), *wrong_zone(session, told_at, self._places.zone)]
        if await self._api.count_tickets() == 0:
            warnings.append("the account sees no ticket: give its profile the entities concerned, with their children")
        return Identity(account, (f"profile: {profile.find_text('name') or 'without a name'}",), tuple(warnings))

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number, with or without zeros, or by a link to it.

        https://github.com/glpi-project/glpi/blob/main/apirest.md#get-an-item
        """
        match = match_ticket_ref(
            ref,
            number=_NUMBER,
            link=_LINK,
            base_url=self.options.base_url,
            link_hosts=self.link_hosts,
            hint=_HINT,
        )
        (state,) = await self.tickets([match["number"]])
        if isinstance(state, Unavailable):
            raise TicketUnavailable(state)
        return state

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Search for forty at a time, and ask one by one for those that the search does not show, to learn why.

        https://github.com/glpi-project/glpi/blob/main/apirest.md#search-items
        """
        wanted = [key for key in dict.fromkeys(ids) if _ID.fullmatch(key)]
        shown = await self._api.rows(wanted)
        strange = [key for key in dict.fromkeys(ids) if key not in wanted]
        states: list[Ticket | Unavailable] = [Unavailable(key, Unavailability.GONE) for key in strange]
        for key in wanted:
            try:
                states.append(await self._state_of(shown[key]) if key in shown else (await self._seen(key)).ticket)
            except TicketUnavailable as error:
                states.append(error.unavailable)
        return states

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:  # noqa: ARG002 - see below
        """Yield the ticket's own text and the items of its timeline, with those of tickets that were merged into it.

        All come, whatever `since` is: the lists have no such filter, a mail may come with a time that is long over, a
        private followup may be made public, and in the hour that a clock shows twice times may be early.
        https://github.com/glpi-project/glpi/blob/main/apirest.md#get-sub-items
        """
        replies, waiting = await self._conversation(await self._seen(ticket.id))
        read = {ticket.id}
        while keys := sorted(waiting - read, key=int):
            read.add(keys[0])
            originals, sources = await self._originals(keys[0])
            replies = [*replies, *originals]
            waiting |= sources
        for reply in sorted(replies, key=_age):
            yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield the tickets that changed: first those in the trash, which the list of all others leaves out.

        Each page begins anew at the time of the last row, as rows move while they are read. Where a whole page has one
        time, a longer one is asked for. The trash does not move the mark on: it is read before what does.
        https://github.com/glpi-project/glpi/blob/main/apirest.md#search-items
        """
        mark = Mark.parse(start, self._places.zone)
        await self._api.widen()
        is_empty, begin = True, mark.begin
        for in_trash in (True, False):
            async for rows, answered_at in self._pages(begin, in_trash=in_trash):
                news, is_empty = mark.news(rows), is_empty and not rows
                if not in_trash and is_empty:
                    await self._require_changed_or_gone(mark)
                mark = mark.named(rows, answered_at) if in_trash else mark.moved_over(rows, answered_at)
                states = [] if in_trash else [await self._state_of(row) for row in news]
                if news or not in_trash:
                    yield ChangePage(mark.cursor(), tuple(row.ticket.id for row in news), tuple(states))

    async def _pages(
        self, begin: datetime, *, in_trash: bool
    ) -> AsyncIterator[tuple[tuple[Row, ...], datetime | None]]:
        since, most, longest = begin, MOST_ROWS, 0
        while True:
            found = await self._api.changed_since(since, most, in_trash=in_trash)
            require_in_order(found.rows, since)
            yield found.rows, found.answered_at
            if len(found.rows) >= found.total:
                return
            if not found.rows:
                raise UnexpectedAnswer("search/Ticket counts tickets and shows none")
            last = found.rows[-1].changed_at
            if last > since:
                since, most, longest = last, MOST_ROWS, 0
            elif len(found.rows) > longest and most < LARGEST_SEARCH:
                most, longest = 2 * most, len(found.rows)
            else:
                raise UnexpectedAnswer("search/Ticket answers the same tickets again and again")

    async def _require_changed_or_gone(self, mark: Mark) -> None:
        """Look at the newest ticket that was named, which a search did not show again, though nothing else changed.

        Raises:
            UnexpectedAnswer: it is there, so that the search does not show what it should.
        """
        newest = max(mark.seen, key=lambda key: mark.seen[key], default=None)
        if newest is None:
            return
        try:
            seen = await self._api.ticket(newest)
        except TicketUnavailable:
            return
        if seen.ticket.updated_at is not None and wall_of(seen.ticket.updated_at, self._places.zone) >= mark.begin:
            raise UnexpectedAnswer("search/Ticket shows no changes, though there is a ticket that changed")

    async def _state_of(self, row: Row) -> Ticket:
        return replace(row.ticket, assignee=await self._api.name(row.technician_id))

    async def _seen(self, ticket_id: str) -> SeenTicket:
        """Return a ticket that is not in the trash.

        Raises:
            TicketUnavailable: it is there, by a merge or because somebody deleted it; or as for any ticket.
        """
        seen = await self._api.ticket(ticket_id)
        if not seen.is_deleted:
            return seen
        target = await self._api.find_target(seen)
        if target is None or target == ticket_id:
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
        raise TicketUnavailable(Unavailable(ticket_id, Unavailability.MERGED, target))

    async def _conversation(self, seen: SeenTicket) -> tuple[list[Reply], set[str]]:
        """Return what was written on a ticket itself, and the tickets that other items of its are copies from."""
        actors = await self._api.actors(seen.id)
        items = [item for kind in self._kinds for item in await self._api.items(seen.id, kind)]
        opener = self._sides.kind_of_opener(seen.opener_id, actors)
        replies = [replace(seen.reply, author=await self._author(opener, seen.opener_id))]
        for item in items:
            if item.copied_from is None:
                author = await self._author(self._sides.kind_of(item, actors), item.writer_id)
                replies.append(replace(item.reply, author=author))
        return replies, {item.copied_from for item in items if item.copied_from is not None}

    async def _originals(self, source_id: str) -> tuple[list[Reply], set[str]]:
        """Return what was written on a ticket that was merged; it is kept, as nothing is written there any more.

        Nothing comes from one that is gone: its copies have other ids, and were perhaps sent by their own already.
        """
        if source_id not in self._sources:
            try:
                seen = await self._api.ticket(source_id)
                if not seen.is_deleted:
                    return [], set()
                replies, sources = await self._conversation(seen)
            except TicketUnavailable:
                return [], set()
            replies = [replace(reply, first_message=False, written_on=source_id) for reply in replies]
            while len(self._sources) >= SOURCES_KEPT:
                del self._sources[next(iter(self._sources))]
            self._sources[source_id] = replies, sources
        return self._sources[source_id]

    async def _author(self, kind: AuthorKind, user_id: str | None) -> Author:
        """Return who wrote a message. Customers stay without a name: nothing needs it."""
        return Author(kind, await self._api.name(user_id) if kind is AuthorKind.AGENT else None)


def _age(reply: Reply) -> tuple[datetime, int, int]:
    kind, _, number = reply.id.partition("-")
    return reply.created_at, ("ticket", "followup", "task", "solution").index(kind), int(number)
