"""Putting deliveries into the outbox."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, false, literal_column, update

from syncd.model.collected import Collected, NewDelivery, Stored, TakenIn
from syncd.model.communication import Message
from syncd.model.delivery import DeliveryState
from syncd.store.tables import delivery, thread

UNREAD = datetime(1970, 1, 1, tzinfo=UTC)
"""When a delivery was read last that has not followed its reply: before it is sent, its ticket is read again."""

ROWS_AT_ONCE = 100
"""How many rows are written by one statement: few enough for the memory that a prepared one keeps."""

_NO_MESSAGE = dict.fromkeys(("ticket_link", "subject", "content", "direction", "channel", "agent", "flags"))
_NOTHING_YET: dict[str, Any] = {name: literal_column("0") for name in ("attempts", "failures", "doubts")}
_INSERT = (
    delivery.insert()
    .values(version=literal_column("1"), manual=false(), **_NOTHING_YET)
    .execution_options(insertmanyvalues_page_size=ROWS_AT_ONCE)
)
_INSERTS = {
    # SQLite numbers rows in the order in which they stand; SQLAlchemy, asked for that order, would write one by one.
    "sqlite": _INSERT.returning(delivery.c.id),
    "postgresql": _INSERT.returning(delivery.c.id, sort_by_parameter_order=True),
}
_DOUBT = update(thread).where(thread.c.id == bindparam("thread_key")).values(doubt_status=bindparam("status"))


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


def insert_deliveries(
    connection: Connection, new: Sequence[tuple[Collected, NewDelivery]], now: datetime, stored: Stored
) -> None:
    """Insert deliveries into the outbox, in this order; the caller settles their threads."""
    if not new:
        return
    rows = [_row(collected, one, now) for collected, one in new]
    # Those in doubt may have carried the status too, so that no note of its own must tell it again.
    doubted = [
        {"thread_key": row["thread_key"], "status": row["status_carried"]} for row in rows if row["status_carried"]
    ]
    if doubted:
        connection.execute(_DOUBT, doubted)
    ids = sorted(connection.execute(_INSERTS[connection.dialect.name], rows).scalars())
    for delivery_id, (collected, one) in zip(ids, new, strict=True):
        number = None if collected.ticket is None else collected.ticket.number
        stored.taken_in.append(TakenIn(delivery_id, collected.link_id, number, one.reply_id, one.state))
        if one.state is DeliveryState.PARKED:
            stored.parked += 1
        else:
            stored.new += 1


def _row(collected: Collected, new: NewDelivery, now: datetime) -> dict[str, Any]:
    ended = new.state not in {DeliveryState.PENDING, DeliveryState.SENDING}
    in_doubt = new.state is DeliveryState.IN_DOUBT
    status = collected.status.value if in_doubt and collected.status is not None else None
    return {
        "thread_key": collected.thread_key,
        "link_id": collected.link_id,
        "system": collected.system,
        "kind": new.kind.value,
        "lane": new.lane.value,
        "state": new.state.value,
        "reason": new.reason,
        "reply_id": new.reply_id,
        "fingerprint": new.fingerprint,
        **_NO_MESSAGE,
        "ticket_number": None if collected.ticket is None else collected.ticket.number,
        "occurred_at": new.occurred_at,
        "created_at": now,
        "read_at": collected.started_at,
        "due_at": now,
        "ended_at": now if ended else None,
        "status_carried": status,
        "request_id": collected.request_id,
        **message_values(new.message),
    }
