"""What is next at an api: the heads of its threads, by lane and system. See docs/adr/0006.

Each look is a few seeks into one small index, whatever waits: the systems that have heads, and the first of each.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from syncd.model.delivery import Lane
from syncd.store.tables import thread


@dataclass(frozen=True, slots=True)
class Head:
    """The first open delivery of a thread: of which lane and system it is, and the instant at which it is due."""

    thread_key: int
    delivery_id: int
    lane: Lane
    system: str
    due_at: datetime


def due_heads(connection: Connection, api: str, now: datetime, limit: int, besides: int = 0) -> list[Head]:
    """Return heads that are due, live ones first; in a lane system by system, of each those that were due first.

    Each system has its share of the `limit`, so that one with thousands of them hides no other. `besides` are heads
    that may be among them and are on their way already.
    """
    heads: list[Head] = []
    for lane in Lane:
        if len(heads) < limit:
            systems = _systems_with_heads(connection, api, lane)
            share = (limit - len(heads)) // max(len(systems), 1) + besides
            for system in systems:
                heads += _heads_of(connection, (api, lane, system), now, max(share, 1))
    return heads


def _systems_with_heads(connection: Connection, api: str, lane: Lane) -> list[str]:
    """Return the systems that have heads at an api, due or not: one look into the index for each."""
    found: list[str] = []
    while True:
        statement = (
            select(thread.c.head_system)
            .where(thread.c.api == api, thread.c.head_lane == lane.value, thread.c.head_due_at.is_not(None))
            .where(thread.c.head_system > (found[-1] if found else ""))
            .order_by(thread.c.head_system)
            .limit(1)
        )
        system = connection.execute(statement).scalar()
        if system is None:
            return found
        found.append(system)


def _heads_of(connection: Connection, of: tuple[str, Lane, str], now: datetime, limit: int) -> list[Head]:
    api, lane, system = of
    rows = connection.execute(
        select(thread.c.id, thread.c.head_delivery_id, thread.c.head_due_at)
        .where(thread.c.api == api, thread.c.head_lane == lane.value, thread.c.head_system == system)
        .where(thread.c.head_due_at <= now)
        .order_by(thread.c.head_due_at)
        .limit(limit)
    )
    return [Head(row.id, row.head_delivery_id, lane, system, row.head_due_at) for row in rows]


def find_next_due(connection: Connection, api: str) -> datetime | None:
    """Return the earliest instant at which a head of this api is due, if any waits."""
    instants = [
        connection.execute(
            select(func.min(thread.c.head_due_at)).where(
                thread.c.api == api,
                thread.c.head_lane == lane.value,
                thread.c.head_system == system,
                thread.c.head_due_at.is_not(None),
            )
        ).scalar_one()
        for lane in Lane
        for system in _systems_with_heads(connection, api, lane)
    ]
    return min((instant for instant in instants if instant is not None), default=None)


def count_before(connection: Connection, api: str, head: Head, now: datetime, most: int) -> int:
    """Return how many deliveries leave an api before a head that is due, by the pace alone; counted up to `most`.

    Those of its own system that were due before it, as many of each other one, which take turns with it, and before
    a backfilled one all that is live.
    """
    due = thread.c.head_due_at <= now
    found = own = _count(connection, (api, head.lane, head.system), thread.c.head_due_at < head.due_at, most)
    for lane in Lane:
        for system in _systems_with_heads(connection, api, lane) if lane <= head.lane else []:
            if lane is not head.lane:
                found += _count(connection, (api, lane, system), due, most)
            elif system != head.system:
                found += _count(connection, (api, lane, system), due, own + 1)
    return min(found, most)


def _count(connection: Connection, of: tuple[str, Lane, str], due: ColumnElement[bool], most: int) -> int:
    api, lane, system = of
    some = (
        select(thread.c.id)
        .where(thread.c.api == api, thread.c.head_lane == lane.value, thread.c.head_system == system)
        .where(due)
        .limit(most)
    )
    return int(connection.execute(select(func.count()).select_from(some.subquery())).scalar_one())
