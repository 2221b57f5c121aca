"""How far the changes of an account were read: the bookmark that a cursor holds. No I/O.

Threads and tickets appear in their lists late, seconds to minutes after their own times. So both lists are read again
from ten minutes before the last sweep began, by HubSpot's clock, and what was named already is known by its time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from adapters._hubspot_answers import Page, find_ticket_id
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

OVERLAP = timedelta(minutes=10)
SETTLED = timedelta(minutes=1)
"""E-mails have whole seconds, so a second message may leave the time of its thread as it was; and a thread may be
listed before its message is. What is younger than this is named again by the next sweep."""
MOST_SEEN = 2000
"""What a cursor remembers; what it forgets is named again, and never missed."""

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """When the last whole sweep began, and the times of what was named shortly before, in milliseconds."""

    since: datetime
    seen: Mapping[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, start: Cursor | datetime) -> "Bookmark":
        """Return the bookmark of a cursor, or one at an instant.

        Raises:
            UnexpectedAnswer: the cursor was not made here.
        """
        if isinstance(start, datetime):
            return cls(max(start.astimezone(UTC), _EARLIEST + OVERLAP))
        try:
            data = json.loads(start)
            since = datetime.fromisoformat(data["since"]).astimezone(UTC)
            seen = {str(key): int(at) for key, at in data["seen"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise UnexpectedAnswer(
                "the stored cursor is none of HubSpot's: was the system another one before?"
            ) from None
        return cls(max(since, _EARLIEST + OVERLAP), seen)

    @property
    def begin(self) -> datetime:
        """Return from when on changes have to be read."""
        return self.since - OVERLAP

    def cursor(self) -> Cursor:
        """Return the bookmark as text."""
        data = {"since": self.since.isoformat(), "seen": dict(self.seen)}
        return Cursor(json.dumps(data, separators=(",", ":")))


class Sweep:
    """One reading of both lists: what is news, and the bookmark behind it."""

    def __init__(self, bookmark: Bookmark) -> None:
        self._from = bookmark
        self._began_at: datetime | None = None
        self._seen: dict[str, int] = {}

    def threads(self, page: Page) -> tuple[str, ...]:
        """Return the tickets of threads that have news; a thread without a ticket is nobody's."""
        self._note_begin(page)
        named: list[str] = []
        for row in page.records:
            ticket_id = find_ticket_id(row)
            key = f"thread {row.get_key('id')} {ticket_id}"
            if self._is_news(key, row.find_instant("latestMessageTimestamp"), page) and ticket_id is not None:
                named.append(ticket_id)
        return tuple(dict.fromkeys(named))

    def tickets(self, page: Page) -> tuple[str, ...]:
        """Return the tickets that were modified."""
        self._note_begin(page)
        rows = [(row.get_key("id"), row.find_instant("updatedAt")) for row in page.records]
        return tuple(dict.fromkeys(key for key, at in rows if self._is_news(f"ticket {key}", at, page)))

    def bookmark(self) -> Bookmark:
        """Return the bookmark once both lists were read to their ends.

        Without a time by HubSpot's clock it stays where it was, and all is read again.
        """
        since = max(self._began_at or self._from.since, self._from.since)
        oldest = _milliseconds(since - OVERLAP)
        kept = sorted((item for item in self._seen.items() if item[1] >= oldest), key=lambda item: item[1])
        return Bookmark(since, dict(kept[-MOST_SEEN:]))

    def _note_begin(self, page: Page) -> None:
        self._began_at = self._began_at or page.answered_at

    def _is_news(self, key: str, at: datetime | None, page: Page) -> bool:
        """Tell whether something was not named at this time before, and remember it as soon as its time is over."""
        if at is None:
            return True
        if page.answered_at is not None and at <= page.answered_at - SETTLED:
            self._seen[key] = _milliseconds(at)
        return self._from.seen.get(key) != _milliseconds(at)


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
