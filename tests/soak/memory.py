"""`python -m tests.soak.memory`: the memory of the real worker alone, before, in and after long outages of the API.

The long run (`python -m tests.soak`) has both ends in its own process, so what they hold and what the allocator keeps
of it is in its figures. Here the worker is a process of its own, and nothing else is looked at.
"""

import argparse
import asyncio
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.end_to_end.conftest import Stage
from tests.soak.measuring import PAGE_BYTES

MOST_GROWTH = 1.10
FILLING = 2
"""So many outages fill what has a bound: the pages and the statements that each connection to SQLite keeps."""

TICKETS = 200
SETTINGS = "in_flight = 16\nrequests_per_minute = 1000000\n"


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.memory", description=__doc__)
    parser.add_argument("--waiting", type=int, default=20_000, help="replies that pile up in each outage")
    parser.add_argument("--outages", type=int, default=4, help="the first two fill what is filled once")
    options = parser.parse_args()
    if options.outages <= FILLING:
        parser.error(f"--outages must be more than {FILLING}")
    with tempfile.TemporaryDirectory() as folder:
        after = asyncio.run(_run(Path(folder), options.waiting, options.outages))
    grown = max(after[FILLING:]) / after[FILLING - 1]
    print(f"after the later outages at most {grown:.2f} times what it was after the first {FILLING}")
    return 0 if grown <= MOST_GROWTH else 1


async def _run(folder: Path, waiting: int, outages: int) -> list[float]:
    stage = Stage(folder)
    await stage.open()
    try:
        stage.write_settings(more=SETTINGS)
        stage.more_environ["SYNCD_SYSTEMS__DESK__REQUESTS_PER_MINUTE"] = "1000000"
        long_ago = stage.clock.now() - timedelta(hours=1)
        for number in range(TICKETS):
            ticket = stage.helpdesk.create_ticket(f"Ticket {number}", "first message", at=long_ago)
            await stage.link(ticket)
        worker = await stage.start()
        await worker.until_ready()
        print(f"ready: {_megabytes(worker.process.pid):.1f} MB", flush=True)
        return [await _outage(stage, worker.process.pid, waiting) for _ in range(outages)]
    finally:
        await stage.close()


async def _outage(stage: Stage, pid: int, waiting: int) -> float:
    """Let replies pile up without the API, let it come back, and return the worker's MB when all are through."""
    port = int(stage.sandbox.base_url.rpartition(":")[2])
    await stage.sandbox.stop()
    for number in range(waiting):
        stage.helpdesk.customer_reply(stage.watched[number % TICKETS].ticket.id, f"reply {number}")
    await _until_pending(stage, waiting)
    full = _megabytes(pid)
    had = len(stage.sandbox.communications)
    await stage.sandbox.start(port=port)
    async with asyncio.timeout(3600):
        while len(stage.sandbox.communications) < had + waiting:  # noqa: ASYNC110 - another process sends them
            await asyncio.sleep(0.1)
    await _until_pending(stage, 0)
    assert len({one.body["content"] for one in stage.sandbox.communications[had:]}) == waiting
    stage.sandbox.communications.clear()
    for one in stage.watched:
        del one.ticket.replies[:-1]
    print(f"{waiting} waiting: {full:.1f} MB; all through: {_megabytes(pid):.1f} MB", flush=True)
    return _megabytes(pid)


async def _until_pending(stage: Stage, number: int) -> None:
    async with asyncio.timeout(3600):
        while True:
            states = await stage.states()
            if states.get("pending", 0) + states.get("sending", 0) == number:
                return
            await asyncio.sleep(0.5)


def _megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES / 1e6


if __name__ == "__main__":
    sys.exit(main())
