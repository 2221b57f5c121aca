"""Writing PostgreSQL's tables anew by a role that may not: it is said, as what was erased is still in the files."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import update
from sqlalchemy.engine import make_url

from syncd.model.clock import SystemClock
from syncd.store import scrub
from syncd.store.database import open_database
from syncd.store.schema import ensure_schema
from syncd.store.tables import decision

from .raw import files_with

pytestmark = pytest.mark.postgresql

PLANTED = "PLANTED-TO-BE-ERASED"


@pytest_asyncio.fixture
async def guest_url(postgresql_url: str) -> AsyncIterator[str]:
    """Return the address for a role that may read and write every row, and owns none of the tables."""
    database = open_database(postgresql_url)
    await ensure_schema(database, migrate=True)
    await database.close()
    name, password = f"guest_{secrets.token_hex(6)}", secrets.token_hex(16)
    owner = await asyncpg.connect(postgresql_url)
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    await owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
    yield make_url(postgresql_url).set(username=name, password=password).render_as_string(hide_password=False)
    await owner.execute(f"DROP OWNED BY {name}")
    await owner.execute(f"DROP ROLE {name}")
    await owner.close()


async def test_tables_of_another_role_are_not_left_out_in_silence(guest_url: str, postgresql_url: str) -> None:
    """PostgreSQL only warns of them: the reason is returned, and as the owner of the tables it is done."""
    owner = open_database(postgresql_url)
    values = {"decided_at": datetime.now(UTC), "who": "", "action": "", "subject": "", "reason": PLANTED}
    await owner.write(lambda c: c.execute(decision.insert().values(values)))
    await owner.write(lambda c: c.execute(update(decision).values(reason="")))
    await owner.close()
    clock = SystemClock()
    reason = await scrub.rewrite(guest_url, clock, wait_seconds=2)
    assert reason == 'this role may not write the table "delivery" anew; let the owner of the tables run it'
    assert await files_with(postgresql_url, PLANTED) == ["decision"]
    assert await scrub.rewrite(postgresql_url, clock, wait_seconds=2) is None
    assert await files_with(postgresql_url, PLANTED) == []
