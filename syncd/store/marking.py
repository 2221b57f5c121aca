"""Marking deliveries as `sending`, those of many threads at once: a handful of statements, however many there are.

Nothing may be sent that is not marked, and nothing is marked that must not be sent: each rule is asked here, in the
transaction that marks.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from syncd.model.communication import ThreadStatus
from syncd.model.delivery import AttemptReason, DeliveryState
from syncd.model.health import PauseCause
from syncd.model.lease import Lease
from syncd.store import holding, leases, restored
from syncd.store.among import among
from syncd.store.high_water import HighWater
from syncd.store.outbox import Outgoing, known_status
from syncd.store.settling import lock, lock_all
from syncd.store.tables import api_state, attempt, delivery, thread
from syncd.store.threads import NO_HEAD


@dataclass(frozen=True, slots=True)
class Mark:
    """One delivery that is about to be sent, and what must be so for that.

    `lease`: it is still held. `strict`: nothing stands in the thread. `trial`: it goes out while its api waits for
    one, and in no other pause.
    """

    outgoing: Outgoing
    at: datetime
    worker: str
    high_water: HighWater | None = None
    lease: Lease | None = None
    strict: bool = False
    trial: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """An attempt that was opened. `counter` is the highest number among those of the same commit."""

    attempt_id: int
    counter: int


def mark_all(connection: Connection, marks: Sequence[Mark]) -> list[Marked | None]:
    """Mark deliveries as `sending` and open their attempts; return these.

    None where it must not be sent: no longer pending, changed since it was read (itself, or the status that it would
    carry), no longer the head of its thread (suspended, removed), of a lease that was lost, held back, or of an api
    that was paused meanwhile.

    Raises:
        StoreError: the database has gone back behind what was sent; nothing is marked.
    """
    _refuse_behind(connection, marks)
    held = _held_leases(connection, marks)
    lock_all(connection, {mark.outgoing.thread_key for mark in marks})
    paused = _paused(connection, {mark.outgoing.thread.api for mark in marks})
    heads = _heads(connection, [mark.outgoing.delivery_id for mark in marks])
    good: dict[int, Mark] = {}
    for mark in marks:
        row = heads.get(mark.outgoing.delivery_id)
        is_allowed = mark.lease in held and _may_go(paused.get(mark.outgoing.thread.api), trial=mark.trial)
        # One of a thread, whatever is asked for.
        if is_allowed and row is not None and _is_as_read(row, mark.outgoing) and row.thread_key not in good:
            good[row.thread_key] = mark
    sent = [mark for mark in good.values() if not (mark.strict and holding.hold_back(connection, _key(mark)))]
    ids = _mark(connection, sent) if sent else {}
    counter = max(ids.values(), default=0)
    opened = {mark.outgoing.thread_key: Marked(ids[mark.outgoing.delivery_id], counter) for mark in sent}
    return [opened.get(_key(mark)) if good.get(_key(mark)) is mark else None for mark in marks]


def mark_sending(
    connection: Connection, outgoing: Outgoing, now: datetime, worker: str, *, trial: bool = False
) -> int | None:
    """Mark one delivery as `sending` and open its attempt; return the attempt's id, None if it must not be sent."""
    (marked,) = mark_all(connection, [Mark(outgoing, now, worker, trial=trial)])
    return None if marked is None else marked.attempt_id


def open_unsent(connection: Connection, outgoing: Outgoing, now: datetime, worker: str) -> int:
    """Open the attempt of a pending delivery that failed before anything could be marked; return its id."""
    lock(connection, outgoing.thread_key)
    connection.execute(
        update(delivery)
        .where(delivery.c.id == outgoing.delivery_id, delivery.c.state == DeliveryState.PENDING.value)
        .values(attempts=delivery.c.attempts + 1, manual=False)
    )
    return _open_attempts(connection, [Mark(outgoing, now, worker)])[outgoing.delivery_id]


def _key(mark: Mark) -> int:
    return mark.outgoing.thread_key


def _refuse_behind(connection: Connection, marks: Sequence[Mark]) -> None:
    for high_water in {mark.high_water for mark in marks if mark.high_water is not None}:
        reached = high_water.highest
        high_water.refuse_behind(restored.attempt_counter(connection), reached)


def _held_leases(connection: Connection, marks: Sequence[Mark]) -> set[Lease | None]:
    """Return the leases that are held, which nobody can take now, and None for those that need none."""
    asked = sorted({mark.lease for mark in marks if mark.lease is not None}, key=lambda one: str(one.subject))
    return {None, *(one for one in asked if leases.is_held(connection, one))}


def _paused(connection: Connection, apis: Collection[str]) -> dict[str, str | None]:
    return {row.api: row.paused_cause for row in connection.execute(_PAUSED, {"apis": apis})}


def _may_go(paused_cause: str | None, *, trial: bool) -> bool:
    return paused_cause is None or (trial and paused_cause == PauseCause.THREADS.value)


def _heads(connection: Connection, delivery_ids: Collection[int]) -> dict[int, Any]:
    """Return those of these deliveries that are the heads of their threads, by id."""
    return {row.id: row for row in connection.execute(_HEADS, {"ids": delivery_ids})}


def _is_as_read(row: Any, outgoing: Outgoing) -> bool:
    is_pending = row.state == DeliveryState.PENDING.value
    return is_pending and row.version == outgoing.version and known_status(row) is outgoing.status


def _mark(connection: Connection, marks: Sequence[Mark]) -> dict[int, int]:
    connection.execute(_TAKE_HEADS, {"keys": [mark.outgoing.thread_key for mark in marks]})
    by_status = sorted(marks, key=_status)
    for status, some in groupby(by_status, key=_status):
        connection.execute(_MARK, {"ids": [mark.outgoing.delivery_id for mark in some], "carried": status.value})
    return _open_attempts(connection, marks)


def _status(mark: Mark) -> ThreadStatus:
    return mark.outgoing.status


def _open_attempts(connection: Connection, marks: Sequence[Mark]) -> dict[int, int]:
    """Open attempts; return their ids by those of their deliveries."""
    rows = [
        {
            "delivery_id": mark.outgoing.delivery_id,
            "number": mark.outgoing.attempts + 1,
            "reason": _reason(mark.outgoing).value,
            "worker": mark.worker,
            "status_carried": mark.outgoing.status.value,
            "started_at": mark.at,
        }
        for mark in marks
    ]
    return {row.delivery_id: row.id for row in connection.execute(_OPEN, rows)}


def _reason(outgoing: Outgoing) -> AttemptReason:
    if outgoing.manual:
        return AttemptReason.MANUAL
    return AttemptReason.REDRIVE if outgoing.doubts else AttemptReason.SCHEDULE


_PAUSED = select(api_state.c.api, api_state.c.paused_cause).where(among(api_state.c.api, "apis"))
_HEADS = (
    select(delivery.c.id, delivery.c.thread_key, delivery.c.state, delivery.c.version, thread.c.known_status)
    .join(thread, (thread.c.id == delivery.c.thread_key) & (thread.c.head_delivery_id == delivery.c.id))
    .where(among(delivery.c.id, "ids"))
)
_TAKE_HEADS = update(thread).where(among(thread.c.id, "keys")).values(NO_HEAD)
_MARK = (
    update(delivery)
    .where(among(delivery.c.id, "ids"))
    .values(
        state=DeliveryState.SENDING.value,
        attempts=delivery.c.attempts + 1,
        manual=False,
        status_carried=bindparam("carried"),
    )
)
_OPEN = attempt.insert().returning(attempt.c.id, attempt.c.delivery_id)
