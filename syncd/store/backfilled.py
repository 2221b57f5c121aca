"""What a backfill has queued: how far it is on its way, and taking back what was not sent yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select, update

from syncd.model.collected import Disposition
from syncd.model.delivery import DeliveryState, Lane
from syncd.model.link import LinkState
from syncd.store.requests import RequestKind
from syncd.store.settling import lock, settle
from syncd.store.standing import Decision, write_decision
from syncd.store.tables import delivery, ledger, link, request, thread

_OPEN = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)
_UNSENT = (DeliveryState.PENDING.value, DeliveryState.PARKED.value)


def count_states(connection: Connection, request_ids: Sequence[int]) -> dict[str, int]:
    """Count what these backfills have queued, by state: one look into an index that holds backfilled ones alone."""
    statement = select(delivery.c.state, func.count()).where(delivery.c.request_id.in_(request_ids))
    return {row[0]: row[1] for row in connection.execute(statement.group_by(delivery.c.state))}


def count_queued(connection: Connection, request_id: int) -> dict[str, int]:
    """Count what a backfill has queued, by api."""
    return _by_api(connection, delivery.c.request_id == request_id)


def count_open(connection: Connection, request_ids: Sequence[int]) -> dict[str, int]:
    """Count what of these backfills is still to be sent, by api."""
    return _by_api(connection, delivery.c.request_id.in_(request_ids) & delivery.c.state.in_(_OPEN))


@dataclass(frozen=True, slots=True)
class HeldUp:
    """A suspended link, which nothing moves but a person, and how much of a backfill waits for it."""

    link_id: int
    api: str
    waiting: int


def find_held_up(connection: Connection, request_ids: Sequence[int]) -> list[HeldUp]:
    """Return the suspended links that something of these backfills waits for."""
    rows = connection.execute(
        select(link.c.id, thread.c.api, func.count())
        .select_from(delivery.join(link, link.c.thread_key == delivery.c.thread_key))
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(delivery.c.request_id.in_(request_ids), delivery.c.state == DeliveryState.PENDING.value)
        .where(link.c.state == LinkState.SUSPENDED.value, thread.c.head_due_at.is_(None))
        .group_by(link.c.id, thread.c.api)
        .order_by(link.c.id)
    )
    return [HeldUp(*row) for row in rows]


def _by_api(connection: Connection, condition: ColumnElement[bool]) -> dict[str, int]:
    rows = connection.execute(
        select(thread.c.api, func.count())
        .select_from(delivery.join(thread, thread.c.id == delivery.c.thread_key))
        .where(condition)
        .group_by(thread.c.api)
    )
    return {row[0]: row[1] for row in rows}


def find_unsent(connection: Connection, system: str) -> list[int]:
    """Return the backfills of a system of which something is still to be sent."""
    statement = select(request.c.id).where(request.c.kind == RequestKind.BACKFILL.value, request.c.system == system)
    waits = select(delivery.c.id).where(delivery.c.request_id == request.c.id, delivery.c.state.in_(_OPEN))
    return [row.id for row in connection.execute(statement.where(waits.exists()).order_by(request.c.id))]


def drop_some(connection: Connection, request_id: int, by: Decision, most: int) -> int:
    """Skip some of what a backfill has queued and was not sent; return how many deliveries, 0 at the end.

    What was never on the wire counts as older again, so that a later backfill may send it. What is on the wire, in
    doubt or live is left as it is.
    """
    left = (delivery.c.request_id == request_id) & (delivery.c.lane == Lane.BACKFILL.value)
    found = select(delivery.c.thread_key, delivery.c.id).where(left, delivery.c.state.in_(_UNSENT)).limit(most)
    by_thread: dict[int, list[int]] = {}
    for row in connection.execute(found):
        by_thread.setdefault(row.thread_key, []).append(row.id)
    return sum(_drop(connection, key, by_thread[key], by) for key in sorted(by_thread))


def _drop(connection: Connection, thread_key: int, ids: Sequence[int], by: Decision) -> int:
    lock(connection, thread_key)
    dropped = sum(_skip(connection, delivery_id, by) for delivery_id in sorted(ids))
    settle(connection, thread_key)
    return dropped


def _skip(connection: Connection, delivery_id: int, by: Decision) -> bool:
    """Skip a delivery, unless it is on the wire, or was, by now; by its key, as a backfill may have a million."""
    skipped = {"state": DeliveryState.SKIPPED.value, "reason": f"skipped: {by.reason}", "ended_at": by.at}
    row = connection.execute(
        update(delivery)
        .where(delivery.c.id == delivery_id, delivery.c.state.in_(_UNSENT))
        .values(skipped | {"version": delivery.c.version + 1})
        .returning(delivery.c.thread_key, delivery.c.system, delivery.c.reply_id, delivery.c.attempts)
    ).first()
    # What was tried may be there: it stays a delivery, and is never queued again.
    if row is not None and row.attempts == 0:
        connection.execute(
            update(ledger)
            .where(
                ledger.c.thread_key == row.thread_key, ledger.c.system == row.system, ledger.c.reply_id == row.reply_id
            )
            .values(disposition=Disposition.OLDER.value)
        )
    return row is not None


def note_drop(connection: Connection, request_id: int, dropped: int, by: Decision) -> None:
    """Write down that what a backfill had queued was taken back."""
    write_decision(connection, f"drop backfill, {dropped} skipped", f"request {request_id}", by)
