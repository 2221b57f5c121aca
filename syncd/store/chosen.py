"""Many deliveries that wait for one decision: choosing them by api, system, time and reason, and deciding each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from syncd.model.delivery import DeliveryState
from syncd.store.standing import Decision
from syncd.store.tables import delivery, thread
from syncd.store.threads import lock

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


def find_chosen(connection: Connection, choice: Choice) -> list[Chosen]:
    """Return the deliveries of a choice, those of a thread together, in the order of their ids."""
    statement = (
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
        .where(delivery.c.state == choice.state.value)
        .order_by(delivery.c.thread_key, delivery.c.id)
    )
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
