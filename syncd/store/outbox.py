"""The outbox on its way to the Open API: what is to be sent, and what an attempt came to, as values.

Marking is in marking.py, recording in recording.py. Each takes what waits at the same time, all of it at once.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from syncd.model.communication import Channel, Direction, Message, Thread, ThreadStatus
from syncd.model.delivery import DeliveryKind, DeliveryState, Lane, Outcome, Reached
from syncd.store.among import among
from syncd.store.tables import attempt, delivery, thread


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery with all that is needed to send it."""

    delivery_id: int
    version: int
    thread_key: int
    thread: Thread
    link_id: int
    system: str
    kind: DeliveryKind
    lane: Lane
    reply_id: str | None
    ticket_number: str | None
    message: Message = field(repr=False)
    status: ThreadStatus
    refusals: int
    failures: int
    doubts: int
    attempts: int
    manual: bool
    created_at: datetime
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """What an attempt came to, and what becomes of its delivery and thread."""

    attempt_id: int
    delivery_id: int
    thread_key: int
    reached: Reached
    outcome: Outcome
    state: DeliveryState
    reason: str | None = None
    http_status: int | None = None
    error_text: str | None = None
    error_code: str | None = None
    trace_id: str | None = None
    duration_ms: int = 0
    request_bytes: int = 0
    answer_bytes: int = 0
    communication_id: int | None = None
    flags: tuple[str, ...] = ()
    due_at: datetime | None = None
    counts_as_failure: bool = False
    thread_retry_at: datetime | None = None


def find_outgoing(connection: Connection, delivery_id: int) -> Outgoing | None:
    """Return a pending delivery with its thread, None if it is pending no more."""
    return find_all_outgoing(connection, [delivery_id]).get(delivery_id)


def find_all_outgoing(connection: Connection, delivery_ids: Collection[int]) -> dict[int, Outgoing]:
    """Return those of these deliveries that are pending, with their threads, by id."""
    return {row.id: _outgoing(row) for row in connection.execute(_OUTGOING, {"ids": delivery_ids})}


def known_status(row: Any) -> ThreadStatus:
    """Return the status that a communication carries, of a thread whose ticket's is known or not."""
    return ThreadStatus(row.known_status or ThreadStatus.ONGOING)


def message_of(row: Any) -> Message:
    """Return the message that a delivery row holds."""
    return Message(
        subject=row.subject or "",
        content=row.content or "",
        direction=Direction(row.direction),
        channel=Channel(row.channel),
        occurred_at=row.occurred_at,
        agent=row.agent,
        ticket_number=row.ticket_number,
        ticket_link=row.ticket_link,
        flags=tuple(row.flags.split(",")) if row.flags else (),
    )


def _outgoing(row: Any) -> Outgoing:
    return Outgoing(
        delivery_id=row.id,
        version=row.version,
        thread_key=row.thread_key,
        thread=Thread(row.api, row.customer_id, row.thread_id),
        link_id=row.link_id,
        system=row.system,
        kind=DeliveryKind(row.kind),
        lane=Lane(row.lane),
        reply_id=row.reply_id,
        ticket_number=row.ticket_number,
        message=message_of(row),
        status=known_status(row),
        refusals=row.refusals,
        failures=row.failures,
        doubts=row.doubts,
        attempts=row.attempts,
        manual=row.manual,
        created_at=row.created_at,
        read_at=row.read_at,
    )


def find_open_attempt(connection: Connection, delivery_id: int, worker: str) -> int | None:
    """Return the attempt of a delivery that has no outcome yet."""
    row = connection.execute(
        select(attempt.c.id).where(
            attempt.c.delivery_id == delivery_id, attempt.c.worker == worker, attempt.c.outcome.is_(None)
        )
    ).first()
    return None if row is None else int(row.id)


EVIDENCE = (
    "reached",
    "outcome",
    "http_status",
    "error_text",
    "error_code",
    "trace_id",
    "duration_ms",
    "request_bytes",
    "answer_bytes",
)
"""The columns of an attempt that say what it came to."""


def evidence_values(result: Record) -> dict[str, object]:
    """Return what an attempt came to, by column."""
    return {
        "reached": result.reached.value,
        "outcome": result.outcome.value,
        **{name: getattr(result, name) for name in EVIDENCE[2:]},
    }


_SENT = (
    "id",
    "version",
    "thread_key",
    "link_id",
    "system",
    "kind",
    "lane",
    "reply_id",
    "ticket_number",
    "ticket_link",
    "subject",
    "content",
    "direction",
    "channel",
    "agent",
    "flags",
    "occurred_at",
    "created_at",
    "read_at",
    "attempts",
    "failures",
    "doubts",
    "manual",
)
_OUTGOING = (
    select(
        *(delivery.c[name] for name in _SENT),
        thread.c.api,
        thread.c.customer_id,
        thread.c.thread_id,
        thread.c.known_status,
        thread.c.refusals,
    )
    .join(thread, thread.c.id == delivery.c.thread_key)
    .where(among(delivery.c.id, "ids"), delivery.c.state == DeliveryState.PENDING.value)
)
