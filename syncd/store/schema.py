"""The version of the schema: creating, migrating, and refusing what is newer than this program."""

import secrets
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text

from syncd.model.errors import StoreError
from syncd.store import leases, moved, tables
from syncd.store.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"
VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every revision in order; the last is the one that this program works with."""
LATEST = VERSIONS[-1]
SCHEMA_KEY = 0x736368656D61  # "schema"


class SchemaState(StrEnum):
    """How a database stands to this program."""

    MISSING = "missing"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"
    UNFINISHED = moved.UNFINISHED
    MOVING = moved.MOVING
    MOVED = moved.MOVED

    @property
    def is_set_aside(self) -> bool:
        """Say whether `syncd db copy` has set the database aside."""
        return self.value in moved.SET_ASIDE


def read_version(connection: Connection) -> str | None:
    """Return the revision of a database, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def compare(version: str | None) -> SchemaState:
    """Say how a revision stands to this program."""
    if version is None:
        return SchemaState.MISSING
    if version == LATEST:
        return SchemaState.CURRENT
    if version in moved.SET_ASIDE:
        return SchemaState(version)
    return SchemaState.OLDER if version in VERSIONS else SchemaState.NEWER


def upgrade(connection: Connection) -> str:
    """Migrate inside the caller's transaction, up to the latest revision, and return it."""
    from alembic import command  # noqa: PLC0415 - a third of a second that only migrations need
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":
        # Two that find an empty database at once must not both make it; on SQLite BEGIN IMMEDIATE sees to that.
        connection.execute(select(func.pg_advisory_xact_lock(SCHEMA_KEY)))
    command.upgrade(config, "head")
    _ensure_identity(connection)
    return LATEST


def _ensure_identity(connection: Connection) -> None:
    row = connection.execute(select(tables.meta.c.value).where(tables.meta.c.name == "database_id")).first()
    if row is None:
        connection.execute(tables.meta.insert().values(name="database_id", value=secrets.token_hex(16)))


def database_id(connection: Connection) -> str:
    """Return the name that a database gave itself when it was created."""
    return str(connection.execute(select(tables.meta.c.value).where(tables.meta.c.name == "database_id")).scalar_one())


async def ensure_schema(database: Database, *, migrate: bool) -> None:
    """Create a missing schema; migrate an older one if asked to; refuse the rest.

    Raises:
        StoreError: older and not to be migrated, or while workers run on it; newer than this program; or set aside.
    """
    version = await database.read(read_version)
    state = compare(version)
    if state is SchemaState.CURRENT:
        return
    if state.is_set_aside:
        raise StoreError(await database.read(lambda c: moved.explain(c, state, database.where)))
    if state is SchemaState.NEWER:
        raise StoreError(
            f"the database at {database.where} has schema {version}, which is newer than this syncd ({LATEST}); "
            "install the syncd that wrote it. Nothing was changed."
        )
    if state is SchemaState.OLDER and not migrate:
        raise StoreError(
            f"the database at {database.where} has schema {version}, this syncd needs {LATEST}; "
            "run `syncd db upgrade` (make a backup first)"
        )

    def migrate_alone(connection: Connection) -> str:
        leases.refuse_workers(connection, database.where)
        return upgrade(connection)

    await database.write(migrate_alone)
