"""What an audit holds a ticketing system against: links by ticket, and the ledger and outbox of their threads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from syncd.model.collected import Disposition, Stored
from syncd.model.delivery import DeliveryKind, DeliveryState
from syncd.model.link import Link, LinkState
from syncd.store import links
from syncd.store.standing import Decision, write_decision
from syncd.store.statement import chunks
from syncd.store.tables import delivery, ledger, link

_AUDITED = link.c.state.in_([LinkState.ACTIVE.value, LinkState.SUSPENDED.value]) & link.c.ticket_id.is_not(None)


@dataclass(frozen=True, slots=True)
class HeldDelivery:
    """The newest delivery of a reply. `read_at` is when its reply was last read as it was sent."""

    id: int
    state: DeliveryState
    reason: str | None
    communication_id: int | None
    occurred_at: datetime
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of one reply in one thread: its ledger row, its delivery, and the text that was last meant to go.

    `fingerprint` is that of the newest delivery, a correction's if there is one.
    """

    disposition: Disposition | None = None
    delivery: HeldDelivery | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What there is to audit in a system: linked tickets, and links that have none yet, those that failed by name."""

    tickets: int
    unresolved: int
    failing: tuple[Link, ...]


def count_scope(connection: Connection, system: str) -> Scope:
    """Return what an audit of a system is about."""
    tickets = select(func.count(link.c.ticket_id.distinct())).where(link.c.system == system, _AUDITED)
    waiting = (link.c.system == system) & (link.c.state == LinkState.UNRESOLVED.value)
    unresolved = connection.execute(select(func.count()).select_from(link).where(waiting)).scalar_one()
    failing = connection.execute(select(link.c.id).where(waiting, link.c.failures > 0))
    ids = [row.id for row in failing]
    return Scope(connection.execute(tickets).scalar_one(), unresolved, tuple(links.by_ids(connection, ids)))


def tickets_after(connection: Connection, system: str, after: str, limit: int) -> list[str]:
    """Return ids of linked tickets in their order, from behind one of them on."""
    statement = select(link.c.ticket_id).distinct().where(link.c.system == system, _AUDITED, link.c.ticket_id > after)
    return [str(row.ticket_id) for row in connection.execute(statement.order_by(link.c.ticket_id).limit(limit))]


def links_of_ticket(connection: Connection, system: str, ticket_id: str) -> list[Link]:
    """Return the links of a ticket that are audited: all but removed ones."""
    statement = select(link.c.id).where(link.c.system == system, _AUDITED, link.c.ticket_id == ticket_id)
    return links.by_ids(connection, [row.id for row in connection.execute(statement)])


def held(connection: Connection, thread_key: int, system: str, reply_ids: Sequence[str]) -> dict[str, Held]:
    """Return what ledger and outbox have of these replies in a thread, by reply id."""
    found: dict[str, Held] = {}
    for some in chunks(reply_ids):
        rows = select(ledger.c.reply_id, ledger.c.disposition).where(
            ledger.c.thread_key == thread_key, ledger.c.system == system, ledger.c.reply_id.in_(some)
        )
        found |= {row.reply_id: Held(Disposition(row.disposition)) for row in connection.execute(rows)}
        sent = select(delivery).where(
            delivery.c.thread_key == thread_key, delivery.c.system == system, delivery.c.reply_id.in_(some)
        )
        for row in connection.execute(sent.order_by(delivery.c.id)):
            before = found.get(row.reply_id, Held())
            own = before.delivery if row.kind == DeliveryKind.CORRECTION.value else _held_delivery(row)
            found[row.reply_id] = Held(before.disposition, own, row.fingerprint)
    return found


def _held_delivery(row: object) -> HeldDelivery:
    values = {name: getattr(row, name) for name in HeldDelivery.__dataclass_fields__}
    return HeldDelivery(**values | {"state": DeliveryState(values["state"])})


def delivered_before(connection: Connection, of: Link, ticket_number: str, before: datetime) -> dict[str, HeldDelivery]:
    """Return what was delivered of a link's ticket and known before a reading of it began, by reply id."""
    statement = select(delivery).where(
        delivery.c.link_id == of.id,
        delivery.c.ticket_number == ticket_number,
        delivery.c.kind == DeliveryKind.REPLY.value,
        delivery.c.state == DeliveryState.DELIVERED.value,
        delivery.c.created_at < before,
    )
    return {row.reply_id: _held_delivery(row) for row in connection.execute(statement.order_by(delivery.c.id))}


def record_repair(connection: Connection, stored: Stored, by: Decision) -> None:
    """Write down, delivery by delivery, that an audit has queued what was missing."""
    for delivery_id in (one.delivery_id for one in stored.taken_in):
        write_decision(connection, "audit repair", f"delivery {delivery_id}", by)
