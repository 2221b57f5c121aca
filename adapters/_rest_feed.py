"""The list of what changed: read from an instant on, window by window, or from the newest back to what is known."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from adapters._rest_api import Page, RestApi, digest_of
from adapters._rest_config import ChangeOptions
from adapters._rest_expressions import Times
from adapters._rest_rules import Rule
from syncd.model.errors import UnexpectedAnswer
from syncd.sources.adapter import Response

PLACE = "changes"


@dataclass(frozen=True, slots=True)
class Change:
    """One record of the list: whose ticket changed, and when."""

    ticket_id: str
    at: datetime
    record: dict[str, Any]
    mark: str


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Changes that were not told before, and the instant from which the list may be read on once they are stored."""

    changes: list[Change]
    reached: datetime


Reading = AsyncGenerator[tuple[Page, list[Change], datetime], None]
"""Pages with their changes, and the instant reached with each."""


class Settled:
    """Records that need not be told again, though the overlap reads them again.

    A record that looks the same, told once more when the server's clock had moved by the overlap since it was first
    seen, can hide no change: a second one with the same time would show by then. Without a clock nothing is settled.
    """

    def __init__(self, overlap: timedelta) -> None:
        self._overlap = overlap
        self._first_seen: dict[str, datetime] = {}
        self._settled: set[str] = set()

    def holds(self, change: Change) -> bool:
        """Tell whether a record need not be told again."""
        return change.mark in self._settled

    def note(self, page: Page, changes: list[Change]) -> None:
        """Note what was told and stored."""
        now = page.answered_at
        if now is None:
            return
        for change in changes:
            if now - self._first_seen.setdefault(change.mark, now) >= self._overlap:
                self._settled.add(change.mark)

    def keep(self, marks: set[str]) -> None:
        """Forget what the list does not show any more."""
        self._settled &= marks
        self._first_seen = {mark: at for mark, at in self._first_seen.items() if mark in marks}


class Feed:
    """The list of what changed in one system."""

    def __init__(self, options: ChangeOptions, api: RestApi, asked: Times, ticket_id: Rule, changed_at: Rule) -> None:
        self._options, self._api, self._asked = options, api, asked
        self._ticket_id, self._changed_at = ticket_id, changed_at
        self._overlap = timedelta(seconds=options.overlap_seconds)
        self._settled = Settled(self._overlap)

    async def read(self, start: datetime) -> AsyncGenerator[ChangesPage, None]:
        """Yield pages of changes from an instant on (with the overlap); at least one, which may be empty."""
        told: set[str] = set()
        seen: set[str] = set()
        async with aclosing(self._pages(start)) as pages:
            async for page, changes, reached in pages:
                fresh = [one for one in changes if one.mark not in told and not self._settled.holds(one)]
                seen.update(one.mark for one in changes)
                told.update(one.mark for one in fresh)
                yield ChangesPage(fresh, _not_ahead(reached, start, page))
                self._settled.note(page, fresh)  # whoever asks on has stored it
        self._settled.keep(seen)

    def _pages(self, start: datetime) -> Reading:
        if self._options.order == "oldest_first":
            return self._onward(start)
        return self._whole(start)

    async def _onward(self, start: datetime) -> Reading:
        """Read oldest first.

        A ticket that changes meanwhile moves to the end, and counted pages would skip one for it. So each window is
        left after the page that moved the time on, and the next one begins at that time.
        """
        since, reached = start - self._overlap, start
        while True:
            newest, is_end = since, True
            async with aclosing(self._window(since)) as pages:
                async for page in pages:
                    changes = self._changes(page, since)
                    self._check_order(changes, newest)
                    newest = max([newest, *(one.at for one in changes)])
                    reached = max(reached, newest)
                    yield page, changes, reached
                    is_end = page.is_last or self._floor(newest) <= self._floor(since)
                    if page.is_last or not is_end:
                        break
            if is_end:
                return
            since = newest

    async def _whole(self, start: datetime) -> Reading:
        """Read to the end, or newest first back to what is known; only the last page says how far this came."""
        since = start - self._overlap
        reached, oldest, met = start, None, set[str]()
        async with aclosing(self._window(since)) as pages:
            async for page in pages:
                changes = self._changes(page, since)
                times = [one.at for one in changes if one.mark not in met]  # new ones push known ones to the next page
                met.update(one.mark for one in changes)
                reached = max([reached, *times])
                if times and self._options.order == "newest_first":
                    self._check_newest_first(times, oldest)
                    oldest = min(times)
                is_end = page.is_last or (oldest is not None and oldest < since)
                yield page, [one for one in changes if one.at >= since], reached if is_end else start
                if is_end:
                    return
        yield Page([], Response(200, {}, b""), True), [], reached

    def _window(self, since: datetime) -> AsyncGenerator[Page, None]:
        options = self._options
        return self._api.pages(options, {"since": self._asked.render(since)}, options.paging, options.rows, PLACE)

    def _changes(self, page: Page, since: datetime) -> list[Change]:
        found = [self._change(record) for record in page.rows]
        if "since" in self._options.places_used and any(one.at < self._floor(since) for one in found):
            raise UnexpectedAnswer(
                f"{PLACE}: the list holds what is older than {{since}}: it is not understood, or not what changed_at is"
            )
        return found

    def _change(self, record: dict[str, Any]) -> Change:
        ticket_id = self._ticket_id.value(record, "a record of the list of changes")
        at = self._changed_at.value(record, f"a change of ticket {ticket_id}")
        return Change(ticket_id, at, record, digest_of(record))

    def _check_order(self, changes: list[Change], newest: datetime) -> None:
        times = [newest, *(one.at for one in changes)]
        if any(later < self._floor(earlier) for earlier, later in pairwise(times)):
            raise UnexpectedAnswer(f"{PLACE}: the list is not sorted oldest first, though its order says so")

    def _check_newest_first(self, times: list[datetime], oldest: datetime | None) -> None:
        if oldest is not None and max(times) > oldest:
            raise UnexpectedAnswer(f"{PLACE}: the list is not sorted newest first, though its order says so")

    def _floor(self, instant: datetime) -> datetime:
        """Return an instant as the list is asked for it: what its format has no room for is cut off."""
        text = self._asked.render(instant)
        return self._asked.parse(int(text) if self._asked.format.startswith("epoch") else text)


def _not_ahead(reached: datetime, start: datetime, page: Page) -> datetime:
    """Return the instant reached, but none that is still to come: a time in the future would hide what happens now."""
    now = page.answered_at
    return reached if now is None else max(start, min(reached, now))
