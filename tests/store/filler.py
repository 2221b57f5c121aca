"""Rows for every table that there is, made from the columns alone: a later table is filled too."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Integer, Table

from syncd.store import copy
from syncd.store.instant import Instant
from syncd.store.tables import meta, metadata

NOON = datetime(2021, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)


def value_for(column: Column[Any], number: int) -> Any:
    """Return a value that fits a column; every other row leaves out what may be left out."""
    if column.nullable and number % 2 == 0:
        return None
    if isinstance(column.type, Instant):
        return NOON + timedelta(hours=number, microseconds=number)
    if isinstance(column.type, Boolean):
        return number % 2 == 1
    if isinstance(column.type, Integer):
        return number
    return f"{column.table.name} {column.name} {number}: „Spind“ 🔑"


def fill(connection: Connection, rows: int = 3, **texts: str) -> None:
    """Write rows into every table; `texts` are for columns of these names."""
    for table in metadata.sorted_tables:
        if table is not meta:
            connection.execute(table.insert(), [row_for(table, number, texts) for number in range(1, rows + 1)])
    copy.write_counters(connection, {table.name: rows for table in metadata.sorted_tables if "id" in table.columns})
    connection.execute(meta.insert().values(name="restored_until", value=NOON.isoformat()))


def row_for(table: Table, number: int, texts: dict[str, str]) -> dict[str, Any]:
    """Return one row of a table."""
    row = {column.name: value_for(column, number) for column in table.columns}
    row |= {"lease": {"subject": f"api:{number}"}, "worker": {"wants": "[]"}}.get(table.name, {})
    return row | {name: f"{text}{number}" for name, text in texts.items() if name in row}


def all_rows(connection: Connection, table: Table) -> list[dict[str, Any]]:
    """Return every row of a table, in an order that is the same on both databases."""
    found = [dict(row) for row in connection.execute(table.select()).mappings()]
    return sorted(found, key=lambda row: [str(row[column.name]).zfill(30) for column in table.primary_key])
