"""The way in: replies of a ticket become ledger rows and deliveries, in one transaction with the cursor.

The ledger decides what is new. A reply has one row per thread for good; whoever inserts it first decides.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from syncd.model.collected import Change, Collected, Disposition, Known, NewDelivery, Stored
from syncd.model.communication import Message, ThreadStatus
from syncd.model.delivery import DeliveryState, Lane
from syncd.model.link import LinkState
from syncd.model.ticket import Cursor
from syncd.store import link_changes
from syncd.store.statement import chunks, insert
from syncd.store.tables import cursor, delivery, ledger, link, thread
from syncd.store.threads import settle


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


def waiting_replies(connection: Connection, thread_key: int) -> dict[str, Known]:
    """Return the replies of a thread that still wait to be sent, by reply id."""
    statement = select(delivery).where(
        delivery.c.thread_key == thread_key,
        delivery.c.state == DeliveryState.PENDING.value,
        delivery.c.reply_id.is_not(None),
    )
    return {
        row.reply_id: Known(
            Disposition.DELIVERY,
            row.id,
            DeliveryState.PENDING,
            row.fingerprint,
            row.version,
            Lane(row.lane),
            row.occurred_at,
        )
        for row in connection.execute(statement)
    }


def store_collected(connection: Connection, collected: Collected, now: datetime) -> Stored:
    """Store what a reading means for one link, in the caller's transaction."""
    stored = Stored()
    row = connection.execute(select(link.c.state, link.c.thread_key).where(link.c.id == collected.link_id)).first()
    if row is None or row.state == LinkState.REMOVED.value:
        return stored
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
        insert_delivery(connection, collected, correction, now, stored)
    for change in collected.changes:
        stored.changed += _apply(connection, change, now)
    for some in chunks(collected.confirmed):
        connection.execute(update(delivery).where(delivery.c.id.in_(some)).values(read_at=now))
    _store_ticket(connection, collected, now)
    settle(connection, collected.thread_key)
    return stored


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


def message_values(message: Message | None) -> dict[str, Any]:
    """Return the columns that hold a message."""
    if message is None:
        return {}
    return {
        "ticket_number": message.ticket_number,
        "ticket_link": message.ticket_link,
        "subject": message.subject,
        "content": message.content,
        "direction": message.direction.value,
        "channel": message.channel.value,
        "agent": message.agent,
        "occurred_at": message.occurred_at,
        "flags": ",".join(message.flags) or None,
    }


def insert_delivery(
    connection: Connection, collected: Collected, new: NewDelivery, now: datetime, stored: Stored
) -> None:
    """Insert one delivery into the outbox; the caller settles its thread."""
    ended = new.state not in {DeliveryState.PENDING, DeliveryState.SENDING}
    values = {
        "thread_key": collected.thread_key,
        "link_id": collected.link_id,
        "system": collected.system,
        "kind": new.kind.value,
        "lane": new.lane.value,
        "state": new.state.value,
        "reason": new.reason,
        "version": 1,
        "reply_id": new.reply_id,
        "fingerprint": new.fingerprint,
        "ticket_number": None if collected.ticket is None else collected.ticket.number,
        "occurred_at": new.occurred_at,
        "created_at": now,
        "read_at": collected.started_at,
        "due_at": now,
        "ended_at": now if ended else None,
        "attempts": 0,
        "failures": 0,
        "doubts": 0,
        "manual": False,
    }
    inserted = connection.execute(
        delivery.insert().values(values | message_values(new.message)).returning(delivery.c.id)
    )
    stored.delivery_ids.append(int(inserted.scalar_one()))
    if new.state is DeliveryState.PARKED:
        stored.parked += 1
    else:
        stored.new += 1


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
        select(delivery.c.thread_key, delivery.c.system, delivery.c.reply_id).where(delivery.c.id == delivery_id)
    ).one()
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
    if collected.ticket is not None:
        link_changes.set_ticket(connection, collected.link_id, collected.ticket)
    if collected.status is not None:
        closed = collected.status is ThreadStatus.CLOSED
        was = connection.execute(select(link.c.closed_at).where(link.c.id == collected.link_id)).scalar_one()
        if closed != (was is not None):
            connection.execute(
                update(link).where(link.c.id == collected.link_id).values(closed_at=now if closed else None)
            )
        connection.execute(
            update(thread).where(thread.c.id == collected.thread_key).values(known_status=collected.status.value)
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
