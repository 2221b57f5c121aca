"""What it costs to find the next work: in databases of several sizes and shapes, to a look-up by primary key in them.

A claim is what the dispatcher asks before it sends: the heads that are due, and what is needed to send them.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from sqlalchemy import Connection, bindparam, select

from bench.figures import Better, Figure
from bench.filled import Filling, Waiting, fill
from bench.measure import Ratio, ratio
from bench.servers import empty_postgresql, has_postgresql
from syncd.store.database import Database, open_database
from syncd.store.heads import due_heads
from syncd.store.outbox import find_all_outgoing
from syncd.store.tables import thread

SIZES = (10_000, 1_000_000)
BATCH = 50
ROWS_PER_THREAD = 10
TIMES = 200
"""How often each thing is done in a round."""

TARGET = 20.0
NOW = datetime(2030, 1, 1, tzinfo=UTC)

_LOOK_UP = select(thread.c.id).where(thread.c.id == bindparam("key"))

Work = Callable[[Connection], int]
"""Some work that is done once; how many heads it found."""


async def run(rounds: int) -> list[Figure]:
    """Measure every size and shape, on SQLite, and on PostgreSQL if a server is there."""
    figures: list[Figure] = []
    for waiting in Waiting:
        for rows in SIZES:
            filling = Filling(rows // ROWS_PER_THREAD, rows, waiting)
            with tempfile.TemporaryDirectory() as folder:
                figures += await _measure(f"sqlite:///{Path(folder) / 'syncd.db'}", "SQLite", filling, rounds)
            if has_postgresql():
                async with empty_postgresql() as url:
                    figures += await _measure(url, "PostgreSQL", filling, rounds)
    return figures


async def _measure(url: str, kind: str, filling: Filling, rounds: int) -> list[Figure]:
    await fill(url, filling)
    database = open_database(url)
    try:
        return await _figures(database, f"{kind}, {filling.waiting}, {filling.rows:,} rows", filling, rounds)
    finally:
        await database.close()


async def _figures(database: Database, where: str, filling: Filling, rounds: int) -> list[Figure]:
    contenders: dict[str, Work] = {
        "floor": lambda c: _look_up(c, filling.links // 2),
        "one": lambda c: _claim(c, filling, 1),
        "batch": lambda c: _claim(c, filling, BATCH),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, work in contenders.items():
            # Each is one read of its own, on one connection; what opening the snapshot costs is in none of them.
            each = await database.read(lambda c, work=work: _seconds_for_each(c, work))  # type: ignore[misc]
            if number:
                seconds[name].append(each)
    figures = [_figure(f"claim of one: {where}", seconds, ratio(seconds["one"], seconds["floor"]), "one")]
    if filling.waiting in {Waiting.LAST, Waiting.ALL}:
        each_head = [one / BATCH for one in seconds["batch"]]
        figures.append(
            _figure(f"claim of {BATCH}, for each: {where}", seconds, ratio(each_head, seconds["floor"]), "batch")
        )
    return figures


def _figure(name: str, seconds: dict[str, list[float]], found: Ratio, which: str) -> Figure:
    parts = {f"{one} µs": 1e6 * median(seconds[one]) for one in ("floor", which)}
    return Figure(
        name,
        found.value,
        "x",
        "a look-up by key",
        TARGET,
        Better.LESS,
        found.low,
        found.high,
        tolerance=1.0,
        parts=parts,
    )


def _seconds_for_each(connection: Connection, work: Work) -> float:
    # SQLite works in this thread, so its CPU is all that it takes; a server takes time of its own.
    now = time.thread_time if connection.dialect.name == "sqlite" else time.perf_counter
    work(connection)
    began = now()
    for _ in range(TIMES):
        work(connection)
    return (now() - began) / TIMES


def _look_up(connection: Connection, key: int) -> int:
    return len(connection.execute(_LOOK_UP, {"key": key}).all())


def _claim(connection: Connection, filling: Filling, limit: int) -> int:
    heads = due_heads(connection, filling.api, NOW, limit)
    found = find_all_outgoing(connection, [head.delivery_id for head in heads]) if heads else {}
    expected = {Waiting.NONE: 0, Waiting.HOT: 1}.get(filling.waiting, limit)
    if len(found) != expected:
        raise RuntimeError(f"{len(found)} found, {expected} are due")
    return len(found)
