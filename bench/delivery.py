"""Delivering a full outbox, against a bare loop of PUTs: how many a second, and what CPU each costs.

The floor sends the same number of the same bodies with aiohttp alone, 64 at a time, from the same event loop to the
same server, and reads each answer. syncd does it with every promise on: pace, attempt rows, commits on disk before and
after each PUT, evidence, heads of threads, a log line for each attempt.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import orjson
from pydantic import SecretStr
from sqlalchemy import func, select

from bench.answering import answering
from bench.figures import Better, Figure
from bench.filled import REPLY, Filling, Waiting, fill
from bench.measure import Cost, Stopwatch, alternate, ratio
from bench.servers import empty_postgresql, has_postgresql
from syncd.delivery.api import OpenApi
from syncd.delivery.attempt import Sender
from syncd.delivery.dispatcher import Dispatcher
from syncd.model.clock import SystemClock
from syncd.model.policy import ApiPolicy
from syncd.service.log import configure_log
from syncd.store import restored
from syncd.store.database import Database, open_database
from syncd.store.high_water import HighWater
from syncd.store.outbox import Outgoing
from syncd.store.schema import database_id
from syncd.store.tables import attempt, delivery

THREADS, EACH = 2_000, 5
NUMBER = THREADS * EACH
IN_FLIGHT = 64
KEY = "key"


async def run(rounds: int) -> list[Figure]:
    """Measure on SQLite, and on PostgreSQL where there is one."""
    contenders: dict[str, Callable[[], Awaitable[Cost]]] = {}
    async with answering() as api:
        contenders["bare"] = lambda: _bare(api.address)
        contenders["SQLite"] = lambda: _on_sqlite(api.address)
        if has_postgresql():
            contenders["PostgreSQL"] = lambda: _on_postgresql(api.address)
        costs = await alternate(contenders, rounds)
    figures = []
    for name, target in (("SQLite", 0.50), ("PostgreSQL", 0.45)):
        if name in costs:
            figures += _figures(name, target, costs[name], costs["bare"])
    return figures


def _figures(name: str, target: float, ours: list[Cost], bare: list[Cost]) -> list[Figure]:
    speed = ratio([1 / cost.wall_seconds for cost in ours], [1 / cost.wall_seconds for cost in bare])
    cpu = ratio([cost.cpu_seconds for cost in ours], [cost.cpu_seconds for cost in bare])
    return [
        Figure(
            f"deliveries a second, {name}",
            speed.value,
            "times",
            "a bare aiohttp PUT loop",
            target,
            Better.MORE,
            speed.low,
            speed.high,
            parts={
                "deliveries a second": NUMBER / sorted(cost.wall_seconds for cost in ours)[len(ours) // 2],
                "bare PUTs a second": NUMBER / sorted(cost.wall_seconds for cost in bare)[len(bare) // 2],
            },
        ),
        Figure(
            f"CPU per delivery, {name}",
            cpu.value,
            "times",
            "a bare aiohttp PUT",
            2.0,
            Better.LESS,
            cpu.low,
            cpu.high,
            parts={
                "microseconds": sorted(cost.cpu_seconds for cost in ours)[len(ours) // 2] / NUMBER * 1e6,
                "of a bare PUT": sorted(cost.cpu_seconds for cost in bare)[len(bare) // 2] / NUMBER * 1e6,
            },
        ),
    ]


async def _bare(address: str) -> Cost:
    """Send the bodies with aiohttp and nothing else."""
    numbers = iter(range(NUMBER))
    body = orjson.dumps(
        {
            "communicationThreadStatus": "ONGOING",
            "ticketNumber": "1000",
            "subject": "Locker",
            "content": REPLY,
            "communicationDirection": "INCOMING",
            "ticketLink": "https://desk.example.com/tickets/1000",
            "communicationChannel": "EMAIL",
            "communicationDateTime": "2022-06-22T08:00:00.000+02:00[Europe/Berlin]",
        }
    )
    headers = {"x-api-key": KEY, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:

        async def send() -> None:
            for number in numbers:
                url = f"{address}/v1/communications/{number + 1}/threads/{number + 1}"
                async with session.put(url, data=body) as response:
                    await response.read()
                    assert response.status == 200

        stopwatch = Stopwatch()
        await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
        return stopwatch.stop()


async def _on_sqlite(address: str) -> Cost:
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        return await _deliver(f"sqlite:///{folder}/syncd.db", Path(folder), address)


async def _on_postgresql(address: str) -> Cost:
    async with empty_postgresql() as url:
        with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
            return await _deliver(url, Path(folder), address)


async def _deliver(url: str, folder: Path, address: str) -> Cost:
    """Fill an outbox, deliver all of it, and see that it was."""
    await fill(url, Filling(THREADS, NUMBER, Waiting.ALL, api="api", read_at=datetime.now(UTC)))
    database = open_database(url)
    with (folder / "log").open("w") as log:
        configure_log("INFO", "json", log)
        sender = await make_sender(database, folder, address, "api")
        dispatcher = Dispatcher(sender, allowed())
        stopwatch = Stopwatch()
        running = asyncio.create_task(dispatcher.run())
        await _until_all_delivered(dispatcher)
        cost = stopwatch.stop()
        await dispatcher.stop()
        await running
        await sender.api.close()
    sender.high_water.close()
    states = await database.read(
        lambda c: [tuple(row) for row in c.execute(select(delivery.c.state, func.count()).group_by(delivery.c.state))]
    )
    attempts = await database.read(lambda c: c.execute(select(func.count()).select_from(attempt)).scalar_one())
    await database.close()
    assert (states, attempts) == ([("delivered", NUMBER)], NUMBER), (states, attempts)
    return cost


async def make_sender(
    database: Database, folder: Path, address: str, api: str, requests_per_minute: float = 1e9
) -> Sender:
    """Return what sends at one api, as the daemon makes it."""
    clock = SystemClock()
    high_water = HighWater(folder / f"{api}.high-water")
    identity = await database.read(database_id)
    high_water.open(identity, await database.read(restored.attempt_counter))

    async def refresh(_outgoing: Outgoing) -> float | None:
        raise AssertionError("nothing has waited so long that it is read again")

    return Sender(
        policy=ApiPolicy(api, ZoneInfo("Europe/Berlin"), requests_per_minute, IN_FLIGHT),
        api=OpenApi(address, SecretStr(KEY), clock=clock, connections=IN_FLIGHT),
        database=database,
        clock=clock,
        worker="bench",
        high_water=high_water,
        refresh=refresh,
        jitter=lambda: 0.0,
    )


def allowed() -> asyncio.Event:
    """Return the leave to send."""
    leave = asyncio.Event()
    leave.set()
    return leave


async def _until_all_delivered(dispatcher: Dispatcher) -> None:
    while not dispatcher.idle:  # noqa: ASYNC110 - it says so, and has no event for it
        await asyncio.sleep(0.005)
