"""A link: the registered tie of one ticket to one thread."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from syncd.model.communication import Thread, ThreadStatus
from syncd.model.ticket import Ticket, TicketRef

THE_START = datetime(1970, 1, 1, tzinfo=UTC)
"""The `from` of a link that wants everything, the first message included."""


class LinkState(StrEnum):
    """Where a link stands."""

    UNRESOLVED = "unresolved"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"


class Cause(StrEnum):
    """Why a link is suspended."""

    TICKET_UNKNOWN = "ticket_unknown"
    TICKET_GONE = "ticket_gone"
    TICKET_FORBIDDEN = "ticket_forbidden"
    TICKET_MERGED = "ticket_merged"
    REPLIES_GONE = "replies_gone"
    THREAD_REFUSED = "thread_refused"


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link to be registered. `from_at` is the instant from which replies count as new."""

    thread: Thread
    system: str
    ref: TicketRef
    from_at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the store has it. Ticket fields are None until it is resolved.

    `merged_from` are the ids of the tickets that it followed before they were merged into the one it follows now.
    """

    id: int
    thread_key: int
    thread: Thread
    system: str
    state: LinkState
    ref: TicketRef
    from_at: datetime
    registered_at: datetime
    cause: Cause | None = None
    reason: str | None = None
    merged_into: str | None = None
    ticket: Ticket | None = None
    merged_from: tuple[str, ...] = ()
    collect_due_at: datetime | None = None
    collected_at: datetime | None = None
    newest_reply_at: datetime | None = None
    active_at: datetime | None = None
    closed_at: datetime | None = None
    failures: int = 0
    known_status: ThreadStatus | None = None
    sent_status: ThreadStatus | None = None
    doubt_status: ThreadStatus | None = None
    waiting: int = field(default=0)

    @property
    def ticket_name(self) -> str:
        """Return what people call its ticket."""
        return self.ticket.number if self.ticket is not None else str(self.ref)
