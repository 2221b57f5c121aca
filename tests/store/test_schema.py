"""The schema: made by migrations, the same on both databases, refused when it is newer."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

from syncd.model.errors import StoreError
from syncd.store import restored, schema, tables
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
    assert schema.compare(schema.LATEST) is schema.SchemaState.CURRENT
    assert schema.compare(schema.VERSIONS[0]) is schema.SchemaState.OLDER
    assert schema.compare(None) is schema.SchemaState.MISSING
    assert schema.compare("9999") is schema.SchemaState.NEWER


MADE_BY_0001 = """
INSERT INTO meta VALUES ('database_id', '0123456789abcdef0123456789abcdef');
INSERT INTO thread (id, api, customer_id, thread_id, refusals) VALUES (1, 'berlin', 7, 500, 0);
INSERT INTO attempt (id, delivery_id, number, reason, worker, status_carried, started_at)
    VALUES (41, 1, 1, 'schedule', 'old:1', 'ONGOING', '2026-03-02 12:00:00')
"""


async def test_a_database_of_the_first_schema_is_upgraded_with_what_is_in_it(database_url: str) -> None:
    """Tables made by 0001, with rows in them, become those of today; the rows, the identity and the counter stay."""
    database = open_database(database_url)

    def make_old(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(schema.MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in MADE_BY_0001.split(";"):
            connection.execute(text(statement))

    await database.write(make_old)
    with pytest.raises(StoreError, match="run `syncd db upgrade`"):
        await schema.ensure_schema(database, migrate=False)
    await schema.ensure_schema(database, migrate=True)
    assert await database.read(schema.read_version) == schema.LATEST
    assert await database.read(schema.database_id) == "0123456789abcdef" * 2
    assert await database.read(restored.attempt_counter) == 41
    assert await database.read(lambda c: c.execute(tables.lease.select()).all()) == []
    await database.close()


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
