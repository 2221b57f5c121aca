"""A restored database and the marks of several machines: whichever knows more than the database stops all of them."""

import pytest
import pytest_asyncio
from sqlalchemy import insert

from syncd.model.clock import SystemClock
from syncd.model.health import PauseCause
from syncd.service.settings import Settings, load_settings
from syncd.service.start import is_restored
from syncd.store import health, restored
from syncd.store.database import open_database
from syncd.store.high_water import HighWater
from syncd.store.schema import database_id, ensure_schema
from syncd.store.standing import Decision
from syncd.store.tables import attempt

NOW = SystemClock().now()
KNOWN, SEEN_BY_ONE, SEEN_BY_OTHER = 50, 70, 60
"""The number of the last attempt in the database, and as each machine saw it."""


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Return settings with one api, which every machine has."""
    file = tmp_path / "config.toml"
    file.touch(mode=0o600)
    file.write_text('[database]\nurl = "postgresql://nobody@nowhere/x"\n[api.berlin]\napi_key = "key"\n'
                    'base_url = "http://127.0.0.1:1"\n')  # fmt: skip
    return load_settings(file, {})


@pytest_asyncio.fixture
async def put_back(sqlite_url):
    """Return a database that was put back from a backup and knows some attempts; PostgreSQL is asked the same."""
    database = open_database(sqlite_url)
    await ensure_schema(database, migrate=True)
    values = {
        "delivery_id": 1,
        "number": 1,
        "reason": "schedule",
        "worker": "w",
        "status_carried": "",
        "started_at": NOW,
    }
    await database.write(lambda c: c.execute(insert(attempt).values(id=KNOWN, **values)))
    yield database
    await database.close()


@pytest.fixture
def start(put_back, settings, tmp_path):
    """Return what starts a machine, with the mark that it has; it tells whether that one noticed."""

    async def begin(machine: str, seen: int | None = None) -> bool:
        mark = HighWater(tmp_path / machine / "postgresql.high-water")
        if seen is not None:
            mark.open(await put_back.read(database_id), seen)
            mark.close()
        found = await is_restored(put_back, settings, mark, NOW)
        mark.close()
        return found

    return begin


async def cause(database) -> PauseCause | None:
    """Return why the api is paused, for whoever sends to it."""
    return (await database.read(lambda c: health.get_api(c, "berlin"))).paused_cause


async def test_a_machine_with_a_newer_mark_stops_those_that_cannot_know(put_back, start) -> None:
    """One that was off at the backup goes on, until any other starts; its own start then changes nothing."""
    assert not await start("was off", seen=KNOWN - 20)
    assert await cause(put_back) is None
    assert await start("one", seen=SEEN_BY_ONE)
    assert await cause(put_back) is PauseCause.RESTORED
    assert not await start("was off")
    assert await cause(put_back) is PauseCause.RESTORED


@pytest.mark.parametrize(("declared_at", "noticed_again"), [(SEEN_BY_ONE, False), (SEEN_BY_OTHER, True)])
async def test_declared_on_one_machine_it_holds_for_those_that_saw_no_more(
    put_back, start, declared_at, noticed_again
) -> None:
    """One that saw later attempts than where it was declared stops all once more, which costs a second declaring."""
    for machine, seen in (("one", SEEN_BY_ONE), ("other", SEEN_BY_OTHER)):
        assert await start(machine, seen)
    by = Decision("tester", NOW, "the disk died")
    await put_back.write(lambda c: restored.declare_restored(c, declared_at, by))
    assert await cause(put_back) is None
    assert not await start("other")
    assert await start("one") is noticed_again
    assert (await cause(put_back) is PauseCause.RESTORED) is noticed_again
    await put_back.write(lambda c: restored.declare_restored(c, SEEN_BY_ONE, by))
    assert not await start("one")
    assert await cause(put_back) is None
