"""A database that `syncd db copy` has set aside: the one it takes everything out of, and the one that is not full yet.

In place of its revision such a database has a word that is none. So every syncd refuses it, also one that was
installed before there was `db copy`, and takes it for the database of a newer one.
"""

from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, column, select, table, update

from syncd.model.errors import StoreError
from syncd.store.database import Database, Operation
from syncd.store.statement import upsert
from syncd.store.tables import meta

T = TypeVar("T")
UNFINISHED = "unfinished"
"""Something is being copied into it, or that was cut off."""
MOVING = "moving"
"""What is in it is being copied elsewhere, or that was cut off."""
MOVED = "moved"
"""What is in it is elsewhere."""
SET_ASIDE = frozenset({UNFINISHED, MOVING, MOVED})

IDENTITY = "database_id"
TO, COPY_ID, AT, VERSION, FROM = "moved_to", "moved_id", "moved_at", "moved_schema", "copied_from"
OWN_FACTS = frozenset({IDENTITY, TO, COPY_ID, AT, VERSION, FROM})
"""What `meta` holds about this very database, and so is true of no other one."""

_version = table("alembic_version", column("version_num"))


def find_fact(connection: Connection, name: str) -> str | None:
    """Return one fact about the database, None if it is not known."""
    return connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar_one_or_none()


def write_fact(connection: Connection, name: str, value: str) -> None:
    """Write one fact about the database."""
    upsert(connection, meta, "name", {"name": name, "value": value})


def forget_facts(connection: Connection, *names: str) -> None:
    """Forget facts about the database."""
    connection.execute(meta.delete().where(meta.c.name.in_(names)))


def put_version(connection: Connection, version: str) -> None:
    """Put a revision, or a word that is none, in the place of the revision."""
    connection.execute(update(_version).values(version_num=version))


def set_aside(connection: Connection, to: str, copy_id: str, now: datetime) -> None:
    """Let nobody use this database while what is in it is copied to another one, which gets this id."""
    version = connection.execute(select(_version.c.version_num)).scalar_one()
    put_version(connection, MOVING)
    for name, value in ((TO, to), (COPY_ID, copy_id), (AT, now.isoformat()), (VERSION, version)):
        write_fact(connection, name, value)


def give_back(connection: Connection) -> None:
    """Let this database be used again: the copy of it was given up."""
    put_version(connection, find_fact(connection, VERSION) or MOVING)
    forget_facts(connection, TO, COPY_ID, AT, VERSION)


def explain(connection: Connection, word: str, where: str) -> str:
    """Say why a database is set aside, and what to do."""
    to, at = find_fact(connection, TO), (find_fact(connection, AT) or "")[:16]
    if word == MOVED:
        return (
            f"what was in the database at {where} has moved to {to} ({at} UTC): write that into database.url. From "
            "here nothing is read or sent any more."
        )
    if word == MOVING:
        return (
            f"what is in the database at {where} was being copied to {to} ({at} UTC), and that has not ended. If no "
            "`syncd db copy` is at work now, run the same one again; with --give-up, this database is used again."
        )
    return (
        f"the database at {where} is an unfinished copy of {find_fact(connection, FROM)}, and of no use: run the same "
        "`syncd db copy` again, which begins it anew."
    )


def refuse_set_aside(connection: Connection, where: str) -> None:
    """Refuse to write into a database that is set aside, and keep it from being so until this transaction ends.

    Raises:
        StoreError: with where it went.
    """
    found = connection.execute(select(_version.c.version_num).with_for_update(read=True)).scalar_one_or_none()
    if found in SET_ASIDE:
        raise StoreError(explain(connection, str(found), where))


class CommandDatabase(Database):
    """The database of a command: it may have been copied elsewhere since the command opened it.

    A worker holds a lock or leases, so none runs during a copy. A command that waits for an answer holds nothing, and
    what it wrote then would be lost.
    """

    def __init__(self, origin: Database) -> None:
        super().__init__(origin.backend, origin.where)

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation and commit it, if the database is still in use.

        Raises:
            StoreError: it is not; nothing was kept.
        """

        def checked(connection: Connection) -> T:
            refuse_set_aside(connection, self.where)
            return operation(connection)

        return await super().write(checked)
