"""What is asked of a GLPI, and what its answers and refusals mean.

https://github.com/glpi-project/glpi/blob/main/apirest.md; errors are lists of a code, which is stable, and a sentence,
which is translated.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters._glpi_answers import MOST_ROWS, find_code, find_total, page_params, require_code
from adapters._glpi_feed import wall_of
from adapters._glpi_people import Actors, parse_actors, parse_name
from adapters._glpi_records import (
    FOLLOWUP,
    NOBODY,
    Fields,
    Item,
    Kind,
    Places,
    Row,
    SeenTicket,
    find_id,
    get_id,
    parse_fields,
    parse_item,
    parse_row,
    parse_ticket,
)
from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Http, Response
from syncd.sources.paging import Pages
from syncd.sources.records import Record, record_of, records_of

MOST_IDS = 40
"""Ids in one search: all of them have to fit in an address."""
NAMES_KEPT = 20_000

_RIGHT_MISSING = "ERROR_RIGHT_MISSING"
_REFUSALS = frozenset({401, 403})
Params = Sequence[tuple[str, str | int]]


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a search, how many there are in all, and when it was answered by the clock of the zone."""

    rows: tuple[Row, ...]
    total: int
    answered_at: datetime | None


class GlpiApi:
    """Reads of one account.

    A session sees the entities that are active in it, which are those of the user's default entity at first. They are
    widened to all of the profile's before anything is read, and again before anything counts as forbidden: the session
    may be another one meanwhile, as one that has ended is opened anew without a word.
    """

    def __init__(self, http: Http, places: Places) -> None:
        self._http = http
        self._places = places
        self._is_wide = False
        self._one_at_a_time = asyncio.Lock()
        self._fields: Fields | None = None
        self._names: dict[str, str | None] = {}
        self._sees_users = True

    async def widen(self) -> None:
        """Let the session see all entities of the profile, new ones too. It changes the session and nothing else.

        `entities_id` is left out: that means all, while the documented word for it is read as entity 0.
        https://github.com/glpi-project/glpi/blob/main/apirest.md#change-active-entities
        """
        response = await self._http.post("/changeActiveEntities", json={"is_recursive": True})
        if response.json() is not True:
            raise UnexpectedAnswer(f"{response.path} did not let the session see the entities of its profile")
        self._is_wide = True

    async def session(self) -> tuple[Record, datetime | None]:
        """Return the session and when it was told. It holds secrets: no part of it may be told but by name.

        https://github.com/glpi-project/glpi/blob/main/apirest.md#get-full-session
        """
        response = await self._http.get("/getFullSession")
        answer = record_of(response)
        return answer.find_record("session") or answer, response.answered_at

    async def fields(self) -> Fields:
        """Return the numbers of fields for a search; they are asked for once.

        https://github.com/glpi-project/glpi/blob/main/apirest.md#list-searchoptions
        """
        if self._fields is None:
            self._fields = parse_fields(record_of(await self._http.get("/listSearchOptions/Ticket")))
        return self._fields

    async def changed_since(self, since: datetime, most: int, *, in_trash: bool = False) -> Found:
        """Return the tickets that changed at a time of GLPI's clock or later, oldest change first.

        `morethan` leaves out the time itself, so the second before is asked for.
        """
        fields = await self.fields()
        wanted = [(fields.changed, "morethan", str(since - timedelta(seconds=1)))]
        return await self._search(wanted, fields.changed, most, in_trash=in_trash)

    async def count_tickets(self) -> int:
        """Return how many tickets the account sees."""
        return (await self._search([], (await self.fields()).id, 1)).total

    async def rows(self, ids: Sequence[str]) -> dict[str, Row]:
        """Return those of these tickets that a search shows; the others have to be asked for one by one."""
        field, shown = (await self.fields()).id, dict[str, Row]()
        if ids and not self._is_wide:
            await self.widen()
        for begin in range(0, len(ids), MOST_IDS):
            batch = ids[begin : begin + MOST_IDS]
            found = await self._search([(field, "equals", key) for key in batch], field, MOST_ROWS)
            shown |= {row.ticket.id: row for row in found.rows if row.ticket.id in batch}
        return shown

    async def ticket(self, ticket_id: str) -> SeenTicket:
        """Return one ticket, in the trash or not.

        https://github.com/glpi-project/glpi/blob/main/apirest.md#get-an-item

        Raises:
            TicketUnavailable: gone or forbidden.
        """
        response = await self._of_ticket(f"/Ticket/{ticket_id}", [("get_hateoas", "false")], ticket_id)
        seen = parse_ticket(record_of(response), self._places)
        if seen.id != ticket_id:
            raise UnexpectedAnswer(f"{response.path} answered another ticket")
        return seen

    async def items(self, ticket_id: str, kind: Kind) -> list[Item]:
        """Return all items of a kind on a ticket's timeline."""
        records = await self._list(ticket_id, kind.path)
        return [parse_item(record, kind, ticket_id, self._places) for record in records]

    async def actors(self, ticket_id: str) -> Actors:
        """Return who takes part in a ticket."""
        return parse_actors(await self._list(ticket_id, "Ticket_User"))

    async def find_target(self, merged: SeenTicket) -> str | None:
        """Return the ticket that one in the trash was merged into, or None if it was only deleted.

        A merge copies the first message: only its copy has the ticket as its source, and its author and time.
        """
        params = [("searchText[sourceitems_id]", f"^{merged.id}$"), *page_params(0)]
        response = await self._ask(f"/{FOLLOWUP.path}", params, {400})
        if response.status not in {200, 206}:
            return None
        copies = [
            record
            for record in records_of(response)
            if find_id(record, "sourceitems_id") == merged.id
            and record.find_text("itemtype") == "Ticket"
            and record.find_text("date") == merged.created
            and (find_id(record, "users_id") or NOBODY) == merged.opener_id
        ]
        return get_id(copies[-1], "items_id") if copies else None

    async def name(self, user_id: str | None) -> str | None:
        """Return the name of a user; None where it may not be read.

        One refusal is enough: it is about the profile, and older versions make us open a new session at each.
        """
        if user_id is None or user_id == NOBODY:
            return None
        if user_id not in self._names and self._sees_users:
            response = await self._ask(f"/User/{user_id}", [("get_hateoas", "false")], {404})
            if response.status in _REFUSALS:
                self._sees_users = False
                return None
            if len(self._names) >= NAMES_KEPT:
                self._names.clear()
            self._names[user_id] = parse_name(record_of(response)) if response.status == 200 else None
        return self._names.get(user_id)

    def forget(self) -> None:
        """Forget the numbers of fields, and that users may not be read."""
        self._fields, self._sees_users = None, True

    async def _search(
        self, wanted: Sequence[tuple[str, str, str]], order: str, most: int, *, in_trash: bool = False
    ) -> Found:
        """Search for tickets that hold any of these criteria. Only below /search/ they are heeded at all.

        https://github.com/glpi-project/glpi/blob/main/apirest.md#search-items

        Raises:
            PauseSystem: the account may not see tickets.
            UnexpectedAnswer: it says that there are rows, and holds none. Where there are none the key is missing.
        """
        fields, path = await self.fields(), "/search/Ticket"
        params: list[tuple[str, str | int]] = [("sort", order), ("order", "ASC"), ("range", f"0-{most - 1}")]
        for number, (field, searchtype, value) in enumerate(wanted):
            parts = {"link": "OR", "field": field, "searchtype": searchtype, "value": value}
            params += [(f"criteria[{number}][{name}]", part) for name, part in parts.items()]
        params += [(f"forcedisplay[{number}]", field) for number, field in enumerate(fields.shown)]
        response = await self._ask(path, [*params, ("is_deleted", 1)] if in_trash else params)
        if response.status in _REFUSALS:
            raise PauseSystem(
                "the profile of the account may not see tickets: give it the right, then resume the system"
            )
        answer = record_of(response)
        rows = answer.get_records("data") if answer.get_int("count") or "data" in answer else []
        if len(rows) != answer.get_int("count"):
            raise UnexpectedAnswer(f"{response.path} answered another number of tickets than it says")
        date = response.answered_at
        answered_at = wall_of(date, self._places.zone) if date else None
        return Found(
            tuple(parse_row(row, fields, self._places) for row in rows), answer.get_int("totalcount"), answered_at
        )

    async def _list(self, ticket_id: str, path: str) -> list[Record]:
        """Return all rows of a list below a ticket.

        The status does not tell the last page: that may be 206 as well. Each page begins with the last row of the one
        before it, as a row that was deleted meanwhile would let the next one slip through.
        https://github.com/glpi-project/glpi/blob/main/apirest.md#get-sub-items
        """
        found: list[Record] = []
        pages = Pages(path)
        while True:
            start = max(len(found) - 1, 0)
            pages.turn_to(start)
            response = await self._of_ticket(f"/Ticket/{ticket_id}/{path}", page_params(start), ticket_id, path)
            rows, total = records_of(response), find_total(response)
            if found and (not rows or get_id(rows[0], "id") != get_id(found[-1], "id")):
                raise UnexpectedAnswer(f"{response.path} changed while it was read; it will be read again")
            is_short = len(rows) < MOST_ROWS
            news = rows[1:] if found else rows
            found += news
            if total and not found:
                raise UnexpectedAnswer(f"{response.path} counts rows and holds none")
            if not news or (is_short if total is None else len(found) >= total):
                return found

    async def _of_ticket(self, path: str, params: Params, ticket_id: str, part: str = "") -> Response:
        """Read a ticket, or a `part` below it.

        Raises:
            TicketUnavailable: gone, or forbidden in a session that surely sees all entities.
            PauseSystem: the ticket may be read, and the part may not.
        """
        if not self._is_wide:
            await self.widen()
        response = await self._ask(path, params, {404})
        if response.status in _REFUSALS:
            async with self._one_at_a_time:
                await self.widen()
                response = await self._ask(path, params, {404})
        if response.status == 404:
            require_code(response, "ERROR_ITEM_NOT_FOUND")
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.GONE))
        if response.status in _REFUSALS:
            if part:
                await self.ticket(ticket_id)
                raise PauseSystem(f"the profile of the account may read tickets, but no {part}: give it the right")
            raise TicketUnavailable(Unavailable(ticket_id, Unavailability.FORBIDDEN))
        return response

    async def _ask(self, path: str, params: Params, expect: Collection[int] = ()) -> Response:
        """Read. A 401 or 403 that is returned says that a right is missing; older versions say it by 401.

        Raises:
            PauseSystem: they refuse the session, the application or the address.
            UnexpectedAnswer: a 403 of something in between, such as a proxy.
        """
        response = await self._http.get(path, params=params, expect={*_REFUSALS, *expect})
        if response.status == 401:
            self._is_wide = False  # a new session was opened to ask again
        code = find_code(response) if response.status in _REFUSALS else _RIGHT_MISSING
        if code is None and response.status == 403:
            raise UnexpectedAnswer(f"{response.path} answered 403 without an error of GLPI's")
        if code != _RIGHT_MISSING:
            raise PauseSystem(
                f"{response.path} answered {response.status}: GLPI does not let us in; check the tokens, and that an "
                "active API client allows the address of this machine (Setup > General > API)"
            )
        return response
