"""The long run in short: the same days with less in them; `make soak` makes it long."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_days_of_trouble_lose_nothing_and_leave_nothing_behind() -> None:
    """Over days of outages, expired credentials, restarts and kills nothing is lost, twice, stuck or left open.

    The run has a process of its own, so that what other tests left in memory does not count.
    """
    plan = ["--days", "2", "--day-hours", "12", "--threads", "20", "--replies-a-day", "40", "--waiting", "300"]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--json", *plan],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
        check=False,
    )
    assert ran.stdout, ran.stderr
    report = json.loads(ran.stdout)
    assert report["problems"] == []
    assert ran.returncode == 0
    assert (report["restarts"], report["kills"], report["waited"]) == (3, 3, 300)
    assert report["in_doubt"] >= 3, "no request was on the wire when the process was killed, so nothing was tried"
    assert report["delivered"] + report["in_doubt"] >= report["written"]
    assert report["watchdog_fed"] > 1000


async def test_waiting_for_an_api_is_not_being_stuck(world) -> None:
    """While an API is away for hours its dispatcher makes progress by itself, so the watchdog goes on being fed."""
    await world.begin()
    ticket = world.ticket()
    await world.link(ticket)
    await world.sync()
    await world.sandbox.stop()
    for number in range(3):
        world.helpdesk.customer_reply(ticket.id, f"waiting {number}")
    await world.sweep()
    for _ in range(60):
        await world.pass_time(60)
        assert world.parts.stuck() == []
