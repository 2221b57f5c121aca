"""Reads and writes: shared commits, isolation of failures, what is said when the database does not answer."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from syncd.model.errors import StoreError, SyncdError
from syncd.store import tables
from syncd.store.database import Connection, Database, open_database


def put(name: str, value: str = "x"):
    """Return an operation that inserts one row."""
    return lambda c: c.execute(tables.meta.insert().values(name=name, value=value)) and name


async def names(database: Database) -> set[str]:
    """Return the names of the rows that are there."""
    rows = await database.read(lambda c: c.execute(tables.meta.select()).all())
    return {row.name for row in rows} - {"database_id"}


class Counted:
    """A backend that counts the commits of another one."""

    def __init__(self, backend) -> None:
        self._backend, self.dialect, self.commits = backend, backend.dialect, 0

    async def read(self, operation):
        return await self._backend.read(operation)

    async def transact(self, operations):
        self.commits += 1
        return await self._backend.transact(operations)

    async def close(self) -> None:
        await self._backend.close()


async def test_writes_that_wait_together_share_a_commit(database: Database) -> None:
    """A hundred writes at once are kept, with far fewer commits than writes."""
    counted = Counted(database.backend)
    shared = Database(counted, database.where)
    results = await asyncio.gather(*(shared.write(put(f"row {n}")) for n in range(100)))
    assert results == [f"row {n}" for n in range(100)]
    assert len(await names(database)) == 100
    assert counted.commits <= 5


async def test_one_bad_write_fails_alone(database: Database) -> None:
    """An operation that fails takes none of those that share its commit with it."""
    await database.write(put("there"))
    outcomes = await asyncio.gather(
        database.write(put("before")),
        database.write(put("there")),
        database.write(put("after")),
        return_exceptions=True,
    )
    assert outcomes[0] == "before"
    assert isinstance(outcomes[1], StoreError)
    assert outcomes[2] == "after"
    assert await names(database) == {"there", "before", "after"}


async def test_a_failed_operation_leaves_nothing(database: Database) -> None:
    """What an operation wrote before it failed is not kept."""

    def half(connection: Connection) -> None:
        put("half")(connection)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await database.write(half)
    assert await names(database) == set()


async def test_errors_of_the_database_hold_no_values(database: Database) -> None:
    """The message of a failed statement names the database and never a value that it carried."""
    await database.write(put("there"))
    with pytest.raises(StoreError) as caught:
        await database.write(put("there", "a very private sentence"))
    assert "a very private sentence" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_cancelled_waiter_does_not_stop_the_commit(database: Database) -> None:
    """Whoever stops waiting for a write leaves the others' commit alone."""
    first = asyncio.create_task(database.write(put("first")))
    second = asyncio.create_task(database.write(put("second")))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "second"
    assert "second" in await names(database)


async def test_sqlite_runs_with_the_settings_that_the_promise_needs(sqlite_url: str) -> None:
    """WAL, synchronous FULL and immediate transactions are on for every connection."""
    database = open_database(sqlite_url)
    pragma = {
        name: await database.read(lambda c, name=name: c.execute(text(f"PRAGMA {name}")).scalar_one())
        for name in ("journal_mode", "synchronous", "foreign_keys")
    }
    await database.close()
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


async def test_two_processes_lose_no_update(database: Database, database_url: str) -> None:
    """Read-modify-write from two connections at once loses no update."""
    await database.write(put("counter", "0"))
    other = open_database(database_url)

    def add_one(connection: Connection) -> None:
        lock = tables.meta.select().where(tables.meta.c.name == "counter").with_for_update()
        value = int(connection.execute(lock).one().value)
        connection.execute(tables.meta.update().where(tables.meta.c.name == "counter").values(value=str(value + 1)))

    async def many(one: Database) -> None:
        for _ in range(50):
            await one.write(add_one)

    await asyncio.gather(many(database), many(other))
    await other.close()
    row = await database.read(lambda c: c.execute(tables.meta.select().where(tables.meta.c.name == "counter")).one())
    assert row.value == "100"


@pytest.mark.postgresql
async def test_postgresql_without_synchronous_commit_is_refused(postgresql_url: str) -> None:
    """A PostgreSQL that may lose its last commits in a power cut is refused, with the cure."""

    admin = await asyncpg.connect(postgresql_url)
    name = postgresql_url.rpartition("/")[2]
    await admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    await admin.close()
    database = open_database(postgresql_url)
    with pytest.raises(StoreError, match="synchronous_commit = off"):
        await database.write(lambda c: c.execute(text("SELECT 1")))
    await database.close()


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    """A PostgreSQL that does not answer is named by its address, without the password."""
    database = open_database("postgresql://syncd:secret-word@127.0.0.1:1/syncd")
    with pytest.raises(StoreError) as caught:
        await database.read(lambda c: c.execute(text("SELECT 1")))
    await database.close()
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:"])
async def test_addresses_of_other_kinds_are_refused(url: str) -> None:
    """An address that is neither a SQLite file nor PostgreSQL is refused with what to write instead."""
    with pytest.raises(SyncdError, match="sqlite:////path"):
        open_database(url)


async def test_a_text_that_cannot_be_read_is_not_quoted(tmp_path: Path) -> None:
    """SQLite's words about a damaged text hold that text, which is a message; ours say what kind of error it was."""
    database = open_database(f"sqlite:///{tmp_path}/syncd.db")
    damaged = text("SELECT CAST(x'7768657265206973206d79206361726420ff' AS TEXT)")  # "where is my card", and a bad byte
    with pytest.raises(StoreError) as caught:
        await database.read(lambda c: c.execute(damaged).all())
    await database.close()
    assert "where is my card" not in str(caught.value)
    assert "OperationalError" in str(caught.value)
