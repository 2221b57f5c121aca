"""What Gorgias's answers mean: tickets and messages as values. Pure.

https://developers.gorgias.com/reference/tickets and https://developers.gorgias.com/reference/ticket-messages
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.ticket import Attachment, Author, AuthorKind, Body, BodyFormat, Reply, Ticket, Visibility
from syncd.sources.records import Record

OPEN, CLOSED = "open", "closed"
TRASHED, SPAM, SNOOZED = "trashed", "spam", "snoozed"  # our words: Gorgias tells these apart by other fields
STATUSES: Mapping[str, ThreadStatus] = {
    OPEN: ThreadStatus.ONGOING,
    SNOOZED: ThreadStatus.ONGOING,
    CLOSED: ThreadStatus.CLOSED,
    SPAM: ThreadStatus.CLOSED,
    TRASHED: ThreadStatus.CLOSED,
}
NOTE, SYSTEM_MESSAGE, RULE, FORWARD = "internal-note", "system-message", "rule", "email-forward"

_PUBLIC_POSTS = (
    *("facebook", "facebook-comment", "facebook-mention", "facebook-recommendations", "facebook-post"),
    *("instagram", "instagram-comment", "instagram-ad-comment", "instagram-media", "instagram-mention"),
    *("twitter", "yotpo", "yotpo-review"),
)
CHANNELS: Mapping[str, Channel] = {
    **dict.fromkeys(("email", "email-forward", "contact-form", "help-center", "form"), Channel.EMAIL),
    **dict.fromkeys(("chat", "gorgias-chat", "offline-capture"), Channel.CHAT),
    **dict.fromkeys(("facebook-messenger", "instagram-direct-message", "twitter-direct-message"), Channel.CHAT),
    **dict.fromkeys(("phone", "aircall", "twilio"), Channel.PHONE),
    **dict.fromkeys(("sms", "whatsapp"), Channel.TEXT_MESSAGE),
    **dict.fromkeys(_PUBLIC_POSTS, Channel.OTHER),
}
"""Words with hyphens; Gorgias writes some with underscores. Accounts can have channels of their own."""


@dataclass(frozen=True, slots=True)
class SeenTicket:
    """A ticket with the number of its messages, which a single ticket does not tell."""

    ticket: Ticket
    messages: int | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message; `reply` is None for what nobody was told. What is not settled may still go out, or go out again."""

    id: str
    at: datetime
    is_settled: bool
    is_deleted: bool
    reply: Reply | None


def parse_ticket(record: Record, base_url: str, now: datetime | None) -> SeenTicket:
    """Return a ticket as it was at `now`, by Gorgias's clock (None: unknown, then nothing counts as snoozed).

    A list tells how many messages there are, a single ticket has them inside.
    """
    ticket_id = record.get_key("id")
    count = record.find_int("messages_count")
    told = len(record.find_records("messages")) if count is None and "messages" in record else count
    word = _word(record, now)
    status = STATUSES.get(word)
    if word == OPEN and told == 1 and record.find_flag("from_agent") is False:
        status = ThreadStatus.CREATED
    assignee = record.find_record("assignee_user")
    ticket = Ticket(
        id=ticket_id,
        number=ticket_id,
        link=f"{base_url}/app/ticket/{ticket_id}",
        subject=record.find_text("subject"),
        vendor_status=word,
        status=status,
        assignee=_find_name(assignee) if assignee is not None else None,
        updated_at=record.find_instant("updated_datetime"),
    )
    return SeenTicket(ticket, count)


def _word(record: Record, now: datetime | None) -> str:
    if record.find_instant("trashed_datetime") is not None:
        return TRASHED
    if record.is_true("spam"):
        return SPAM
    word, until = record.get_text("status").lower(), record.find_instant("snooze_datetime")
    return SNOOZED if word == CLOSED and until is not None and now is not None and until > now else word


def _find_name(person: Record) -> str | None:
    parts = (person.find_text("firstname"), person.find_text("lastname"))
    return person.find_text("name") or " ".join(part for part in parts if part) or person.find_text("email")


def parse_message(record: Record) -> Message:
    """Return a message. One that failed, or still waits to be sent, has told nobody anything, so it is no reply.

    A failed message can be sent again, and may have a time of sending as well.
    """
    is_deleted = record.find_instant("deleted_datetime") is not None
    is_settled = not is_unsent(record)
    is_told = is_settled and not is_deleted and SYSTEM_MESSAGE not in _marks(record)
    return Message(
        id=record.get_key("id"),
        at=record.get_instant("created_datetime"),
        is_settled=is_settled or is_deleted,
        is_deleted=is_deleted,
        reply=_reply(record) if is_told else None,
    )


def is_unsent(record: Record) -> bool:
    """Tell whether a message to the customer failed, or waits to be sent."""
    return waits(record) or (_is_public(record) and record.find_instant("failed_datetime") is not None)


def waits(record: Record) -> bool:
    """Tell whether a message to the customer waits to be sent. Customers' messages have no time of sending, either."""
    is_out = any(record.find_instant(name) is not None for name in ("sent_datetime", "failed_datetime"))
    return not is_out and record.find_flag("from_agent") is not False and _is_public(record)


def replies_of(messages: Iterable[Message], first: str | None = None) -> list[Reply]:
    """Return the replies among messages, oldest first; the first message is the one with this id, or the oldest."""
    found = sorted((message.reply for message in messages if message.reply is not None), key=_age)
    if first is None and found:
        first = found[0].id
    return [replace(reply, first_message=True) if reply.id == first else reply for reply in found]


def _age(reply: Reply) -> tuple[datetime, int, str]:
    return (reply.created_at, len(reply.id), reply.id)  # ids are numbers: a longer one is a later one


def _marks(record: Record) -> set[str]:
    return set(_words(record))


def _words(record: Record) -> list[str]:
    """Return what tells of the medium, the most telling first."""
    source = record.find_record("source")
    told = (record.find_text("channel"), source and source.find_text("type"), record.find_text("via"))
    return [word.lower().replace("_", "-") for word in told if word]


def _is_public(record: Record) -> bool:
    """Tell whether customers see it. Notes are marked twice, so one mark alone is enough to keep a message in."""
    return record.is_true("public") and NOTE not in _marks(record) and not _goes_elsewhere(record)


def _goes_elsewhere(record: Record) -> bool:
    """Tell whether it forwards the ticket to a third party. Gorgias marks that as public, and as a mail like others."""
    source = record.find_record("source")
    extra = source.raw("extra") if source is not None else None
    forwards = isinstance(extra, dict) and extra.get("forward") not in (None, False)
    return record.find_flag("from_agent") is not False and (forwards or FORWARD in _marks(record))


def _reply(record: Record) -> Reply:
    author = _author(record)
    created_at, sent_at = record.get_instant("created_datetime"), record.find_instant("sent_datetime")
    # What the sending time of a customer's message is, is not documented: it may come from the customer's own clock.
    is_theirs = author.kind is AuthorKind.CUSTOMER
    return Reply(
        id=record.get_key("id"),
        author=author,
        visibility=Visibility.PUBLIC if _is_public(record) else Visibility.INTERNAL,
        body=_body(record),
        created_at=created_at if is_theirs or sent_at is None else sent_at,
        channel=next((CHANNELS[word] for word in _words(record) if word in CHANNELS), Channel.OTHER),
        vendor_channel=record.find_text("channel"),
        attachments=tuple(_attachment(file) for file in record.find_records("attachments")),
    )


def _author(record: Record) -> Author:
    """Return who wrote it. Rules write as the company; whether a customer is an agent too does not matter here."""
    from_agent, sender = record.find_flag("from_agent"), record.find_record("sender")
    if from_agent is False:
        return Author(AuthorKind.CUSTOMER)
    if record.find_key("rule_id") is not None or record.find_text("via") == RULE:
        return Author(AuthorKind.SYSTEM)
    name = _find_name(sender) if sender is not None else None
    return Author(AuthorKind.AGENT if from_agent else AuthorKind.UNKNOWN, name)


def _body(record: Record) -> Body:
    """Return the whole text: without it, the text without quotes, which is null for many messages."""
    for text, html in (("body_text", "body_html"), ("stripped_text", "stripped_html")):
        if found := record.find_text(text):
            return Body(found)
        if found := record.find_text(html):
            return Body(found, BodyFormat.HTML)
    return Body("")


def _attachment(file: Record) -> Attachment:
    return Attachment(
        name=file.find_text("name") or "",
        size_bytes=file.find_int("size"),
        media_type=file.find_text("content_type"),
        link=file.find_text("url"),
    )
