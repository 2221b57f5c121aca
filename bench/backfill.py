"""Backfilling into the outbox, against rows that are ready made and entered by the raw driver; memory; live commits.

The floor enters the same rows, of the ledger and of the outbox, into the same tables with the same indexes, by
`executemany` in transactions of 1000, each on disk (synchronous=FULL) before the next one begins. Its rows are made
before its time is taken. syncd reads them as replies of tickets (a call instead of HTTP), maps each, enters them in
small transactions, notes with each ticket that it is done, and leaves the database to others between them.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from loguru import logger
from sqlalchemy import func, select

from bench.conversations import percentile
from bench.desk import Desk, reply_id, reply_of, ticket_of
from bench.figures import Better, Figure
from bench.measure import Cost, Stopwatch, alternate, ratio, resident_megabytes
from syncd.mapping.mapper import fingerprint, map_reply
from syncd.model.clock import SystemClock
from syncd.model.communication import Message
from syncd.model.policy import SystemPolicy
from syncd.store import requests
from syncd.store.database import Connection, Database, open_database
from syncd.store.enqueue import message_values
from syncd.store.requests import RequestKind
from syncd.store.schema import ensure_schema
from syncd.store.tables import attempt, delivery, link, thread
from syncd.sync.backfill import Progress, Wanted, run_backfill
from syncd.sync.collect import System

REPLIES = int(os.environ.get("SYNCD_BENCH_REPLIES", "100000"))
PER_TICKET = 100
LIVE_REPLIES = 20_000
LIVE_EVERY_SECONDS = 0.004
ALONE_SECONDS = 3.0
RAW_ROWS_AT_ONCE = 1000

BEGAN = datetime(2025, 6, 1, tzinfo=UTC)
LINKED = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = SystemPolicy("desk")


async def run(rounds: int) -> list[Figure]:
    """Measure on SQLite."""
    logger.disable("syncd")
    memory: list[float] = []
    costs = await alternate({"raw": _raw, "backfill": lambda: _backfill(memory)}, rounds)
    waits = [await _live() for _ in range(rounds)]
    logger.enable("syncd")
    ours, raw = costs["backfill"], costs["raw"]
    speed = ratio([1 / cost.wall_seconds for cost in ours], [1 / cost.wall_seconds for cost in raw])
    cpu = ratio([cost.cpu_seconds for cost in ours], [cost.cpu_seconds for cost in raw])
    wait = ratio([with_it for _, with_it in waits], [alone for alone, _ in waits])
    return [
        Figure(
            f"replies backfilled a second, of {REPLIES:,}",
            speed.value,
            "times",
            "rows entered by the raw driver",
            0.25,
            Better.MORE,
            speed.low,
            speed.high,
            parts={
                "replies a second": REPLIES / median(cost.wall_seconds for cost in ours),
                "raw a second": REPLIES / median(cost.wall_seconds for cost in raw),
                "CPU to the raw driver's": cpu.value,
                "CPU microseconds a reply": median(cost.cpu_seconds for cost in ours) / REPLIES * 1e6,
            },
        ),
        Figure(
            "memory while backfilling, at the end",
            max(memory),
            "times",
            "after a tenth of it",
            1.1,
            Better.LESS,
        ),
        Figure(
            "wait of live commits while backfilling, p99",
            wait.value,
            "times",
            "that without it",
            3,
            Better.LESS,
            wait.low,
            wait.high,
            tolerance=0.5,
            parts={
                "milliseconds": median(with_it for _, with_it in waits) * 1e3,
                "without it": median(alone for alone, _ in waits) * 1e3,
            },
        ),
    ]


def _written(ticket_id: str, since: datetime | None) -> Sequence[datetime]:
    begun = BEGAN + timedelta(minutes=int(ticket_id))
    instants = [begun + timedelta(seconds=number) for number in range(PER_TICKET)]
    return instants if since is None else [at for at in instants if at >= since]


def _values(replies: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the rows of the ledger and of the outbox that a backfill comes to, as the driver takes them."""
    now = _text(datetime.now(UTC))
    message, mark = _mapped()
    for number in range(replies):
        ticket_id = str(number // PER_TICKET + 1)
        at = _written(ticket_id, None)[number % PER_TICKET]
        key = {"thread_key": int(ticket_id), "system": "desk", "reply_id": reply_id(ticket_id, at)}
        yield (
            key | {"disposition": "delivery"},
            key
            | message_values(message)
            | {
                "link_id": int(ticket_id),
                "kind": "reply",
                "lane": "1_backfill",
                "state": "pending",
                "version": 1,
                "fingerprint": mark,
                "occurred_at": _text(at),
                "created_at": now,
                "read_at": now,
                "due_at": now,
                "attempts": 0,
                "failures": 0,
                "doubts": 0,
                "manual": 0,
                "request_id": 1,
            },
        )


def _mapped() -> tuple[Message, str]:
    reply = reply_of("1", BEGAN)
    return map_reply(reply, ticket_of("1", BEGAN), POLICY), fingerprint(reply)


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")


async def _raw() -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        database, _ = await _database(folder, REPLIES)
        await database.close()
        return await asyncio.to_thread(_enter, Path(folder) / "syncd.db")


def _enter(file: Path) -> Cost:
    connection = sqlite3.connect(file, isolation_level=None)
    for pragma in ("synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    rows = _values(REPLIES)
    wall = cpu = 0.0
    while some := list(islice(rows, RAW_ROWS_AT_ONCE)):
        watch = Stopwatch()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_insert("ledger", some[0][0], "ON CONFLICT DO NOTHING"), [entry for entry, _ in some])
        connection.executemany(_insert("delivery", some[0][1]), [queued for _, queued in some])
        connection.execute("COMMIT")
        cost = watch.stop()
        wall, cpu = wall + cost.wall_seconds, cpu + cost.cpu_seconds
    connection.close()
    return Cost(wall, cpu)


def _insert(table: str, row: dict[str, Any], more: str = "") -> str:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)}) {more}"


@dataclass(slots=True)
class _Watched:
    """Counts what is reported, and looks at this process's memory after a tenth of it and at the end."""

    links: int
    early: float = 0.0

    async def report(self, progress: Progress) -> None:
        if not self.early and progress.links >= self.links // 10:
            self.early = resident_megabytes(os.getpid())

    @property
    def growth(self) -> float:
        return resident_megabytes(os.getpid()) / self.early


async def _backfill(memory: list[float]) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        database, request_id = await _database(folder, REPLIES)
        watched = _Watched(REPLIES // PER_TICKET)
        watch = Stopwatch()
        await run_backfill(_system(database), Wanted(first_message=True), watched.report, request_id=request_id)
        cost = watch.stop()
        memory.append(watched.growth)
        queued = await database.read(lambda c: c.execute(select(func.count()).select_from(delivery)).scalar_one())
        if queued != REPLIES:
            raise RuntimeError(f"{queued} of {REPLIES} replies were queued")
        await database.close()
    return cost


async def _live() -> tuple[float, float]:
    """Return the p99 wait of a small commit every few milliseconds, alone and while a backfill runs."""
    with tempfile.TemporaryDirectory() as folder:
        database, request_id = await _database(folder, LIVE_REPLIES)
        alone: list[float] = []
        with_it: list[float] = []
        lane = asyncio.create_task(_commit_now_and_then(database, alone))
        await asyncio.sleep(ALONE_SECONDS)
        lane.cancel()
        lane = asyncio.create_task(_commit_now_and_then(database, with_it))
        wanted = Wanted(first_message=True)
        await run_backfill(_system(database), wanted, _Watched(1).report, request_id=request_id)
        lane.cancel()
        await database.close()
    return percentile(alone, 0.99), percentile(with_it, 0.99)


async def _commit_now_and_then(database: Database, waits: list[float]) -> None:
    """Commit the row of an attempt, as a delivery does before its body leaves."""
    while True:
        began = time.perf_counter()
        await database.write(_add_attempt)
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(LIVE_EVERY_SECONDS)


def _add_attempt(connection: Connection) -> None:
    row = {"delivery_id": 1, "number": 1, "reason": "schedule", "worker": "bench", "status_carried": "ONGOING"}
    connection.execute(attempt.insert(), {**row, "started_at": datetime.now(UTC)})


def _system(database: Database) -> System:
    clock = SystemClock()
    return System(POLICY, Desk(clock, _written), database, clock, has_feed=False)


async def _database(folder: str, replies: int) -> tuple[Database, int]:
    """Return a database with the links of so many replies, and a request for their backfill."""
    database = open_database(f"sqlite:///{Path(folder) / 'syncd.db'}")
    await ensure_schema(database, migrate=True)
    keys = range(1, replies // PER_TICKET + 1)
    await database.write(lambda c: _add_links(c, keys))
    asked = (RequestKind.BACKFILL, "desk", Wanted(first_message=True).as_arguments(), "bench", datetime.now(UTC))
    return database, await database.write(lambda c: requests.ask(c, *asked))


def _add_links(connection: Connection, keys: Sequence[int]) -> None:
    level = {"known_status": "ONGOING", "sent_status": "ONGOING", "refusals": 0}
    connection.execute(
        thread.insert(), [level | {"id": key, "api": "berlin", "customer_id": 7, "thread_id": key} for key in keys]
    )
    connection.execute(link.insert(), [_link(key) for key in keys])


def _link(key: int) -> dict[str, Any]:
    ticket = ticket_of(str(key), BEGAN)
    return {
        "id": key,
        "thread_key": key,
        "system": "desk",
        "state": "active",
        "given_number": ticket.number,
        "from_at": LINKED,
        "registered_at": LINKED,
        "ticket_id": ticket.id,
        "ticket_number": ticket.number,
        "ticket_link": ticket.link,
        "subject": ticket.subject,
        "collected_at": LINKED,
        "active_at": LINKED,
        "failures": 0,
    }
