"""Three hundred apis at once, each with all that its pace lets through, from one process: how many keep it.

One daemon's parts as they are: a dispatcher and connections for each api, one database, one loop. Outboxes are full, so
each api could send at its pace of 900 a minute all the time; what it reaches is counted in a window after all have
begun. Fewer apis are measured too: where they keep their pace and how much CPU they need tells what limits more.
"""

import asyncio
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from bench.answering import answering
from bench.delivery import allowed, make_sender
from bench.figures import Better, Figure
from bench.filled import Filling, Waiting, fill
from bench.measure import Cost, Stopwatch
from syncd.delivery.dispatcher import Dispatcher
from syncd.model.delivery import Outcome
from syncd.model.meter import Hops, Unmetered
from syncd.service.log import configure_log
from syncd.store.database import open_database

PER_MINUTE = 900.0
NUMBERS = (25, 50, 100, 300)
WARM_UP_SECONDS = 10.0
WINDOW_SECONDS = 20.0
THREADS_EACH = 60
REPLIES_EACH = 16
"""For each api more than its pace lets through in that time."""


class Counting(Unmetered):
    """Counts what each api has delivered."""

    def __init__(self) -> None:
        self.delivered: Counter[str] = Counter()

    def attempted(self, api: str, outcome: Outcome, hops: Hops | None) -> None:  # noqa: ARG002 - as the Meter has it
        """Count a delivery."""
        self.delivered[api] += outcome is Outcome.DELIVERED


async def run(rounds: int) -> list[Figure]:  # noqa: ARG001 - a window is as long as many rounds
    """Measure each number of apis once."""
    async with answering() as api:
        return [await _measure(api.address, number) for number in NUMBERS]


async def _measure(address: str, number: int) -> Figure:
    meter = Counting()
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as name:
        cost = await _deliver(address, number, meter, Path(name))
    due = PER_MINUTE / 60 * cost.wall_seconds
    shares = sorted(meter.delivered[f"berlin{one}"] / due for one in range(number))
    return Figure(
        f"{number} apis at 900 a minute each: the slowest of them",
        shares[0],
        "times",
        "its pace",
        0.95,
        Better.MORE,
        shares[0],
        shares[-1],
        parts={
            "deliveries a second": sum(meter.delivered.values()) / cost.wall_seconds,
            "asked for a second": number * PER_MINUTE / 60,
            "CPU seconds a second": cost.cpu_seconds / cost.wall_seconds,
        },
    )


async def _deliver(address: str, number: int, meter: Counting, folder: Path) -> Cost:
    url, links = f"sqlite:///{folder}/syncd.db", number * THREADS_EACH
    await fill(url, Filling(links, links * REPLIES_EACH, Waiting.ALL, apis=number, read_at=datetime.now(UTC)))
    database = open_database(url)
    with (folder / "log").open("w") as log:
        configure_log("INFO", "json", log)
        senders = [await make_sender(database, folder, address, f"berlin{one}", PER_MINUTE) for one in range(number)]
        for sender in senders:
            sender.meter, sender.high_water = meter, senders[0].high_water
        dispatchers = [Dispatcher(sender, allowed()) for sender in senders]
        tasks = [asyncio.create_task(dispatcher.run()) for dispatcher in dispatchers]
        await asyncio.sleep(WARM_UP_SECONDS)
        meter.delivered.clear()
        stopwatch = Stopwatch()
        await asyncio.sleep(WINDOW_SECONDS)
        cost, counted = stopwatch.stop(), Counter(meter.delivered)
        await asyncio.gather(*(dispatcher.stop() for dispatcher in dispatchers))
        await asyncio.gather(*tasks)
        meter.delivered = counted
        for sender in senders:
            await sender.api.close()
    await database.close()
    return cost
