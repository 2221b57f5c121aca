"""How far the lists of changed conversations and tickets were read: the marks that a cursor holds. Pure.

The lists come from a search index that is filled a little later, and their times are whole seconds. So each list is
read again from some minutes before its newest row, and the mark knows which of those rows were told already.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters._intercom_records import FAMILIES, Family
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

OVERLAP_SECONDS = 600
"""How late the index may show a change: undocumented here, "a few minutes" for contacts."""
SECOND_IS_OVER = 10
"""How long after a second nothing is written with its time any more."""
MOST_SEEN = 5000
"""Rows kept in a mark. The oldest are dropped: what is not kept is told again, and never missed."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A row of a list of changes; its time is in Unix seconds."""

    key: str
    updated_at: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest change that was told, and what was told of the time shortly before it, by Intercom's id."""

    newest: int
    seen: Mapping[str, int] = field(default_factory=dict, repr=False)

    @property
    def begin(self) -> int:
        """Return from when on the list is read."""
        return max(0, self.newest - OVERLAP_SECONDS)

    def news(self, rows: Sequence[Changed]) -> tuple[str, ...]:
        """Return what changed since it was told, oldest change first."""
        return tuple(dict.fromkeys(row.key for row in rows if self.seen.get(row.key) != row.updated_at))

    def moved_over(self, rows: Sequence[Changed], answered_at: datetime | None, began_at: datetime | None) -> "Mark":
        """Return the mark behind rows; it never goes past the time at which the reading of the list began.

        A row counts as told only when its second was over: it may change once more in the same one.
        """
        newest = max([self.newest, *(row.updated_at for row in rows)])
        if began_at is not None:
            newest = max(self.newest, min(newest, int(began_at.timestamp())))
        over_before = (newest if answered_at is None else int(answered_at.timestamp())) - SECOND_IS_OVER
        seen = {**self.seen, **{row.key: row.updated_at for row in rows if row.updated_at < over_before}}
        # "Greater than" may mean "or equal", so the second before the list's beginning can be in it.
        recent = sorted((at, key) for key, at in seen.items() if at >= newest - OVERLAP_SECONDS - 1)
        return Mark(newest, {key: at for at, key in recent[-MOST_SEEN:]})


Marks = dict[Family, Mark]


def parse_marks(start: Cursor | datetime) -> Marks:
    """Return the marks of a cursor, or such that start at an instant.

    Raises:
        UnexpectedAnswer: the cursor was not made here.
    """
    if isinstance(start, datetime):
        return {family: Mark(max(0, int(start.astimezone(UTC).timestamp()))) for family in FAMILIES}
    try:
        data = json.loads(start)
        return {family: _mark(data[family.name]) for family in FAMILIES}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnexpectedAnswer("the stored cursor is none of Intercom's: was the system another one before?") from None


def cursor_of(marks: Marks) -> Cursor:
    """Return marks as text."""
    data = {family.name: {"newest": mark.newest, "seen": mark.seen} for family, mark in marks.items()}
    return Cursor(json.dumps(data, separators=(",", ":")))


def _mark(data: Any) -> Mark:
    return Mark(_seconds(data["newest"]), {str(key): _seconds(at) for key, at in data["seen"].items()})


def _seconds(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("no time of a cursor")
    return value
