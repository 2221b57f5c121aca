"""How far the list of changed tickets was read: the mark that its cursor holds. No I/O.

Positions are times as GLPI's own clock shows them, without a zone: they come from its data and go back to it as they
were. In autumn that clock shows an hour twice, so a change may then have an earlier time than one that is known.

A change has the time at which its request began, and becomes visible when that is done: so the last minutes are read
again at every sweep, and the mark knows which of those changes were named. Times are whole seconds, and a ticket may
change twice in one: a change counts as named only when its second was certainly over.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from adapters._glpi_records import Row, parse_wall
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

OVERLAP = timedelta(minutes=10)
"""How long a request that changes a ticket may take: collecting mail and mass actions are such requests."""
SECOND_IS_OVER = timedelta(minutes=1)
MOST_SEEN = 5000
"""Tickets kept in a cursor. What is not kept is named again, and never missed."""

_EARLIEST = datetime(1971, 1, 1)  # noqa: DTZ001 - a time without a zone, as all are here


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest change that was read, and which changes shortly before it were named, by ticket."""

    newest: datetime
    zone: ZoneInfo
    seen: dict[str, datetime] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, start: Cursor | datetime, zone: ZoneInfo) -> "Mark":
        """Return the mark of a cursor, or one at an instant.

        Raises:
            UnexpectedAnswer: the cursor was not made here.
        """
        if isinstance(start, datetime):
            return cls(max(wall_of(max(start, _EARLIEST.replace(tzinfo=UTC)), zone), _EARLIEST), zone)
        try:
            data = json.loads(start)
            seen = {str(key): parse_wall(text, "cursor") for key, text in data["seen"].items()}
            return cls(max(parse_wall(data["newest"], "cursor"), _EARLIEST), zone, seen)
        except (RecursionError, ValueError, KeyError, TypeError, AttributeError, UnexpectedAnswer):
            raise UnexpectedAnswer("the stored cursor of this system was not made by this adapter") from None

    @property
    def begin(self) -> datetime:
        """Return from when on changes have to be read."""
        return self.newest - OVERLAP - shown_twice(self.newest, self.zone)

    def cursor(self) -> Cursor:
        """Return the mark as text."""
        seen = {key: str(at) for key, at in self.seen.items()}
        return Cursor(json.dumps({"newest": str(self.newest), "seen": seen}, separators=(",", ":")))

    def news(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows whose change was not named. In an hour that is shown twice that cannot be told."""
        return [row for row in rows if self._is_new(row)]

    def named(self, rows: Sequence[Row], answered_at: datetime | None) -> "Mark":
        """Return the mark that knows these rows, without having moved on."""
        over_before = (answered_at or max([self.newest, *(row.changed_at for row in rows)])) - SECOND_IS_OVER
        seen = self.seen | {row.ticket.id: row.changed_at for row in rows if row.changed_at < over_before}
        recent = sorted((at, key) for key, at in seen.items() if at >= self.begin)
        return Mark(self.newest, self.zone, {key: at for at, key in recent[-MOST_SEEN:]})

    def moved_over(self, rows: Sequence[Row], answered_at: datetime | None) -> "Mark":
        """Return the mark behind these rows. It never goes past the present: a row may have a time to come."""
        newest = max([self.newest, *(row.changed_at for row in rows)])
        if answered_at is not None:
            newest = max(self.newest, min(newest, answered_at))
        return Mark(newest, self.zone, self.seen).named(rows, answered_at)

    def _is_new(self, row: Row) -> bool:
        return self.seen.get(row.ticket.id) != row.changed_at or bool(shown_twice(row.changed_at, self.zone))


def wall_of(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return what the clock of a zone shows at an instant, in whole seconds."""
    return instant.astimezone(zone).replace(tzinfo=None, microsecond=0)


def shown_twice(wall: datetime, zone: ZoneInfo) -> timedelta:
    """Return by how much clocks go back over a time that they show twice; nothing for any other time."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return max((first or timedelta()) - (second or timedelta()), timedelta())


def require_in_order(rows: Sequence[Row], since: datetime) -> None:
    """Hold an answer against what was asked: where GLPI ignores a parameter it says nothing.

    Raises:
        UnexpectedAnswer: the criterion or the order was ignored.
    """
    if any(row.changed_at < since for row in rows):
        raise UnexpectedAnswer("search/Ticket ignored the criterion: it answered tickets that changed before")
    if any(earlier.changed_at > later.changed_at for earlier, later in pairwise(rows)):
        raise UnexpectedAnswer("search/Ticket ignored the order: its tickets are not sorted by their change")
