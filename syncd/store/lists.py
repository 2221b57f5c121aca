"""What people ask for: deliveries in lists and in full, counts by state, the age of what waits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Select, func, select, text

from syncd.model.communication import Message
from syncd.model.delivery import DeliveryState
from syncd.store.gauges import PENDING
from syncd.store.outbox import message_of
from syncd.store.tables import attempt, decision, delivery, ledger, link, thread


@dataclass(frozen=True, slots=True)
class DeliveryItem:
    """A delivery in a list."""

    id: int
    kind: str
    link_id: int
    api: str
    customer_id: int
    thread_id: int
    system: str
    ticket_number: str | None
    reply_id: str | None
    state: str
    reason: str | None
    attempts: int
    created_at: datetime
    communication_id: int | None
    occurred_at: datetime
    due_at: datetime
    flags: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptItem:
    """One attempt, with its evidence."""

    id: int
    number: int
    reason: str
    started_at: datetime
    reached: str | None
    http_status: int | None
    outcome: str | None
    error_text: str | None
    error_code: str | None
    trace_id: str | None
    duration_ms: int | None
    request_bytes: int | None
    answer_bytes: int | None


@dataclass(frozen=True, slots=True)
class DeliveryInFull:
    """A delivery with its message, its attempts and the decisions about it."""

    item: DeliveryItem
    message: Message | None = field(repr=False)
    status_carried: str | None
    known_status: str | None
    attempts: tuple[AttemptItem, ...]
    decisions: tuple[tuple[datetime, str, str, str], ...]


_ITEM = (
    delivery.c.id,
    delivery.c.kind,
    delivery.c.link_id,
    thread.c.api,
    thread.c.customer_id,
    thread.c.thread_id,
    delivery.c.system,
    delivery.c.ticket_number,
    delivery.c.reply_id,
    delivery.c.state,
    delivery.c.reason,
    delivery.c.attempts,
    delivery.c.created_at,
    delivery.c.communication_id,
    delivery.c.occurred_at,
    delivery.c.due_at,
    delivery.c.flags,
)


def items(*more: Any) -> Select[Any]:
    """Return the selection of deliveries as they are listed, with more columns after those."""
    return select(*_ITEM, *more).join(thread, thread.c.id == delivery.c.thread_key)


def list_deliveries(
    connection: Connection,
    *,
    state: str | None = None,
    api: str | None = None,
    system: str | None = None,
    ticket: str | None = None,
    link_id: int | None = None,
    limit: int | None = None,
) -> list[DeliveryItem]:
    """Return deliveries by id, as asked for."""
    statement = items().order_by(delivery.c.id)
    for column, wanted in ((delivery.c.state, state), (thread.c.api, api), (delivery.c.system, system)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if ticket is not None:
        statement = statement.where(delivery.c.ticket_number == ticket)
    if link_id is not None:
        statement = statement.where(delivery.c.link_id == link_id)
    if limit is not None:
        statement = statement.limit(limit)
    return [DeliveryItem(*row) for row in connection.execute(statement)]


def count_waiting(connection: Connection, link_id: int) -> int:
    """Return how many deliveries of a link are pending."""
    # Joined to an empty text: the link is the way to them, not all that is pending anywhere.
    pending = (delivery.c.state + "") == DeliveryState.PENDING.value
    return connection.execute(select(func.count()).where(delivery.c.link_id == link_id, pending)).scalar_one()


def find_delivery(connection: Connection, delivery_id: int) -> DeliveryInFull | None:
    """Return a delivery in full."""
    row = connection.execute(items().where(delivery.c.id == delivery_id)).first()
    if row is None:
        return None
    full = connection.execute(select(delivery).where(delivery.c.id == delivery_id)).one()
    known = connection.execute(select(thread.c.known_status).where(thread.c.id == full.thread_key)).scalar_one()
    attempts = connection.execute(
        select(*(attempt.c[name] for name in AttemptItem.__dataclass_fields__))
        .where(attempt.c.delivery_id == delivery_id)
        .order_by(attempt.c.id)
    )
    decisions = connection.execute(
        select(decision.c.decided_at, decision.c.who, decision.c.action, decision.c.reason)
        .where(decision.c.subject == f"delivery {delivery_id}")
        .order_by(decision.c.id)
    )
    return DeliveryInFull(
        item=DeliveryItem(*row),
        message=None if full.content is None else message_of(full),
        status_carried=full.status_carried,
        known_status=known,
        attempts=tuple(AttemptItem(*one) for one in attempts),
        decisions=tuple((one.decided_at, one.who, one.action, one.reason) for one in decisions),
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """How many links and deliveries there are by state, and since when the oldest waits."""

    links: dict[str, int]
    deliveries: dict[str, int]
    withheld: int
    oldest_pending_at: datetime | None


# Written out, so that SQLite sees that the index of them holds them all.
_WITHHELD = text("ledger.disposition = 'withheld'")
_ENDED = (DeliveryState.DELIVERED.value, DeliveryState.SKIPPED.value)


@dataclass(frozen=True, slots=True)
class Ended:
    """How many deliveries have ended, and how many replies are withheld: to count them takes a look at each."""

    delivered: int
    skipped: int
    withheld: int


def count_ended(connection: Connection) -> Ended:
    """Count what has ended."""
    # All rows are counted without a look at any of them, so those of the state that nearly all are in are the rest.
    others = _by_state(connection, [state.value for state in DeliveryState if state is not DeliveryState.DELIVERED])
    rows = connection.execute(select(func.count()).select_from(delivery)).scalar_one()
    withheld = connection.execute(select(func.count()).select_from(ledger).where(_WITHHELD)).scalar_one()
    return Ended(rows - sum(others.values()), others.get(DeliveryState.SKIPPED.value, 0), withheld)


def count_all(connection: Connection, ended: Ended | None = None) -> Counts:
    """Count links and deliveries by state; what has ended only if it is not known already."""
    ended = count_ended(connection) if ended is None else ended
    links = connection.execute(select(link.c.state, func.count()).group_by(link.c.state)).all()
    deliveries = _by_state(connection, [state.value for state in DeliveryState if state.value not in _ENDED])
    deliveries |= dict(zip(_ENDED, (ended.delivered, ended.skipped), strict=True))
    return Counts(
        links={row[0]: row[1] for row in links},
        deliveries={state: number for state, number in deliveries.items() if number},
        withheld=ended.withheld,
        oldest_pending_at=_oldest_pending_at(connection),
    )


def _oldest_pending_at(connection: Connection) -> datetime | None:
    """Return since when the first delivery waits: ids are given in the order in which deliveries came."""
    # Of an expression, not of the key: PostgreSQL would look for the first one through all that ever was.
    first = select(func.min(delivery.c.id + 0)).where(PENDING).scalar_subquery()
    return connection.execute(select(delivery.c.created_at).where(delivery.c.id == first)).scalar()


def _by_state(connection: Connection, states: Sequence[str]) -> dict[str, int]:
    rows = connection.execute(
        select(delivery.c.state, func.count()).where(delivery.c.state.in_(states)).group_by(delivery.c.state)
    )
    return {row[0]: row[1] for row in rows}


def count_dispositions(connection: Connection, thread_key: int) -> dict[str, int]:
    """Count what became of the replies that were read for a thread, by disposition."""
    rows = connection.execute(
        select(ledger.c.disposition, func.count())
        .where(ledger.c.thread_key == thread_key)
        .group_by(ledger.c.disposition)
    )
    return {row[0]: row[1] for row in rows}


@dataclass(frozen=True, slots=True)
class Names:
    """The apis and systems that a database knows: of each thread there ever was, and of each link."""

    apis: frozenset[str]
    systems: frozenset[str]


def known_names(connection: Connection) -> Names:
    """Return which apis and systems there are, by a look into an index for each name."""
    return Names(_distinct(connection, thread.c.api), _distinct(connection, link.c.system))


def _distinct(connection: Connection, column: Column[str]) -> frozenset[str]:
    names = select(func.min(column).label("name")).cte("names", recursive=True)
    following = select(func.min(column)).where(column > names.c.name).scalar_subquery()
    names = names.union_all(select(following).where(names.c.name.is_not(None)))
    return frozenset(connection.execute(select(names.c.name).where(names.c.name.is_not(None))).scalars())


def count_open_work(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Return how much is open by api and by system, so that neither vanishes from the settings unnoticed."""
    open_states = [DeliveryState.PENDING.value, DeliveryState.SENDING.value, DeliveryState.IN_DOUBT.value]
    apis: dict[str, int] = {}
    systems: dict[str, int] = {}
    waiting = connection.execute(
        select(thread.c.api, delivery.c.system, func.count())
        .join(thread, thread.c.id == delivery.c.thread_key)
        .where(delivery.c.state.in_(open_states))
        .group_by(thread.c.api, delivery.c.system)
    ).all()
    linked = connection.execute(
        select(thread.c.api, link.c.system, func.count())
        .join(thread, thread.c.id == link.c.thread_key)
        .where(link.c.state != "removed")
        .group_by(thread.c.api, link.c.system)
    ).all()
    for api, system, count in (*waiting, *linked):
        apis[api] = apis.get(api, 0) + count
        systems[system] = systems.get(system, 0) + count
    return apis, systems
