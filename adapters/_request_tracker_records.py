"""The records of Request Tracker's REST 2 as values: tickets, transactions, and the parts of their messages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Attachment, AuthorKind, Body, BodyFormat, Ticket
from syncd.sources.records import Record

STATUSES: Mapping[str, ThreadStatus] = {
    "new": ThreadStatus.CREATED,
    "open": ThreadStatus.ONGOING,
    "stalled": ThreadStatus.ONGOING,
    "resolved": ThreadStatus.CLOSED,
    "rejected": ThreadStatus.CLOSED,
    "deleted": ThreadStatus.CLOSED,
}
"""The statuses of the lifecycle that RT ships; a site may have others, which its settings map."""

NO_INTERFACE = "unknown"
"""The channel word of messages without X-RT-Interface: imported, or older than RT 4.4."""

_NO_OWNER = "Nobody"
_INTERFACE = re.compile(r"^X-RT-Interface:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)
_SENT_AS_FILE = re.compile(r"^Content-Disposition:[ \t]*attachment", re.MULTILINE | re.IGNORECASE)
_TEXTS = {"text/plain": BodyFormat.TEXT, "text/html": BodyFormat.HTML}


def parse_time(text: Any) -> datetime | None:
    """Return a time of RT (`2026-08-01T10:00:00Z`) as an aware instant; the epoch stands for "not set"."""
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return instant if instant.tzinfo is not None and instant.timestamp() > 0 else None


def parse_ticket(row: Mapping[str, Any], base_url: str) -> Ticket:
    """Return the ticket of a row of a search or of a single answer."""
    key, owner, status = str(row.get("id") or ""), row.get("Owner"), row.get("Status")
    if not key.isdecimal() or not isinstance(status, str):
        raise UnexpectedAnswer("Request Tracker showed a ticket without id or Status")
    login, name = (owner.get("Name") or owner.get("id"), owner.get("RealName")) if isinstance(owner, dict) else ("", "")
    return Ticket(
        id=key,
        number=key,
        link=f"{base_url}/Ticket/Display.html?id={key}",
        subject=str(row.get("Subject") or "") or None,
        vendor_status=status,
        status=STATUSES.get(status.lower()),
        assignee=None if login == _NO_OWNER else str(name or login or "") or None,
        updated_at=parse_time(row.get("LastUpdated")),
    )


@dataclass(frozen=True, slots=True)
class Transaction:
    """A row of a ticket's history. `ticket_id` stays the one it was written to when that is merged into another."""

    id: int
    type: str
    ticket_id: str
    created_at: datetime
    login: str
    real_name: str

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> "Transaction":
        """Return the transaction of a row; anything missing is an UnexpectedAnswer."""
        creator, created_at = row.get("Creator"), parse_time(row.get("Created"))
        record = Record(row, "a transaction")
        key, kind, ticket = record.get_int("id"), record.get_text("Type"), str(record.get_int("ObjectId"))
        if created_at is None or not isinstance(creator, dict):
            raise UnexpectedAnswer(f"Request Tracker listed transaction {key} without Created or Creator")
        login = str(creator.get("Name") or creator.get("id") or "")
        return cls(key, kind, ticket, created_at, login, str(creator.get("RealName") or ""))


@dataclass(frozen=True, slots=True)
class Part:
    """A node of the MIME tree of a message, without its content."""

    id: int
    transaction_id: int
    media_type: str
    name: str
    size_bytes: int
    subject: str
    headers: str

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> "Part":
        """Return the part of a row; an id that is missing is an UnexpectedAnswer."""
        record = Record(row, "an attachment")
        key, transaction = record.get_int("id"), record.get_int("TransactionId")
        kind, name, subject, headers = (
            str(row.get(field) or "") for field in ("ContentType", "Filename", "Subject", "Headers")
        )
        size = str(row.get("ContentLength") or "")
        return cls(key, transaction, kind.lower(), name, int(size) if size.isdecimal() else 0, subject, headers)

    @property
    def file(self) -> bool:
        """Tell whether this is a file: a text with a name is one too, a file may have no name."""
        container = self.media_type.startswith("multipart/") or self.media_type == "message/rfc822"
        named = bool(self.name) or _SENT_AS_FILE.search(self.headers) is not None
        return named or not (container or self.media_type in _TEXTS)


def text_parts(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts that are the text of a message, in order.

    The first text that is no file decides between plain and HTML (in a multipart/alternative the plain one comes
    first); all of its kind belong to it, because some mailers cut a text in pieces around its pictures. The tree
    itself cannot be asked for: RT 5.0.3 answers 500 to lists with the field Parent.
    """
    texts = [part for part in parts if part.media_type in _TEXTS and not part.file]
    return tuple(part for part in texts if part.media_type == texts[0].media_type)


def body_of(parts: Sequence[Part], texts: Mapping[int, str]) -> Body:
    """Return the body that these text parts make; without any it is empty."""
    joined = "\n".join(texts[part.id].rstrip("\r\n") for part in parts)
    return Body(joined, _TEXTS[parts[0].media_type] if parts else BodyFormat.TEXT)


def files_of(parts: Sequence[Part], base_url: str) -> tuple[Attachment, ...]:
    """Return the files of a message, with the links that RT's pages have for them."""
    return tuple(
        Attachment(
            name=part.name or f"attachment {part.id}",
            size_bytes=part.size_bytes,
            media_type=part.media_type or None,
            link=f"{base_url}/Ticket/Attachment/{part.transaction_id}/{part.id}/{quote(part.name, safe='')}",
        )
        for part in parts
        if part.file
    )


def channel_of(parts: Sequence[Part], kind: AuthorKind) -> tuple[Channel, str]:
    """Return the channel of a message and RT's word for how it came in: the header X-RT-Interface of its root.

    What an agent writes is mailed to the requestors, wherever it was typed; what a customer types into the self
    service is no mail.
    """
    found = next((match[1] for part in parts if (match := _INTERFACE.search(part.headers))), NO_INTERFACE)
    mailed = found in {"Email", NO_INTERFACE} or kind in {AuthorKind.AGENT, AuthorKind.SYSTEM}
    return (Channel.EMAIL if mailed else Channel.OTHER), found
