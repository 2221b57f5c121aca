"""The outbox on its way to the Open API: what is to be sent, marking `sending`, recording outcomes.

These are the operations of the hot path: each is a handful of statements by key, made to share commits.
"""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Row, func, select, update

from syncd.model.communication import Channel, Direction, Message, Thread, ThreadStatus
from syncd.model.delivery import AttemptReason, DeliveryKind, DeliveryState, Lane, Outcome, Reached
from syncd.model.health import PauseCause
from syncd.model.link import Cause, LinkState
from syncd.store.tables import api_state, attempt, delivery, link, thread
from syncd.store.threads import NO_HEAD, lock, settle


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery with all that is needed to send it."""

    delivery_id: int
    version: int
    thread_key: int
    thread: Thread
    link_id: int
    system: str
    kind: DeliveryKind
    lane: Lane
    reply_id: str | None
    ticket_number: str | None
    message: Message = field(repr=False)
    status: ThreadStatus
    refusals: int
    failures: int
    doubts: int
    attempts: int
    manual: bool
    created_at: datetime
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """What an attempt came to, and what becomes of its delivery and thread."""

    attempt_id: int
    delivery_id: int
    thread_key: int
    reached: Reached
    outcome: Outcome
    state: DeliveryState
    reason: str | None = None
    http_status: int | None = None
    error_text: str | None = None
    error_code: str | None = None
    trace_id: str | None = None
    duration_ms: int = 0
    request_bytes: int = 0
    answer_bytes: int = 0
    communication_id: int | None = None
    flags: tuple[str, ...] = ()
    due_at: datetime | None = None
    counts_as_failure: bool = False
    thread_retry_at: datetime | None = None


def find_outgoing(connection: Connection, delivery_id: int) -> Outgoing | None:
    """Return a pending delivery with its thread, None if it is pending no more."""
    row = connection.execute(
        select(
            delivery,
            thread.c.api,
            thread.c.customer_id,
            thread.c.thread_id,
            thread.c.known_status,
            thread.c.refusals,
        )
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(delivery.c.id == delivery_id, delivery.c.state == DeliveryState.PENDING.value)
    ).first()
    return None if row is None else _outgoing(row)


def message_of(row: Row[tuple[object, ...]]) -> Message:
    """Return the message that a delivery row holds."""
    return Message(
        subject=row.subject or "",
        content=row.content or "",
        direction=Direction(row.direction),
        channel=Channel(row.channel),
        occurred_at=row.occurred_at,
        agent=row.agent,
        ticket_number=row.ticket_number,
        ticket_link=row.ticket_link,
        flags=tuple(row.flags.split(",")) if row.flags else (),
    )


def _outgoing(row: Row[tuple[object, ...]]) -> Outgoing:
    return Outgoing(
        delivery_id=row.id,
        version=row.version,
        thread_key=row.thread_key,
        thread=Thread(row.api, row.customer_id, row.thread_id),
        link_id=row.link_id,
        system=row.system,
        kind=DeliveryKind(row.kind),
        lane=Lane(row.lane),
        reply_id=row.reply_id,
        ticket_number=row.ticket_number,
        message=message_of(row),
        status=ThreadStatus(row.known_status or ThreadStatus.ONGOING),
        refusals=row.refusals,
        failures=row.failures,
        doubts=row.doubts,
        attempts=row.attempts,
        manual=row.manual,
        created_at=row.created_at,
        read_at=row.read_at,
    )


def mark_sending(
    connection: Connection, outgoing: Outgoing, now: datetime, worker: str, *, trial: bool = False
) -> int | None:
    """Mark a delivery as `sending` and open its attempt; return the attempt's id.

    None when it must not be sent: no longer pending, changed since it was read, no longer the head of its thread
    (suspended, removed), or its api was paused meanwhile. A trial goes out while the api waits for one, and in no
    other pause.
    """
    paused = select(api_state.c.paused_cause).where(api_state.c.api == outgoing.thread.api)
    if connection.execute(paused).scalar() not in {None, PauseCause.THREADS.value if trial else None}:
        return None
    taken = connection.execute(
        update(thread)
        .where(thread.c.id == outgoing.thread_key, thread.c.head_delivery_id == outgoing.delivery_id)
        .values(NO_HEAD)
    )
    if taken.rowcount != 1:
        return None
    marked = connection.execute(
        update(delivery)
        .where(
            delivery.c.id == outgoing.delivery_id,
            delivery.c.state == DeliveryState.PENDING.value,
            delivery.c.version == outgoing.version,
        )
        .values(
            state=DeliveryState.SENDING.value,
            attempts=delivery.c.attempts + 1,
            manual=False,
            status_carried=outgoing.status.value,
        )
    )
    if marked.rowcount != 1:
        settle(connection, outgoing.thread_key)
        return None
    return _open_attempt(connection, outgoing, now, worker)


def _open_attempt(connection: Connection, outgoing: Outgoing, now: datetime, worker: str) -> int:
    reason = AttemptReason.SCHEDULE
    if outgoing.manual:
        reason = AttemptReason.MANUAL
    elif outgoing.doubts:
        reason = AttemptReason.REDRIVE
    inserted = connection.execute(
        attempt.insert()
        .values(
            delivery_id=outgoing.delivery_id,
            number=outgoing.attempts + 1,
            reason=reason.value,
            worker=worker,
            status_carried=outgoing.status.value,
            started_at=now,
        )
        .returning(attempt.c.id)
    )
    return int(inserted.scalar_one())


def open_unsent(connection: Connection, outgoing: Outgoing, now: datetime, worker: str) -> int:
    """Open the attempt of a pending delivery that failed before anything could be marked; return its id."""
    lock(connection, outgoing.thread_key)
    connection.execute(
        update(delivery)
        .where(delivery.c.id == outgoing.delivery_id, delivery.c.state == DeliveryState.PENDING.value)
        .values(attempts=delivery.c.attempts + 1, manual=False)
    )
    return _open_attempt(connection, outgoing, now, worker)


def find_open_attempt(connection: Connection, delivery_id: int, worker: str) -> int | None:
    """Return the attempt of a delivery that has no outcome yet."""
    row = connection.execute(
        select(attempt.c.id).where(
            attempt.c.delivery_id == delivery_id, attempt.c.worker == worker, attempt.c.outcome.is_(None)
        )
    ).first()
    return None if row is None else int(row.id)


def record(connection: Connection, result: Record, now: datetime) -> bool:
    """Record the outcome of an attempt, once; return False if it was recorded before."""
    lock(connection, result.thread_key)
    closed = connection.execute(
        update(attempt)
        .where(attempt.c.id == result.attempt_id, attempt.c.outcome.is_(None))
        .values(evidence_values(result))
    )
    if closed.rowcount != 1:
        return False
    _record_delivery(connection, result, now)
    _record_thread(connection, result)
    settle(connection, result.thread_key)
    return True


def evidence_values(result: Record) -> dict[str, object]:
    """Return the columns of an attempt that say what it came to."""
    return {
        "reached": result.reached.value,
        "outcome": result.outcome.value,
        "http_status": result.http_status,
        "error_text": result.error_text,
        "error_code": result.error_code,
        "trace_id": result.trace_id,
        "duration_ms": result.duration_ms,
        "request_bytes": result.request_bytes,
        "answer_bytes": result.answer_bytes,
    }


_OPEN_STATES = (DeliveryState.SENDING.value, DeliveryState.PENDING.value)


def _record_delivery(connection: Connection, result: Record, now: datetime) -> None:
    values: dict[str, object] = {"state": result.state.value, "reason": result.reason}
    if result.state is not DeliveryState.PENDING:
        values["ended_at"] = now
    if result.due_at is not None:
        values["due_at"] = result.due_at
    if result.counts_as_failure:
        values["failures"] = delivery.c.failures + 1
    if result.outcome is Outcome.IN_DOUBT:
        values["doubts"] = delivery.c.doubts + 1
    if result.communication_id is not None:
        values["communication_id"] = result.communication_id
    if result.flags:
        values["flags"] = func.coalesce(delivery.c.flags + ",", "") + ",".join(result.flags)
    connection.execute(
        update(delivery).where(delivery.c.id == result.delivery_id, delivery.c.state.in_(_OPEN_STATES)).values(**values)
    )


def _record_thread(connection: Connection, result: Record) -> None:
    carried = select(attempt.c.status_carried).where(attempt.c.id == result.attempt_id).scalar_subquery()
    this = update(thread).where(thread.c.id == result.thread_key)
    its_link = update(link).where(link.c.thread_key == result.thread_key)
    if result.state is DeliveryState.DELIVERED:
        connection.execute(this.values(sent_status=carried, doubt_status=None, refusals=0, retry_at=None))
        connection.execute(
            its_link.where(
                link.c.state == LinkState.SUSPENDED.value, link.c.cause == Cause.THREAD_REFUSED.value
            ).values(state=LinkState.ACTIVE.value, cause=None, reason=None)
        )
    elif result.outcome is Outcome.IN_DOUBT:
        connection.execute(this.values(doubt_status=carried))
    elif result.state is DeliveryState.PARKED:
        # A note that is refused has told of its level as well as it could: the same level makes no other.
        note = select(delivery.c.id).where(
            delivery.c.id == result.delivery_id, delivery.c.kind == DeliveryKind.STATUS_NOTE.value
        )
        connection.execute(this.where(note.exists()).values(doubt_status=carried))
    elif result.outcome is Outcome.THREAD_AT_FAULT:
        connection.execute(this.values(refusals=thread.c.refusals + 1, retry_at=result.thread_retry_at))
        connection.execute(
            its_link.where(link.c.state == LinkState.ACTIVE.value).values(
                state=LinkState.SUSPENDED.value, cause=Cause.THREAD_REFUSED.value, reason=result.error_text
            )
        )
