"""How far the lists of an account were read, and what is known of its tickets from their own last reading.

The feed shows messages by the time of their creation. That alone would miss what is sent late, imported with an old
date, or taken back. So every ticket that changed is held against its last reading: only where the messages of the
feed explain all that changed are they handed over, else the ticket is named to be read.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from adapters._gorgias_api import MESSAGES, TICKETS, GorgiasApi, Page, find_time
from adapters._gorgias_records import Message, waits
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor
from syncd.sources.records import Record

OVERLAP = timedelta(minutes=5)
"""How late a row may appear in a list: undocumented, so it is generous."""

HELD = timedelta(hours=1)
"""How long a message that waits to be sent keeps the feed from going on; later its ticket's change tells of it."""

READINGS_KEPT = 20_000

Value = TypeVar("Value")

_EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)  # Gorgias is not older


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What a cursor says: up to when tickets and messages were read."""

    tickets: datetime
    messages: datetime

    @classmethod
    def parse(cls, cursor: Cursor) -> "Bookmark":
        """Return the bookmark of a cursor."""
        try:
            data = json.loads(cursor)
            tickets, messages = (datetime.fromisoformat(data[name]) for name in ("tickets", "messages"))
            if tickets.tzinfo is not None and messages.tzinfo is not None:
                return cls(tickets, messages)
        except (RecursionError, ValueError, KeyError, TypeError):
            pass
        raise UnexpectedAnswer("the stored cursor is none of Gorgias's: was the system another one before?")

    def cursor(self) -> Cursor:
        """Return the bookmark as text."""
        told = {"tickets": self.tickets, "messages": self.messages}
        return Cursor(json.dumps({name: at.astimezone(UTC).isoformat() for name, at in told.items()}))


@dataclass(slots=True)
class Walk:
    """What is new in one list: its rows by their ticket, and up to when the list was read.

    `kept` are the tickets whose rows are kept; of others there is the name alone. `answered_at` is the
    time of the first answer, by Gorgias's clock: only up to then it can have been whole.
    """

    reached: datetime
    kept: Collection[str] = ()
    rows: dict[str, list[Record]] = field(default_factory=dict)
    answered_at: datetime | None = None
    is_empty: bool = True


async def changed_tickets(api: GorgiasApi, mark: datetime) -> Walk:
    """Return the tickets that changed since a mark (https://developers.gorgias.com/reference/list-tickets)."""
    walk, newest = Walk(mark), mark
    async with aclosing(api.newest_first(TICKETS, "updated_datetime", _begin(mark))) as pages:
        async for page in pages:
            _note(walk, page)
            for record, at in _since(page, "updated_datetime", mark):
                walk.rows.setdefault(record.get_key("id"), [record])
                newest = max(newest, at or newest)
    walk.reached = _reached(mark, newest, walk.answered_at, ())
    return walk


async def new_messages(api: GorgiasApi, mark: datetime, kept: Collection[str]) -> Walk:
    """Return the messages since a mark (https://developers.gorgias.com/reference/list-messages).

    What waits to be sent keeps the mark back for a while, so that it comes again.
    """
    walk, newest, held = Walk(mark, kept), mark, list[datetime]()
    async with aclosing(api.newest_first(MESSAGES, "created_datetime", _begin(mark))) as pages:
        async for page in pages:
            _note(walk, page)
            for record, at in _since(page, "created_datetime", mark):
                rows = walk.rows.setdefault(record.get_key("ticket_id"), [])
                rows += [record] if record.get_key("ticket_id") in kept else []
                newest = max(newest, at or newest)
                held += [at] if at is not None and _is_held(record) else []
    walk.reached = _reached(mark, newest, walk.answered_at, held)
    return walk


def _begin(mark: datetime) -> datetime:
    return max(mark, _EARLIEST) - OVERLAP


def _since(page: Page, field: str, mark: datetime) -> Iterator[tuple[Record, datetime | None]]:
    """Yield the rows that are not too old, with their times; one without a readable time may be new."""
    for record in page.records:
        at = find_time(record, field)
        if at is None or at >= _begin(mark):
            yield record, at


def _note(walk: Walk, page: Page) -> None:
    if page.records and walk.is_empty:
        walk.is_empty, walk.answered_at = False, page.answered_at


def _reached(mark: datetime, newest: datetime, answered_at: datetime | None, held: Sequence[datetime]) -> datetime:
    """Return how far a list was read: no further than the time of the answer, whatever dates an import may bring.

    Without that time the mark stays, and more is read again.
    """
    if answered_at is None:
        return mark
    reached = max(mark, min(newest, answered_at))
    return min([reached, *(at for at in held if at >= reached - HELD)])


def _is_held(record: Record) -> bool:
    try:
        return waits(record)
    except UnexpectedAnswer:  # it fails its ticket, not the feed
        return False


@dataclass(frozen=True, slots=True)
class Reading:
    """What a ticket's last reading found: its first message, its messages, how many the ticket counted."""

    first: str | None
    ids: frozenset[str]
    is_settled: bool
    count: int | None

    def explains(self, count: int | None, messages: Sequence[Message]) -> "Reading | None":
        """Return the reading that these new messages make of it, or None if they do not explain a ticket's change.

        They do if the count grew by what they bring, and nothing waits to be sent, failed, or was taken back.
        """
        taken_back = {message.id for message in messages if message.is_deleted} & self.ids
        ids = self.ids | {message.id for message in messages if not message.is_deleted}
        settled = self.is_settled and all(message.is_settled for message in messages)
        if not settled or taken_back or self.count is None or count != self.count + len(ids) - len(self.ids):
            return None
        return replace(self, ids=ids, count=count)


class Readings:
    """The last readings of tickets, in memory: those that are not known are simply read again."""

    def __init__(self) -> None:
        self._readings: dict[str, Reading] = {}
        self._counts: dict[str, int | None] = {}

    def known(self) -> frozenset[str]:
        """Return the tickets that were read."""
        return frozenset(self._readings)

    def find(self, ticket_id: str) -> Reading | None:
        """Return the last reading of a ticket."""
        return self._readings.get(ticket_id)

    def count(self, ticket_id: str, messages: int | None) -> None:
        """Note how many messages a ticket has, before it is read: what comes in between is then read again."""
        _keep(self._counts, ticket_id, messages)

    def read(self, ticket_id: str, messages: Sequence[Message], first: str | None) -> None:
        """Note that a ticket was read."""
        ids = frozenset(message.id for message in messages if not message.is_deleted)
        settled = all(message.is_settled for message in messages)
        self.keep(ticket_id, Reading(first, ids, settled, self._counts.pop(ticket_id, None)))

    def keep(self, ticket_id: str, reading: Reading) -> None:
        """Note a reading; the longest unread are forgotten where there are too many."""
        _keep(self._readings, ticket_id, reading)


def _keep(kept: dict[str, Value], key: str, value: Value) -> None:
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > READINGS_KEPT:
        del kept[next(iter(kept))]
