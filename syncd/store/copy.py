"""Everything of a database, carried over into an empty one: tables in pieces, ids kept, and compared at the end.

Which tables there are is asked of the metadata, so a later one cannot be forgotten. What nobody may use meanwhile is
set aside (moved.py): the source before the first row is read, the target until it is whole and found to be the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    cast,
    column,
    func,
    inspect,
    select,
    table,
    tuple_,
)
from sqlalchemy.dialects.postgresql import REGCLASS

from syncd.model.errors import StoreError
from syncd.store import moved, schema
from syncd.store.database import Database
from syncd.store.standing import Decision, write_decision
from syncd.store.tables import lease, meta, metadata, worker

LEFT_BEHIND = frozenset({lease.name, worker.name})
"""Who works on the other database at this moment; nobody does, and here it would mean nothing."""

ROWS_AT_ONCE = 2000
COMPARED_AT_ONCE = 500

Show = Callable[[str, int, int, str], None]
"""Shows how far a piece of work has come: its name, what is done, of how much, and some words."""

Row = dict[str, Any]
Key = tuple[Any, ...]

_sqlite_sequence = table("sqlite_sequence", column("name"), column("seq"))


def copied_tables() -> list[Table]:
    """Return every table whose rows are carried over."""
    return [one for one in metadata.sorted_tables if one.name not in LEFT_BEHIND]


def begin(connection: Connection, where: str, origin: str, copy_id: str) -> None:
    """Make the tables of the target, which nobody can use until `finish`. An earlier copy that was cut off goes.

    Raises:
        StoreError: something is in it.
    """
    _refuse_full(connection, where)
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)
    schema.upgrade(connection)
    moved.put_version(connection, moved.UNFINISHED)
    moved.write_fact(connection, moved.IDENTITY, copy_id)
    moved.write_fact(connection, moved.FROM, origin)


def _refuse_full(connection: Connection, where: str) -> None:
    names = set(inspect(connection).get_table_names())
    state = schema.compare(schema.read_version(connection))
    if state is schema.SchemaState.UNFINISHED:
        return
    if state is schema.SchemaState.MISSING and names - {"alembic_version"}:
        raise StoreError(f"the database at {where} holds tables of something else; give syncd one of its own")
    if state not in {schema.SchemaState.MISSING, schema.SchemaState.CURRENT}:
        raise StoreError(
            f"the database at {where} is in use with schema {schema.read_version(connection)}; take an "
            "empty one. Nothing was changed."
        )
    if state is schema.SchemaState.CURRENT and (full := _full_tables(connection)):
        raise StoreError(
            f"the database at {where} is not empty ({', '.join(full)}); take an empty one. Nothing was changed."
        )


def _full_tables(connection: Connection) -> list[str]:
    return [one.name for one in metadata.sorted_tables if one is not meta and count(connection, one)]


def is_copy(connection: Connection, copy_id: str) -> bool:
    """Say whether a database is the whole copy with this id, whatever has become of it since."""
    if not inspect(connection).has_table(meta.name):
        return False
    is_whole = schema.read_version(connection) != moved.UNFINISHED
    return is_whole and moved.find_fact(connection, moved.IDENTITY) == copy_id


def count(connection: Connection, of: Table) -> int:
    """Return how many rows a table has."""
    return int(connection.execute(select(func.count()).select_from(of)).scalar_one())


def count_carried(connection: Connection, of: Table) -> int:
    """Return how many of a table's rows are carried over: `meta` has some about its own database alone."""
    counted = select(func.count()).select_from(of)
    return int(connection.execute(counted.where(*_carried(of))).scalar_one())


def _carried(of: Table) -> tuple[ColumnElement[bool], ...]:
    return (of.c.name.not_in(moved.OWN_FACTS),) if of is meta else ()


def _key_columns(of: Table) -> list[Column[Any]]:
    return list(of.primary_key.columns)


def key_of(of: Table, row: Row) -> Key:
    """Return the primary key of a row."""
    return tuple(row[one.name] for one in _key_columns(of))


def read_rows(connection: Connection, of: Table, after: Key | None, limit: int) -> list[Row]:
    """Return the rows that follow a key, by the key's order."""
    columns = _key_columns(of)
    statement = select(of).where(*_carried(of)).order_by(*columns).limit(limit)
    if after is not None:
        is_later = tuple_(*columns) > tuple_(*after) if len(columns) > 1 else columns[0] > after[0]
        statement = statement.where(is_later)
    return [dict(row) for row in connection.execute(statement).mappings()]


def write_rows(connection: Connection, of: Table, rows: Sequence[Row]) -> None:
    """Write rows as they are, with their ids."""
    connection.execute(of.insert(), list(rows))


def find_different(connection: Connection, of: Table, rows: Sequence[Row]) -> Key | None:
    """Return the key of the first of some rows that is not there, or not the same; None if all are."""
    keys = [key_of(of, row) for row in rows]
    # By the first column of the key alone: it is in an index on both, whatever the order of texts there.
    first = _key_columns(of)[0]
    asked = select(of).where(first.in_({row[first.name] for row in rows}))
    found = [dict(row) for row in connection.execute(asked).mappings()]
    there = {key_of(of, row): row for row in found}
    return next((key for key, row in zip(keys, rows, strict=True) if there.get(key) != row), None)


def _counting_tables() -> list[Table]:
    return [one for one in copied_tables() if "id" in one.c]


def read_counters(connection: Connection) -> dict[str, int]:
    """Return the highest id that each table has ever given, also of rows that are gone."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(select(_sqlite_sequence.c.name, _sqlite_sequence.c.seq))
        given = {row.name: int(row.seq or 0) for row in found}
        return {one.name: given.get(one.name, 0) for one in _counting_tables()}
    return {one.name: _read_sequence(connection, one) for one in _counting_tables()}


def _read_sequence(connection: Connection, of: Table) -> int:
    sequence = cast(func.pg_get_serial_sequence(of.name, "id"), REGCLASS)
    return int(connection.execute(select(func.coalesce(func.pg_sequence_last_value(sequence), 0))).scalar_one())


def write_counters(connection: Connection, given: dict[str, int]) -> None:
    """Let ids go on above those that the other database has given."""
    for name, last in given.items():
        if connection.dialect.name == "postgresql":
            sequence = func.pg_get_serial_sequence(name, "id")
            connection.execute(select(func.setval(sequence, max(last, 1), last > 0)))
        elif last:
            connection.execute(_sqlite_sequence.delete().where(_sqlite_sequence.c.name == name))
            connection.execute(_sqlite_sequence.insert().values(name=name, seq=last))


def finish(connection: Connection, given: dict[str, int], by: Decision) -> None:
    """Make the target the database to use: from this commit on it is whole."""
    write_counters(connection, given)
    write_decision(connection, "db copy", "database", by)
    moved.forget_facts(connection, moved.FROM)
    moved.put_version(connection, schema.LATEST)


async def carry_all(source: Database, target: Database, show: Show) -> None:
    """Copy every table, and compare each with what it was copied from.

    Raises:
        StoreError: one of them does not answer, or the copy is not the same.
    """
    for one in copied_tables():
        total = await source.read(lambda c: count_carried(c, one))  # noqa: B023 - awaited at once
        await _carry(source, target, one, total, show)
        await _compare(source, target, one, total, show)


async def _carry(source: Database, target: Database, of: Table, total: int, show: Show) -> None:
    done, after = 0, None
    while rows := await source.read(lambda c: read_rows(c, of, after, ROWS_AT_ONCE)):  # noqa: B023 - awaited at once
        await target.write(lambda c: write_rows(c, of, rows))
        done, after = done + len(rows), key_of(of, rows[-1])
        show(of.name, done, total, "copied")


async def _compare(source: Database, target: Database, of: Table, total: int, show: Show) -> None:
    there = await target.read(lambda c: count_carried(c, of))
    if there != total:
        raise StoreError(f"the copy of {of.name} has {there} rows, and there are {total}")
    done, after = 0, None
    while rows := await source.read(lambda c: read_rows(c, of, after, COMPARED_AT_ONCE)):  # noqa: B023 - awaited at once
        key = await target.read(lambda c: find_different(c, of, rows))
        if key is not None:
            raise StoreError(f"the copy of {of.name} {key} is not the same")
        done, after = done + len(rows), key_of(of, rows[-1])
        show(f"{of.name}, compared", done, total, "the same")
