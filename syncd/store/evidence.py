"""What is known around one attempt: how its api fared in that minute, what else was sent in the same thread.

It is read when a person has to decide about a delivery, and written by nobody: it all lies in the outbox already.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select

from syncd.model.delivery import DeliveryState
from syncd.model.health import ApiState
from syncd.store import health
from syncd.store.activity import ON_THE_WIRE, first_attempt_since
from syncd.store.tables import attempt, decision, delivery, thread

AROUND = timedelta(minutes=1)
NEIGHBOURS = 3
DECISIONS_WITHIN = timedelta(hours=1)

_SENT = (DeliveryState.DELIVERED.value, DeliveryState.IN_DOUBT.value, DeliveryState.SENDING.value)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another delivery of the same thread that was sent, or may have been."""

    id: int
    kind: str
    state: str
    reason: str | None
    occurred_at: datetime
    sent_at: datetime | None
    communication_id: int | None


@dataclass(frozen=True, slots=True)
class ApiDecision:
    """What a person decided about an api around that time: who, when, what."""

    at: datetime
    who: str
    action: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around one instant of one thread and its api.

    `outcomes` counts the attempts of the api from a minute before to a minute after, by their outcomes, the one in
    question left out. `before` and `after` are by the replies' own times, as the thread in the CRM has them.
    """

    at: datetime
    outcomes: dict[str, int]
    api: ApiState
    api_decisions: tuple[ApiDecision, ...]
    before: tuple[Neighbour, ...]
    after: tuple[Neighbour, ...]


def find_surroundings(
    connection: Connection, delivery_id: int, at: datetime, attempt_id: int | None = None
) -> Surroundings | None:
    """Return what is known around a delivery at an instant; `attempt_id` is the attempt in question, if there was one.

    None if there is no such delivery.
    """
    row = connection.execute(
        select(delivery.c.id, delivery.c.thread_key, delivery.c.occurred_at, thread.c.api)
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(delivery.c.id == delivery_id)
    ).first()
    if row is None:
        return None
    return Surroundings(
        at=at,
        outcomes=_outcomes(connection, row.api, at, attempt_id),
        api=health.get_api(connection, row.api),
        api_decisions=_api_decisions(connection, row.api, at),
        before=_neighbours(connection, row, after=False),
        after=_neighbours(connection, row, after=True),
    )


def doubtful_since(connection: Connection, delivery_id: int) -> datetime | None:
    """Return when a delivery ended, was parked or came to be in doubt."""
    return connection.execute(select(delivery.c.ended_at).where(delivery.c.id == delivery_id)).scalar()


def _outcomes(connection: Connection, api: str, at: datetime, attempt_id: int | None) -> dict[str, int]:
    begin, end = at - AROUND, at + AROUND
    lowest = first_attempt_since(connection, begin - AROUND)
    highest = first_attempt_since(connection, end + AROUND)
    outcome = func.coalesce(attempt.c.outcome, ON_THE_WIRE)
    rows = connection.execute(
        select(outcome, func.count())
        .join(delivery, delivery.c.id == attempt.c.delivery_id)
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(
            attempt.c.id.between(lowest, highest),
            attempt.c.started_at.between(begin, end),
            attempt.c.id != (attempt_id or 0),
            thread.c.api + "" == api,
        )
        .group_by(outcome)
    )
    return {row[0]: row[1] for row in rows}


def _api_decisions(connection: Connection, api: str, at: datetime) -> tuple[ApiDecision, ...]:
    rows = connection.execute(
        select(decision.c.decided_at, decision.c.who, decision.c.action)
        .where(
            decision.c.subject == f"api {api}",
            decision.c.decided_at.between(at - DECISIONS_WITHIN, at + DECISIONS_WITHIN),
        )
        .order_by(decision.c.id)
    )
    return tuple(ApiDecision(row.decided_at, row.who, row.action) for row in rows)


def _neighbours(connection: Connection, row: Any, *, after: bool) -> tuple[Neighbour, ...]:
    """Return the nearest deliveries of the thread that were sent, oldest first."""
    moment, own = delivery.c.occurred_at, row.occurred_at
    if after:
        wanted = (moment > own) | ((moment == own) & (delivery.c.id > row.id))
        order: tuple[Any, ...] = (moment, delivery.c.id)
    else:
        wanted = (moment < own) | ((moment == own) & (delivery.c.id < row.id))
        order = (moment.desc(), delivery.c.id.desc())
    # The state is joined to an empty text: the thread is the way to them, not the millions that were delivered.
    statement = _neighbour_rows().where(
        delivery.c.thread_key == row.thread_key, (delivery.c.state + "").in_(_SENT), wanted
    )
    found = [Neighbour(*one) for one in connection.execute(statement.order_by(*order).limit(NEIGHBOURS))]
    return tuple(found if after else reversed(found))


def _neighbour_rows() -> Select[Any]:
    last = select(func.max(attempt.c.started_at)).where(attempt.c.delivery_id == delivery.c.id).scalar_subquery()
    return select(
        delivery.c.id,
        delivery.c.kind,
        delivery.c.state,
        delivery.c.reason,
        delivery.c.occurred_at,
        last.label("sent_at"),
        delivery.c.communication_id,
    )
