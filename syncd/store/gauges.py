"""How much waits and stands, read cheaply: from small indexes that hold what is open, never from the outbox itself."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from syncd.model.delivery import DeliveryState
from syncd.model.link import LinkState
from syncd.store.tables import delivery, link, thread

# Written out, so that SQLite sees that the indexes of what is open hold them all.
PENDING = text("delivery.state = 'pending'")
_STANDING = text("delivery.state IN ('sending', 'in_doubt', 'parked')")


def count_pending(connection: Connection) -> dict[str, int]:
    """Count what waits, by api; it takes as long as there is much that waits."""
    each = select(delivery.c.thread_key, func.count().label("waiting")).where(PENDING).group_by(delivery.c.thread_key)
    waiting = each.subquery()
    rows = connection.execute(
        select(thread.c.api, func.sum(waiting.c.waiting))
        .join(waiting, waiting.c.thread_key == thread.c.id)
        .group_by(thread.c.api)
    )
    return {row[0]: int(row[1]) for row in rows}


def find_oldest_due(connection: Connection) -> dict[str, datetime]:
    """Return when the first head of each api is due at which a thread waits."""
    rows = connection.execute(
        select(thread.c.api, func.min(thread.c.head_due_at))
        .where(thread.c.head_due_at.is_not(None))
        .group_by(thread.c.api)
    )
    return {row[0]: row[1] for row in rows}


def find_waiting(connection: Connection) -> dict[str, datetime]:
    """Return the apis at which a thread waits that they do not refuse, and when the first head of those is due."""
    rows = connection.execute(
        select(thread.c.api, func.min(thread.c.head_due_at))
        .where(thread.c.head_due_at.is_not(None), thread.c.retry_at.is_(None))
        .group_by(thread.c.api)
    )
    return {row[0]: row[1] for row in rows}


def count_standing(connection: Connection) -> dict[tuple[str, DeliveryState], int]:
    """Count what is on the wire, in doubt or parked, by api and state."""
    rows = connection.execute(
        select(thread.c.api, delivery.c.state, func.count())
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(_STANDING)
        .group_by(thread.c.api, delivery.c.state)
    )
    return {(row[0], DeliveryState(row[1])): row[2] for row in rows}


def count_links(connection: Connection) -> dict[tuple[str, LinkState], int]:
    """Count links by system and state."""
    rows = connection.execute(select(link.c.system, link.c.state, func.count()).group_by(link.c.state, link.c.system))
    return {(row[0], LinkState(row[1])): row[2] for row in rows}


def count_suspended(connection: Connection) -> int:
    """Count the links that cannot go on."""
    suspended = select(func.count()).where(link.c.state == LinkState.SUSPENDED.value)
    return int(connection.execute(suspended.select_from(link)).scalar_one())


@dataclass(frozen=True, slots=True)
class Standing:
    """What does not go on by itself, or ought to have gone on: as alerts and readiness look at it.

    `waiting`: the apis at which a thread waits, with the instant at which its first head is due. Those that the api
    refuses are suspended links, tried hours apart: that nothing of them is taken says nothing about the api.
    """

    waiting: dict[str, datetime]
    in_doubt: int
    parked: int
    suspended: int


def read_standing(connection: Connection) -> Standing:
    """Return what stands."""
    counted = count_standing(connection)
    return Standing(
        waiting=find_waiting(connection),
        in_doubt=sum(number for (_, state), number in counted.items() if state is DeliveryState.IN_DOUBT),
        parked=sum(number for (_, state), number in counted.items() if state is DeliveryState.PARKED),
        suspended=count_suspended(connection),
    )
