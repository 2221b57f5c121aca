"""Threads, the unit of the queue: their rows, and whether a status needs a note. What is next in them: settling.py."""

from sqlalchemy import Connection, select

from syncd.model.communication import Thread, ThreadStatus
from syncd.store.statement import insert
from syncd.store.tables import thread

NOTE_CLOSED, NOTE_OTHER = "closed", "other"

NO_HEAD = {"head_delivery_id": None, "head_lane": None, "head_system": None, "head_due_at": None}
"""The columns of a thread that has nothing to send now."""


def ensure_thread(connection: Connection, key: Thread) -> int:
    """Return the row id of a thread; make the row if it is not there."""
    values = {"api": key.api, "customer_id": key.customer_id, "thread_id": key.thread_id, "refusals": 0}
    connection.execute(insert(connection, thread).values(**values).on_conflict_do_nothing())
    row = connection.execute(
        select(thread.c.id).where(
            thread.c.api == key.api, thread.c.customer_id == key.customer_id, thread.c.thread_id == key.thread_id
        )
    ).one()
    return int(row.id)


def note_due(known: str | None, carried: str | None) -> str | None:
    """Say which kind of status note a difference between the known and the carried level wants, if any."""
    if known is None or carried is None or known == carried:
        return None
    return NOTE_CLOSED if ThreadStatus.CLOSED.value in {known, carried} else NOTE_OTHER
