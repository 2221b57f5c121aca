"""The memory of the service with a big database: when it is ready, and after work of a day or more.

The worker is a process of its own, and only that is looked at. Both ends are in this process. Replies come in waves,
each of which piles up while the API is away, as that is when most is held; between them are sweeps of nothing new.
"""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from bench.figures import Better, Figure
from bench.filled import Filling, fill
from bench.measure import resident_megabytes
from syncd.model.clock import SystemClock
from syncd.model.communication import Thread
from syncd.model.link import NewLink
from syncd.model.ticket import TicketRef
from syncd.store import health, links
from syncd.store.database import Connection, open_database
from syncd.testing.helpdesk import DeskTicket, Helpdesk
from syncd.testing.sandbox import Sandbox

TARGET_MEGABYTES = 120.0
MOST_GROWTH = 1.10
FILLING_WAVES = 2
"""So many waves fill what has a bound: caches of pages and of statements."""

WAVES_AT_LEAST, REPLIES, TICKETS, QUIET_SECONDS = 6, 1000, 200, 10
LONGEST_SECONDS = 300.0

SETTINGS = """\
timezone = "Europe/Berlin"
[database]
url = "sqlite:///{file}"
[api.berlin]
base_url = "{api}"
api_key = "key-berlin"
requests_per_minute = 1000000
[systems.desk]
adapter = "in_memory"
poll_seconds = 1
requests_per_minute = 1000000
[systems.desk.options]
base_url = "{desk}"
token = "{token}"
"""


async def run(rounds: int) -> list[Figure]:
    """Measure one worker over as many waves as rounds, and six at least."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await fill(f"sqlite:///{folder / 'syncd.db'}", Filling())
        ready, after = await _live(folder, max(rounds, WAVES_AT_LEAST))
    peak, filled = max(after), after[FILLING_WAVES - 1]
    parts = {f"MB after wave {number}": one for number, one in enumerate(after, 1)}
    growth = max(after[FILLING_WAVES:]) / filled
    return [
        Figure("memory when ready", ready, "MB", "", TARGET_MEGABYTES, Better.LESS, tolerance=0.1),
        Figure("memory at its highest", peak, "MB", "", TARGET_MEGABYTES, Better.LESS, tolerance=0.1, parts=parts),
        Figure("memory later", growth, "times", f"after {FILLING_WAVES} waves", MOST_GROWTH, Better.LESS, parts=parts),
    ]


async def _live(folder: Path, waves: int) -> tuple[float, list[float]]:
    clock = SystemClock()
    communications = 0

    def count(_: object) -> None:
        nonlocal communications
        communications += 1

    sandbox = Sandbox({"key-berlin": "berlin"}, clock=clock, requests_per_minute=10**9, on_communication=count)
    desk = Helpdesk(clock, page_size=100)
    await desk.start()
    await sandbox.start()
    port = int(sandbox.base_url.rpartition(":")[2])
    try:
        tickets = await _prepare(folder, desk, sandbox)
        async with _worker(folder) as pid:
            ready, after = resident_megabytes(pid), []
            for number in range(waves):
                await sandbox.stop()
                for place in range(REPLIES):
                    desk.customer_reply(tickets[place % TICKETS].id, f"wave {number}, reply {place}")
                await asyncio.sleep(QUIET_SECONDS)
                await sandbox.start(port=port)
                async with asyncio.timeout(LONGEST_SECONDS):
                    while communications < (number + 1) * REPLIES:  # noqa: ASYNC110 - another process sends them
                        await asyncio.sleep(0.1)
                await asyncio.sleep(QUIET_SECONDS)
                after.append(resident_megabytes(pid))
                for ticket in tickets:
                    del ticket.replies[:-1]
            return ready, after
    finally:
        await sandbox.stop()
        await desk.close()


async def _prepare(folder: Path, desk: Helpdesk, sandbox: Sandbox) -> list[DeskTicket]:
    """Write the settings, and link tickets that are alive, beside those that are in the database already."""
    file, config = folder / "syncd.db", folder / "config.toml"
    config.touch(mode=0o600)
    values = {"file": file, "api": sandbox.base_url, "desk": desk.base_url, "token": desk.token}
    config.write_text(SETTINGS.format(**values), encoding="utf-8")
    now = desk.clock.now()
    tickets = [desk.create_ticket(f"Locker {n}", "first", at=now - timedelta(hours=1)) for n in range(TICKETS)]

    def link(connection: Connection) -> None:
        for place, ticket in enumerate(tickets):
            thread = Thread("berlin", 7, 10_000_000 + place)
            links.add(connection, NewLink(thread, "desk", TicketRef(number=ticket.number), now), now)
        # The daily look at every link is left out: the stand-in has no tickets of those that were filled in.
        health.note_full_sweep(connection, "desk", now, 0, 1)

    database = open_database(f"sqlite:///{file}")
    await database.write(link)
    await database.close()
    return tickets


@asynccontextmanager
async def _worker(folder: Path) -> AsyncIterator[int]:
    """Start the service and yield its process id once it is ready."""
    notify, environ = folder / "notify", {k: v for k, v in os.environ.items() if not k.startswith("SYNCD_")}
    environ |= {"SYNCD_CONFIG": str(folder / "config.toml"), "NOTIFY_SOCKET": str(notify)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, (folder / "worker.log").open("wb") as log:
        manager.setblocking(False)
        manager.bind(str(notify))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "syncd", "run", env=environ, stdout=log, stderr=log
        )
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                while b"READY=1" not in await asyncio.get_running_loop().sock_recv(manager, 4096):
                    pass
            yield process.pid
        finally:
            process.terminate()
            await process.wait()
