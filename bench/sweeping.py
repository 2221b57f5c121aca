"""Sweeps over a system of 100,000 links in which nothing has changed, and in which 10 tickets have.

The vendor is asked by calls, each of which counts as the request that it would be. A feed that hands over replies in
bulk tells everything in one; any other one names the tickets, and the replies of each are asked for.
"""

import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import ClassVar

from loguru import logger
from sqlalchemy import func, select

from bench.desk import ADDRESS, Desk, reply_of, ticket_of
from bench.figures import Better, Figure
from bench.filled import Filling, fill
from bench.measure import Cost, Stopwatch
from syncd.model.clock import SystemClock
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import ChangePage, Cursor
from syncd.sources.adapter import Capability
from syncd.store.database import Database, open_database
from syncd.store.tables import delivery
from syncd.sync.collect import System
from syncd.sync.poll import sweep

LINKS, ROWS, CHANGED, IDLE_SWEEPS = 100_000, 200_000, 10, 40
SIZES = (1_000, 10_000, LINKS)


class Feed(Desk):
    """A desk that tells which tickets have changed: those in `changed`, and their replies too if it is `bulk`."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.CHANGE_FEED, Capability.BULK_REPLIES})

    def __init__(self, *, bulk: bool) -> None:
        super().__init__(SystemClock(), lambda _ticket_id, _since: self.written)
        self.bulk = bulk
        self.changed: Sequence[str] = ()
        self.written: list[datetime] = []

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:  # noqa: ARG002 - the base's signature
        """Tell of the changed tickets, on one page."""
        self.requests += 1
        tickets = tuple(ticket_of(ticket_id, self.written[-1]) for ticket_id in self.changed)
        new = {ticket_id: tuple(reply_of(ticket_id, at) for at in self.written) for ticket_id in self.changed}
        yield ChangePage(Cursor(f"after {self.requests}"), tuple(self.changed), tickets, new if self.bulk else {})
        self.changed = ()


async def run(rounds: int) -> list[Figure]:
    """Measure sweeps over databases of growing sizes."""
    logger.disable("syncd")
    figures: list[Figure] = []
    idle: dict[int, float] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            for links in SIZES:
                url = f"sqlite:///{Path(folder) / f'{links}.db'}"
                await fill(url, Filling(links=links, rows=ROWS * links // LINKS))
                database = open_database(url)
                costs, asked = await _idle(database, rounds)
                idle[links] = median(cost.cpu_seconds for cost in costs) * 1000
                if links == LINKS:
                    figures += [_idle_cpu(costs, idle), _requests("nothing changed", asked, 1)]
                    figures += [await _changed(database, bulk=bulk) for bulk in (True, False)]
                await database.close()
    finally:
        logger.enable("syncd")
    return figures


async def _idle(database: Database, rounds: int) -> tuple[list[Cost], int]:
    """Sweep again and again with no news; return what each sweep took, and the most requests of one."""
    feed = Feed(bulk=True)
    system = _system(database, feed)
    costs, most = [], 0
    await sweep(system)
    for _ in range(IDLE_SWEEPS * rounds):
        before = feed.requests
        watch = Stopwatch()
        await sweep(system)
        costs.append(watch.stop())
        most = max(most, feed.requests - before)
    return costs, most


def _system(database: Database, feed: Feed) -> System:
    return System(SystemPolicy("desk"), feed, database, feed.clock, has_feed=True)


async def _changed(database: Database, *, bulk: bool) -> Figure:
    feed = Feed(bulk=bulk)
    feed.changed = [f"ticket-{number * 7 + bulk}" for number in range(1, CHANGED + 1)]
    feed.written = [datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)]
    count = select(func.count()).select_from(delivery).where(delivery.c.state == "pending")
    before = await database.read(lambda c: c.execute(count).scalar_one())
    await sweep(_system(database, feed))
    found = await database.read(lambda c: c.execute(count).scalar_one()) - before
    if found != CHANGED:
        raise RuntimeError(f"{found} deliveries of {CHANGED} changed tickets at {ADDRESS}")
    told = "in bulk" if bulk else "ticket by ticket"
    return _requests(f"{CHANGED} of them changed, replies {told}", feed.requests, 1 if bulk else CHANGED + 1)


def _requests(what: str, asked: int, most: int) -> Figure:
    name = f"sweeping: requests over {LINKS:,} links, {what}"
    return Figure(name, asked, "requests", target=most, better=Better.LESS, tolerance=0)


def _idle_cpu(costs: Sequence[Cost], idle: dict[int, float]) -> Figure:
    each = [cost.cpu_seconds * 1000 for cost in costs]
    return Figure(
        f"sweeping: CPU over {LINKS:,} links, nothing changed",
        median(each),
        "ms",
        target=20,
        better=Better.LESS,
        low=min(each),
        high=max(each),
        tolerance=0.5,
        parts={f"CPU ms with {links:,} links": value for links, value in idle.items()}
        | {"wall ms": median(cost.wall_seconds for cost in costs) * 1000},
    )
