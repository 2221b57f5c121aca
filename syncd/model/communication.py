"""The contract of `PUT /v1/communications/{customerId}/threads/{threadId}`: its body, its enums, its limits."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

INT64_MAX = 2**63 - 1


class ThreadStatus(StrEnum):
    """communicationThreadStatus: the level of a thread."""

    CREATED = "CREATED"
    ONGOING = "ONGOING"
    CLOSED = "CLOSED"


class Direction(StrEnum):
    """communicationDirection: INCOMING is from the customer."""

    INCOMING = "INCOMING"
    OUTGOING = "OUTGOING"


class Channel(StrEnum):
    """communicationChannel."""

    LETTER = "LETTER"
    EMAIL = "EMAIL"
    TEXT_MESSAGE = "TEXT_MESSAGE"
    PHONE = "PHONE"
    FAX = "FAX"
    CONVERSATION = "CONVERSATION"
    CHAT = "CHAT"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True, order=True)
class Thread:
    """The communication thread in the Open API: whose key, which customer, which thread."""

    api: str
    customer_id: int
    thread_id: int

    def __post_init__(self) -> None:
        """Refuse ids that the contract's 64-bit path parameters cannot carry."""
        for name in ("customer_id", "thread_id"):
            value = getattr(self, name)
            if not 0 <= value <= INT64_MAX:
                raise ValueError(f"{name} {value} is outside the 64-bit ids of the API")

    @property
    def path(self) -> str:
        """Return the path of the PUT, to be appended to the base address."""
        return f"/v1/communications/{self.customer_id}/threads/{self.thread_id}"


@dataclass(frozen=True, slots=True)
class Message:
    """A communication before it has a thread status: what a reply was mapped to, and what is stored.

    `occurred_at` is aware. Texts are plain, without control characters, and `subject` and `content` are not
    empty; the mapping holds this, the sandbox and the tests check it.
    """

    subject: str = field(repr=False)
    content: str = field(repr=False)
    direction: Direction
    channel: Channel
    occurred_at: datetime
    agent: str | None = field(default=None, repr=False)
    ticket_number: str | None = None
    ticket_link: str | None = None
    flags: tuple[str, ...] = ()


def zoned_text(instant: datetime, zone: ZoneInfo) -> str:
    """Return an instant as the contract writes it: `2022-06-22T08:00:00.000+02:00[Europe/Berlin]`.

    The offset tells the two hours apart that a zone repeats in autumn. Where the zone's time cannot be written so
    (before about 1900 offsets had seconds, and the calendar ends), the same instant is written in UTC.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant without a zone cannot be written as a zoned time")
    utc = instant.astimezone(UTC)
    try:
        local = utc.astimezone(zone)
    except OverflowError:
        local = utc
    offset = local.utcoffset()
    if local is utc or (offset is not None and offset % timedelta(minutes=1)):
        return f"{utc.isoformat(timespec='milliseconds')}[UTC]"
    return f"{local.isoformat(timespec='milliseconds')}[{zone.key}]"


def thread_update(message: Message, status: ThreadStatus, zone: ZoneInfo) -> dict[str, str]:
    """Return the body of one PUT, in the field names of the contract; absent fields are left out."""
    body = {
        "communicationThreadStatus": status.value,
        "ticketNumber": message.ticket_number,
        "subject": message.subject,
        "content": message.content,
        "communicationDirection": message.direction.value,
        "ticketLink": message.ticket_link,
        "communicationChannel": message.channel.value,
        "agent": message.agent,
        "communicationDateTime": zoned_text(message.occurred_at, zone),
    }
    return {name: value for name, value in body.items() if value}
