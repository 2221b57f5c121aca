"""The schema: made by migrations, the same on both databases, refused when it is newer."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from syncd.model.errors import StoreError
from syncd.store import schema, tables
from syncd.store.database import Connection, Database, open_database


async def test_migrations_and_tables_say_the_same(database: Database) -> None:
    """A database made by the migrations has exactly the tables, columns and indexes that the code declares."""

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, tables.metadata))

    assert await database.read(differences) == []


async def test_a_missing_database_is_created_with_an_identity(database: Database) -> None:
    """Whoever opens a missing database gets one with the latest revision and an id of its own."""
    assert await database.read(schema.read_version) == schema.LATEST
    assert len(await database.read(schema.database_id)) == 32


async def test_a_newer_database_is_refused_and_left_alone(database: Database) -> None:
    """A revision that this program does not know is refused with a clear message, and nothing is changed."""
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(StoreError, match=r"schema 9999.*newer than this syncd"):
        await schema.ensure_schema(database, migrate=True)
    assert await database.read(schema.read_version) == "9999"


async def test_an_older_database_is_migrated_only_when_asked(database: Database) -> None:
    """An older revision is named with the command that migrates it."""
    assert schema.compare("0001") is schema.SchemaState.CURRENT
    assert schema.compare(None) is schema.SchemaState.MISSING
    assert schema.compare("0002") is schema.SchemaState.NEWER


async def test_instants_come_back_aware_and_equal(database: Database) -> None:
    """An instant of any zone is read back as the same instant, aware, in UTC; a naive one is refused."""
    instant = datetime(2026, 10, 25, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    row = {"system": "support", "start_at": instant, "stored_at": instant}
    await database.write(lambda c: c.execute(tables.cursor.insert().values(row)))
    read = await database.read(lambda c: c.execute(tables.cursor.select()).one())
    assert read.stored_at == instant
    assert read.stored_at.tzinfo is UTC
    naive = row | {"system": "other", "stored_at": instant.replace(tzinfo=None)}
    with pytest.raises(StoreError):
        await database.write(lambda c: c.execute(tables.cursor.insert().values(naive)))


async def test_a_file_that_is_no_database_is_named(tmp_path) -> None:
    """A file of another kind gives one message that names it, and stays as it was."""
    file = tmp_path / "syncd.db"
    file.write_bytes(b"this is no database at all, but a long enough text to be read as one" * 20)
    database = open_database(f"sqlite:///{file}")
    with pytest.raises(StoreError, match=r"syncd\.db"):
        await schema.ensure_schema(database, migrate=True)
    await database.close()
    assert file.read_bytes().startswith(b"this is no database")
