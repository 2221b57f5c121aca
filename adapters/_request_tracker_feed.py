"""The change feed of Request Tracker as values: where it is read on, and what is new in what was read. No I/O.

Transactions have ascending ids, given before the database commits: one with a lower id may become visible after one
with a higher id. So a bookmark keeps the ids of the last minutes instead of the highest alone.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from adapters._request_tracker_records import Transaction
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

LATE = timedelta(minutes=10)
"""How much later than a higher id a lower one may become visible."""
QUIET = timedelta(hours=1)
"""After so long nothing comes late any more, by the server's `Date` (which a proxy may have set, hence not LATE)."""
ANY_ZONE = timedelta(hours=15)
"""A time so much earlier lies before the meant one, in whatever zone RT reads it."""
MOST_SEEN = 5000
"""Ids kept in a bookmark; only a burst of more than that within LATE goes past it."""

_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
_CHANGES = (
    "Type = 'Create' OR Type = 'Correspond' OR Type = 'Comment' OR Type = 'Status'"
    " OR ( Type = 'AddLink' AND Field = 'MergedInto' )"
)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What a cursor says: all ids up to `after` are done, and of the later ones those in `seen`.

    Before anything was visible it holds the `start` instead.
    """

    after: int = 0
    seen: frozenset[int] = field(default=frozenset(), repr=False)
    start: datetime | None = None

    @classmethod
    def parse(cls, start: Cursor | datetime) -> "Bookmark":
        """Return the bookmark of a cursor, or one that starts at an instant."""
        if isinstance(start, datetime):
            return cls(start=max(start.astimezone(UTC), _EARLIEST))
        try:
            data = json.loads(start)
            if "start" in data:
                return cls(start=datetime.fromisoformat(data["start"]).astimezone(UTC))
            return cls(int(data["after"]), frozenset(map(int, data["seen"])))
        except (RecursionError, ValueError, KeyError, TypeError):
            raise UnexpectedAnswer("the stored cursor of this system was not made by this adapter") from None

    def cursor(self) -> Cursor:
        """Return the bookmark as text."""
        data = {"start": self.start.isoformat()} if self.start else {"after": self.after, "seen": sorted(self.seen)}
        return Cursor(json.dumps(data, separators=(",", ":")))

    def reached_by(self, rows: Iterable[Transaction]) -> bool:
        """Tell whether rows that are the newest go back as far as this bookmark."""
        if self.start is not None:
            return any(row.created_at < self.start - LATE for row in rows)
        return any(row.id <= self.after for row in rows)

    def news(self, rows: Iterable[Transaction], since: datetime | None) -> tuple[str, ...]:
        """Return the tickets of the rows that were not seen before and are not older than `since`, oldest first."""
        fresh = {row.id: row for row in rows if row.id > self.after and row.id not in self.seen}
        wanted = [fresh[key] for key in sorted(fresh) if since is None or fresh[key].created_at >= since]
        return tuple(dict.fromkeys(row.ticket_id for row in wanted))

    def moved_over(self, rows: Collection[Transaction], answered_at: datetime | None) -> "Bookmark":
        """Return the bookmark after these rows, all that follow it up to their newest; the server's time, if told."""
        if not rows:
            return self
        settled_before = max(row.created_at for row in rows) - LATE
        if answered_at is not None:
            settled_before = max(settled_before, answered_at - QUIET)
        settled = (row.id for row in rows if row.created_at < settled_before)
        after = max(self.after, max(settled, default=0))
        if self.start is not None and not after:
            after = min(row.id for row in rows) - 1
        seen = sorted(key for key in self.seen.union(row.id for row in rows) if key > after)
        if len(seen) > MOST_SEEN:
            after, seen = seen[-MOST_SEEN - 1], seen[-MOST_SEEN:]
        return Bookmark(after, frozenset(seen))

    def query(self, queues: Sequence[str]) -> str:
        """Return TransactionSQL for what follows the bookmark; before a start some hours more, never less.

        RT reads times in the zone of the account, cuts an ISO time to its day, and takes one that it cannot read for
        1970: hence this form, and the margin for any zone. What is too old is left out by its time in UTC.
        """
        if self.start is None:
            return f"{changes_query(queues)} AND id > {self.after}"
        earlier = self.start - ANY_ZONE
        return f"{changes_query(queues)} AND Created > '{earlier:%Y-%m-%d %H:%M:%S}'"


def changes_query(queues: Sequence[str]) -> str:
    """Return TransactionSQL for the transactions that change a conversation, in these queues (in all if none)."""
    query = f"ObjectType = 'RT::Ticket' AND ( {_CHANGES} )"
    if not queues:
        return query
    return f"{query} AND ( {' OR '.join(f'TicketQueue = {quoted(name)}' for name in queues)} )"


def quoted(text: str) -> str:
    """Return a text as a value of RT's query language."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
