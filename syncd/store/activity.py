"""What was done lately: requests to each api, deliveries and replies by the hour, what is due and since when.

Nothing of it is counted while the work is done; it all lies in the outbox. Neither attempts nor replies have an index
on their times, but their ids grow with them, all but a little: halving finds where to begin, and the time itself
decides about each row that is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, case, func, literal_column, select

from syncd.model.delivery import DeliveryKind, Outcome
from syncd.store.tables import attempt, delivery, link, thread

HOUR = timedelta(hours=1)
DISORDER = timedelta(minutes=1)
"""So far apart may the times of rows be that came in one order and began in another."""

ON_THE_WIRE = "on_the_wire"
"""Stands in place of an outcome that is not in yet."""


@dataclass(slots=True)
class Lately:
    """The attempts of one api in a while: how many by outcome, the first of them, and the requests of its end.

    `requests`: those of the last part of it which left, so that they count towards the pace.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    first_at: datetime | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """What should have been done by now: how much that is, and since when the oldest of it waits."""

    number: int
    oldest_at: datetime


def first_attempt_since(connection: Connection, instant: datetime) -> int:
    """Return about the lowest id of the attempts from an instant on; one above all if there is none."""
    return _first_since(connection, attempt, attempt.c.started_at, instant)


def _first_since(connection: Connection, table: Table, time: Column[Any], instant: datetime) -> int:
    low, high = 1, int(connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()) + 1
    while low < high:
        middle = (low + high) // 2
        nearest = connection.execute(
            select(table.c.id, time.label("at")).where(table.c.id >= middle).order_by(table.c.id).limit(1)
        ).first()
        if nearest is None or nearest.at >= instant:
            high = middle
        else:
            low = nearest.id + 1
    return low


def attempts_since(connection: Connection, since: datetime, requests_since: datetime) -> dict[str, Lately]:
    """Return what came of the attempts since an instant, by api; the requests since a later one."""
    outcome = func.coalesce(attempt.c.outcome, ON_THE_WIRE)
    is_request = (attempt.c.started_at > requests_since) & (outcome != Outcome.NOT_SENT.value)
    rows = connection.execute(
        select(
            thread.c.api,
            outcome.label("outcome"),
            func.count().label("number"),
            func.min(attempt.c.started_at).label("first_at"),
            func.sum(case((is_request, 1), else_=0)).label("requests"),
        )
        .join(delivery, delivery.c.id == attempt.c.delivery_id)
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(attempt.c.id >= first_attempt_since(connection, since - DISORDER), attempt.c.started_at >= since)
        .group_by(thread.c.api, outcome)
    )
    found: dict[str, Lately] = {}
    for row in rows:
        one = found.setdefault(row.api, Lately())
        one.outcomes[row.outcome] = row.number
        one.first_at = row.first_at if one.first_at is None else min(one.first_at, row.first_at)
        one.requests += int(row.requests)
    return found


def count_delivered(connection: Connection, hours: Sequence[datetime]) -> dict[tuple[datetime, str], int]:
    """Return how many deliveries each api took, by hour and api; `hours` are when they begin, without a gap."""
    begin, end = hours[0], hours[-1] + HOUR
    hour = _hour_of(attempt.c.started_at, hours)
    rows = connection.execute(
        select(hour, thread.c.api, func.count())
        .select_from(attempt)
        .join(delivery, delivery.c.id == attempt.c.delivery_id)
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(
            attempt.c.id >= first_attempt_since(connection, begin - DISORDER),
            attempt.c.started_at >= begin,
            attempt.c.started_at < end,
            attempt.c.outcome == Outcome.DELIVERED.value,
        )
        .group_by(hour, thread.c.api)
    )
    return {(hours[row[0]], row[1]): row[2] for row in rows}


def count_taken_in(connection: Connection, hours: Sequence[datetime]) -> dict[tuple[datetime, str], int]:
    """Return how many replies became deliveries, by hour and system; `hours` are when they begin, without a gap."""
    begin, end = hours[0], hours[-1] + HOUR
    hour = _hour_of(delivery.c.created_at, hours)
    rows = connection.execute(
        select(hour, delivery.c.system, func.count())
        .where(
            delivery.c.id >= _first_since(connection, delivery, delivery.c.created_at, begin - DISORDER),
            delivery.c.created_at >= begin,
            delivery.c.created_at < end,
            delivery.c.kind != DeliveryKind.STATUS_NOTE.value,
        )
        .group_by(hour, delivery.c.system)
    )
    return {(hours[row[0]], row[1]): row[2] for row in rows}


def _hour_of(time: Column[Any], hours: Sequence[datetime]) -> ColumnElement[int]:
    """Return the place of the hour in which a time lies: the two databases have no function for that in common."""
    until: list[Any] = [(time < hour + HOUR, literal_column(str(place))) for place, hour in enumerate(hours)]
    return case(*until).label("hour")


def due_by_api(connection: Connection, now: datetime) -> dict[str, Due]:
    """Return in how many threads something is due to be sent, by api."""
    rows = connection.execute(
        select(thread.c.api, func.count(), func.min(thread.c.head_due_at))
        .where(thread.c.head_due_at <= now)
        .group_by(thread.c.api)
    )
    return {row[0]: Due(row[1], row[2]) for row in rows}


def due_by_system(connection: Connection, now: datetime) -> dict[str, Due]:
    """Return how many links are due to be read, by system."""
    rows = connection.execute(
        select(link.c.system, func.count(), func.min(link.c.collect_due_at))
        .where(link.c.collect_due_at <= now)
        .group_by(link.c.system)
    )
    return {row[0]: Due(row[1], row[2]) for row in rows}
