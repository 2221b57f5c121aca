"""Storing what a backfill reads: one small transaction after the other, while the next tickets are read.

What comes while a transaction is under way shares the next one; where it is enough for one, reading waits.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from loguru import logger

from syncd.model.collected import Gap, Known, Stored
from syncd.model.errors import StoreError, SyncdError
from syncd.model.link import Link
from syncd.store import replies, requests, restored
from syncd.store.database import Connection
from syncd.store.requests import Step
from syncd.store.statement import chunks
from syncd.sync.backfill_fates import Judged, judge
from syncd.sync.backfill_parts import ROWS_AT_ONCE, Part, Read, in_transactions, parts_of
from syncd.sync.backfill_progress import Progress
from syncd.sync.collect import System
from syncd.sync.taken_in import log_taken_in

JUDGED_AT_ONCE = 20
PAUSE_SECONDS = 0.005
"""Between transactions: SQLite's busy handler is not fair, and other processes share the database."""

Report = Callable[[Progress], Awaitable[None]]


class FollowsAnotherTicket(SyncdError):
    """A link was given another ticket while its own was read; the same backfill, asked for again, reads that one."""


class Ended(Exception):
    """The backfill that is carried out has ended meanwhile: a person has stopped it."""


@dataclass(slots=True)
class Storing:
    """What was read and is not stored yet, and how far the backfill is with what is.

    `spent` tells the requests to the vendor so far, and the seconds that they take. `_queued` is what was queued of
    the link that is stored in several transactions, by its id; `_committed_at` when the last one ended.
    """

    system: System
    request_id: int
    counts_only: bool
    report: Report
    spent: Callable[[], tuple[int, float]]
    progress: Progress = field(default_factory=Progress)
    _gathered: list[Read] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None
    _queued: Counter[int] = field(default_factory=Counter)
    _committed_at: float = float("-inf")

    @property
    def is_empty(self) -> bool:
        """Say whether nothing waits to be stored."""
        return not self._gathered

    async def add(self, read: Read) -> None:
        """Take in what was read.

        Raises:
            Ended, StoreError: what was taken in before could not be stored.
        """
        self._gathered.append(read)
        is_enough = sum(one.rows for one in self._gathered) >= ROWS_AT_ONCE
        if is_enough or self._task is None or self._task.done():
            await self._finish()
            self._begin()

    async def flush(self) -> None:
        """Store all that was taken in. Raises as `add` does."""
        await self._finish()
        self._begin()
        await self._finish()

    async def abandon(self) -> None:
        """Give up what is not stored yet; it is read again another time."""
        self._gathered.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._task = asyncio.create_task(self._store_all(gathered), name="backfill storing")

    async def _finish(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await task

    async def _store_all(self, gathered: Sequence[Read]) -> None:
        """Queue what was gathered, or only count it."""
        parts: list[Part] = []
        known, gap = await self._look(gathered)
        for read in gathered:
            for link in read.links:
                judged = await self._judge(read, link, known[link.thread_key], gap)
                if judged is not None:
                    parts += parts_of(read, link, judged, self.request_id)
        for some in in_transactions(parts):
            if self.counts_only:
                self.progress = self._ahead(some, self._queued)
            else:
                await self._store(some)
        await self.report(self.progress)

    async def _look(self, gathered: Sequence[Read]) -> tuple[dict[int, dict[str, Known]], Gap | None]:
        asked = {link.thread_key: [reply.id for reply in read.replies] for read in gathered for link in read.links}

        def look(connection: Connection) -> tuple[dict[int, dict[str, Known]], Gap | None]:
            return replies.find_known_of(connection, self.system.name, asked), restored.find_gap(connection)

        return await self.system.database.read(look)

    async def _judge(self, read: Read, link: Link, known: Mapping[str, Known], gap: Gap | None) -> Judged | None:
        """Return what becomes of the replies of a ticket in a link's thread; None if that cannot be told."""
        judged = Judged()
        try:
            for some in chunks(read.replies, JUDGED_AT_ONCE):
                judged += judge(self.system.policy, link, read.ticket, some, known, gap)
                await asyncio.sleep(0)  # what is being delivered meanwhile goes on
        except Exception as error:  # noqa: BLE001 - one link must not stop a backfill
            await self.fail(link, error)
            return None
        return judged

    async def _store(self, parts: Sequence[Part]) -> None:
        """Store parts in one transaction; where that is refused because of one of them, each by itself."""
        try:
            await self._commit(parts)
        except (Ended, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - one link must not stop a backfill
            if len(parts) == 1:
                await self.fail(parts[0].link, error)
            else:
                for part in parts:
                    await self._store([part])

    async def _commit(self, parts: Sequence[Part]) -> None:
        """Queue what links come to. With its last part a link is noted as dealt with: it is not read again."""
        now = self.system.clock.now()

        def store(connection: Connection) -> tuple[Stored, Counter[int], Progress]:
            if not requests.holds_open(connection, self.request_id):
                raise Ended
            stored = replies.store_all(connection, [part.collected for part in parts if part.collected.entries], now)
            if stored.elsewhere:
                raise FollowsAnotherTicket
            queued = self._queued + Counter(one.link_id for one in stored.taken_in)
            requests.add_steps(connection, self.request_id, _steps(parts, queued))
            ahead = self._ahead(parts, queued)
            requests.report(connection, self.request_id, ahead.as_dict())
            return stored, queued, ahead

        await self._leave_to_others()
        stored, queued, self.progress = await self.system.database.write(store)
        self._queued = Counter() if parts[-1].is_last else queued
        self._committed_at = self.system.clock.monotonic()
        log_taken_in(self.system.name, stored)

    def _ahead(self, parts: Sequence[Part], queued: Mapping[int, int]) -> Progress:
        """Return how far it is with these parts."""
        ahead = deepcopy(self.progress)
        ahead.requests, ahead.seconds = self.spent()
        for part in parts:
            if part.is_last:
                to_queue = len(part.judged.entries) if self.counts_only else queued[part.link.id]
                ahead.count(part.link.thread.api, part.judged, to_queue)
        return ahead

    async def _leave_to_others(self) -> None:
        """Leave the database to others, until they have had a moment for it since the last transaction."""
        since = self.system.clock.monotonic() - self._committed_at
        if since < PAUSE_SECONDS:
            await self.system.clock.sleep(PAUSE_SECONDS - since)

    async def fail(self, link: Link, error: Exception) -> None:
        """Note that a link could not be dealt with."""
        name = type(error).__name__
        bound = logger.bind(system=self.system.name, link=link.id, ticket=link.ticket_name, failure=name)
        bound.warning("backfill of one ticket failed")
        self.progress.links += 1
        self.progress.failed += 1
        self.progress.requests, self.progress.seconds = self.spent()
        if self.counts_only:
            return

        def store(connection: Connection) -> None:
            requests.add_step(connection, self.request_id, link.id, 0, 0, name)
            requests.report(connection, self.request_id, self.progress.as_dict())

        await self.system.database.write(store)


def _steps(parts: Sequence[Part], queued: Mapping[int, int]) -> list[Step]:
    return [Step(part.link.id, sum(part.judged.fates.values()), queued[part.link.id]) for part in parts if part.is_last]
