"""The late answer: a worker that was taken for dead comes back, and its request was answered 2xx all the same.

Its delivery is in doubt by then, put there by whoever took over. Nothing but a 2xx settles such a doubt, and no
decision of a person is touched.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from syncd.model.delivery import DeliveryState, Outcome
from syncd.store.outbox import Record, evidence_values
from syncd.store.settling import lock, settle
from syncd.store.standing import ASSUMED_REASON, Resolution, settle_doubt
from syncd.store.tables import attempt, delivery


def settle_late(connection: Connection, result: Record, now: datetime) -> bool:
    """Record a 2xx of an attempt that counts as in doubt; return whether its delivery is delivered by that.

    The attempt is told what it came to in any case. Its delivery stays as it is once a person decided, or once
    another attempt was made.
    """
    if result.outcome is not Outcome.DELIVERED:
        return False
    lock(connection, result.thread_key)
    row = connection.execute(
        select(delivery, attempt.c.number)
        .join(attempt, attempt.c.delivery_id == delivery.c.id)
        .where(attempt.c.id == result.attempt_id, attempt.c.outcome == Outcome.IN_DOUBT.value)
    ).first()
    if row is None:
        return False
    connection.execute(update(attempt).where(attempt.c.id == result.attempt_id).values(evidence_values(result)))
    if row.number != row.attempts or not _is_undecided(row):
        return False
    values: dict[str, object] = {
        "state": DeliveryState.DELIVERED.value,
        "reason": None,
        "ended_at": now,
        "communication_id": result.communication_id,
        "version": delivery.c.version + 1,
    }
    if result.flags:
        values["flags"] = func.coalesce(delivery.c.flags + ",", "") + ",".join(result.flags)
    connection.execute(update(delivery).where(delivery.c.id == row.id).values(values))
    settle_doubt(connection, row, Resolution.DELIVERED)
    settle(connection, result.thread_key)
    return True


def _is_undecided(row: Any) -> bool:
    """Say whether the policy alone has dealt with the doubt, and no person."""
    match DeliveryState(row.state):
        case DeliveryState.IN_DOUBT:
            return True
        case DeliveryState.DELIVERED:
            return bool(row.reason == ASSUMED_REASON)
        case DeliveryState.PENDING:
            return not row.manual
        case _:
            return False
