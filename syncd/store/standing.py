"""What needs a decision: deliveries in doubt or parked, what a dead worker left, what a restored database held."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, select, update

from syncd.model.communication import Message
from syncd.model.delivery import DeliveryKind, DeliveryState, InDoubtPolicy, Outcome, Reached
from syncd.model.errors import Conflict, Missing
from syncd.store.enqueue import UNREAD, message_values
from syncd.store.settling import lock, settle
from syncd.store.tables import attempt, decision, delivery, thread

DIED_REASON = "the process ended while this was on the wire"
RESTORED_REASON = "restored"
ASSUMED_REASON = "assumed"
_SENDING = DeliveryState.SENDING.value


class Resolution(StrEnum):
    """What a person decides about a delivery in doubt."""

    DELIVERED = "delivered"
    RESEND = "resend"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided, when, and why."""

    who: str
    at: datetime
    reason: str


def write_decision(connection: Connection, action: str, subject: str, by: Decision) -> None:
    """Write down a decision."""
    connection.execute(
        decision.insert().values(decided_at=by.at, who=by.who, action=action, subject=subject, reason=by.reason)
    )


def _get(connection: Connection, delivery_id: int) -> Any:
    thread_key = connection.execute(select(delivery.c.thread_key).where(delivery.c.id == delivery_id)).scalar()
    if thread_key is None:
        raise Missing(f"there is no delivery {delivery_id}; `syncd deliveries list` shows them")
    # Locked before it is looked at, so that the worker does not mark it meanwhile.
    lock(connection, thread_key)
    return connection.execute(select(delivery).where(delivery.c.id == delivery_id)).one()


def resolve(connection: Connection, delivery_id: int, resolution: Resolution, by: Decision) -> None:
    """Decide a delivery in doubt: it was delivered, it is sent again, or it is left.

    Raises:
        Conflict: it is not in doubt, or is to be sent again and its text was erased.
    """
    row = _get(connection, delivery_id)
    if row.state != DeliveryState.IN_DOUBT.value:
        raise Conflict(f"delivery {delivery_id} is {row.state}, not in doubt; only what is in doubt is resolved")
    if resolution is Resolution.RESEND and row.content is None:
        raise Conflict(f"delivery {delivery_id} has no text any more, so it cannot be sent: say --delivered or --skip")
    values: dict[str, Any] = {"reason": f"resolved: {by.reason}", "version": delivery.c.version + 1}
    if resolution is Resolution.DELIVERED:
        values |= {"state": DeliveryState.DELIVERED.value}
    elif resolution is Resolution.SKIP:
        values |= {"state": DeliveryState.SKIPPED.value}
    else:
        # While it was in doubt it did not follow its reply, which may be internal by now.
        again = {"due_at": by.at, "manual": True, "ended_at": None, "read_at": UNREAD}
        values |= {"state": DeliveryState.PENDING.value} | again
    connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(values))
    settle_doubt(connection, row, resolution)
    write_decision(connection, f"resolve {resolution}", f"delivery {delivery_id}", by)
    settle(connection, row.thread_key)


def settle_doubt(connection: Connection, row: Any, resolution: Resolution) -> None:
    """Take the doubt off the thread's status, or leave it to the newest delivery still in doubt.

    A note that is left for good keeps it: the level that it told of makes no other note.
    """
    this = update(thread).where(thread.c.id == row.thread_key, thread.c.doubt_status.is_not(None))
    parked_note = (delivery.c.state == DeliveryState.PARKED.value) & (delivery.c.kind == DeliveryKind.STATUS_NOTE.value)
    newest = connection.execute(
        select(delivery.c.status_carried)
        .where(
            delivery.c.thread_key == row.thread_key,
            (delivery.c.state == DeliveryState.IN_DOUBT.value) | parked_note,
        )
        .order_by(delivery.c.ended_at.desc(), delivery.c.id.desc())
        .limit(1)
    ).first()
    if resolution is Resolution.DELIVERED and newest is None and row.status_carried is not None:
        connection.execute(this.values(sent_status=row.status_carried))
    left = row.status_carried if resolution is Resolution.SKIP and _is_note(row) else None
    connection.execute(this.values(doubt_status=left if newest is None else newest.status_carried))


def _is_note(row: Any) -> bool:
    return bool(row.kind == DeliveryKind.STATUS_NOTE.value)


def retry(connection: Connection, delivery_id: int, by: Decision) -> None:
    """Try a parked or waiting delivery now.

    Raises:
        Conflict: it is neither parked nor pending, or has nothing to send.
    """
    row = _get(connection, delivery_id)
    if row.state not in {DeliveryState.PARKED.value, DeliveryState.PENDING.value}:
        hint = " Use `syncd deliveries resolve` for it." if row.state == DeliveryState.IN_DOUBT.value else ""
        raise Conflict(f"delivery {delivery_id} is {row.state}; only parked and pending ones are retried.{hint}")
    if row.subject is None or row.content is None:
        raise Conflict(f"delivery {delivery_id} has no content to send; give it one with `syncd deliveries edit`")
    # While it was parked it did not follow its reply, which may be internal by now.
    _requeue(connection, row, by, {"read_at": UNREAD} if row.state == DeliveryState.PARKED.value else {})
    write_decision(connection, "retry", f"delivery {delivery_id}", by)


def _requeue(connection: Connection, row: Any, by: Decision, values: dict[str, Any]) -> None:
    values = values | {
        "state": DeliveryState.PENDING.value,
        "reason": None,
        "due_at": by.at,
        "manual": True,
        "ended_at": None,
        "version": delivery.c.version + 1,
    }
    connection.execute(update(delivery).where(delivery.c.id == row.id).values(values))
    connection.execute(update(thread).where(thread.c.id == row.thread_key).values(retry_at=None))
    settle(connection, row.thread_key)


def edit(connection: Connection, delivery_id: int, message: Message, by: Decision) -> None:
    """Replace the text of a parked or waiting delivery and queue it.

    Raises:
        Conflict: it is neither parked nor pending.
    """
    row = _get(connection, delivery_id)
    if row.state not in {DeliveryState.PARKED.value, DeliveryState.PENDING.value}:
        raise Conflict(f"delivery {delivery_id} is {row.state}; only parked and pending ones are edited")
    _requeue(connection, row, by, message_values(message))
    write_decision(connection, "edit", f"delivery {delivery_id}", by)


def skip(connection: Connection, delivery_id: int, by: Decision) -> None:
    """Leave a parked or waiting delivery for good.

    Raises:
        Conflict: it is neither parked nor pending.
    """
    row = _get(connection, delivery_id)
    if row.state not in {DeliveryState.PARKED.value, DeliveryState.PENDING.value}:
        raise Conflict(f"delivery {delivery_id} is {row.state}; only parked and pending ones are skipped")
    values = {"state": DeliveryState.SKIPPED.value, "reason": f"skipped: {by.reason}", "ended_at": by.at}
    connection.execute(
        update(delivery).where(delivery.c.id == delivery_id).values(values | {"version": delivery.c.version + 1})
    )
    if row.state == DeliveryState.PENDING.value and _is_note(row):
        this = update(thread).where(thread.c.id == row.thread_key)
        connection.execute(this.values(doubt_status=thread.c.known_status))
    write_decision(connection, "skip", f"delivery {delivery_id}", by)
    settle(connection, row.thread_key)


def adopt_orphans(
    connection: Connection, policies: dict[str, InDoubtPolicy], now: datetime, api: str | None = None
) -> int:
    """Put what a dead worker left as `sending` in doubt, by its api's policy; return how many there were.

    With `api`, what it left of that one: other workers live, and have requests of other apis on the wire.
    """
    statement = (
        select(delivery.c.id, delivery.c.thread_key, delivery.c.doubts, delivery.c.status_carried, thread.c.api)
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(delivery.c.state == DeliveryState.SENDING.value)
        .order_by(delivery.c.thread_key)
    )
    rows = connection.execute(statement if api is None else statement.where(thread.c.api == api)).all()
    return sum(_doubt(connection, row, policies.get(row.api, InDoubtPolicy.HOLD), now) for row in rows)


def _doubt(connection: Connection, row: Any, policy: InDoubtPolicy, now: datetime) -> bool:
    """Put one delivery in doubt; return False if its outcome was recorded meanwhile: its worker lives after all."""
    lock(connection, row.thread_key)
    if connection.execute(select(delivery.c.state).where(delivery.c.id == row.id)).scalar() != _SENDING:
        return False
    connection.execute(
        update(attempt)
        .where(attempt.c.delivery_id == row.id, attempt.c.outcome.is_(None))
        .values(outcome=Outcome.IN_DOUBT.value, reached=Reached.WRITING.value, error_text=DIED_REASON)
    )
    values: dict[str, Any] = {"doubts": delivery.c.doubts + 1, "ended_at": now, "reason": DIED_REASON}
    if policy is InDoubtPolicy.ASSUME_DELIVERED:
        values |= {"state": DeliveryState.DELIVERED.value, "reason": ASSUMED_REASON}
    elif policy is InDoubtPolicy.RESEND and row.doubts == 0:
        values |= {"state": DeliveryState.PENDING.value, "ended_at": None, "due_at": now}
    else:
        values |= {"state": DeliveryState.IN_DOUBT.value}
    connection.execute(update(delivery).where(delivery.c.id == row.id).values(values))
    connection.execute(update(thread).where(thread.c.id == row.thread_key).values(doubt_status=row.status_carried))
    settle(connection, row.thread_key)
    return True


def doubt_everything_open(connection: Connection, now: datetime) -> int:
    """After a restored backup: whatever was open then may have been sent since; return how many that were."""
    open_states = [DeliveryState.PENDING.value, DeliveryState.SENDING.value]
    # What was parked with a text may have been released and sent since.
    is_open = delivery.c.state.in_(open_states) | (
        (delivery.c.state == DeliveryState.PARKED.value) & delivery.c.content.is_not(None)
    )
    rows = connection.execute(select(delivery.c.id, delivery.c.thread_key).where(is_open)).all()
    connection.execute(
        update(delivery)
        .where(is_open)
        .values(
            state=DeliveryState.IN_DOUBT.value,
            reason=RESTORED_REASON,
            ended_at=now,
            doubts=delivery.c.doubts + 1,
            version=delivery.c.version + 1,
        )
    )
    for thread_key in {row.thread_key for row in rows}:
        # What was open then may have carried the status as well.
        this = update(thread).where(thread.c.id == thread_key)
        connection.execute(this.values(doubt_status=thread.c.known_status))
        settle(connection, thread_key)
    return len(rows)


def last_known_at(connection: Connection) -> datetime | None:
    """Return the latest instant that the database knows of: what it cannot know lies after it."""
    instants = [
        connection.execute(select(func.max(column))).scalar_one()
        for column in (attempt.c.started_at, delivery.c.created_at)
    ]
    return max((instant for instant in instants if instant is not None), default=None)
