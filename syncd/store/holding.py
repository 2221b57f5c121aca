"""What holds deliveries back for a while, and what lets them go again."""

from datetime import datetime

from sqlalchemy import Connection, select, text, update

from syncd.model.delivery import DeliveryState
from syncd.model.link import Cause, LinkState
from syncd.store.settling import lock, settle, settle_all
from syncd.store.tables import delivery, link, thread
from syncd.store.threads import NO_HEAD


def is_held_back(connection: Connection, thread_key: int) -> bool:
    """Say whether a parked or in-doubt delivery stands in the thread, which `order = "strict"` lets hold it."""
    # The very words of the partial index, without which SQLite would look at every delivery of the thread.
    standing = text("delivery.state IN ('sending', 'in_doubt', 'parked')")
    rows = select(delivery.c.state).where(delivery.c.thread_key == thread_key, standing)
    return any(row.state != DeliveryState.SENDING.value for row in connection.execute(rows))


def hold_back(connection: Connection, thread_key: int) -> bool:
    """Take a thread out of the queue, until something settles it again, if it is held back; return whether it is."""
    # Else a decision between the look and the write would leave a delivery that nobody finds.
    lock(connection, thread_key)
    if not is_held_back(connection, thread_key):
        return False
    connection.execute(update(thread).where(thread.c.id == thread_key).values(NO_HEAD))
    return True


def let_go(connection: Connection, api: str) -> int:
    """Put the threads of an api back into the queue that are held back, as its order is no longer strict.

    Returns how many there were.
    """
    # Only what stands holds back, so its small index leads to them.
    standing = text("delivery.state IN ('sending', 'in_doubt', 'parked')")
    keys = connection.execute(
        select(delivery.c.thread_key)
        .distinct()
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(standing, thread.c.api == api, thread.c.head_delivery_id.is_(None))
    ).scalars()
    held = [
        key
        for key in sorted(keys)
        if connection.execute(
            select(delivery.c.id)
            .where(delivery.c.thread_key == key, delivery.c.state == DeliveryState.PENDING.value)
            .limit(1)
        ).first()
    ]
    settle_all(connection, held)
    return len(held)


def postpone(connection: Connection, delivery_id: int, thread_key: int, until: datetime) -> None:
    """Make a pending delivery due later, without counting a failure."""
    lock(connection, thread_key)
    connection.execute(
        update(delivery)
        .where(delivery.c.id == delivery_id, delivery.c.state == DeliveryState.PENDING.value)
        .values(due_at=until)
    )
    settle(connection, thread_key)


def put_back(connection: Connection, thread_keys: list[int], now: datetime) -> None:
    """Undo the suspension of links whose threads were refused because of the api, not of themselves."""
    for thread_key in sorted(thread_keys):
        lock(connection, thread_key)
        connection.execute(
            update(delivery)
            .where(
                delivery.c.thread_key == thread_key,
                delivery.c.state == DeliveryState.PENDING.value,
                delivery.c.due_at > now,
            )
            .values(due_at=now)
        )
        connection.execute(
            update(link)
            .where(
                link.c.thread_key == thread_key,
                link.c.state == LinkState.SUSPENDED.value,
                link.c.cause == Cause.THREAD_REFUSED.value,
            )
            .values(state=LinkState.ACTIVE.value, cause=None, reason=None)
        )
        connection.execute(update(thread).where(thread.c.id == thread_key).values(refusals=0, retry_at=None))
        settle(connection, thread_key)
