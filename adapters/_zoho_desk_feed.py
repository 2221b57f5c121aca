"""How far the search for modified tickets was read: the mark that its cursor holds. Pure.

The index of the search trails behind the tickets. So it is read again from five minutes before the newest change that
it showed, and the mark knows what was told of that time.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor
from syncd.sources.records import Record

OVERLAP = timedelta(minutes=5)
SETTLING = timedelta(seconds=2)
TOLD_KEPT = 1000  # tickets in a cursor; one that is forgotten is told again
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TOLD = r"\d{1,20}:\d{1,14}:\d{1,9}:\d{1,9}"
_CURSOR = re.compile(rf"(\d{{1,14}})\|((?:{_TOLD}(?:,(?!$)|$))*)", re.ASCII)

Version = tuple[datetime, int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket as the search shows it. `modified_at` is None where the account may not see that field."""

    id: str
    modified_at: datetime | None
    threads: int
    comments: int

    @classmethod
    def parse(cls, record: Record) -> "Row":
        """Return the row of a record."""
        counts = (abs(record.find_int(name) or 0) for name in ("threadCount", "commentCount"))
        return cls(record.get_key("id"), record.find_instant("modifiedTime"), *counts)

    @property
    def version(self) -> Version | None:
        """Return what changes when the ticket does, as far as the search shows it."""
        return None if self.modified_at is None else (self.modified_at, self.threads, self.comments)


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest change that was told, and what was told of the time shortly before it, by ticket id."""

    reached: datetime
    told: Mapping[str, Version] = field(default_factory=dict)

    @classmethod
    def parse(cls, start: Cursor | datetime) -> "Mark":
        """Return the mark of a cursor, or one at an instant.

        Raises:
            UnexpectedAnswer: the cursor is none of this adapter's.
        """
        if isinstance(start, datetime):
            return cls(in_milliseconds(max(start.astimezone(UTC), _EPOCH)))
        match = _CURSOR.fullmatch(start)
        if match is None:
            raise UnexpectedAnswer("the stored cursor is none of Zoho Desk's: was the system another one before?")
        parts = [part.split(":") for part in match[2].split(",") if part]
        told = {key: (_instant(at), int(threads), int(comments)) for key, at, threads, comments in parts}
        return cls(_instant(match[1]), told)

    @property
    def begin(self) -> datetime:
        """Return from when the search is read."""
        return max(self.reached - OVERLAP, _EPOCH)

    def cursor(self) -> Cursor:
        """Return the mark as text."""
        told = (f"{key}:{_number(at)}:{threads}:{comments}" for key, (at, threads, comments) in self.told.items())
        return Cursor(f"{_number(self.reached)}|" + ",".join(told))

    def news(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Return the ids of the tickets that are not as they were told."""
        new = (row.id for row in rows if row.version is None or self.told.get(row.id) != row.version)
        return tuple(dict.fromkeys(new))

    def moved_over(self, rows: Sequence[Row], until: datetime) -> "Mark":
        """Return the mark that knows these tickets too; it has reached no further.

        Times are whole seconds, so a ticket modified just before the end of the range may be so again with nothing to
        show for it: it stays unknown for now, and is told once more.
        """
        settled = (row for row in rows if row.modified_at is not None and row.modified_at < until - SETTLING)
        versions = {row.id: row.version for row in settled if row.version is not None}
        return replace(self, told=_recent({**self.told, **versions}, self.begin))

    def at(self, instant: datetime) -> "Mark":
        """Return the mark that has reached this instant, if it had not yet."""
        further = replace(self, reached=max(self.reached, instant))
        return replace(further, told=_recent(self.told, further.begin))


def require_in_range(rows: Sequence[Row], since: datetime) -> None:
    """Hold an answer against what was asked.

    Raises:
        UnexpectedAnswer: the range was ignored.
    """
    if any(row.modified_at is not None and row.modified_at < since for row in rows):
        raise UnexpectedAnswer("tickets/search ignored the range: it answered tickets that were modified before")


def find_next_start(rows: Sequence[Row], since: datetime, until: datetime) -> datetime | None:
    """Return the instant to ask from next, or None if only counting places leads on.

    That is so within one instant, where the times are not shown, and where they are out of order: then they are not
    those that the index has. As a single one at the end of a page could be such a time too, a tenth is read again.
    """
    times = [row.modified_at for row in rows if row.modified_at is not None]
    if not rows or len(times) < len(rows) or any(earlier > later for earlier, later in pairwise(times)):
        return None
    following = times[-1 - rows_again(rows)]
    return following if since < following <= until else None


def rows_again(rows: Sequence[Row]) -> int:
    """Return how many of these rows the next page is to have again."""
    return len(rows) // 10


def in_milliseconds(instant: datetime) -> datetime:
    """Return the millisecond that an instant is in: Zoho tells no finer time."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _recent(told: Mapping[str, Version], begin: datetime) -> dict[str, Version]:
    """Return what was told of the time that is read again."""
    recent = sorted((version, key) for key, version in told.items() if version[0] >= begin)
    return {key: version for version, key in recent[-TOLD_KEPT:]}


def _number(instant: datetime) -> int:
    return max(0, (instant - _EPOCH) // _MILLISECOND)


def _instant(number: str) -> datetime:
    return _EPOCH + int(number) * _MILLISECOND
