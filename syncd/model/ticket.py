"""What a ticketing system holds: tickets and their replies, as values that an adapter yields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from syncd.model.communication import Channel, ThreadStatus

Cursor = NewType("Cursor", str)
"""A vendor's bookmark in its change feed. Only the adapter that made it reads it."""


class AuthorKind(StrEnum):
    """Who wrote a reply, as far as the vendor tells."""

    CUSTOMER = "customer"
    AGENT = "agent"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class Visibility(StrEnum):
    """Whether the customer can see a reply. What cannot be read is internal."""

    PUBLIC = "public"
    INTERNAL = "internal"


class BodyFormat(StrEnum):
    """How the text of a body is to be read."""

    TEXT = "text"
    HTML = "html"
    MARKDOWN = "markdown"


class Unavailability(StrEnum):
    """Why a ticket cannot be followed any more."""

    GONE = "gone"
    FORBIDDEN = "forbidden"
    MERGED = "merged"


def _require_aware(name: str, instant: datetime | None) -> None:
    if instant is not None and instant.tzinfo is None:
        raise ValueError(f"{name} has no time zone; an adapter yields aware instants")


@dataclass(frozen=True, slots=True)
class Author:
    """The person or program that wrote a reply."""

    kind: AuthorKind
    name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a reply with its format. The text stays out of reprs, and so out of logs and tracebacks."""

    text: str = field(repr=False)
    format: BodyFormat = BodyFormat.TEXT


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that hangs on a reply. Its bytes are never read; name and link are mentioned in the text."""

    name: str = field(repr=False)
    size_bytes: int | None = None
    media_type: str | None = None
    link: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """One message on a ticket, as the vendor has it.

    `id` is stable and unique in its system. `created_at` and `edited_at` are aware. `vendor_channel` is the
    vendor's own word for the channel, which the settings may map differently. `written_on` is the id of the ticket it
    was written on, where a vendor shows it on the ticket that one was merged into, too; None: on this ticket.
    """

    id: str
    author: Author
    visibility: Visibility
    body: Body
    created_at: datetime
    edited_at: datetime | None = None
    subject: str | None = field(default=None, repr=False)
    channel: Channel = Channel.OTHER
    vendor_channel: str | None = None
    attachments: tuple[Attachment, ...] = field(default=(), repr=False)
    first_message: bool = False
    written_on: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no adapter may yield."""
        if not self.id:
            raise ValueError("a reply needs an id")
        _require_aware("created_at", self.created_at)
        _require_aware("edited_at", self.edited_at)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as the vendor has it now.

    `id` is the vendor's stable key, `number` what people quote, `link` its web address. `status` is None when
    the adapter does not know the vendor's word; the settings may map it, else the thread counts as ONGOING.
    """

    id: str
    number: str
    link: str | None = None
    subject: str | None = field(default=None, repr=False)
    vendor_status: str | None = None
    status: ThreadStatus | None = None
    assignee: str | None = field(default=None, repr=False)
    updated_at: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what no adapter may yield."""
        if not self.id or not self.number:
            raise ValueError("a ticket needs an id and a number")
        _require_aware("updated_at", self.updated_at)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A ticket that cannot be followed: gone, forbidden, or merged into another (`merged_into` is its id)."""

    ticket_id: str
    reason: Unavailability
    merged_into: str | None = None

    def __str__(self) -> str:
        """Say it in words."""
        if self.reason is Unavailability.MERGED:
            return f"ticket {self.ticket_id} was merged into {self.merged_into or 'another ticket'}"
        return f"ticket {self.ticket_id} is {self.reason}"


@dataclass(frozen=True, slots=True)
class TicketRef:
    """How a person names a ticket: by its number or by its link; exactly one of them."""

    number: str | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        """Refuse neither and both."""
        if (self.number is None) == (self.link is None):
            raise ValueError("name a ticket by its number or by its link, one of them")

    def __str__(self) -> str:
        """Say what the person wrote."""
        return self.number if self.number is not None else str(self.link)


@dataclass(frozen=True, slots=True)
class ChangePage:
    """One page of a change feed.

    `cursor` is safe to go on from once the page is stored. `ticket_ids` are the changed tickets. Where the
    vendor hands over more, `tickets` holds their state and `replies` the new replies by ticket id; nothing
    need be asked about a ticket whose id is a key of `replies`.
    """

    cursor: Cursor
    ticket_ids: tuple[str, ...]
    tickets: tuple[Ticket | Unavailable, ...] = ()
    replies: Mapping[str, tuple[Reply, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a system takes us for, in words for an operator, and what that account can and cannot see."""

    account: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
