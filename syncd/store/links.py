"""Links: registering them, finding them, and which of them are due to be collected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from syncd.model.communication import Thread, ThreadStatus
from syncd.model.errors import Conflict
from syncd.model.link import Cause, Link, LinkState, NewLink
from syncd.model.ticket import Ticket, TicketRef
from syncd.store.among import among
from syncd.store.statement import chunks
from syncd.store.tables import link, thread
from syncd.store.threads import ensure_thread


@dataclass(frozen=True, slots=True)
class Added:
    """What registering came to."""

    link_id: int
    created: bool


def _select() -> Select[Any]:
    columns = [
        thread.c.api,
        thread.c.customer_id,
        thread.c.thread_id,
        thread.c.known_status,
        thread.c.sent_status,
        thread.c.doubt_status,
    ]
    return select(link, *columns).join(thread, thread.c.id == link.c.thread_key)


def _status(value: str | None) -> ThreadStatus | None:
    return None if value is None else ThreadStatus(value)


def _link(row: Row[Any]) -> Link:
    ticket = None
    if row.ticket_id is not None:
        ticket = Ticket(
            id=row.ticket_id,
            number=row.ticket_number,
            link=row.ticket_link,
            subject=row.subject,
            vendor_status=row.vendor_status,
            status=_status(row.known_status),
            assignee=row.assignee,
            updated_at=row.ticket_updated_at,
        )
    return Link(
        id=row.id,
        thread_key=row.thread_key,
        thread=Thread(row.api, row.customer_id, row.thread_id),
        system=row.system,
        state=LinkState(row.state),
        ref=TicketRef(number=row.given_number, link=row.given_link),
        from_at=row.from_at,
        registered_at=row.registered_at,
        cause=None if row.cause is None else Cause(row.cause),
        reason=row.reason,
        merged_into=row.merged_into,
        merged_from=tuple(row.merged_from.split("\n")) if row.merged_from else (),
        ticket=ticket,
        collect_due_at=row.collect_due_at,
        collected_at=row.collected_at,
        newest_reply_at=row.newest_reply_at,
        active_at=row.active_at,
        closed_at=row.closed_at,
        failures=row.failures,
        known_status=_status(row.known_status),
        sent_status=_status(row.sent_status),
        doubt_status=_status(row.doubt_status),
    )


def add(connection: Connection, new: NewLink, now: datetime) -> Added:
    """Register a link; registering the same again changes nothing and returns the one that is there.

    Raises:
        Conflict: the thread has another link; a thread has at most one.
    """
    thread_key = ensure_thread(connection, new.thread)
    there = connection.execute(
        select(link).where(link.c.thread_key == thread_key, link.c.state != LinkState.REMOVED.value)
    ).first()
    if there is not None:
        if there.system == new.system and _same_ticket(there, new.ref):
            return Added(there.id, created=False)
        name = there.ticket_number or there.given_number or there.given_link
        raise Conflict(
            f"thread {new.thread.thread_id} of customer {new.thread.customer_id} at {new.thread.api} is linked to "
            f"ticket {name} of {there.system} (link {there.id}); a thread has one link. Remove that one first: "
            f"syncd links remove {there.id}"
        )
    inserted = connection.execute(
        link.insert()
        .values(
            thread_key=thread_key,
            system=new.system,
            state=LinkState.UNRESOLVED.value,
            given_number=new.ref.number,
            given_link=new.ref.link,
            from_at=new.from_at,
            registered_at=now,
            collect_due_at=now,
            failures=0,
        )
        .returning(link.c.id)
    )
    return Added(int(inserted.scalar_one()), created=True)


def _same_ticket(row: Row[Any], ref: TicketRef) -> bool:
    if ref.number is not None:
        return ref.number in {row.given_number, row.ticket_number}
    return ref.link in {row.given_link, row.ticket_link}


def find(connection: Connection, link_id: int) -> Link | None:
    """Return a link by its id."""
    row = connection.execute(_select().where(link.c.id == link_id)).first()
    return None if row is None else _link(row)


def unresolved(connection: Connection, system: str, now: datetime, limit: int) -> list[Link]:
    """Return links of a system whose ticket has not been looked up yet and that are due."""
    statement = _select().where(
        link.c.system == system,
        link.c.state == LinkState.UNRESOLVED.value,
        link.c.collect_due_at <= now,
    )
    ordered = statement.order_by(link.c.collect_due_at, link.c.id)
    return [_link(row) for row in connection.execute(ordered.limit(limit))]


def due(connection: Connection, system: str, now: datetime, limit: int) -> list[Link]:
    """Return followed links of a system that are due to be collected, the longest due first.

    Those that never were collected get a quarter where both kinds are due: a hundred thousand new links must not keep
    the replies of the others waiting, nor the other way round.
    """
    statement = _select().where(link.c.system == system, link.c.collect_due_at <= now, followed())
    ordered = statement.order_by(link.c.collect_due_at, link.c.id).limit(limit)
    known = [_link(row) for row in connection.execute(ordered.where(link.c.collected_at.is_not(None)))]
    new = [_link(row) for row in connection.execute(ordered.where(link.c.collected_at.is_(None)))]
    share = max(limit // 4, limit - len(known))
    return known[: limit - min(len(new), share)] + new[:share]


def by_ids(connection: Connection, link_ids: Sequence[int]) -> list[Link]:
    """Return the links of these ids that there are."""
    found: list[Link] = []
    for some in chunks(link_ids):
        found += [_link(row) for row in connection.execute(_select().where(link.c.id.in_(some)).order_by(link.c.id))]
    return found


def of_tickets(connection: Connection, system: str, ticket_ids: Sequence[str]) -> list[Link]:
    """Return the links to these tickets that are followed: active, or suspended because the thread refuses."""
    if not ticket_ids:
        return []
    statement = _select().where(link.c.system == system, among(link.c.ticket_id, "ids"), followed())
    return [_link(row) for row in connection.execute(statement.order_by(link.c.id), {"ids": ticket_ids})]


def followed() -> Any:
    """Return the condition of the links whose tickets are read."""
    # A link whose thread is refused still collects: its deliveries wait in order until the thread takes them.
    return (link.c.state == LinkState.ACTIVE.value) | (
        (link.c.state == LinkState.SUSPENDED.value) & (link.c.cause == Cause.THREAD_REFUSED.value)
    )


def watched(connection: Connection, system: str, closed_after: datetime, after_id: int, limit: int) -> list[Link]:
    """Return links for a full sweep, by id: the followed ones, and those whose ticket was forbidden or gone.

    Tickets that were closed before `closed_after` are watched no more.
    """
    causes = [Cause.TICKET_FORBIDDEN.value, Cause.TICKET_GONE.value, Cause.THREAD_REFUSED.value]
    statement = _select().where(
        link.c.system == system,
        link.c.id > after_id,
        link.c.closed_at.is_(None) | (link.c.closed_at > closed_after),
        (link.c.state == LinkState.ACTIVE.value)
        | ((link.c.state == LinkState.SUSPENDED.value) & link.c.cause.in_(causes)),
    )
    return [_link(row) for row in connection.execute(statement.order_by(link.c.id).limit(limit))]


def listed(
    connection: Connection,
    *,
    system: str | None = None,
    state: str | None = None,
    ticket: str | None = None,
    api: str | None = None,
    limit: int | None = None,
) -> list[Link]:
    """Return links by id, as asked for."""
    statement = _select().order_by(link.c.id)
    if system is not None:
        statement = statement.where(link.c.system == system)
    if api is not None:
        statement = statement.where(thread.c.api == api)
    if state is not None:
        statement = statement.where(link.c.state == state)
    if ticket is not None:
        names = (link.c.ticket_number, link.c.given_number, link.c.ticket_link, link.c.given_link, link.c.ticket_id)
        statement = statement.where(names[0].is_not(None) & (names[0] == ticket) | _any_equal(names[1:], ticket))
    if limit is not None:
        statement = statement.limit(limit)
    return [_link(row) for row in connection.execute(statement)]


def _any_equal(columns: Sequence[Any], value: str) -> Any:
    clause = columns[0] == value
    for column in columns[1:]:
        clause = clause | (column == value)
    return clause
