"""What is next at an api: the heads of its threads, by lane and system. See docs/adr/0006.

Each look is a few seeks into one small index, whatever waits: the systems that have heads, and the first of each.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, bindparam, func, select

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
    return list(connection.execute(_SYSTEMS, {"its_api": api, "its_lane": lane.value}).scalars())


def _heads_of(connection: Connection, of: tuple[str, Lane, str], now: datetime, limit: int) -> list[Head]:
    api, lane, system = of
    asked = {"its_api": api, "its_lane": lane.value, "its_system": system, "now": now, "most": limit}
    return [
        Head(key, delivery_id, lane, system, due_at) for key, delivery_id, due_at in connection.execute(_HEADS, asked)
    ]


def apis_with_due(connection: Connection, now: datetime) -> set[str]:
    """Return the apis that have a head that is due: a hop through the index for each that has one, due or not."""
    return set(connection.execute(_APIS_WITH_DUE, {"now": now}).scalars())


def find_next_due(connection: Connection, api: str) -> datetime | None:
    """Return the earliest instant at which a head of this api is due, if any waits."""
    instants = [
        connection.execute(_FIRST_DUE, {"its_api": api, "its_lane": lane.value, "its_system": system}).scalar_one()
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


def _first_system(after: ColumnElement[str] | None = None) -> ScalarSelect[str]:
    """Return the first system that has heads in a lane of an api, or the one that follows another."""
    this = thread.alias()
    first = select(func.min(this.c.head_system)).where(
        this.c.api == bindparam("its_api"), this.c.head_lane == bindparam("its_lane"), this.c.head_due_at.is_not(None)
    )
    return (first if after is None else first.where(this.c.head_system > after)).scalar_subquery()


def _systems() -> Select[str]:
    """Return the statement that hops through the index, from each system to the next."""
    found = select(_first_system().label("system")).cte("found", recursive=True)
    found = found.union_all(select(_first_system(found.c.system)).where(found.c.system.is_not(None)))
    return select(found.c.system).where(found.c.system.is_not(None))


def _first_api(after: ColumnElement[str] | None = None) -> ScalarSelect[str]:
    this = thread.alias()
    first = select(func.min(this.c.api)).where(this.c.head_due_at.is_not(None))
    return (first if after is None else first.where(this.c.api > after)).scalar_subquery()


def _apis_with_due() -> Select[str]:
    found = select(_first_api().label("api")).cte("found", recursive=True)
    found = found.union_all(select(_first_api(found.c.api)).where(found.c.api.is_not(None)))
    is_due = select(thread.c.id).where(thread.c.api == found.c.api, thread.c.head_due_at <= bindparam("now")).exists()
    return select(found.c.api).where(found.c.api.is_not(None), is_due)


# Written once: to write a statement anew costs more than to run it.
_OF_LANE = (thread.c.api == bindparam("its_api")) & (thread.c.head_lane == bindparam("its_lane"))
_OF_SYSTEM = _OF_LANE & (thread.c.head_system == bindparam("its_system"))
_SYSTEMS = _systems()
_HEADS = (
    select(thread.c.id, thread.c.head_delivery_id, thread.c.head_due_at)
    .where(_OF_SYSTEM, thread.c.head_due_at <= bindparam("now"))
    .order_by(thread.c.head_due_at)
    .limit(bindparam("most"))
)
_FIRST_DUE = select(func.min(thread.c.head_due_at)).where(_OF_SYSTEM, thread.c.head_due_at.is_not(None))
_APIS_WITH_DUE = _apis_with_due()
