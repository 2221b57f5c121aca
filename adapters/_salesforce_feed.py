"""How far the three tables were read, by the change of their rows: the marks that a cursor holds. Pure.

A transaction stamps a row before it commits, so a row may appear behind one that was changed later. So each table is
read again from five minutes before its newest row that is known.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

OVERLAP = timedelta(minutes=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_PART = r"(\d{1,14}):([A-Za-z0-9]{18})?"
_CURSOR = re.compile(rf"{_PART}\|{_PART}\|{_PART}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """The row of a table up to which it was read: its change, and its id among those of the same change."""

    at: datetime
    id: str = ""

    @property
    def begin(self) -> "Mark":
        """Return the mark from which the table is read again."""
        return Mark(max(self.at - OVERLAP, _EPOCH))

    def moved_over(self, rows: Sequence[tuple[datetime, str]]) -> "Mark":
        """Return the mark behind rows, which have to be in the order of their changes.

        Raises:
            UnexpectedAnswer: they are not, or they are before this mark, so that something would be missed.
        """
        instants = [self.at, *(at for at, _ in rows)]
        if any(earlier > later for earlier, later in pairwise(instants)):
            raise UnexpectedAnswer("Salesforce answered changes out of the order that was asked for")
        return Mark(*rows[-1]) if rows else self


def parse_marks(start: Cursor | datetime) -> tuple[Mark, ...]:
    """Return the marks of the three tables in a cursor, or where a feed of that instant begins.

    Raises:
        UnexpectedAnswer: the cursor is none of this adapter's.
    """
    if isinstance(start, datetime):
        at = max(start.astimezone(UTC), _EPOCH)
        return (Mark(_EPOCH + (at - _EPOCH) // _MILLISECOND * _MILLISECOND),) * 3
    match = _CURSOR.fullmatch(start)
    if match is None:
        raise UnexpectedAnswer("the stored cursor is none of Salesforce's: was the system another one before?")
    parts = match.groups(default="")
    return tuple(Mark(_instant(parts[place]), parts[place + 1]) for place in (0, 2, 4))


def cursor_of(marks: Sequence[Mark]) -> Cursor:
    """Return marks as a cursor."""
    return Cursor("|".join(f"{(mark.at - _EPOCH) // _MILLISECOND}:{mark.id}" for mark in marks))


def _instant(digits: str) -> datetime:
    return _EPOCH + int(digits) * _MILLISECOND
