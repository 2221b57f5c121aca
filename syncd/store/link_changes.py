"""What happens to a link: resolved, due, postponed, suspended, resumed, retargeted, removed."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from syncd.model.communication import ThreadStatus
from syncd.model.delivery import DeliveryState
from syncd.model.link import Cause, LinkState
from syncd.model.ticket import Ticket
from syncd.model.vanished import Others, Vanished
from syncd.store.among import among
from syncd.store.floods import is_held
from syncd.store.links import followed
from syncd.store.settling import lock, settle
from syncd.store.statement import chunks, upsert
from syncd.store.tables import delivery, link, meta, thread

REMOVED_REASON = "the link was removed"
_VANISHED = "vanished "


def mark_due(connection: Connection, system: str, ticket_ids: Sequence[str], now: datetime) -> int:
    """Make the links to these tickets due now; return how many there are."""
    if not ticket_ids:
        return 0
    these = update(link).where(link.c.system == system, among(link.c.ticket_id, "ids"), followed())
    return connection.execute(these.values(collect_due_at=now), {"ids": ticket_ids}).rowcount


def ticket_values(ticket: Ticket) -> dict[str, Any]:
    """Return the columns of a link that hold what is known of its ticket."""
    return {
        "ticket_id": ticket.id,
        "ticket_number": ticket.number,
        "ticket_link": ticket.link,
        "subject": ticket.subject,
        "vendor_status": ticket.vendor_status,
        "assignee": ticket.assignee,
        "ticket_updated_at": ticket.updated_at,
    }


def set_ticket(connection: Connection, link_id: int, ticket: Ticket) -> None:
    """Store what is known of a link's ticket now."""
    connection.execute(update(link).where(link.c.id == link_id).values(ticket_values(ticket)))


def resolve(connection: Connection, link_id: int, ticket: Ticket, status: ThreadStatus, now: datetime) -> bool:
    """Tie an unresolved link to its ticket: active and due. The status now is the baseline and makes no note."""
    _lock_link(connection, link_id)
    changed = connection.execute(
        update(link)
        .where(link.c.id == link_id, link.c.state == LinkState.UNRESOLVED.value)
        .values(
            state=LinkState.ACTIVE.value,
            cause=None,
            reason=None,
            collect_due_at=now,
            active_at=ticket.updated_at or now,
            closed_at=now if status is ThreadStatus.CLOSED else None,
            failures=0,
        )
    )
    if changed.rowcount != 1:
        return False
    set_ticket(connection, link_id, ticket)
    of_link = select(link.c.thread_key).where(link.c.id == link_id).scalar_subquery()
    connection.execute(
        update(thread)
        .where(thread.c.id == of_link)
        .values(
            known_status=status.value,
            sent_status=func.coalesce(thread.c.sent_status, status.value),
        )
    )
    return True


def postpone(connection: Connection, link_id: int, until: datetime) -> None:
    """Make a link due again later, counting the failure; one that was suspended meanwhile is not due."""
    read = followed() | (link.c.state == LinkState.UNRESOLVED.value)
    connection.execute(
        update(link).where(link.c.id == link_id, read).values(collect_due_at=until, failures=link.c.failures + 1)
    )


def note_vanished(connection: Connection, link_id: int, now: datetime) -> Vanished:
    """Count a reading of a link's ticket that held none of the replies that it had; return the row of them so far."""
    collected_at = connection.execute(select(link.c.collected_at).where(link.c.id == link_id)).scalar_one()
    seen = _vanished(connection).get(link_id)
    if seen is None or (collected_at is not None and collected_at >= seen.since_at):
        seen = Vanished(now, 0)
    seen = Vanished(seen.since_at, seen.readings + 1)
    value = json.dumps({"since_at": seen.since_at.isoformat(), "readings": seen.readings})
    upsert(connection, meta, "name", {"name": f"{_VANISHED}{link_id}", "value": value})
    return seen


def forget_vanished(connection: Connection, link_ids: Sequence[int]) -> None:
    """End the rows of such readings: the tickets of these links are whole again, or a person has been asked."""
    for some in chunks([f"{_VANISHED}{link_id}" for link_id in link_ids]):
        connection.execute(delete(meta).where(meta.c.name.in_(some)))


def count_vanished(connection: Connection, link_id: int, since_at: datetime) -> Others:
    """Return how the other tickets of a link's system have fared since an instant."""
    mine = connection.execute(select(link.c.system, link.c.ticket_id).where(link.c.id == link_id)).one()
    other = (link.c.system == mine.system) & (link.c.ticket_id != mine.ticket_id)
    vanished = 0
    for some in chunks(list(_vanished(connection))):
        among = select(func.count()).select_from(link).where(other, link.c.id.in_(some), followed())
        vanished += connection.execute(among).scalar_one()
    well = select(link.c.id).where(other, link.c.collected_at >= since_at, link.c.newest_reply_at.is_not(None))
    return Others(vanished, connection.execute(well.limit(1)).first() is not None)


def _vanished(connection: Connection) -> dict[int, Vanished]:
    """Return the rows of such readings that have begun, by link."""
    found = {}
    for row in connection.execute(select(meta).where(meta.c.name.startswith(_VANISHED))):
        value = json.loads(row.value)
        since_at = datetime.fromisoformat(value["since_at"])
        found[int(row.name.removeprefix(_VANISHED))] = Vanished(since_at, value["readings"])
    return found


def suspend(
    connection: Connection,
    link_id: int,
    cause: Cause,
    reason: str,
    merged_into: str | None = None,
    active_at: datetime | None = None,
) -> None:
    """Stop following a link until it is resumed; its deliveries wait.

    `active_at` is an instant shortly before that of a merge: from there on the other ticket speaks for this one.
    """
    _lock_link(connection, link_id)
    values: dict[str, Any] = {} if active_at is None else {"active_at": active_at}
    values |= {"state": LinkState.SUSPENDED.value, "cause": cause.value, "reason": reason}
    connection.execute(
        update(link)
        .where(link.c.id == link_id, link.c.state != LinkState.REMOVED.value)
        .values(**values, merged_into=merged_into, collect_due_at=None)
    )
    forget_vanished(connection, [link_id])
    _settle_link(connection, link_id)


def resume(connection: Connection, link_id: int, now: datetime) -> LinkState | None:
    """Follow a suspended link again, due now; return its new state, None if it is not suspended.

    A link that was suspended because its replies are gone expects none of them at its next reading, which is believed.
    """
    _lock_link(connection, link_id)
    row = connection.execute(select(link.c.state, link.c.ticket_id, link.c.cause).where(link.c.id == link_id)).first()
    if row is None or row.state != LinkState.SUSPENDED.value:
        return None
    state = LinkState.UNRESOLVED if row.ticket_id is None else LinkState.ACTIVE
    values: dict[str, Any] = {"newest_reply_at": None} if row.cause == Cause.REPLIES_GONE.value else {}
    connection.execute(
        update(link)
        .where(link.c.id == link_id)
        .values(**values, state=state.value, cause=None, reason=None, merged_into=None, collect_due_at=now, failures=0)
    )
    of_link = select(link.c.thread_key).where(link.c.id == link_id).scalar_subquery()
    connection.execute(update(thread).where(thread.c.id == of_link).values(refusals=0, retry_at=None))
    waiting = update(delivery).where(
        delivery.c.thread_key == of_link, delivery.c.state == DeliveryState.PENDING.value, delivery.c.due_at > now
    )
    connection.execute(waiting.values(due_at=now))
    _settle_link(connection, link_id)
    return state


def follow(connection: Connection, link_id: int, ticket: Ticket, from_at: datetime, now: datetime) -> None:
    """Retarget a link to the ticket that its own was merged into; what that one had before stays where it is."""
    _lock_link(connection, link_id)
    before = connection.execute(
        select(link.c.merged_from, link.c.ticket_id, link.c.state).where(link.c.id == link_id)
    ).one()
    if before.state == LinkState.REMOVED.value or (
        before.state == LinkState.ACTIVE.value and before.ticket_id == ticket.id
    ):
        return
    merged_from = [one for one in (before.merged_from, before.ticket_id) if one]
    connection.execute(
        update(link)
        .where(link.c.id == link_id)
        .values(
            state=LinkState.ACTIVE.value,
            cause=None,
            reason=None,
            merged_into=None,
            from_at=from_at,
            merged_from="\n".join(merged_from),
            collected_at=None,
            newest_reply_at=None,
            collect_due_at=now,
            failures=0,
        )
    )
    set_ticket(connection, link_id, ticket)
    _settle_link(connection, link_id)


def remove(connection: Connection, link_id: int, now: datetime) -> int:
    """End a link; what still waits is skipped. Return how many deliveries that were."""
    _lock_link(connection, link_id)
    connection.execute(
        update(link)
        .where(link.c.id == link_id)
        .values(state=LinkState.REMOVED.value, ended_at=now, collect_due_at=None, cause=None)
    )
    skipped = connection.execute(
        update(delivery)
        .where(delivery.c.link_id == link_id, (delivery.c.state == DeliveryState.PENDING.value) | is_held())
        .values(state=DeliveryState.SKIPPED.value, reason=REMOVED_REASON, ended_at=now)
    )
    _settle_link(connection, link_id)
    return skipped.rowcount


def _lock_link(connection: Connection, link_id: int) -> None:
    row = connection.execute(select(link.c.thread_key).where(link.c.id == link_id)).first()
    if row is not None:
        lock(connection, row.thread_key)


def _settle_link(connection: Connection, link_id: int) -> None:
    row = connection.execute(select(link.c.thread_key).where(link.c.id == link_id)).first()
    if row is not None:
        settle(connection, row.thread_key)


def ensure_due(connection: Connection, system: str, closed_after: datetime, now: datetime) -> int:
    """Where no feed stands for them, make due the links that have no due time, but those closed for long."""
    statement = update(link).where(
        link.c.system == system,
        link.c.collect_due_at.is_(None),
        followed(),
        link.c.closed_at.is_(None) | (link.c.closed_at > closed_after),
    )
    return connection.execute(statement.values(collect_due_at=now)).rowcount


def mark_links_due(connection: Connection, link_ids: Sequence[int], now: datetime) -> None:
    """Make these links due now, but those that are not followed."""
    wanted = followed() | (link.c.state == LinkState.UNRESOLVED.value)
    for some in chunks(link_ids):
        connection.execute(update(link).where(link.c.id.in_(some), wanted).values(collect_due_at=now))
