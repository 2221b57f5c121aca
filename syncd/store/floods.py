"""Late replies of a system: held until their sweep has ended, then released or left to a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update

from syncd.model.delivery import DeliveryState
from syncd.store.enqueue import UNREAD
from syncd.store.settling import settle_all
from syncd.store.statement import chunks, upsert
from syncd.store.tables import delivery, flood

HELD_REASON = "flood: old replies, held until the sweep has ended"
FLOOD = "flood: "
"""How the reasons of all that wait because of a flood begin."""


@dataclass(frozen=True, slots=True)
class Told:
    """How many late replies a system has told since an instant."""

    since_at: datetime
    replies: int


def find_told(connection: Connection, system: str) -> Told | None:
    """Return what has been counted of a system."""
    row = connection.execute(select(flood).where(flood.c.system == system)).first()
    return None if row is None else Told(row.since_at, row.told)


def store_told(connection: Connection, system: str, told: Told) -> None:
    """Store the count, which outlives the process."""
    upsert(connection, flood, "system", {"system": system, "since_at": told.since_at, "told": told.replies})


def is_held() -> ColumnElement[bool]:
    """Return the condition that a delivery is held until its sweep has ended: nobody has decided about it yet."""
    return (delivery.c.state == DeliveryState.PARKED.value) & (delivery.c.reason == HELD_REASON)


def held(connection: Connection, system: str) -> list[int]:
    """Return the deliveries of a system that are held until the end of the sweep, also those of a process before."""
    statement = select(delivery.c.id).where(is_held(), delivery.c.system == system)
    return [row.id for row in connection.execute(statement.order_by(delivery.c.id))]


def release(connection: Connection, delivery_ids: Sequence[int], now: datetime) -> None:
    """Queue what was held, to be read again before it is sent; what a person decided meanwhile stays as decided."""
    threads: set[int] = set()
    for some in chunks(delivery_ids):
        released = (
            update(delivery)
            .where(delivery.c.id.in_(some), delivery.c.reason == HELD_REASON)
            .values(state=DeliveryState.PENDING.value, reason=None, ended_at=None, due_at=now, read_at=UNREAD)
        )
        threads.update(row.thread_key for row in connection.execute(released.returning(delivery.c.thread_key)))
    settle_all(connection, threads)


def keep(connection: Connection, delivery_ids: Sequence[int], reason: str) -> None:
    """Leave what was held to a person."""
    for some in chunks(delivery_ids):
        kept = update(delivery).where(delivery.c.id.in_(some), delivery.c.reason == HELD_REASON)
        connection.execute(kept.values(reason=reason))


def count_flooded(connection: Connection) -> dict[str, int]:
    """Return how many deliveries wait for a person because of a flood, by system."""
    begins_so = func.substr(delivery.c.reason, 1, len(FLOOD)) == FLOOD
    statement = select(delivery.c.system, func.count()).where(
        delivery.c.state == DeliveryState.PARKED.value, begins_so, delivery.c.reason != HELD_REASON
    )
    return {row[0]: row[1] for row in connection.execute(statement.group_by(delivery.c.system))}
