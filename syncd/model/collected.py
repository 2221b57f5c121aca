"""What one reading of a ticket means for a link: the values between polling and the store."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from syncd.model.communication import Message, ThreadStatus
from syncd.model.delivery import DeliveryKind, DeliveryState, Lane
from syncd.model.ticket import Ticket


class Disposition(StrEnum):
    """What became of a reply in a thread."""

    DELIVERY = "delivery"
    WITHHELD = "withheld"
    OLDER = "older"
    AUTOMATIC = "automatic"
    MERGED = "merged"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of a reply in a thread."""

    disposition: Disposition
    delivery_id: int | None = None
    state: DeliveryState | None = None
    fingerprint: str | None = None
    version: int = 0
    lane: Lane = Lane.LIVE
    occurred_at: datetime | None = None
    is_correction: bool = False


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery to be stored. Without a message it is parked, and its content is to be read by a person."""

    reply_id: str | None
    message: Message | None
    fingerprint: str | None
    occurred_at: datetime
    kind: DeliveryKind = DeliveryKind.REPLY
    lane: Lane = Lane.LIVE
    state: DeliveryState = DeliveryState.PENDING
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply for the ledger. `replaces` are dispositions that this one may take the place of."""

    reply_id: str
    disposition: Disposition
    delivery: NewDelivery | None = None
    replaces: tuple[Disposition, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a delivery that still waits: new text, or withdrawn."""

    delivery_id: int
    version: int
    message: Message | None = None
    fingerprint: str | None = None
    skip_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """What one reading of a ticket means for one link.

    `started_at` is when the reading began: a link made due after that stays due. `next_due_at` is None where the
    feed alone stands for the link from now on. `is_ticket_fresh`: the ticket was read too, and is stored.
    `request_id` is the backfill that asked for it.
    """

    link_id: int
    thread_key: int
    system: str
    started_at: datetime
    entries: tuple[Entry, ...] = ()
    changes: tuple[Change, ...] = ()
    confirmed: tuple[int, ...] = ()
    corrections: tuple[NewDelivery, ...] = ()
    ticket: Ticket | None = None
    status: ThreadStatus | None = None
    newest_reply_at: datetime | None = None
    active_at: datetime | None = None
    next_due_at: datetime | None = None
    complete: bool = False
    is_ticket_fresh: bool = True
    request_id: int | None = None


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A delivery that was put into the outbox, and the reply that it came of: what ties the two in the log."""

    delivery_id: int
    link_id: int
    ticket: str | None
    reply_id: str | None
    state: DeliveryState


@dataclass(slots=True)
class Stored:
    """What a reading added. `elsewhere`: so many links follow another ticket now, and nothing of it was stored."""

    new: int = 0
    withheld: int = 0
    skipped: int = 0
    parked: int = 0
    changed: int = 0
    elsewhere: int = 0
    taken_in: list[TakenIn] = field(default_factory=list)

    def add(self, other: "Stored") -> None:
        """Add the counts of another reading."""
        self.new += other.new
        self.withheld += other.withheld
        self.skipped += other.skipped
        self.parked += other.parked
        self.changed += other.changed
        self.elsewhere += other.elsewhere
        self.taken_in += other.taken_in


@dataclass(frozen=True, slots=True)
class Gap:
    """The time of which a restored database knows nothing: replies made then may have been sent."""

    from_at: datetime
    until_at: datetime

    def holds(self, instant: datetime) -> bool:
        """Say whether a reply of that instant may have been sent unbeknown."""
        return self.from_at <= instant <= self.until_at

    def for_older(self) -> "Gap":
        """Return the gap for what may have been sent in that time though it was written long before.

        That is: backfilled, published later, or of a link that was registered since the backup.
        """
        return Gap(datetime.min.replace(tzinfo=UTC), self.until_at)
