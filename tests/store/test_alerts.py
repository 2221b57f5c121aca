"""Which alerts stand, as the database keeps them for all workers."""

from datetime import timedelta

import asyncpg
import pytest

from syncd.model.alert import Alert, News
from syncd.store import alerts
from syncd.store.database import open_database
from syncd.store.schema import ensure_schema


async def test_alerts_come_back_as_they_were_stored(filled) -> None:
    """Every field; what is decided away is gone, and the others stay."""
    at = filled.now
    one = Alert("api berlin", "api_paused", "is paused", at)
    told = Alert("parked deliveries", "parked", "wait", at, 7, at + timedelta(hours=1), 3, News.CLEARED, 2, at)
    await filled.do(alerts.change, lambda _: {one.subject: one, told.subject: told})
    assert await filled.do(alerts.load) == {one.subject: one, told.subject: told}
    await filled.do(alerts.change, lambda known: {told.subject: known[told.subject]})
    assert await filled.do(alerts.load) == {told.subject: told}


@pytest.mark.postgresql
async def test_a_worker_that_stands_still_is_not_waited_for(postgresql_url) -> None:
    """Who changes alerts may be frozen within its transaction; another one is told so, and waits for nothing."""
    database = open_database(postgresql_url)
    await ensure_schema(database, migrate=True)
    frozen = await asyncpg.connect(postgresql_url)
    async with frozen.transaction():
        await frozen.execute("SELECT pg_advisory_xact_lock($1)", alerts.ALERT_KEY)
        assert not await database.write(lambda c: alerts.change(c, dict))
    assert await database.write(lambda c: alerts.change(c, dict))
    await frozen.close()
    await database.close()
