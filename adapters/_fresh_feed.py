"""How far the list of changed tickets was read. Pure: no request is made here.

The list tells whole seconds, and what it tells may be a moment old. So it is read again from a little before the newest
change known, and what was named already is left out by id and time of change. A change that was a few seconds old when
it was told is named again: its second may not have been over, nor its reply have been there to read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

OVERLAP = timedelta(minutes=2)
SETTLED = timedelta(seconds=10)
SECOND = timedelta(seconds=1)
MOST_SEEN = 1000
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_CURSOR = re.compile(r"(\d{1,11})\|((?:[0-9]{1,20}:\d{1,11}(?:,|$))*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Change:
    """A ticket in the list, and when it changed."""

    ticket_id: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A place in the list: from when to ask, and which changes from then on were named."""

    since: datetime
    seen: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def parse(cls, start: Cursor | datetime) -> "Bookmark":
        """Return the bookmark of a cursor, or one that starts at an instant; a second earlier if bounds are exclusive.

        Raises:
            UnexpectedAnswer: the cursor was not made here.
        """
        if isinstance(start, datetime):
            return cls(max(start.astimezone(UTC), _EARLIEST).replace(microsecond=0) - SECOND)
        match = _CURSOR.fullmatch(start)
        if match is None:
            raise UnexpectedAnswer("the stored cursor of this system was not made by this adapter")
        pairs = [pair.split(":") for pair in match[2].split(",") if pair]
        return cls(_instant(match[1]), {ticket_id: _instant(at) for ticket_id, at in pairs})

    def cursor(self) -> Cursor:
        """Return the bookmark as text: `SECONDS|ID:SECONDS,ID:SECONDS`."""
        pairs = ",".join(f"{ticket_id}:{int(at.timestamp())}" for ticket_id, at in self.seen.items())
        return Cursor(f"{int(self.since.timestamp())}|{pairs}")

    def moved_to(self, reached: datetime, settled: Mapping[str, datetime]) -> "Bookmark":
        """Return the bookmark behind everything up to `reached`; `settled` were named and need not be again."""
        since = max(self.since, reached - OVERLAP)
        seen = {**self.seen, **settled}
        kept = sorted((at, key) for key, at in seen.items() if at >= since - SECOND)
        return Bookmark(since, {key: at for at, key in kept[-MOST_SEEN:]})


class Reading:
    """One reading of the list, from a bookmark to the end: what to ask for next, and how far it is safe to go on.

    `sorts`: the list comes in the order of change. Should a page not be, numbers are turned from there on.
    """

    def __init__(self, bookmark: Bookmark, *, sorts: bool) -> None:
        self.bookmark = bookmark
        self.asked = bookmark.since
        self.number = 1
        self.is_over = False
        self._sorts = sorts
        self._named = dict(bookmark.seen)
        self._settled: dict[str, datetime] = {}
        self._began_at = bookmark.since

    def take(self, told: Sequence[Change], answered_at: datetime | None, *, has_next: bool) -> list[Change]:
        """Take in the page that was asked for; return what of it was not named yet."""
        times = [change.changed_at for change in told]
        newest = max(times, default=self.asked)
        self._sorts = self._sorts and times == sorted(times)
        if self.number == 1:
            self._began_at = answered_at or newest
        fresh = [change for change in told if self._named.get(change.ticket_id) != change.changed_at]
        for change in told:
            self._named[change.ticket_id] = change.changed_at
            if answered_at is not None and change.changed_at <= answered_at - SETTLED:
                self._settled[change.ticket_id] = change.changed_at
        self.is_over = not has_next
        self._move(newest)
        return fresh

    def _move(self, newest: datetime) -> None:
        """Move the bookmark as far as nothing can be missing, and go to the next page."""
        if self._sorts or (self.is_over and self.number == 1):
            self.bookmark = self.bookmark.moved_to(newest, self._settled)
        elif self.is_over:
            # What changed while pages were turned may have come up on one that had been turned already.
            self.bookmark = self.bookmark.moved_to(self._began_at, self._settled)
        if self._sorts and newest - SECOND > self.asked:
            self.asked, self.number = newest - SECOND, 1
            self._named = {key: at for key, at in self._named.items() if at >= self.asked - OVERLAP}
            self._settled = {key: at for key, at in self._settled.items() if at >= self.asked - OVERLAP}
        else:
            self.number += 1


def _instant(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
