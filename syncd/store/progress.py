"""What a reading says of a link itself: how far it was read, its ticket as it is now, and the status of its thread."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, literal_column, select, update

from syncd.model.collected import Collected
from syncd.model.communication import ThreadStatus
from syncd.model.delivery import DeliveryKind, DeliveryState
from syncd.store.among import among
from syncd.store.link_changes import ticket_values
from syncd.store.tables import delivery, link, thread

STATUS_CHANGED_REASON = "the status changed again before this was sent"

_OF_TICKET = ("ticket_id", "ticket_number", "ticket_link", "subject", "vendor_status", "assignee", "ticket_updated_at")

LINKS_NOW = (
    select(link.c.id, link.c.state, link.c.closed_at, *(link.c[name] for name in _OF_TICKET), thread.c.known_status)
    .join(thread, thread.c.id == link.c.thread_key)
    .where(among(link.c.id, "ids"))
)
"""Links as they are, by the parameter `ids`; read it under the locks of their threads."""

_READ = (
    update(link)
    .where(link.c.id == bindparam("link_id"))
    .values(
        failures=0,
        newest_reply_at=func.coalesce(bindparam("newest", type_=link.c.newest_reply_at.type), link.c.newest_reply_at),
        active_at=func.coalesce(bindparam("active", type_=link.c.active_at.type), link.c.active_at),
        closed_at=bindparam("closed"),
    )
)
_COMPLETE = (
    update(link)
    .where(link.c.id == bindparam("link_id"))
    .values(
        collected_at=bindparam("now"),
        # One that was made due while it was read stays due.
        collect_due_at=case(
            (link.c.collect_due_at <= bindparam("started"), bindparam("next_due", type_=link.c.collect_due_at.type)),
            else_=link.c.collect_due_at,
        ),
    )
)
_TICKET = (
    update(link)
    .where(link.c.id == bindparam("link_id"))
    .values({name: bindparam(f"new_{name}") for name in _OF_TICKET})
)
_STATUS = update(thread).where(thread.c.id == bindparam("thread_key")).values(known_status=bindparam("status"))
_SKIP_NOTES = (
    update(delivery)
    .where(
        among(delivery.c.thread_key, "keys"),
        delivery.c.state == literal_column("'pending'"),
        delivery.c.kind == DeliveryKind.STATUS_NOTE.value,
    )
    .values(
        state=DeliveryState.SKIPPED.value,
        reason=STATUS_CHANGED_REASON,
        ended_at=bindparam("now"),
        version=delivery.c.version + 1,
    )
)


def store_progress(
    connection: Connection, readings: Sequence[Collected], links: Mapping[int, Any], now: datetime
) -> None:
    """Store what readings say of their links, which are as `LINKS_NOW` says, and of their threads."""
    if not readings:
        return
    connection.execute(_READ, [_read(one, links[one.link_id], now) for one in readings])
    if complete := [one for one in readings if one.complete]:
        connection.execute(_COMPLETE, [_completed(one, now) for one in complete])
    _store_tickets(connection, readings, links)
    _store_statuses(connection, readings, links, now)


def _read(one: Collected, row: Any, now: datetime) -> dict[str, Any]:
    closed_at = row.closed_at
    if one.status is not None and (one.status is ThreadStatus.CLOSED) != (closed_at is not None):
        closed_at = now if closed_at is None else None
    return {"link_id": one.link_id, "newest": one.newest_reply_at, "active": one.active_at, "closed": closed_at}


def _completed(one: Collected, now: datetime) -> dict[str, Any]:
    return {"link_id": one.link_id, "now": now, "started": one.started_at, "next_due": one.next_due_at}


def _store_tickets(connection: Connection, readings: Sequence[Collected], links: Mapping[int, Any]) -> None:
    told = [
        (one.link_id, ticket_values(one.ticket)) for one in readings if one.ticket is not None and one.is_ticket_fresh
    ]
    changed = [
        {"link_id": link_id, **{f"new_{name}": value for name, value in values.items()}}
        for link_id, values in told
        if any(getattr(links[link_id], name) != value for name, value in values.items())
    ]
    if changed:
        connection.execute(_TICKET, changed)


def _store_statuses(
    connection: Connection, readings: Sequence[Collected], links: Mapping[int, Any], now: datetime
) -> None:
    changed = [
        {"thread_key": one.thread_key, "status": one.status.value}
        for one in readings
        if one.status is not None and links[one.link_id].known_status != one.status.value
    ]
    if changed:
        connection.execute(_STATUS, changed)
        # A note that waits tells of the status before. Another one is made if the difference is still there.
        keys = [values["thread_key"] for values in changed]
        connection.execute(_SKIP_NOTES, {"keys": keys, "now": now})
