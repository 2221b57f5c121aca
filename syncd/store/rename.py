"""Another name for a system or an api that has a history: every row that knows it by the old one, in one transaction.

Which columns hold such names is asked of the metadata, so a later table cannot be forgotten.
"""

from collections.abc import Iterator

from sqlalchemy import Column, Connection, Table, func, select, update

from syncd.model.lease import Kind
from syncd.store import leases
from syncd.store.standing import Decision, write_decision
from syncd.store.tables import alert, decision, metadata

STATES = frozenset({"cursor", "system_state", "api_state", "flood"})
"""What a worker writes about a system or an api as soon as its settings name it. That is no history yet."""


def name_columns(kind: Kind) -> list[Column[str]]:
    """Return every column that holds names of systems, or of apis."""
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if column.name == kind or column.name.endswith(f"_{kind}")
    ]


def find_history(connection: Connection, kind: Kind, name: str) -> list[str]:
    """Return the tables that know of a system or an api more than a state."""
    return sorted(
        {
            column.table.name
            for column in name_columns(kind)
            if column.table.name not in STATES
            and connection.execute(select(column).where(column == name).limit(1)).first() is not None
        }
    )


def is_known(connection: Connection, kind: Kind, name: str) -> bool:
    """Say whether anything at all is known of a system or an api."""
    return any(
        connection.execute(select(column).where(column == name).limit(1)).first() is not None
        for column in name_columns(kind)
    )


def rename(connection: Connection, kind: Kind, old: str, new: str, by: Decision) -> dict[str, int]:
    """Give everything that is known of `old` to `new`, of which there is no history; return the rows by table.

    No worker may run. One that was frozen meanwhile finds its leases void.
    """
    changed: dict[str, int] = {}
    for table in _states(kind):
        connection.execute(table.delete().where(table.c[kind] == new))
    for column in name_columns(kind):
        done = connection.execute(update(column.table).where(column == old).values({column.name: new})).rowcount
        changed[column.table.name] = max(changed.get(column.table.name, 0), done)
    _rename_subjects(connection, kind, old, new)
    leases.void_all(connection)
    write_decision(connection, "rename", f"{kind} {new}", by)
    return {name: rows for name, rows in changed.items() if rows}


def _states(kind: Kind) -> Iterator[Table]:
    yield from (metadata.tables[name] for name in STATES if kind in metadata.tables[name].c)


def _rename_subjects(connection: Connection, kind: Kind, old: str, new: str) -> None:
    """Rename in the texts that say what a decision or an alert is about.

    Those of leases stay: they say who owns what now, and nobody does.
    """
    was, becomes = f"{kind} {old}", f"{kind} {new}"
    connection.execute(alert.delete().where(alert.c.subject == becomes))
    for table in (alert, decision):
        connection.execute(update(table).where(table.c.subject == was).values(subject=becomes))
    if kind is Kind.API:
        _rename_erasures(connection, old, new)


def _rename_erasures(connection: Connection, old: str, new: str) -> None:
    """Rename in `customer 1001 at berlin`."""
    ending = f" at {old}"
    subject = decision.c.subject
    stem = func.substr(subject, 1, func.length(subject) - len(ending))
    is_meant = (func.substr(subject, 1, 9) == "customer ") & (
        func.substr(subject, func.length(subject) - len(ending) + 1) == ending
    )
    connection.execute(update(decision).where(is_meant).values(subject=stem.op("||")(f" at {new}")))
