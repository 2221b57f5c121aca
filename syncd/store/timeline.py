"""The life of one link: its deliveries with their attempts, and what was decided about them; newest first, paged.

A link has hundreds of deliveries where the outbox has a million: they are found by the link, in the order of their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from syncd.store.statement import chunks
from syncd.store.tables import attempt, decision, delivery, thread


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt of a delivery."""

    started_at: datetime
    reason: str
    outcome: str | None
    http_status: int | None
    error_text: str | None
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person decided about a link or a delivery."""

    at: datetime
    who: str
    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class Passage:
    """The way of one delivery: when it was written at the vendor, taken in, tried, and what became of it."""

    id: int
    kind: str
    lane: str
    state: str
    reason: str | None
    reply_id: str | None
    direction: str | None
    flags: str | None
    written_at: datetime
    taken_in_at: datetime
    due_at: datetime
    ended_at: datetime | None
    communication_id: int | None
    status_carried: str | None
    tries: tuple[Try, ...] = ()
    decisions: tuple[Decided, ...] = ()


_PASSAGE = (
    delivery.c.id,
    delivery.c.kind,
    delivery.c.lane,
    delivery.c.state,
    delivery.c.reason,
    delivery.c.reply_id,
    delivery.c.direction,
    delivery.c.flags,
    delivery.c.occurred_at.label("written_at"),
    delivery.c.created_at.label("taken_in_at"),
    delivery.c.due_at,
    delivery.c.ended_at,
    delivery.c.communication_id,
    delivery.c.status_carried,
)


def read_passages(connection: Connection, link_id: int, *, before: int | None = None, limit: int) -> list[Passage]:
    """Return the deliveries of a link that came before another one (by its id), newest first."""
    statement = select(*_PASSAGE).where(delivery.c.link_id == link_id).order_by(delivery.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(delivery.c.id < before)
    rows = connection.execute(statement).all()
    ids = [row.id for row in rows]
    tries, decided = _tries(connection, ids), _decided(connection, [f"delivery {one}" for one in ids])
    return [
        Passage(
            **row._mapping,  # noqa: SLF001 - SQLAlchemy's public name
            tries=tuple(tries.get(row.id, ())),
            decisions=tuple(decided.get(f"delivery {row.id}", ())),
        )
        for row in rows
    ]


def _tries(connection: Connection, delivery_ids: Sequence[int]) -> dict[int, list[Try]]:
    found: dict[int, list[Try]] = {}
    columns = [attempt.c[name] for name in Try.__dataclass_fields__]
    for some in chunks(delivery_ids):
        statement = select(attempt.c.delivery_id, *columns).where(attempt.c.delivery_id.in_(some))
        for row in connection.execute(statement.order_by(attempt.c.id)):
            found.setdefault(row.delivery_id, []).append(Try(*row[1:]))
    return found


def _decided(connection: Connection, subjects: Sequence[str]) -> dict[str, list[Decided]]:
    found: dict[str, list[Decided]] = {}
    for some in chunks(subjects):
        statement = select(decision).where(decision.c.subject.in_(some)).order_by(decision.c.id)
        for row in connection.execute(statement):
            one = Decided(row.decided_at, row.who, row.action, row.reason)
            found.setdefault(row.subject, []).append(one)
    return found


def read_link_decisions(
    connection: Connection, link_id: int, *, since: datetime | None = None, until: datetime | None = None
) -> list[Decided]:
    """Return what was decided about a link itself, newest first; `until` is not among it."""
    statement = select(decision).where(decision.c.subject == f"link {link_id}").order_by(decision.c.id.desc())
    if since is not None:
        statement = statement.where(decision.c.decided_at >= since)
    if until is not None:
        statement = statement.where(decision.c.decided_at < until)
    return [Decided(row.decided_at, row.who, row.action, row.reason) for row in connection.execute(statement)]


def read_decisions(connection: Connection, subject: str) -> list[Decided]:
    """Return what was decided about something else, oldest first."""
    return _decided(connection, [subject]).get(subject, [])


def find_taken_in(connection: Connection, link_id: int, delivery_id: int) -> datetime | None:
    """Return when a delivery of a link was taken in."""
    statement = select(delivery.c.created_at).where(delivery.c.id == delivery_id, delivery.c.link_id == link_id)
    return connection.execute(statement).scalar()


def count_passages(connection: Connection, link_id: int) -> dict[str, int]:
    """Count the deliveries of a link by state."""
    statement = select(delivery.c.state, func.count()).where(delivery.c.link_id == link_id).group_by(delivery.c.state)
    return {row[0]: row[1] for row in connection.execute(statement)}


def find_head(connection: Connection, thread_key: int) -> int | None:
    """Return the first waiting delivery of a thread; None if none may go: its link is suspended, or one is sent."""
    return connection.execute(select(thread.c.head_delivery_id).where(thread.c.id == thread_key)).scalar()
