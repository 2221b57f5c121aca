"""The change feed of Redmine as values: up to where it was read, and what of the last minutes was seen. No I/O.

`updated_on` is set before the database commits, so that an issue may appear behind one with a later time: the last
minutes are read again at every sweep. Times are whole seconds, so that an issue may change twice at the same time: it
counts as seen only when that second was certainly over.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor
from syncd.sources.records import find_instant_in

OVERLAP = timedelta(minutes=10)
"""How much later than a later change an earlier one may become visible."""
SECOND_IS_OVER = timedelta(minutes=1)
"""How long after a second nothing is written with its time any more."""
MOST_SEEN = 5000
"""Issues kept in a bookmark. The oldest are dropped: what is not kept is named again, and never missed."""

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Changed:
    """A row of the list of changed issues."""

    id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ChangedPage:
    """Rows of that list, oldest change first; `answered_at` is the time of the server, if it told one."""

    rows: tuple[Changed, ...]
    is_last: bool
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What a cursor says: the newest change known, and which changes shortly before it were named, by issue."""

    newest: datetime
    seen: dict[str, datetime] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, start: Cursor | datetime) -> "Bookmark":
        """Return the bookmark of a cursor, or one that starts at an instant.

        Raises:
            UnexpectedAnswer: the cursor was not made here.
        """
        if isinstance(start, datetime):
            return cls(max(start.astimezone(UTC).replace(microsecond=0), _EARLIEST))
        try:
            data = json.loads(start)
            newest = max(_instant(data["newest"]), _EARLIEST)
            return cls(newest, {str(key): _instant(text) for key, text in data["seen"].items()})
        except (RecursionError, ValueError, KeyError, TypeError, AttributeError):
            raise UnexpectedAnswer("the stored cursor of this system was not made by this adapter") from None

    @property
    def begin(self) -> datetime:
        """Return from when on changes have to be read."""
        return self.newest - OVERLAP

    def cursor(self) -> Cursor:
        """Return the bookmark as text."""
        seen = {key: at.isoformat() for key, at in self.seen.items()}
        return Cursor(json.dumps({"newest": self.newest.isoformat(), "seen": seen}, separators=(",", ":")))

    def news(self, rows: Sequence[Changed]) -> tuple[str, ...]:
        """Return the issues among the rows whose change was not seen, oldest change first."""
        return tuple(dict.fromkeys(row.id for row in rows if self.seen.get(row.id) != row.updated_at))

    def moved_over(self, page: ChangedPage) -> "Bookmark":
        """Return the bookmark behind a page. It never goes past the present: a row may have a time to come."""
        newest = max([self.newest, *(row.updated_at for row in page.rows)])
        if page.answered_at is not None:
            newest = max(self.newest, min(newest, page.answered_at))
        over_before = (page.answered_at or newest) - SECOND_IS_OVER
        seen = self.seen | {row.id: row.updated_at for row in page.rows if row.updated_at < over_before}
        recent = sorted((at, key) for key, at in seen.items() if at >= newest - OVERLAP)
        return Bookmark(newest, {key: at for at, key in recent[-MOST_SEEN:]})


def _instant(value: Any) -> datetime:
    instant = find_instant_in(value) if isinstance(value, str) else None
    if instant is None:
        raise ValueError("no time of a cursor")
    return instant
