"""How far the list of changed tickets was read: the mark that its cursor holds. Pure.

A transaction stamps a ticket before it commits, so a ticket may appear behind one that was changed later. So the list
is read again from two minutes before its newest ticket, and the mark knows which of those were told already.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from adapters._zammad_records import SeenTicket
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

OVERLAP = timedelta(minutes=2)
SEEN_KEPT = 2000  # tickets in a cursor; one that is forgotten is told again
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = re.compile(r"(\d{1,16})\|((?:\d{1,18}:\d{1,16}(?:,(?!$)|$))*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest change that was told, and what was told of the time shortly before it, by ticket id."""

    reached: datetime
    seen: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def parse(cls, start: Cursor | datetime) -> "Mark":
        """Return the mark of a cursor, or one at an instant.

        Raises:
            UnexpectedAnswer: the cursor is none of this adapter's.
        """
        if isinstance(start, datetime):
            return cls(max(start.astimezone(UTC), _EPOCH))
        match = _CURSOR.fullmatch(start)
        if match is None:
            raise UnexpectedAnswer("the stored cursor is none of Zammad's: was the system another one before?")
        reached = int(match[1])
        pairs = [part.split(":") for part in match[2].split(",") if part]
        seen = {key: max(0, reached - int(before)) for key, before in pairs}
        return cls(_instant(reached), {key: _instant(at) for key, at in seen.items()})

    @property
    def begin(self) -> datetime:
        """Return from when the list is read."""
        return in_milliseconds(max(self.reached - OVERLAP, _EPOCH))

    def cursor(self) -> Cursor:
        """Return the mark as text."""
        reached = _number(self.reached)
        return Cursor(f"{reached}|" + ",".join(f"{key}:{reached - _number(at)}" for key, at in self.seen.items()))

    def news(self, rows: Sequence[SeenTicket]) -> tuple[str, ...]:
        """Return the ids of the tickets that changed since they were told."""
        return tuple(dict.fromkeys(row.id for row in rows if self.seen.get(row.id) != row.updated_at))

    def moved_over(self, rows: Sequence[SeenTicket]) -> "Mark":
        """Return the mark behind these tickets."""
        seen = {**self.seen, **{row.id: row.updated_at for row in rows}}
        reached = max([self.reached, *(row.updated_at for row in rows)])
        recent = sorted((at, key) for key, at in seen.items() if at >= reached - OVERLAP)
        return Mark(reached, {key: at for at, key in recent[-SEEN_KEPT:]})


def require_in_order(rows: Sequence[SeenTicket], since: datetime) -> None:
    """Hold an answer against what was asked: Zammad ignores what it does not understand, and says nothing.

    Raises:
        UnexpectedAnswer: the condition or the order was ignored.
    """
    if any(row.updated_at < since for row in rows):
        raise UnexpectedAnswer("tickets/search ignored the condition: it answered tickets that changed before")
    if any(earlier.updated_at > later.updated_at for earlier, later in pairwise(rows)):
        raise UnexpectedAnswer("tickets/search ignored the order: its tickets are not sorted by updated_at")


def in_milliseconds(instant: datetime) -> datetime:
    """Return the millisecond that an instant is in: Zammad tells no finer time, and is asked for none."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _number(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _instant(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND
