"""Recording what attempts came to, those of many threads at once: a handful of statements, however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, String, bindparam, case, func, select, update

from syncd.model.delivery import DeliveryKind, DeliveryState, Outcome
from syncd.model.link import Cause, LinkState
from syncd.store import health, late
from syncd.store.among import among
from syncd.store.instant import Instant
from syncd.store.outbox import EVIDENCE, Record, evidence_values
from syncd.store.settling import lock_all, settle_all
from syncd.store.tables import attempt, delivery, link, thread


@dataclass(frozen=True, slots=True)
class Recording:
    """A record to be stored, once, and what its api is told with it.

    `success_of`: the api whose last success it is. `throttled_until`: until when `api` sends nothing; with the outcome,
    as whoever ends before the dispatcher has learnt of it must not begin anew at once.
    """

    record: Record
    at: datetime
    api: str = ""
    notes_success: bool = False
    throttled_until: datetime | None = None


def record_all(connection: Connection, recordings: Sequence[Recording]) -> list[bool]:
    """Record the outcomes of attempts, each once; return which were recorded.

    Not recorded is what was before: by whoever took its worker for dead. A 2xx that comes late settles that doubt.
    """
    lock_all(connection, {one.record.thread_key for one in recordings})
    carried = {row.id: row.status_carried for row in connection.execute(_OPEN, {"ids": _attempts(recordings)})}
    fresh = [one for one in recordings if one.record.attempt_id in carried]
    if fresh:
        connection.execute(_CLOSE, [_closing(one.record) for one in fresh])
        connection.execute(_END, [_ending(one.record, one.at) for one in fresh])
        _record_threads(connection, [one.record for one in fresh], carried)
        settle_all(connection, {one.record.thread_key for one in fresh})
    recorded = [
        one.record.attempt_id in carried or late.settle_late(connection, one.record, one.at) for one in recordings
    ]
    for one, is_recorded in zip(recordings, recorded, strict=True):
        if is_recorded:
            _tell_api(connection, one)
    return recorded


def record(connection: Connection, result: Record, now: datetime) -> bool:
    """Record the outcome of one attempt, once; return False if it was recorded before."""
    return record_all(connection, [Recording(result, now)])[0]


def _attempts(recordings: Sequence[Recording]) -> list[int]:
    return [one.record.attempt_id for one in recordings]


def _closing(result: Record) -> dict[str, Any]:
    return {"attempt_key": result.attempt_id, **evidence_values(result)}


def _ending(result: Record, now: datetime) -> dict[str, Any]:
    return {
        "delivery_key": result.delivery_id,
        "new_state": result.state.value,
        "new_reason": result.reason,
        "now": None if result.state is DeliveryState.PENDING else now,
        "due": result.due_at,
        "failed": int(result.counts_as_failure),
        "doubted": int(result.outcome is Outcome.IN_DOUBT),
        "its_id": result.communication_id,
        "more_flags": ",".join(result.flags) or None,
    }


def _record_threads(connection: Connection, records: Sequence[Record], carried: dict[int, str]) -> None:
    delivered = [one for one in records if one.state is DeliveryState.DELIVERED]
    if delivered:
        told = [{"thread_key": one.thread_key, "carried": carried[one.attempt_id]} for one in delivered]
        connection.execute(_DELIVERED, told)
        connection.execute(_RESUME, {"keys": [one.thread_key for one in delivered]})
    for one in records:
        if one.state is not DeliveryState.DELIVERED:
            _record_thread(connection, one, carried[one.attempt_id])


def _record_thread(connection: Connection, result: Record, carried: str) -> None:
    this = update(thread).where(thread.c.id == result.thread_key)
    if result.outcome is Outcome.IN_DOUBT:
        connection.execute(this.values(doubt_status=carried))
    elif result.state is DeliveryState.PARKED:
        # A note that is refused has told of its level as well as it could: the same level makes no other.
        note = select(delivery.c.id).where(
            delivery.c.id == result.delivery_id, delivery.c.kind == DeliveryKind.STATUS_NOTE.value
        )
        connection.execute(this.where(note.exists()).values(doubt_status=carried))
    elif result.outcome is Outcome.THREAD_AT_FAULT:
        connection.execute(this.values(refusals=thread.c.refusals + 1, retry_at=result.thread_retry_at))
        its_link = update(link).where(link.c.thread_key == result.thread_key, link.c.state == LinkState.ACTIVE.value)
        connection.execute(
            its_link.values(state=LinkState.SUSPENDED.value, cause=Cause.THREAD_REFUSED.value, reason=result.error_text)
        )


def _tell_api(connection: Connection, one: Recording) -> None:
    if one.notes_success:
        health.note_success(connection, one.api, one.at)
    if one.throttled_until is not None:
        health.throttle_api(connection, one.api, one.throttled_until)


_OPEN = select(attempt.c.id, attempt.c.status_carried).where(among(attempt.c.id, "ids"), attempt.c.outcome.is_(None))
_CLOSE = (
    update(attempt).where(attempt.c.id == bindparam("attempt_key")).values({name: bindparam(name) for name in EVIDENCE})
)
_FLAGS = bindparam("more_flags", type_=String())
_END = (
    update(delivery)
    .where(
        delivery.c.id == bindparam("delivery_key"),
        (delivery.c.state == DeliveryState.SENDING.value) | (delivery.c.state == DeliveryState.PENDING.value),
    )
    .values(
        state=bindparam("new_state"),
        reason=bindparam("new_reason"),
        ended_at=func.coalesce(bindparam("now", type_=Instant()), delivery.c.ended_at),
        due_at=func.coalesce(bindparam("due", type_=Instant()), delivery.c.due_at),
        failures=delivery.c.failures + bindparam("failed"),
        doubts=delivery.c.doubts + bindparam("doubted"),
        communication_id=func.coalesce(
            bindparam("its_id", type_=delivery.c.communication_id.type), delivery.c.communication_id
        ),
        flags=case((_FLAGS.is_(None), delivery.c.flags), else_=func.coalesce(delivery.c.flags + ",", "") + _FLAGS),
    )
)
_DELIVERED = (
    update(thread)
    .where(thread.c.id == bindparam("thread_key"))
    .values(sent_status=bindparam("carried"), doubt_status=None, refusals=0, retry_at=None)
)
_RESUME = (
    update(link)
    .where(
        among(link.c.thread_key, "keys"),
        link.c.state == LinkState.SUSPENDED.value,
        link.c.cause == Cause.THREAD_REFUSED.value,
    )
    .values(state=LinkState.ACTIVE.value, cause=None, reason=None)
)
