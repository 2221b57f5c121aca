"""Reading 2,000 changed tickets with 5 new replies each from a Zendesk account into the outbox, by one sweep.

The floor is aiohttp asking for the very same addresses and orjson decoding what comes, and nothing else. A sweep reads
into a SQLite file with `synchronous=FULL`, in which every ticket is linked and was collected once; afterwards there
are 10,000 deliveries in it. Pauses of the pace, which Zendesk wants between exports, are skipped on both sides.
"""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import aiohttp
import orjson
from loguru import logger
from pydantic import SecretStr
from sqlalchemy import func, select

from adapters.zendesk import Zendesk, ZendeskConfig
from bench.figures import Better, Figure
from bench.measure import Cost, Stopwatch, alternate, ratio
from bench.servers import Server
from bench.zendesk_desk import BEGAN, FIRST_TICKET, TOKEN, requests_of, served
from syncd.model.clock import SystemClock
from syncd.model.policy import SystemPolicy
from syncd.sources.registry import open_adapter
from syncd.store.database import Connection, Database, open_database
from syncd.store.schema import ensure_schema
from syncd.store.tables import cursor, delivery, link, system_state, thread
from syncd.sync.collect import System
from syncd.sync.poll import sweep

TICKETS, REPLIES = 2000, 5
STARTED = datetime.fromtimestamp(BEGAN, UTC) - timedelta(minutes=10)


class Hasty(SystemClock):
    """A clock that skips what is slept through."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def monotonic(self) -> float:
        """Return the seconds of the monotonic clock, with those that were skipped."""
        return time.monotonic() + self._skipped

    async def sleep(self, seconds: float) -> None:
        """Skip that many seconds."""
        self._skipped += max(0.0, seconds)
        await asyncio.sleep(0)


async def run(rounds: int) -> list[Figure]:
    """Measure sweeps and bare readings in turn."""
    logger.disable("syncd")
    try:
        async with served(TICKETS, REPLIES) as desk:
            with tempfile.TemporaryDirectory() as folder:
                return await _measure(desk, Path(folder), rounds)
    finally:
        logger.enable("syncd")


async def _measure(desk: Server, folder: Path, rounds: int) -> list[Figure]:
    await prepare(folder / "prepared.db", TICKETS)
    await read_swept(desk, folder, TICKETS * REPLIES)
    asked = await requests_of(desk)
    contenders = {
        "sweep": partial(read_swept, desk, folder, TICKETS * REPLIES),
        "bare": partial(read_bare, desk, asked),
    }
    costs = await alternate(contenders, rounds)
    ours, floor = ([cost.cpu_seconds for cost in costs[name]] for name in contenders)
    found = ratio(ours, floor)
    kinds = Counter(address.partition("?")[0].removeprefix("/api/v2/") for address in asked)
    return [
        Figure(
            "reading: requests for 2,000 changed tickets with 5 replies each",
            len(asked),
            "requests",
            target=16,
            better=Better.LESS,
            tolerance=0,
            parts=dict(kinds),
        ),
        Figure(
            "reading: CPU of it into the outbox",
            found.value,
            "times",
            against="bare aiohttp and orjson",
            target=2.5,
            better=Better.LESS,
            low=found.low,
            high=found.high,
            parts={
                "CPU s of a sweep": median(ours),
                "CPU s of bare reading": median(floor),
                "wall s of a sweep": median(cost.wall_seconds for cost in costs["sweep"]),
                "wall s of bare reading": median(cost.wall_seconds for cost in costs["bare"]),
                "CPU us per reply": median(ours) / (TICKETS * REPLIES) * 1e6,
            },
        ),
    ]


async def prepare(path: Path, tickets: int) -> None:
    """Make a database in which each ticket is linked and was collected, and the feed stands before all changes."""
    database = open_database(f"sqlite:///{path}")
    await ensure_schema(database, migrate=True)
    await database.write(partial(_fill, tickets=tickets))
    await database.close()


def _fill(connection: Connection, tickets: int) -> None:
    statuses = dict.fromkeys(("known_status", "sent_status"), "ONGOING")
    threads = [
        {"id": key, "api": "berlin", "customer_id": 7, "thread_id": key, "refusals": 0, **statuses}
        for key in range(1, tickets + 1)
    ]
    connection.execute(thread.insert(), threads)
    connection.execute(link.insert(), [_link(key) for key in range(1, tickets + 1)])
    bookmark = f"{BEGAN}|@{BEGAN}"
    connection.execute(cursor.insert().values(system="desk", cursor=bookmark, start_at=STARTED, stored_at=STARTED))
    connection.execute(system_state.insert().values(system="desk", failures=0, last_success_at=STARTED))


def _link(key: int) -> dict[str, object]:
    number = str(FIRST_TICKET + key - 1)
    return {
        "id": key,
        "thread_key": key,
        "system": "desk",
        "state": "active",
        "given_number": number,
        "from_at": STARTED,
        "registered_at": STARTED,
        "ticket_id": number,
        "ticket_number": number,
        "subject": "The locker",
        "vendor_status": "open",
        "collected_at": STARTED,
        "active_at": STARTED,
        "failures": 0,
    }


async def read_swept(desk: Server, folder: Path, expected: int) -> Cost:
    """Let one sweep read everything into a fresh copy of the database, and look that it did."""
    database = open_database(f"sqlite:///{_copy(folder)}")
    clock = Hasty()
    options = ZendeskConfig(base_url=desk.address, oauth_token=SecretStr(TOKEN))
    opened = open_adapter(Zendesk, options, clock=clock)
    system = System(SystemPolicy("desk"), opened.adapter, database, clock, has_feed=True)
    watch = Stopwatch()
    await sweep(system)
    cost = watch.stop()
    await opened.close()
    await _verify(database, expected)
    await database.close()
    return cost


def _copy(folder: Path) -> Path:
    for leftover in folder.glob("syncd.db*"):
        leftover.unlink()
    return Path(shutil.copy(folder / "prepared.db", folder / "syncd.db"))


async def _verify(database: Database, expected: int) -> None:
    heads = select(func.count()).select_from(thread).where(thread.c.head_due_at.is_not(None))
    waiting = select(func.count()).select_from(delivery).where(delivery.c.state == "pending")
    found = await database.read(lambda c: [c.execute(one).scalar_one() for one in (waiting, heads)])
    if found != [expected, expected // REPLIES]:
        raise RuntimeError(f"{found} deliveries and heads in the outbox, {expected} deliveries expected")


async def read_bare(desk: Server, asked: Sequence[str]) -> Cost:
    """Ask for the same addresses, one after the other, and decode what comes."""
    watch = Stopwatch()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        for address in asked:
            async with session.get(f"{desk.address}{address}") as response:
                orjson.loads(await response.read())
    return watch.stop()
