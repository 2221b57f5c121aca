"""Many deliveries that wait for one decision: choosing them by api, system, time and reason, and deciding each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from syncd.model.delivery import DeliveryState
from syncd.model.errors import Conflict, Missing
from syncd.store.settling import lock
from syncd.store.standing import Decision
from syncd.store.statement import chunks
from syncd.store.tables import decision, delivery, thread

CHOSEN_AT_ONCE = 100
"""So many are decided in one transaction: the worker, which shares the database, waits for no more than that."""

Decide = Callable[[Connection, int, Decision], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which deliveries a decision is about. `since` and `until` are about when they came to wait for it, inclusive.

    `because` is how their reason begins.
    """

    state: DeliveryState
    api: str | None = None
    system: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """One of them, as it was when it was looked at."""

    id: int
    thread_key: int
    state: str
    version: int
    api: str
    reason: str | None
    since: datetime | None
    has_text: bool


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of a decision about several: the ids decided, and how many had changed meanwhile."""

    ids: tuple[int, ...] = ()
    changed: int = 0


def _select() -> Select[Any]:
    return (
        select(
            delivery.c.id,
            delivery.c.thread_key,
            delivery.c.state,
            delivery.c.version,
            thread.c.api,
            delivery.c.reason,
            delivery.c.ended_at,
            delivery.c.content.is_not(None),
        )
        .join(thread, thread.c.id == delivery.c.thread_key)
        .order_by(delivery.c.thread_key, delivery.c.id)
    )


def find_chosen(connection: Connection, choice: Choice) -> list[Chosen]:
    """Return the deliveries of a choice, those of a thread together, in the order of their ids."""
    statement = _select().where(delivery.c.state == choice.state.value)
    for column, wanted in ((thread.c.api, choice.api), (delivery.c.system, choice.system)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if choice.since is not None:
        statement = statement.where(delivery.c.ended_at >= choice.since)
    if choice.until is not None:
        statement = statement.where(delivery.c.ended_at <= choice.until)
    if choice.because is not None:
        # No LIKE: the two databases do not agree on capital letters in it.
        statement = statement.where(func.substr(delivery.c.reason, 1, len(choice.because)) == choice.because)
    return [Chosen(*row) for row in connection.execute(statement)]


def decide_chosen(connection: Connection, some: Sequence[Chosen], decide: Decide, by: Decision) -> Decided:
    """Make one decision about each of some deliveries; what changed since it was looked at is left alone."""
    ids = []
    for one in some:
        # Locked before it is looked at, so that it cannot change between.
        lock(connection, one.thread_key)
        now = connection.execute(select(delivery.c.state, delivery.c.version).where(delivery.c.id == one.id)).one()
        if (now.state, now.version) == (one.state, one.version):
            decide(connection, one.id, by)
            ids.append(one.id)
    return Decided(tuple(ids), len(some) - len(ids))


def find_by_ids(connection: Connection, ids: Sequence[int]) -> list[Chosen]:
    """Return the deliveries of these ids, those of a thread together.

    Raises:
        Missing: one of them is not there.
    """
    found = [
        Chosen(*row) for some in chunks(ids) for row in connection.execute(_select().where(delivery.c.id.in_(some)))
    ]
    there = {one.id for one in found}
    for one in ids:
        if one not in there:
            raise Missing(f"there is no delivery {one}")
    return sorted(found, key=lambda one: (one.thread_key, one.id))


def decide_each(connection: Connection, seen: Mapping[int, tuple[str, int]], decide: Decide, by: Decision) -> None:
    """Make one decision about some deliveries, all of them or none. `seen`: their states and versions when looked at.

    Raises:
        Missing: one of them is not there.
        Conflict: one of them has changed since, or the decision does not fit to it.
    """
    for one in find_by_ids(connection, list(seen)):
        lock(connection, one.thread_key)
        now = connection.execute(select(delivery.c.state, delivery.c.version).where(delivery.c.id == one.id)).one()
        if (now.state, now.version) != seen[one.id]:
            raise Conflict(f"delivery {one.id} has changed since you looked at it: {_changed(connection, one.id, now)}")
        decide(connection, one.id, by)


def _changed(connection: Connection, delivery_id: int, now: Any) -> str:
    """Say how a delivery stands now, and who decided about it last."""
    last = connection.execute(
        select(decision.c.who, decision.c.action, decision.c.reason)
        .where(decision.c.subject == f"delivery {delivery_id}")
        .order_by(decision.c.id.desc())
        .limit(1)
    ).first()
    state = f"it is {now.state.replace('_', ' ')} now"
    return (
        state
        if last is None
        else f"{state}; the last decision about it is of {last.who}: {last.action} ({last.reason})"
    )
