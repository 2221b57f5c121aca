"""Putting a delivery into the outbox."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, update

from syncd.model.collected import Collected, NewDelivery, Stored, TakenIn
from syncd.model.communication import Message
from syncd.model.delivery import DeliveryState
from syncd.store.tables import delivery, thread

UNREAD = datetime(1970, 1, 1, tzinfo=UTC)
"""When a delivery was read last that has not followed its reply: before it is sent, its ticket is read again."""


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
        "request_id": collected.request_id,
    }
    if new.state is DeliveryState.IN_DOUBT and collected.status is not None:
        # It may have carried the status too, so that no note of its own must tell it again.
        values["status_carried"] = collected.status.value
        this = update(thread).where(thread.c.id == collected.thread_key)
        connection.execute(this.values(doubt_status=collected.status.value))
    inserted = connection.execute(
        delivery.insert().values(values | message_values(new.message)).returning(delivery.c.id)
    )
    number = None if collected.ticket is None else collected.ticket.number
    delivery_id = int(inserted.scalar_one())
    stored.taken_in.append(TakenIn(delivery_id, collected.link_id, number, new.reply_id, new.state))
    if new.state is DeliveryState.PARKED:
        stored.parked += 1
    else:
        stored.new += 1
