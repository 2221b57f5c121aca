"""What an operator decided about an api or a system, as values; the settings file is where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from zoneinfo import ZoneInfo

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.delivery import InDoubtPolicy


class On500(StrEnum):
    """Whether a 500 with the contract's error body is believed to say that nothing was added."""

    RETRY = "retry"
    HOLD = "hold"


class Order(StrEnum):
    """Whether a parked or in-doubt delivery holds back the later ones of its thread."""

    RELAXED = "relaxed"
    STRICT = "strict"


class Mode(StrEnum):
    """Whether an api is sent to, or only prepared for."""

    SEND = "send"
    HOLD = "hold"


class StatusNotes(StrEnum):
    """Which changes of a ticket's status get a communication of their own when no reply carries them."""

    CLOSED = "closed"
    ALL = "all"
    NEVER = "never"


class OnEdit(StrEnum):
    """What an edit after delivery does."""

    IGNORE = "ignore"
    CORRECTION = "correction"


class OnMerge(StrEnum):
    """What becomes of a link whose ticket was merged into another."""

    SUSPEND = "suspend"
    FOLLOW = "follow"


@dataclass(frozen=True, slots=True)
class ApiPolicy:
    """How deliveries to one api are sent."""

    name: str
    zone: ZoneInfo
    requests_per_minute: float = 900
    in_flight: int = 64
    in_doubt: InDoubtPolicy = InDoubtPolicy.HOLD
    on_500: On500 = On500.RETRY
    order: Order = Order.RELAXED
    mode: Mode = Mode.SEND


@dataclass(frozen=True, slots=True)
class SystemPolicy:
    """How one ticketing system is polled and its replies are mapped. Spans are seconds."""

    name: str
    poll_seconds: float = 60
    status_notes: StatusNotes = StatusNotes.CLOSED
    status_note_text: str = "The ticket was {status}."
    on_edit: OnEdit = OnEdit.IGNORE
    on_merge: OnMerge = OnMerge.SUSPEND
    automatic_messages: bool = False
    channels: Mapping[str, Channel] = field(default_factory=dict)
    statuses: Mapping[str, ThreadStatus] = field(default_factory=dict)
    active_hours: float = 4
    quiet_poll_seconds: float = 6 * 3600
    closed_watch_days: float = 14
    full_sweep_hours: float = 24
    sweep_deadline_seconds: float = 600
    flood_replies: int = 200
    flood_older_hours: float = 1
