"""Where the change feed of Jira stands: which issues were told with which change, and from when to search next. No I/O.

Jira's index lags: a change may be missing from a search while a later one is there. So every search begins some
minutes before the newest change that was told, and once an hour some hours before it. The bookmark holds what was
told in that time, so that all of this costs a search and no reading.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

OVERLAP_MS = 15 * 60_000
"""How late the index may be in the rule; every search goes back so far."""
WIDE_MS = 12 * 3_600_000
"""How far the hourly search goes back, if so much is remembered."""
WIDE_EVERY_MS = 3_600_000
UNSETTLED_MS = 5_000
"""A change younger than this may have another one after it with the same time: it is told again."""
MOST_SEEN = 3_000
"""Issues that a bookmark remembers. More changes within 15 minutes are told again, which loses nothing."""

LATEST_MS = 253_402_300_799_000


@dataclass(frozen=True, slots=True)
class Row:
    """An issue that a search found, with the time of its last change in milliseconds."""

    id: str
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What a cursor says, all times in milliseconds.

    `reached` is the newest change that was told, `answered` when Jira last answered a whole search, `widened` when it
    last answered a wide one (0: never), and `seen` has the change of each issue that was told last.
    """

    reached: int
    answered: int = 0
    widened: int = 0
    seen: Mapping[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, start: Cursor | datetime) -> "Bookmark":
        """Return the bookmark of a cursor, or one that begins at an instant.

        Raises:
            UnexpectedAnswer: a cursor that this adapter did not make.
        """
        if isinstance(start, datetime):
            return cls(min(max(milliseconds(start), 0), LATEST_MS))
        try:
            data = json.loads(start)
            seen = {str(key): int(value) for key, value in data["seen"].items()}
            mark = cls(int(data["reached"]), int(data["answered"]), int(data["widened"]), seen)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise UnexpectedAnswer("the stored cursor of this system was not made by the adapter of Jira") from None
        if not all(0 <= one <= LATEST_MS for one in (mark.reached, mark.answered, mark.widened)):
            raise UnexpectedAnswer("the stored cursor of this system names a time that cannot be")
        return mark

    def cursor(self) -> Cursor:
        """Return the bookmark as text."""
        names = ("reached", "answered", "widened")
        data = {name: getattr(self, name) for name in names} | {"seen": dict(self.seen)}
        return Cursor(json.dumps(data, separators=(",", ":")))

    @property
    def is_wide(self) -> bool:
        """Tell whether the next search is the hourly one that goes back further."""
        return bool(self.widened) and self.answered - self.widened >= WIDE_EVERY_MS

    @property
    def begin(self) -> int:
        """Return from when on to search: never so far back that what was told is no longer remembered."""
        narrow = self.reached - OVERLAP_MS
        if self.is_wide and self.seen:
            narrow = min(narrow, max(self.reached - WIDE_MS, min(self.seen.values())))
        return max(0, narrow)

    @property
    def newest(self) -> str | None:
        """Return the id of an issue that the next search must find again, unless it is gone by then."""
        inside = [key for key, at in self.seen.items() if at >= self.begin]
        return max(inside, key=lambda key: self.seen[key], default=None)

    def is_news(self, row: Row) -> bool:
        """Tell whether a change was not told yet."""
        return self.seen.get(row.id) != row.updated_ms

    def moved_over(self, rows: Mapping[str, int], answered: int | None) -> "Bookmark":
        """Return the bookmark behind changes that were told (issue id to time), as of Jira's own time."""
        now = answered or max(rows.values(), default=self.reached)
        settled = {key: at for key, at in rows.items() if at < now - UNSETTLED_MS}
        reached = max(self.reached, min(max(rows.values(), default=0), now))
        kept = {key: at for key, at in self.seen.items() if key not in rows} | settled
        newest = sorted(kept, key=lambda key: kept[key])[-MOST_SEEN:]
        return replace(self, reached=reached, seen={key: kept[key] for key in newest if kept[key] > reached - WIDE_MS})

    def finished(self, answered: int | None, *, wide: bool) -> "Bookmark":
        """Return the bookmark behind a whole search; without Jira's own time, the changes tell the time."""
        now = answered or self.reached
        return replace(self, answered=now, widened=now if wide or not self.widened else self.widened)

    def without(self, ticket_id: str) -> "Bookmark":
        """Return the bookmark without an issue that is no longer there."""
        return replace(self, seen={key: at for key, at in self.seen.items() if key != ticket_id})


def milliseconds(instant: datetime) -> int:
    """Return an instant as JQL takes it without a time zone."""
    return round(instant.timestamp() * 1000)
