"""The change feed of ServiceNow: two lists by time, the journal and the tickets, and where each is read on.

Neither silence nor success can be believed as it comes: a table that may not be read is empty, a part of a query that
is not understood is left out, and a time in a query may be read in another zone. So every row is held against what was
asked, and the newest row that is known (the anchor) has to come again.
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from adapters._servicenow_api import Question, TableApi, refuse_repeated
from adapters._servicenow_records import COMMENTS, WORK_NOTES, Entry, SeenTicket, find_value, parse_entry
from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import Cursor
from syncd.sources.records import Record

JOURNAL = "sys_journal_field"
ENTRY_FIELDS = (
    *("sys_id", "name", "element", "element_id", "value"),
    *("sys_created_on", "sys_created_by", "sys_updated_on"),
)
OVERLAP = timedelta(minutes=5)
"""How much later than its time a row may become visible: the time is given before the transaction ends."""
ZONE = (
    "times in its queries are not read as UTC: set the time zone of the account to GMT (not to one with summer time), "
    "then resume the system"
)

MARKS = ("journal", "tickets")  # in a cursor

_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
Item = TypeVar("Item", Entry, SeenTicket)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a list was read: the time of its newest row, and that row's id (empty if there was none)."""

    reached: datetime
    anchor: str = ""

    @property
    def begin(self) -> datetime:
        """Return from when on it is read the next time."""
        return max(self.reached, _EARLIEST) - OVERLAP


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What a cursor says: how far the journal and the tickets were read, and where replies came from."""

    journal: Mark
    tickets: Mark
    replies_from: str

    @classmethod
    def parse(cls, cursor: Cursor) -> "Bookmark":
        """Return the bookmark of a cursor."""
        try:
            data = json.loads(cursor)
            journal, tickets = (Mark(datetime.fromisoformat(data[name][0]), data[name][1]) for name in MARKS)
            texts = [journal.anchor, tickets.anchor, data["from"]]
            zones = [journal.reached.tzinfo, tickets.reached.tzinfo]
            if all(isinstance(text, str) for text in texts) and None not in zones:
                return cls(journal, tickets, data["from"])
        except (RecursionError, ValueError, KeyError, TypeError, IndexError):
            pass
        raise UnexpectedAnswer("the stored cursor is none of ServiceNow's: was the system another one before?")

    def cursor(self) -> Cursor:
        """Return the bookmark as text."""
        marks = zip(MARKS, (self.journal, self.tickets), strict=True)
        told = {name: [mark.reached.astimezone(UTC).isoformat(), mark.anchor] for name, mark in marks}
        return Cursor(json.dumps({"from": self.replies_from, **told}, separators=(",", ":")))


@dataclass(frozen=True, slots=True)
class Stream(Generic[Item]):
    """A list by time. `belongs` tells whether a row is one of those that were asked for, apart from its time."""

    table: str
    time_field: str
    where: str
    fields: tuple[str, ...]
    parse: Callable[[Record], Item]
    at: Callable[[Item], datetime]
    belongs: Callable[[Item], bool]

    def since(self, instant: datetime) -> Question:
        """Return the question for all rows from an instant on, oldest first."""
        order = f"ORDERBY{self.time_field}^ORDERBYsys_id"
        return self._question(f"{self.time_field}>={stamp(instant)}^{order}")

    def newest(self) -> Question:
        """Return the question for some of the newest rows."""
        return replace(self._question(f"ORDERBYDESC{self.time_field}"), limit=20)

    def sample(self) -> Question:
        """Return the question for any rows: without an order, since the journal is one of the largest tables."""
        return replace(self._question(""), fields=("sys_id",))

    def one(self, sys_id: str) -> Question:
        """Return the question for a single row, if it is one of this list."""
        return self._question(f"sys_id={sys_id}")

    def _question(self, more: str) -> Question:
        return Question(self.table, "^".join(part for part in (self.where, more) if part), self.fields)


def journal_of(table: str) -> Stream[Entry]:
    """Return the comments and work notes of all tickets of a table.

    `name` is the table of the ticket; rows that name the table that all kinds of tickets extend are asked for as well.
    """
    names, elements = (table, "task"), (COMMENTS, WORK_NOTES)
    return Stream(
        table=JOURNAL,
        time_field="sys_created_on",
        where=f"nameIN{','.join(names)}^elementIN{','.join(elements)}",
        fields=ENTRY_FIELDS,
        parse=parse_entry,
        at=lambda entry: entry.at,
        belongs=lambda entry: entry.table in names and entry.element in elements,
    )


def tickets_of(table: str, fields: tuple[str, ...], parse: Callable[[Record], SeenTicket]) -> Stream[SeenTicket]:
    """Return the tickets of a table by the time of their last change."""
    return Stream(
        table=table,
        time_field="sys_updated_on",
        where="",
        fields=fields,
        parse=parse,
        at=lambda seen: seen.updated_at,
        belongs=lambda _: True,
    )


async def news(api: TableApi, stream: Stream[Item], mark: Mark) -> AsyncIterator[tuple[list[Item], Mark]]:
    """Yield what is new page by page, each with the mark that is safe once the page is stored.

    A page begins at the time of the last row of the page before: rows that are changed meanwhile move to the end, and
    would shift offsets. Only within one second, or over rows that may not be seen, it goes on by offset. The mark never
    goes past the present: an import may write times that are still to come, and what follows would be left out.
    """
    known, begin, offset = mark, mark.begin, 0
    seen: set[tuple[str, datetime]] = set()
    is_proven = not known.anchor
    while True:
        page = await api.page(stream.since(begin), offset)
        rows = [stream.parse(row) for row in page.rows]
        _hold_against(stream, rows, begin)
        keys = [(row.id, stream.at(row)) for row in rows]
        refuse_repeated(stream.table, offset, keys, seen)
        fresh = [row for row, key in zip(rows, keys, strict=True) if key not in seen]
        seen.update(keys)
        is_proven = is_proven or any(sys_id == known.anchor for sys_id, _ in keys)
        if not is_proven and (page.next_offset is None or any(at > known.reached for _, at in keys)):
            # Nothing that follows the anchor may be believed, or stored, before it is known why it did not come.
            await _explain_missing(api, stream, known, rows)
            is_proven, mark = True, replace(mark, anchor="")
        past = [row for row in rows if page.answered_at is None or stream.at(row) <= page.answered_at]
        if past and stream.at(past[-1]) >= mark.reached:
            mark = Mark(stream.at(past[-1]), past[-1].id)
        yield fresh, mark
        if page.next_offset is None:
            return
        if rows and stream.at(rows[-1]) > begin:
            begin, offset = stream.at(rows[-1]), 0
            seen = {key for key in seen if key[1] >= begin}
        else:
            offset = page.next_offset


def _hold_against(stream: Stream[Item], rows: list[Item], begin: datetime) -> None:
    """Hold rows against what was asked: ServiceNow leaves out a part of a query that it does not understand.

    Raises:
        UnexpectedAnswer: rows of something else, or not in order.
    """
    begin = begin.replace(microsecond=0)
    for row in rows:
        if not stream.belongs(row) or stream.at(row) < begin:
            raise UnexpectedAnswer(
                f"{stream.table} answered rows that were not asked for: a part of the query was ignored, or {ZONE}"
            )
        begin = stream.at(row)


async def _explain_missing(api: TableApi, stream: Stream[Item], mark: Mark, rows: list[Item]) -> None:
    """Find out why the newest row that was known is not among the rows up to a later one.

    It may have been deleted, or changed anew, so that it comes further on.

    Raises:
        PauseSystem: it is there, but not by its own time; or nothing is shown any more.
    """
    found = [stream.parse(row) for row in (await api.page(stream.one(mark.anchor))).rows]
    row = next((row for row in found if row.id == mark.anchor), None)
    if row is not None:
        if not await reads_times_as_utc(api, stream, row):
            raise PauseSystem(f"ServiceNow leaves out rows of {stream.table} that it has: {ZONE}")
    elif not rows and not await shows_rows(api, stream):
        raise PauseSystem(
            f"the account does not see any row of {stream.table} any more: grant it read access to that table"
        )


async def entries_of(api: TableApi, ticket_id: str, since: datetime | None) -> list[Entry]:
    """Return one ticket's rows of the journal, read from the newest back to those before an instant.

    Neither a time nor a table is in the query: a time may be read in another zone, and old rows may name another table.
    """
    elements = (COMMENTS, WORK_NOTES)
    order = "ORDERBYDESCsys_created_on^ORDERBYDESCsys_id"
    question = Question(JOURNAL, f"element_id={ticket_id}^elementIN{','.join(elements)}^{order}", ENTRY_FIELDS)
    found: dict[str, Entry] = {}
    async for rows in api.pages(question):
        entries = [parse_entry(row) for row in rows]
        if any(entry.ticket_id != ticket_id or entry.element not in elements for entry in entries):
            raise UnexpectedAnswer(f"{JOURNAL} answered rows of another ticket: a part of the query was ignored")
        found |= {entry.id: entry for entry in entries}
        if since and any(entry.at < since for entry in entries):
            break
    return list(found.values())


async def shows_rows(api: TableApi, stream: Stream[Item]) -> bool:
    """Tell whether the account sees any row of a list: one that may not be read is empty, without an error."""
    return bool((await api.page(stream.sample())).rows)


async def first_anchor(api: TableApi, stream: Stream[Item], start: datetime) -> Mark | None:
    """Return the mark to begin with at an instant, after one row has shown that times are read as UTC.

    None: the account sees no row yet.

    Raises:
        PauseSystem: they are read in another zone.
    """
    rows = [stream.parse(row) for row in (await api.page(stream.newest())).rows]
    if not rows:
        return None
    if not await reads_times_as_utc(api, stream, rows[0]):
        raise PauseSystem(f"ServiceNow does not give back a row by its own time: {ZONE}")
    newest = Mark(stream.at(rows[0]), rows[0].id)
    return newest if newest.reached < start else Mark(start)


async def reads_times_as_utc(api: TableApi, stream: Stream[Item], row: Item) -> bool:
    """Ask for a row by its own time, and not a second after it."""
    asked = stream.one(row.id)
    narrow = f"{asked.where}^{stream.time_field}>={stamp(stream.at(row))}"
    return any(find_value(found, "sys_id") == row.id for found in (await api.page(replace(asked, where=narrow))).rows)


def stamp(instant: datetime) -> str:
    """Return a time as ServiceNow stores it: UTC, whole seconds."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
