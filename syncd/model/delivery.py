"""The life of a delivery: its states, the outcome of an attempt, and the evidence an outcome rests on."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class DeliveryKind(StrEnum):
    """What a delivery carries."""

    REPLY = "reply"
    CORRECTION = "correction"
    STATUS_NOTE = "status_note"


class DeliveryState(StrEnum):
    """Where a delivery stands. `pending` and `sending` are open, the others ended or wait for a person."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    IN_DOUBT = "in_doubt"
    PARKED = "parked"
    SKIPPED = "skipped"


class Lane(StrEnum):
    """Live replies go first; backfilled ones take what the pace leaves. The order of the values is the order."""

    LIVE = "0_live"
    BACKFILL = "1_backfill"


class AttemptReason(StrEnum):
    """Why an attempt was made."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    REDRIVE = "redrive"


class Reached(StrEnum):
    """How far an attempt got on the wire. From `writing` on, nobody can say what the API applied."""

    NOTHING = "nothing"
    CONNECTED = "connected"
    WRITING = "writing"
    ANSWERED = "answered"


class Outcome(StrEnum):
    """What the evidence of an attempt proves."""

    NOT_SENT = "not_sent"
    DELIVERED = "delivered"
    THROTTLED = "throttled"
    REFUSED_FOR_NOW = "refused_for_now"
    MESSAGE_AT_FAULT = "message_at_fault"
    THREAD_AT_FAULT = "thread_at_fault"
    KEY_AT_FAULT = "key_at_fault"
    NOT_THE_API = "not_the_api"
    IN_DOUBT = "in_doubt"


class InDoubtPolicy(StrEnum):
    """What an api does with deliveries in doubt."""

    HOLD = "hold"
    RESEND = "resend"
    ASSUME_DELIVERED = "assume_delivered"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was observed of one attempt: facts alone, no judgement.

    `status` is None unless a whole status line of the server was read. `failure` is the class name of the
    exception that ended the attempt, `detail` its text without message contents or secrets. `body` is what was
    read of the answer (capped), `body_complete` whether that is all of it.
    """

    reached: Reached
    status: int | None = None
    failure: str | None = None
    detail: str | None = None
    body: bytes = field(default=b"", repr=False)
    body_complete: bool = False
    retry_after_seconds: float | None = None
    request_bytes: int = 0
    duration_seconds: float = 0.0


RETRY_SCHEDULE: tuple[timedelta, ...] = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=5),
)
"""How long after the n-th counted failure the next attempt is due; the last one repeats."""

THREAD_RETRY: tuple[timedelta, ...] = (timedelta(minutes=30), timedelta(hours=2), timedelta(hours=12))
"""How slowly a thread that the API refuses is tried again; the last one repeats."""

STALE_AFTER = timedelta(minutes=10)
"""What was read longer ago is read again before it is sent."""


def retry_delay(schedule: tuple[timedelta, ...], failures: int) -> timedelta:
    """Return the wait after that many counted failures (1 or more)."""
    return schedule[min(max(failures, 1), len(schedule)) - 1]
