"""Settling threads: which delivery of each is next, and whether its status needs a note.

Whatever changes a delivery, a link or a status of a thread settles it in the same transaction. So only the head of a
thread carries a due time, and finding work never scans the outbox. It takes two statements, however many threads.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, literal, literal_column, select, update

from syncd.model.link import Cause, LinkState
from syncd.store.among import among
from syncd.store.tables import delivery, link, thread
from syncd.store.threads import NO_HEAD, note_due

# The very words of the partial indexes: SQLite does not use one for a state that is a parameter without planning the
# statement anew at each run, and PostgreSQL not at all once it has a plan for all parameters.
_PENDING: ColumnElement[str] = literal_column("'pending'")
_SENDING: ColumnElement[str] = literal_column("'sending'")
_REMOVED: ColumnElement[str] = literal_column("'removed'")
_STANDING = [_SENDING, literal_column("'in_doubt'"), literal_column("'parked'")]

_LOCK = select(thread.c.id).where(among(thread.c.id, "keys")).order_by(thread.c.id).with_for_update()


def lock(connection: Connection, thread_key: int) -> None:
    """Let no other transaction change this thread until ours ends."""
    lock_all(connection, [thread_key])


def lock_all(connection: Connection, thread_keys: Collection[int]) -> None:
    """Let no other transaction change these threads until ours ends; each one locks its own in the same order.

    On SQLite there is never another that writes.
    """
    if connection.dialect.name == "postgresql" and thread_keys:
        connection.execute(_LOCK, {"keys": thread_keys})


def settle(connection: Connection, thread_key: int) -> None:
    """Work out the head of a thread and whether a status note is due, and store what is not as it was."""
    settle_all(connection, [thread_key])


def settle_all(connection: Connection, thread_keys: Collection[int]) -> None:
    """Work out the heads of threads and whether status notes are due, and store what is not as it was."""
    if not thread_keys:
        return
    # Without the lock two that settle at once would each miss what the other has not committed yet, and the last one
    # would write a head that leaves the other's delivery waiting for ever.
    lock_all(connection, thread_keys)
    settled = [(row, _settled(row)) for row in connection.execute(_FACTS, {"keys": thread_keys})]
    changed = [
        {"thread_key": row.id, **values}
        for row, values in settled
        if any(getattr(row, name) != value for name, value in values.items())
    ]
    if changed:
        connection.execute(_STORE, changed)


def _facts() -> Select[Any]:
    sending = delivery.alias("sending")
    its_link = (link.c.thread_key == thread.c.id) & (link.c.state != _REMOVED)
    is_sending = (
        select(literal(1))
        .where(sending.c.thread_key == thread.c.id, sending.c.state.in_(_STANDING), sending.c.state == _SENDING)
        .exists()
    )
    waiting, first = delivery.alias("waiting"), delivery.alias("first")
    first_id = (
        select(waiting.c.id)
        .where(waiting.c.thread_key == thread.c.id, waiting.c.state == _PENDING)
        .order_by(waiting.c.lane, waiting.c.occurred_at, waiting.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(
            *(thread.c[name] for name in ("id", *_STORED)),
            *(thread.c[name] for name in ("known_status", "sent_status", "doubt_status", "retry_at")),
            link.c.state,
            link.c.cause,
            is_sending.label("is_sending"),
            first.c.id.label("first_id"),
            *(first.c[name] for name in ("lane", "system", "due_at")),
        )
        .select_from(thread.outerjoin(link, its_link).outerjoin(first, first.c.id == first_id))
        .where(among(thread.c.id, "keys"))
    )


def _settled(row: Row[Any]) -> dict[str, Any]:
    """Return the columns of a thread that say what is next in it."""
    has_head = row.first_id is not None
    is_stopped = row.state == LinkState.SUSPENDED.value and row.cause != Cause.THREAD_REFUSED.value
    if has_head and not row.is_sending and not is_stopped:
        return {
            "head_delivery_id": row.first_id,
            "head_lane": row.lane,
            "head_system": row.system,
            "head_due_at": _later(row.due_at, row.retry_at),
            "note_due": None,
        }
    is_silent = not has_head and not row.is_sending and row.state == LinkState.ACTIVE.value
    note = note_due(row.known_status, row.doubt_status or row.sent_status) if is_silent else None
    return {**NO_HEAD, "note_due": note}


def _later(due_at: datetime, retry_at: datetime | None) -> datetime:
    return due_at if retry_at is None else max(due_at, retry_at)


_STORED = (*NO_HEAD, "note_due")
_FACTS = _facts()
_STORE = (
    update(thread).where(thread.c.id == bindparam("thread_key")).values({name: bindparam(name) for name in _STORED})
)
