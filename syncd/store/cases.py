"""All that bears on the question why a delivery, or a link, does not go on; read in one snapshot, a few rows by key.

What follows from it is decided elsewhere. Nothing here looks through the outbox: the way to its rows is their thread.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from syncd.model.delivery import DeliveryState, Lane
from syncd.model.health import ApiState, SystemState
from syncd.model.lease import Muster
from syncd.model.link import Link, LinkState
from syncd.store import health, leases, links, lists
from syncd.store.heads import Head, count_before
from syncd.store.lists import DeliveryInFull
from syncd.store.tables import delivery, link, thread

MOST_BEFORE = 10_000
"""So many that leave before a delivery are counted; more are not worth the time."""

# The very words of the partial indexes, without which SQLite would look at every delivery of the thread.
_PENDING = text("delivery.state = 'pending'")
_STANDING = text("delivery.state IN ('sending', 'in_doubt', 'parked')")


@dataclass(frozen=True, slots=True)
class DeliverySeen:
    """A delivery in full, with what decides when it goes on. `since_at`: since when its state is what it is."""

    full: DeliveryInFull
    lane: Lane
    read_at: datetime
    since_at: datetime
    failures: int

    @property
    def id(self) -> int:
        """Return its id."""
        return self.full.item.id

    @property
    def state(self) -> DeliveryState:
        """Return its state."""
        return DeliveryState(self.full.item.state)


@dataclass(frozen=True, slots=True)
class DeliveryCase:
    """A delivery and all that may stand before it.

    - `link`: the one that its thread has now.
    - `front`: the first of its thread that waits; itself, unless another one goes before it.
    - `sending`, `standing`: another one of its thread that is on the wire; the oldest that is in doubt or parked.
    - `before`: how many of other threads leave before the front by the pace; None if it is not due.
    """

    at: datetime
    delivery: DeliverySeen
    link: Link | None
    retry_at: datetime | None
    front: DeliverySeen
    sending: DeliverySeen | None
    standing: DeliverySeen | None
    api: ApiState
    system: SystemState
    before: int | None
    muster: Muster


@dataclass(frozen=True, slots=True)
class LinkCase:
    """A link and what is known of its ticket's replies.

    - `open`: how many of its deliveries have not ended, by state. `first`: the one to look at first.
    - `dispositions`: what became of the replies that were read for its thread.
    """

    at: datetime
    link: Link
    open: dict[str, int]
    first: int | None
    last_delivered: DeliverySeen | None
    dispositions: dict[str, int]
    api: ApiState
    system: SystemState
    muster: Muster


def find_delivery_case(connection: Connection, delivery_id: int, now: datetime) -> DeliveryCase | None:
    """Return a delivery with all that may stand before it; None if there is none of that id."""
    seen = _see(connection, delivery_id)
    if seen is None:
        return None
    key = connection.execute(select(delivery.c.thread_key).where(delivery.c.id == delivery_id)).scalar_one()
    api = seen.full.item.api
    front = seen if seen.state is not DeliveryState.PENDING else _front(connection, key) or seen
    return DeliveryCase(
        at=now,
        delivery=seen,
        link=_link_of_thread(connection, key),
        retry_at=connection.execute(select(thread.c.retry_at).where(thread.c.id == key)).scalar_one(),
        front=front,
        sending=_standing(connection, key, delivery_id, on_the_wire=True),
        standing=_standing(connection, key, delivery_id, on_the_wire=False),
        api=health.get_api(connection, api),
        system=health.get_system(connection, front.full.item.system),
        before=_before(connection, api, key, front, now),
        muster=leases.muster(connection),
    )


def find_link_case(connection: Connection, link_id: int, now: datetime) -> LinkCase | None:
    """Return a link with what is known of its ticket's replies; None if there is none of that id."""
    found = links.find(connection, link_id)
    if found is None:
        return None
    mine = (delivery.c.thread_key == found.thread_key, delivery.c.link_id == link_id)
    standing = connection.execute(
        select(delivery.c.state, func.count(), func.min(delivery.c.id))
        .where(*mine, _STANDING)
        .group_by(delivery.c.state)
    ).all()
    waiting = connection.execute(select(func.count()).where(*mine, _PENDING).select_from(delivery)).scalar_one()
    first_of = {row[0]: row[2] for row in standing}
    looked_at = [first_of.get(state.value) for state in (DeliveryState.IN_DOUBT, DeliveryState.PARKED)]
    looked_at += [_first_pending(connection, found.thread_key) if waiting else None]
    looked_at += [first_of.get(DeliveryState.SENDING.value)]
    return LinkCase(
        at=now,
        link=found,
        open={row[0]: row[1] for row in standing} | ({DeliveryState.PENDING.value: waiting} if waiting else {}),
        first=next((one for one in looked_at if one is not None), None),
        last_delivered=_last_delivered(connection, found),
        dispositions=lists.count_dispositions(connection, found.thread_key),
        api=health.get_api(connection, found.thread.api),
        system=health.get_system(connection, found.system),
        muster=leases.muster(connection),
    )


def _see(connection: Connection, delivery_id: int) -> DeliverySeen | None:
    full = lists.find_delivery(connection, delivery_id)
    if full is None:
        return None
    columns = (delivery.c.lane, delivery.c.read_at, delivery.c.ended_at, delivery.c.failures)
    row = connection.execute(select(*columns).where(delivery.c.id == delivery_id)).one()
    since_at = row.ended_at or full.item.created_at
    if full.item.state == DeliveryState.SENDING.value and full.attempts:
        since_at = full.attempts[-1].started_at
    return DeliverySeen(full, Lane(row.lane), row.read_at, since_at, row.failures)


def _front(connection: Connection, thread_key: int) -> DeliverySeen | None:
    first = _first_pending(connection, thread_key)
    return None if first is None else _see(connection, first)


def _first_pending(connection: Connection, thread_key: int) -> int | None:
    statement = select(delivery.c.id).where(delivery.c.thread_key == thread_key, _PENDING)
    found: int | None = connection.execute(
        statement.order_by(delivery.c.lane, delivery.c.occurred_at, delivery.c.id).limit(1)
    ).scalar()
    return found


def _standing(connection: Connection, thread_key: int, but: int, *, on_the_wire: bool) -> DeliverySeen | None:
    # The state is joined to an empty text: the thread is the way to it, not the state.
    sending = (delivery.c.state + "") == DeliveryState.SENDING.value
    statement = select(delivery.c.id).where(
        delivery.c.thread_key == thread_key, _STANDING, delivery.c.id != but, sending if on_the_wire else ~sending
    )
    found = connection.execute(statement.order_by(delivery.c.ended_at, delivery.c.id).limit(1)).scalar()
    return None if found is None else _see(connection, found)


def _link_of_thread(connection: Connection, thread_key: int) -> Link | None:
    statement = select(link.c.id).where(link.c.thread_key == thread_key, link.c.state != LinkState.REMOVED.value)
    found = connection.execute(statement).scalar()
    return None if found is None else links.find(connection, found)


def _before(connection: Connection, api: str, thread_key: int, front: DeliverySeen, now: datetime) -> int | None:
    """Return how many leave before the front of a thread; None if it is not the head, or not due."""
    due_at = connection.execute(
        select(thread.c.head_due_at).where(thread.c.id == thread_key, thread.c.head_delivery_id == front.id)
    ).scalar()
    if due_at is None or due_at > now:
        return None
    head = Head(thread_key, front.id, front.lane, front.full.item.system, due_at)
    return count_before(connection, api, head, now, MOST_BEFORE)


def _last_delivered(connection: Connection, of: Link) -> DeliverySeen | None:
    # The state is joined to an empty text: the thread is the way to them, not the millions that were delivered.
    found = connection.execute(
        select(delivery.c.id)
        .where(
            delivery.c.thread_key == of.thread_key,
            delivery.c.link_id == of.id,
            (delivery.c.state + "") == DeliveryState.DELIVERED.value,
        )
        .order_by(delivery.c.ended_at.desc(), delivery.c.id.desc())
        .limit(1)
    ).scalar()
    return None if found is None else _see(connection, found)
