"""How PostgreSQL is spoken with is the address's to say: sslmode and its kin count for every connection."""

import pytest

from syncd.model.clock import SystemClock
from syncd.model.errors import StoreError
from syncd.store.database import open_database
from syncd.store.lock import take_lock
from syncd.store.schema import LATEST, ensure_schema, read_version

pytestmark = pytest.mark.postgresql


async def test_plain_text_is_spoken_where_it_is_asked_for(postgresql_url: str):
    """`sslmode=disable` opens the database, and takes its lock."""
    url = f"{postgresql_url}?sslmode=disable"
    database = open_database(url)
    await ensure_schema(database, migrate=True)
    assert await database.read(read_version) == LATEST
    await database.close()
    await (await take_lock(url, "here", SystemClock())).release()


async def test_a_server_without_tls_is_refused_where_tls_is_asked_for(postgresql_url: str):
    """With `sslmode=require` nothing is read from a server that speaks none; the server of the tests does not."""
    database = open_database(f"{postgresql_url}?sslmode=require")
    with pytest.raises(StoreError, match="ConnectionError"):
        await database.read(read_version)
    await database.close()
