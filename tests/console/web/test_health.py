"""Whether it is alive, whether it goes on, and what of it does not."""

import json
from datetime import timedelta

import pytest_asyncio

from syncd.model.health import PauseCause
from syncd.service.settings_models import ConsoleSettings
from syncd.store import health
from tests.console.web.monitored import Monitored

TOKEN = "a-token-for-whoever-looks-01"


@pytest_asyncio.fixture
async def monitored(world):
    """Return a world with its addresses."""
    async with Monitored(world).served() as made:
        await world.sweep()
        yield made


async def test_all_is_well(monitored) -> None:
    """Alive, ready, and nothing to warn of."""
    assert await monitored.get("/healthz") == (200, '{"alive": true}')
    status, text = await monitored.get("/readyz")
    assert (status, json.loads(text)) == (200, {"ready": True, "problems": [], "warnings": []})


async def test_a_stuck_lane_is_not_ready(monitored) -> None:
    """The lane is named; it is alive all the same."""
    monitored.stuck = ["api berlin"]
    status, text = await monitored.get("/readyz")
    assert (status, json.loads(text)["problems"]) == (503, ["api berlin makes no progress"])
    assert (await monitored.get("/healthz"))[0] == 200


async def test_a_database_that_cannot_be_read_is_not_ready(monitored) -> None:
    """What looks into it says so; being alive needs no database."""
    await monitored.world.database.write(lambda c: c.exec_driver_sql("ALTER TABLE system_state RENAME TO gone"))
    status, text = await monitored.get("/readyz")
    assert (status, json.loads(text)["problems"]) == (503, ["the database cannot be read"])
    assert (await monitored.get("/healthz"))[0] == 200


async def test_what_waits_in_order_is_a_warning(monitored) -> None:
    """A paused api and a silent system need somebody, and no restart: 200, each named, without a vendor's words."""
    now = monitored.world.clock.now()
    later = now + timedelta(hours=1)
    await monitored.world.database.write(
        lambda c: (
            health.pause_api(c, "berlin", PauseCause.KEY, "the words of the vendor", now),
            health.note_sweep_failure(c, "desk", "the words of the vendor", later, now),
        )
    )
    await monitored.world.pass_time(360)
    status, text = await monitored.get("/readyz")
    found = {one["subject"]: one["kind"] for one in json.loads(text)["warnings"]}
    assert (status, found) == (200, {"api berlin": "api_paused", "system desk": "system_silent"})
    assert "vendor" not in text


async def test_being_alive_is_told_to_everybody(monitored) -> None:
    """Through a proxy, without the token: `/healthz` answers, and `/readyz` wants it."""
    console = ConsoleSettings(listen="127.0.0.1:0", token=TOKEN)
    monitored.settings = monitored.settings.model_copy(update={"console": console})
    proxied = {"X-Forwarded-For": "192.0.2.1"}
    assert (await monitored.get("/healthz", **proxied))[0] == 200
    assert (await monitored.get("/readyz", **proxied))[0] == 401
    assert (await monitored.get("/readyz", **proxied, Authorization=f"Bearer {TOKEN}"))[0] == 200
