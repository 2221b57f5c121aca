"""Threads, the unit of the queue: which delivery of a thread is next, and whether its status needs a note.

Whatever changes a delivery, a link or a status of a thread calls `settle` in the same transaction. So only the head
of a thread carries a due time, and finding work never scans the outbox.
"""

from datetime import datetime

from sqlalchemy import Connection, literal, select, text, update

from syncd.model.communication import Thread, ThreadStatus
from syncd.model.delivery import DeliveryState
from syncd.model.link import Cause, LinkState
from syncd.store.statement import insert
from syncd.store.tables import delivery, link, thread

NOTE_CLOSED, NOTE_OTHER = "closed", "other"

# The words of the index of what stands: without them SQLite would look at all that ever was in the thread.
_STANDING = text("delivery.state IN ('sending', 'in_doubt', 'parked')")

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


def lock(connection: Connection, thread_key: int) -> None:
    """Let no other transaction change this thread until ours ends; on SQLite there is never another that writes."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(thread.c.id).where(thread.c.id == thread_key).with_for_update())


def settle(connection: Connection, thread_key: int) -> None:
    """Work out the head of a thread and whether a status note is due, and store both."""
    # Without the lock two that settle at once would each miss what the other has not committed yet, and the last one
    # would write a head that leaves the other's delivery waiting for ever.
    lock(connection, thread_key)
    sending = select(literal(1)).where(
        delivery.c.thread_key == thread_key, _STANDING, delivery.c.state == DeliveryState.SENDING.value
    )
    facts = connection.execute(
        select(
            thread.c.known_status,
            thread.c.sent_status,
            thread.c.doubt_status,
            thread.c.retry_at,
            link.c.state,
            link.c.cause,
            sending.exists().label("sending"),
        )
        .select_from(
            thread.outerjoin(link, (link.c.thread_key == thread.c.id) & (link.c.state != LinkState.REMOVED.value))
        )
        .where(thread.c.id == thread_key)
    ).one()
    head = connection.execute(
        select(delivery.c.id, delivery.c.lane, delivery.c.system, delivery.c.due_at)
        .where(delivery.c.thread_key == thread_key, delivery.c.state == DeliveryState.PENDING.value)
        .order_by(delivery.c.lane, delivery.c.occurred_at, delivery.c.id)
        .limit(1)
    ).first()
    stopped = facts.state == LinkState.SUSPENDED.value and facts.cause != Cause.THREAD_REFUSED.value
    note = None
    if head is None and not facts.sending and facts.state == LinkState.ACTIVE.value:
        note = note_due(facts.known_status, facts.doubt_status or facts.sent_status)
    blocked = head is None or facts.sending or stopped
    connection.execute(
        update(thread)
        .where(thread.c.id == thread_key)
        .values(
            head_delivery_id=None if blocked or head is None else head.id,
            head_lane=None if blocked or head is None else head.lane,
            head_system=None if blocked or head is None else head.system,
            head_due_at=None if blocked or head is None else _later(head.due_at, facts.retry_at),
            note_due=note,
        )
    )


def _later(due_at: datetime, retry_at: datetime | None) -> datetime:
    return due_at if retry_at is None else max(due_at, retry_at)


def note_due(known: str | None, carried: str | None) -> str | None:
    """Say which kind of status note a difference between the known and the carried level wants, if any."""
    if known is None or carried is None or known == carried:
        return None
    return NOTE_CLOSED if ThreadStatus.CLOSED.value in {known, carried} else NOTE_OTHER
