"""The way in: replies of a ticket become ledger rows and deliveries, in one transaction with the cursor.

The ledger decides what is new. A reply has one row per thread for good; whoever inserts it first decides.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from syncd.model.collected import Change, Collected, Disposition, Known, NewDelivery, Stored
from syncd.model.communication import ThreadStatus
from syncd.model.delivery import DeliveryKind, DeliveryState, Lane
from syncd.model.link import LinkState
from syncd.model.ticket import Cursor, Ticket
from syncd.store import link_changes
from syncd.store.enqueue import insert_delivery, message_values
from syncd.store.statement import chunks, insert
from syncd.store.tables import cursor, delivery, ledger, link, thread
from syncd.store.threads import lock, settle

STATUS_CHANGED_REASON = "the status changed again before this was sent"


def find_known(connection: Connection, thread_key: int, system: str, reply_ids: Sequence[str]) -> dict[str, Known]:
    """Return what is known of these replies in a thread, by reply id."""
    known: dict[str, Known] = {}
    for some in chunks(reply_ids):
        statement = (
            select(
                ledger.c.reply_id,
                ledger.c.disposition,
                delivery.c.id,
                delivery.c.state,
                delivery.c.fingerprint,
                delivery.c.version,
                delivery.c.lane,
                delivery.c.occurred_at,
            )
            .select_from(
                ledger.outerjoin(
                    delivery,
                    (delivery.c.thread_key == ledger.c.thread_key)
                    & (delivery.c.reply_id == ledger.c.reply_id)
                    & (delivery.c.system == ledger.c.system),
                )
            )
            .where(ledger.c.thread_key == thread_key, ledger.c.system == system, ledger.c.reply_id.in_(some))
            .order_by(delivery.c.id)
        )
        # A correction has its reply's id too; the last row of a reply is the one an edit is held against.
        known.update((row.reply_id, _known(row)) for row in connection.execute(statement))
    return known


def _known(row: Any) -> Known:
    if row.id is None:
        return Known(Disposition(row.disposition))
    return Known(
        Disposition(row.disposition),
        row.id,
        DeliveryState(row.state),
        row.fingerprint,
        row.version,
        Lane(row.lane),
        row.occurred_at,
    )


def waiting_replies(
    connection: Connection, thread_key: int, of: tuple[str, Ticket] | None = None, read_by: datetime | None = None
) -> dict[str, Known]:
    """Return the replies of a thread that still wait to be sent, by reply id.

    `of`: those of this system's ticket alone, not of one that was merged into it or that the thread was tied to
    before. `read_by`: those alone that were known when a reading began at this instant; it need not hold a later one.
    """
    statement = select(delivery).where(
        delivery.c.thread_key == thread_key,
        delivery.c.state == DeliveryState.PENDING.value,
        delivery.c.reply_id.is_not(None),
    )
    if of is not None:
        system, ticket = of
        statement = statement.where(delivery.c.system == system, delivery.c.ticket_number == ticket.number)
    if read_by is not None:
        statement = statement.where(delivery.c.read_at <= read_by)
    return {
        row.reply_id: Known(
            Disposition.DELIVERY,
            row.id,
            DeliveryState.PENDING,
            row.fingerprint,
            row.version,
            Lane(row.lane),
            row.occurred_at,
            row.kind == DeliveryKind.CORRECTION.value,
        )
        for row in connection.execute(statement)
    }


def store_collected(connection: Connection, collected: Collected, now: datetime) -> Stored:
    """Store what a reading means for one link, in the caller's transaction.

    For a link that was removed meanwhile, or follows another ticket now, the reading says only what became of the
    deliveries that wait: what is internal by now must not leave, whoever's it is.
    """
    stored = Stored()
    lock(connection, collected.thread_key)
    row = connection.execute(select(link.c.state, link.c.ticket_id).where(link.c.id == collected.link_id)).first()
    if row is None:
        return stored
    is_removed = row.state == LinkState.REMOVED.value
    stored.elsewhere += not is_removed and collected.ticket is not None and collected.ticket.id != row.ticket_id
    is_ours = not is_removed and not stored.elsewhere
    if is_ours:
        _store_entries(connection, collected, now, stored)
    for change in collected.changes:
        stored.changed += _apply(connection, change, now)
    for some in chunks(collected.confirmed):
        connection.execute(update(delivery).where(delivery.c.id.in_(some)).values(read_at=now))
    if is_ours:
        _store_ticket(connection, collected, now)
    settle(connection, collected.thread_key)
    return stored


def _store_entries(connection: Connection, collected: Collected, now: datetime, stored: Stored) -> None:
    fresh = _enter(connection, collected)
    for entry in collected.entries:
        if entry.reply_id not in fresh:
            continue
        if entry.delivery is not None:
            insert_delivery(connection, collected, entry.delivery, now, stored)
        elif entry.disposition is Disposition.WITHHELD:
            stored.withheld += 1
        else:
            stored.skipped += 1
    for correction in collected.corrections:
        if not _is_corrected(connection, collected, correction):
            insert_delivery(connection, collected, correction, now, stored)


def _is_corrected(connection: Connection, collected: Collected, correction: NewDelivery) -> bool:
    """Say whether another reading at the same time has queued this very text already."""
    newest = connection.execute(
        select(delivery.c.fingerprint)
        .where(
            delivery.c.thread_key == collected.thread_key,
            delivery.c.system == collected.system,
            delivery.c.reply_id == correction.reply_id,
        )
        .order_by(delivery.c.id.desc())
        .limit(1)
    ).first()
    return newest is not None and newest.fingerprint == correction.fingerprint


def _enter(connection: Connection, collected: Collected) -> set[str]:
    """Enter replies into the ledger; return the ids of those that were new to it, or took another's place."""
    fresh: set[str] = set()
    for some in chunks(collected.entries, 150):
        rows = [
            {
                "thread_key": collected.thread_key,
                "system": collected.system,
                "reply_id": entry.reply_id,
                "disposition": entry.disposition.value,
            }
            for entry in some
        ]
        keys = ["thread_key", "system", "reply_id"]
        statement = insert(connection, ledger).values(rows).on_conflict_do_nothing(index_elements=keys)
        fresh.update(row.reply_id for row in connection.execute(statement.returning(ledger.c.reply_id)))
    for entry in collected.entries:
        if entry.replaces and entry.reply_id not in fresh:
            replaced = connection.execute(
                update(ledger)
                .where(
                    ledger.c.thread_key == collected.thread_key,
                    ledger.c.system == collected.system,
                    ledger.c.reply_id == entry.reply_id,
                    ledger.c.disposition.in_([disposition.value for disposition in entry.replaces]),
                )
                .values(disposition=entry.disposition.value)
            )
            if replaced.rowcount == 1:
                fresh.add(entry.reply_id)
    return fresh


def _apply(connection: Connection, change: Change, now: datetime) -> int:
    values: dict[str, Any] = {"version": delivery.c.version + 1}
    if change.skip_reason is not None:
        values |= {"state": DeliveryState.SKIPPED.value, "reason": change.skip_reason, "ended_at": now}
    else:
        values |= message_values(change.message) | {"fingerprint": change.fingerprint, "read_at": now}
    changed = connection.execute(
        update(delivery)
        .where(
            delivery.c.id == change.delivery_id,
            delivery.c.state == DeliveryState.PENDING.value,
            delivery.c.version == change.version,
        )
        .values(values)
    )
    if changed.rowcount == 1 and change.skip_reason is not None:
        _withdraw(connection, change.delivery_id)
    return changed.rowcount


def _withdraw(connection: Connection, delivery_id: int) -> None:
    row = connection.execute(
        select(delivery.c.thread_key, delivery.c.system, delivery.c.reply_id, delivery.c.kind).where(
            delivery.c.id == delivery_id
        )
    ).one()
    if row.kind == DeliveryKind.CORRECTION.value:
        # The reply itself was delivered: shown again one day, it must not be sent as if it never was.
        return
    connection.execute(
        update(ledger)
        .where(
            ledger.c.thread_key == row.thread_key,
            ledger.c.system == row.system,
            ledger.c.reply_id == row.reply_id,
        )
        .values(disposition=Disposition.WITHDRAWN.value)
    )


def _store_ticket(connection: Connection, collected: Collected, now: datetime) -> None:
    values: dict[str, Any] = {"failures": 0}
    if collected.newest_reply_at is not None:
        values["newest_reply_at"] = collected.newest_reply_at
    if collected.active_at is not None:
        values["active_at"] = collected.active_at
    if collected.complete:
        values["collected_at"] = now
    connection.execute(update(link).where(link.c.id == collected.link_id).values(values))
    if collected.complete:
        connection.execute(
            update(link)
            .where(link.c.id == collected.link_id, link.c.collect_due_at <= collected.started_at)
            .values(collect_due_at=collected.next_due_at)
        )
    if collected.ticket is not None and collected.is_ticket_fresh:
        link_changes.set_ticket(connection, collected.link_id, collected.ticket)
    if collected.status is not None:
        closed = collected.status is ThreadStatus.CLOSED
        was = connection.execute(select(link.c.closed_at).where(link.c.id == collected.link_id)).scalar_one()
        if closed != (was is not None):
            connection.execute(
                update(link).where(link.c.id == collected.link_id).values(closed_at=now if closed else None)
            )
        _store_status(connection, collected.thread_key, collected.status, now)


def _store_status(connection: Connection, thread_key: int, status: ThreadStatus, now: datetime) -> None:
    changed = connection.execute(
        update(thread)
        .where(thread.c.id == thread_key, thread.c.known_status.is_(None) | (thread.c.known_status != status.value))
        .values(known_status=status.value)
    )
    if changed.rowcount == 1:
        # A note that waits tells of the status before. Another one is made if the difference is still there.
        connection.execute(
            update(delivery)
            .where(
                delivery.c.thread_key == thread_key,
                delivery.c.kind == DeliveryKind.STATUS_NOTE.value,
                delivery.c.state == DeliveryState.PENDING.value,
            )
            .values(
                state=DeliveryState.SKIPPED.value,
                reason=STATUS_CHANGED_REASON,
                ended_at=now,
                version=delivery.c.version + 1,
            )
        )


def store_cursor(connection: Connection, system: str, value: Cursor, now: datetime) -> None:
    """Store how far the feed has been read."""
    connection.execute(update(cursor).where(cursor.c.system == system).values(cursor=value, stored_at=now))


def start_feed(connection: Connection, system: str, start_at: datetime, now: datetime) -> Cursor | datetime:
    """Return where the feed goes on: at its cursor, or at the instant that is fixed here the first time."""
    values = {"system": system, "start_at": start_at, "stored_at": now}
    connection.execute(insert(connection, cursor).values(**values).on_conflict_do_nothing())
    row = connection.execute(select(cursor.c.cursor, cursor.c.start_at).where(cursor.c.system == system)).one()
    return row.start_at if row.cursor is None else Cursor(row.cursor)
