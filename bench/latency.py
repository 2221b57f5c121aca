"""How late a reply is: from the answer of a real Request Tracker to its writing until the API has its communication.

A real Request Tracker (tests/servers/request_tracker.sh), the daemon as a process of its own, and the sandbox as the
API. Replies are written one by one at random moments, in step with no poll. What can be had is given by the poll: at
best a reply waits between nothing and one interval, so the 95th percentile of the best is 0.95 of it.
"""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import Request, urlopen

from bench.figures import Better, Figure
from syncd.model.clock import SystemClock
from syncd.testing.sandbox import Received, Sandbox

SCRIPT = Path(__file__).parents[1] / "tests" / "servers" / "request_tracker.sh"
PORT = "8095"
"""Not the one of the tests: each port has a database of its own, so that neither disturbs the other."""

POLL_SECONDS = 1.0
MAY_TAKE_SECONDS = 0.3
TICKETS = 10
WRITTEN_EACH_ROUND = 12
WARM_UP = 3
LONGEST_SECONDS = 20.0


async def run(rounds: int) -> list[Figure]:
    """Measure with a dozen replies for each round, if there is a Request Tracker."""
    status = await _script("status")
    if status.get("STATUS") == "missing":
        print(f"no Request Tracker, so no figure; as root: {SCRIPT} install")
        return []
    tracker = Tracker(await _script("start"))
    try:
        delays = await _measure(tracker, rounds * WRITTEN_EACH_ROUND)
    finally:
        if status.get("STATUS") != "running":
            await _script("stop")
    return _figures(delays)


@dataclass(frozen=True, slots=True)
class Delay:
    """How late one reply was, in seconds: until syncd had it in its outbox, and until the API had it."""

    taken_in: float
    received: float


@dataclass(frozen=True, slots=True)
class Tracker:
    """A running Request Tracker, as its script tells of it."""

    values: dict[str, str] = field(repr=False)

    @property
    def base_url(self) -> str:
        """Return its address."""
        return self.values["BASE_URL"]

    async def post(self, path: str, body: dict[str, str]) -> Any:
        """Write as the customer, and return the answer."""
        return await asyncio.to_thread(self._post, path, body)

    def _post(self, path: str, body: dict[str, str]) -> Any:
        headers = {"Authorization": f"token {self.values['CUSTOMER_TOKEN']}", "Content-Type": "application/json"}
        request = Request(f"{self.base_url}/REST/2.0{path}", json.dumps(body).encode(), headers)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    async def open_ticket(self, number: int) -> str:
        """Make a ticket and return its number."""
        ticket = {"Queue": self.values["QUEUE"], "Requestor": "carla@customer.test", "Subject": f"Locker {number}"}
        return str((await self.post("/ticket", ticket | {"Content": "It does not close."}))["id"])

    async def reply(self, ticket: str, text: str) -> None:
        """Write a reply."""
        await self.post(f"/ticket/{ticket}/correspond", {"Content": text, "ContentType": "text/plain"})


async def _measure(tracker: Tracker, number: int) -> list[Delay]:
    await _script("reset")
    tickets = [await tracker.open_ticket(index) for index in range(TICKETS)]
    arrived: dict[str, datetime] = {}

    def note(received: Received) -> None:
        arrived[received.body["content"]] = received.received_at

    async with Sandbox({"sandbox-key": "berlin"}, clock=SystemClock(), on_communication=note) as sandbox:
        with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
            config = _configure(Path(folder), tracker, sandbox.base_url)
            await _link(config, tickets)
            async with _daemon(config):
                written = await _write(tracker, tickets, number + WARM_UP, arrived)
            taken_in = _taken_in(Path(folder) / "syncd.db")
    counted = list(written.items())[WARM_UP:]
    return [Delay((taken_in[text] - at).total_seconds(), (arrived[text] - at).total_seconds()) for text, at in counted]


async def _write(
    tracker: Tracker, tickets: list[str], number: int, arrived: dict[str, datetime]
) -> dict[str, datetime]:
    """Write replies at random moments, wait until all have arrived, and return when each was there."""
    chance = random.Random(7)
    written: dict[str, datetime] = {}
    for index in range(number):
        text = f"Reply {index}: could somebody have a look at it?"
        await tracker.reply(chance.choice(tickets), text)
        written[text] = datetime.now(UTC)
        if index < WARM_UP:
            await _until(written, arrived)
        await asyncio.sleep(chance.uniform(0.5, 0.5 + 1.5 * POLL_SECONDS))
    await _until(written, arrived)
    return written


async def _until(written: dict[str, datetime], arrived: dict[str, datetime]) -> None:
    async with asyncio.timeout(LONGEST_SECONDS):
        while not written.keys() <= arrived.keys():  # noqa: ASYNC110 - nothing that is measured waits for this
            await asyncio.sleep(0.05)


def _taken_in(path: Path) -> dict[str, datetime]:
    """Return when each reply stood in the outbox."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT content, created_at FROM delivery").fetchall()
    return {content: datetime.fromisoformat(at).replace(tzinfo=UTC) for content, at in rows}


def _configure(folder: Path, tracker: Tracker, api: str) -> Path:
    config = folder / "config.toml"
    config.write_text(
        f"""
        timezone = "Europe/Berlin"
        [database]
        url = "sqlite:///{folder}/syncd.db"
        [api.berlin]
        base_url = "{api}"
        api_key = "sandbox-key"
        [systems.support]
        adapter = "request_tracker"
        poll_seconds = {POLL_SECONDS:g}
        requests_per_minute = 6000
        [systems.support.options]
        base_url = "{tracker.base_url}"
        token = "{tracker.values["READER_TOKEN"]}"
        """,
        encoding="utf-8",
    )
    return config


async def _link(config: Path, tickets: list[str]) -> None:
    lines = ["api,customer_id,thread_id,system,ticket_number,ticket_link,from"]
    lines += [f"berlin,{1000 + n},{2000 + n},support,{ticket},,now" for n, ticket in enumerate(tickets)]
    links = config.with_name("links.csv")
    links.write_text("\n".join(lines), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "syncd", "--config", str(config), "links", "import", str(links)],
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait():
        raise RuntimeError("the links were not taken in")


@asynccontextmanager
async def _daemon(config: Path) -> AsyncIterator[None]:
    with config.with_name("daemon.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "syncd", "run", "--config", str(config)], stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _script(command: str) -> dict[str, str]:
    """Run the script of the server and return the KEY=VALUE lines that it printed."""
    return await asyncio.to_thread(_run_script, command)


def _run_script(command: str) -> dict[str, str]:
    # Not as a process of the event loop: uvloop lets the server that is started inherit the pipe, which never ends.
    environment = {**os.environ, "SYNCD_RT_PORT": PORT}
    done = subprocess.run([SCRIPT, command], env=environment, text=True, stdout=subprocess.PIPE, check=True)
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _figures(delays: list[Delay]) -> list[Figure]:
    received = [delay.received for delay in delays]
    parts = {
        "replies": float(len(delays)),
        "seconds, p50": median(received),
        "seconds, p95": percentile(received, 0.95),
        "seconds until taken in, p50": median(delay.taken_in for delay in delays),
        "seconds until taken in, p95": percentile([delay.taken_in for delay in delays], 0.95),
        "seconds from there until received, p50": median(delay.received - delay.taken_in for delay in delays),
        "seconds from there until received, p95": percentile([d.received - d.taken_in for d in delays], 0.95),
    }
    limit = (POLL_SECONDS + MAY_TAKE_SECONDS) / POLL_SECONDS
    name, against = "reply to delivered, Request Tracker", f"the poll interval of {POLL_SECONDS:g} s"
    low, high = min(received) / POLL_SECONDS, max(received) / POLL_SECONDS
    p50, p95 = parts["seconds, p50"] / POLL_SECONDS, parts["seconds, p95"] / POLL_SECONDS
    return [
        Figure(f"{name}, p50", p50, "times", against, None, Better.LESS, low, high, parts=parts),
        Figure(f"{name}, p95", p95, "times", against, limit, Better.LESS, low, high, parts=parts),
    ]


def percentile(values: list[float], share: float) -> float:
    """Return the value that a share of all values do not exceed."""
    return sorted(values)[ceil(share * len(values)) - 1]
