"""A restored backup: noticing it, and what `syncd db restored` makes of it."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from syncd.model.collected import Gap
from syncd.model.health import PauseCause
from syncd.store.standing import Decision, doubt_everything_open, last_known_at, write_decision
from syncd.store.statement import upsert
from syncd.store.tables import api_state, attempt, meta

_FROM, _UNTIL = "restored_from", "restored_until"
MARGIN = timedelta(days=1)
_COUNTER = select(func.coalesce(func.max(attempt.c.id), 0))


def attempt_counter(connection: Connection) -> int:
    """Return the number of the last attempt."""
    return int(connection.execute(_COUNTER).scalar_one())


def find_gap(connection: Connection) -> Gap | None:
    """Return the gap of the last restore, if there was one."""
    rows = {row.name: row.value for row in connection.execute(select(meta).where(meta.c.name.in_([_FROM, _UNTIL])))}
    if len(rows) != 2:
        return None
    return Gap(datetime.fromisoformat(rows[_FROM]), datetime.fromisoformat(rows[_UNTIL]))


def declare_restored(connection: Connection, counter: int, by: Decision) -> int:
    """Make a restored database safe: what was open, and every reply since, is in doubt. Return how many were open.

    `counter` is the mark's number: attempts go on above it, so that the mark fits again.
    """
    known = last_known_at(connection) or by.at
    doubted = doubt_everything_open(connection, by.at)
    for name, value in ((_FROM, known - MARGIN), (_UNTIL, by.at)):
        upsert(connection, meta, "name", {"name": name, "value": value.isoformat()})
    _continue_above(connection, counter, by)
    restored = connection.execute(select(api_state.c.api).where(api_state.c.paused_cause == PauseCause.RESTORED.value))
    for row in restored.all():
        upsert(connection, api_state, "api", {"api": row.api, "paused_cause": None, "reason": None, "since_at": None})
    write_decision(connection, "db restored", "database", by)
    return doubted


def _continue_above(connection: Connection, counter: int, by: Decision) -> None:
    if attempt_counter(connection) >= counter:
        return
    # A row at the mark's number moves the counter of both databases' sequences up to it.
    connection.execute(
        attempt.insert().values(
            id=counter,
            delivery_id=0,
            number=0,
            reason="manual",
            worker="db restored",
            status_carried="",
            started_at=by.at,
            outcome="in_doubt",
            error_text="attempts up to here are not in this database: it was restored from a backup",
        )
    )
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.setval(func.pg_get_serial_sequence("attempt", "id"), counter)))
