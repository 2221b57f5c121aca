"""kill -9 at random moments of the worker and of the commands beside it, on both databases, with a report."""

import pytest

from tests.crash.harness import IN_FLIGHT, Harness
from tests.crash.report import fresh_seed, number_of_kills

pytestmark = pytest.mark.xdist_group("kill")

USUAL_KILLS = 15
"""On each database; `make crash` makes two hundred."""


async def test_kills_lose_nothing_and_repeat_nothing(stage, database_url, until_true, record_property):
    """Whatever is killed when: every public reply is at the API once, or listed; resolved, it all adds up."""
    stage.url = database_url
    stage.write_settings(more=f"in_flight = {IN_FLIGHT}\nrequests_per_minute = 60000\ntimeout_seconds = 5")
    harness = Harness(stage, until_true, database_url.partition(":")[0], fresh_seed())
    await harness.seed()
    try:
        while harness.report.kills < number_of_kills(USUAL_KILLS):
            await harness.life()
        await harness.settle()
    finally:
        record_property("report", harness.report.text())
        for one in harness.commands:
            one.kill()
    harness.report.check()
    balance = stage.balance()
    assert balance.twice == balance.strangers == ()
    assert len(balance.lost) <= harness.report.skipped
