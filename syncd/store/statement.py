"""Statements that both databases have and SQLAlchemy spells differently for each."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import Insert as PostgreSQLInsert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import Insert as SQLiteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

T = TypeVar("T")
PARAMETERS_AT_ONCE = 500


def insert(connection: Connection, table: Table) -> PostgreSQLInsert | SQLiteInsert:
    """Return an INSERT that knows ON CONFLICT and RETURNING."""
    return postgresql_insert(table) if connection.dialect.name == "postgresql" else sqlite_insert(table)


def upsert(connection: Connection, table: Table, key: str, values: dict[str, Any]) -> None:
    """Insert one row by its key column, or update the given values of the row that is there."""
    statement = insert(connection, table).values(**values)
    changed = {name: value for name, value in values.items() if name != key}
    connection.execute(statement.on_conflict_do_update(index_elements=[key], set_=changed))


def chunks(values: Sequence[T], size: int = PARAMETERS_AT_ONCE) -> Iterator[Sequence[T]]:
    """Yield pieces that fit into the parameters of one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
