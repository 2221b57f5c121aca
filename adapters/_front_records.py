"""What Front's answers mean: conversations, messages, comments and events as values. Pure.

https://dev.frontapp.com/reference/conversations, .../reference/messages and .../reference/events describe the records.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import (
    Attachment,
    Author,
    AuthorKind,
    Body,
    BodyFormat,
    Reply,
    Ticket,
    Unavailability,
    Unavailable,
    Visibility,
)
from syncd.sources.records import Record

STATUSES: Mapping[str, ThreadStatus] = {
    "unassigned": ThreadStatus.ONGOING,
    "assigned": ThreadStatus.ONGOING,
    "archived": ThreadStatus.CLOSED,
    "deleted": ThreadStatus.CLOSED,
    "open": ThreadStatus.ONGOING,
    "waiting": ThreadStatus.ONGOING,
    "resolved": ThreadStatus.CLOSED,
}
UNANSWERED = frozenset({"unassigned", "assigned", "open"})
DELETED, ARCHIVED = "deleted", "archived"
INTERNAL_CONVERSATIONS = frozenset({"discussion", "task"})
CHANNELS: Mapping[str, Channel] = {
    "email": Channel.EMAIL,
    "sms": Channel.TEXT_MESSAGE,
    "whatsapp": Channel.TEXT_MESSAGE,
    "yalo_wha": Channel.TEXT_MESSAGE,
    "call": Channel.PHONE,
    "phone-call": Channel.PHONE,
    "truly-call": Channel.PHONE,
    "front_chat": Channel.CHAT,
    "intercom": Channel.CHAT,
    "facebook": Channel.CHAT,
    "tweet_dm": Channel.CHAT,
}
INTERNAL = "internal"  # the type of posts in discussions
SPOOFED = "id_usurpation"  # a warning about the sender, which stands on mails that arrived
PROGRAMS = frozenset(
    {"ai", "api", "application", "bulk_reply", "csat", "integration", "macro", "rule", "smart_csat"}
)  # types of teammates that are no people
MESSAGE_EVENTS = frozenset({"inbound", "outbound", "out_reply"})
STATE_EVENTS = frozenset({"archive", "reopen", "reminder", "trash", "restore", "ticket_status_update"})
MERGED = "conversations_merged"
WRITTEN_EVENTS = frozenset({"forward", "sending_error", "message_bounce_error", MERGED})
# What the events name is documented as a "partial representation": one with these fields is whole.
WHOLE_MESSAGE = frozenset(
    ("id", "type", "is_inbound", "draft_mode", "error_type", "created_at", "subject", "author", "recipients", "body")
) | {"attachments"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_AT_ONCE = timedelta(seconds=1)
CONVERSATION_ID = re.compile(r"cnv_[0-9a-z]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """What an event tells: when (in milliseconds), of which conversation, its state, and what was written.

    `reply` is the message of the event, if all of it is there and it is no draft and was sent. `is_told` says that
    nothing more need be asked about the event.
    """

    type: str
    at: int
    ticket_id: str
    merged_ids: tuple[str, ...]
    state: Ticket | Unavailable | None
    reply: Reply | None
    is_internal: bool
    is_told: bool


def milliseconds(instant: datetime) -> int:
    """Return an instant in whole milliseconds, rounded down: rounded up it would be behind what it is the time of."""
    return (instant - _EPOCH) // _MILLISECOND


def parse_ticket(conversation: Record, web_url: str) -> Ticket | Unavailable:
    """Return a conversation's state; discussions and tasks are the company's own, and forbidden."""
    ticket_id = conversation.get_key("id")
    if is_internal(conversation):
        return Unavailable(ticket_id, Unavailability.FORBIDDEN)
    word = _status_word(conversation)
    assignee = conversation.find_record("assignee")
    return Ticket(
        id=ticket_id,
        number=next(iter(ticket_numbers(conversation)), ticket_id),
        link=f"{web_url}/open/{ticket_id}",
        subject=conversation.find_text("subject"),
        vendor_status=word,
        status=_status(conversation, word),
        assignee=_person_name(assignee) if assignee is not None else None,
        updated_at=conversation.find_epoch("updated_at"),
    )


def is_internal(conversation: Record) -> bool:
    """Tell whether a conversation is among colleagues alone. Older answers name no type: theirs are with customers."""
    return conversation.find_text("type") in INTERNAL_CONVERSATIONS


def ticket_numbers(conversation: Record) -> list[str]:
    """Return the ticket ids that people quote; there are none without ticketing."""
    return [] if conversation.raw("ticket_ids") is None else conversation.get_texts("ticket_ids")


def parse_replies(messages: Iterable[Record], comments: Iterable[Record]) -> tuple[Reply, ...]:
    """Return all that was written in a conversation, oldest first; its oldest message is its first."""
    parsed = (find_reply(message) for message in messages)
    sent = sorted({reply.id: reply for reply in parsed if reply is not None}.values(), key=_age)
    first = next((reply.id for reply in sent if reply.visibility is Visibility.PUBLIC), None)
    notes = [parse_comment(comment) for comment in comments]
    return tuple(sorted([*(replace(one, first_message=one.id == first) for one in sent), *notes], key=_age))


def find_reply(message: Record) -> Reply | None:
    """Return a message as a reply, or None for a draft, and for one that could not be sent.

    Public is what came from the customer or went there, of whatever type: new types are added without notice. Posts
    in discussions, and what does not say its type or its direction, are internal.
    """
    if message.raw("draft_mode") is not None or message.is_true("is_draft"):
        return None
    inbound = message.raw("is_inbound")
    if inbound is False and message.find_text("error_type") not in {None, SPOOFED}:
        return None
    kind = message.find_text("type")
    is_public = isinstance(inbound, bool) and kind not in {None, INTERNAL}
    return Reply(
        id=message.get_key("id"),
        author=_author(message, inbound),
        visibility=Visibility.PUBLIC if is_public else Visibility.INTERNAL,
        body=_body(message),
        created_at=message.get_epoch("created_at"),
        subject=message.find_text("subject"),
        channel=CHANNELS.get(kind or "", Channel.OTHER),
        vendor_channel=kind,
        attachments=_attachments(message),
    )


def parse_comment(comment: Record) -> Reply:
    """Return a comment, which only colleagues see."""
    author = comment.find_record("author")
    return Reply(
        id=comment.get_key("id"),
        author=_teammate(author) if author is not None else Author(AuthorKind.UNKNOWN),
        visibility=Visibility.INTERNAL,
        body=Body(comment.find_text("body") or ""),
        created_at=comment.get_epoch("posted_at"),
        attachments=_attachments(comment),
    )


def parse_event(event: Record, web_url: str) -> Event:
    """Return what an event tells. What of it cannot be read is left to be read from the conversation itself.

    Raises:
        UnexpectedAnswer: the event does not say when it happened, or to which conversation.
    """
    kind, conversation = event.get_text("type"), event.get_record("conversation")
    ticket_id = conversation.get_key("id")
    if not CONVERSATION_ID.fullmatch(ticket_id):
        raise UnexpectedAnswer(f"{conversation.where} has an id that is no conversation's")
    state, reply, is_read = None, None, False
    try:
        state = parse_ticket(conversation, web_url)
        message = _find_whole_message(event) if kind in MESSAGE_EVENTS else None
        reply = find_reply(message) if message is not None else None
        is_read = True
    except UnexpectedAnswer:
        pass
    return Event(
        type=kind,
        at=milliseconds(event.get_epoch("emitted_at")),
        ticket_id=ticket_id,
        merged_ids=_merged_ids(event) if kind == MERGED else (),
        state=state,
        reply=reply,
        is_internal=is_read and is_internal(conversation),
        is_told=is_read and (kind in STATE_EVENTS or reply is not None),
    )


def _find_whole_message(event: Record) -> Record | None:
    """Return the message that an event is about, if all of it is there."""
    target = event.find_record("target")
    message = target.find_record("data") if target is not None else None
    is_whole = message is not None and set(message) >= WHOLE_MESSAGE and bool(message.find_text("body"))
    return message if is_whole else None


def _merged_ids(event: Record) -> tuple[str, ...]:
    """Return the conversations that were merged into another. Their place in the event is not documented closely."""
    target = event.find_record("target")
    listed = target.raw("data") if target is not None else None
    if isinstance(listed, dict):
        listed = listed.get("deleted_conversation_ids")
    texts = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    return tuple(one for one in texts if CONVERSATION_ID.fullmatch(one))


def _status_word(conversation: Record) -> str:
    """Return the vendor's word that counts: of the trash, else of ticketing, else of the inbox."""
    status = conversation.get_text("status")
    return status if status == DELETED else conversation.find_text("status_category") or status


def _status(conversation: Record, word: str) -> ThreadStatus | None:
    """Return what the word means. A snoozed conversation is archived until its reminder brings it back."""
    if word == ARCHIVED and conversation.find_records("scheduled_reminders"):
        return ThreadStatus.ONGOING
    if word in UNANSWERED and _waits_from_the_start(conversation):
        return ThreadStatus.CREATED
    return STATUSES.get(word)


def _waits_from_the_start(conversation: Record) -> bool:
    """Tell whether the customer has waited for an answer since the conversation began: nobody has answered yet."""
    created_at, waiting_since = conversation.find_epoch("created_at"), conversation.find_epoch("waiting_since")
    return created_at is not None and waiting_since is not None and waiting_since <= created_at + _AT_ONCE


def _author(message: Record, inbound: object) -> Author:
    """Return who wrote a message. Front names no author of what comes in, nor of what was sent from a mail program."""
    if not isinstance(inbound, bool):
        return Author(AuthorKind.UNKNOWN)
    if inbound:
        return Author(AuthorKind.CUSTOMER)
    author = message.find_record("author")
    return _teammate(author) if author is not None else Author(AuthorKind.AGENT, _sender_name(message))


def _teammate(author: Record) -> Author:
    if author.find_text("type") in PROGRAMS:
        return Author(AuthorKind.SYSTEM)
    return Author(AuthorKind.AGENT, _person_name(author))


def _person_name(person: Record) -> str | None:
    names = (person.find_text("first_name"), person.find_text("last_name"))
    name = " ".join(part.strip() for part in names if part and part.strip())
    return name or person.find_text("username") or person.find_text("email")


def _sender_name(message: Record) -> str | None:
    senders = (one for one in message.find_records("recipients") if one.find_text("role") == "from")
    sender = next(senders, None)
    return (sender.find_text("name") or sender.find_text("handle")) if sender is not None else None


def _body(message: Record) -> Body:
    """Return the text: always `body`, which every message has and has whole.

    `text`, of mails alone, leaves out what is quoted, and with it a forwarded mail or an answer between the lines.
    """
    html = message.find_text("body")
    return Body(html, BodyFormat.HTML) if html else Body(message.find_text("text") or "")


def _attachments(record: Record) -> tuple[Attachment, ...]:
    """Return the files, without links (they open for programs with a token alone) and without images in the text."""
    return tuple(
        Attachment(
            name=file.find_text("filename") or "attachment",
            size_bytes=file.find_int("size"),
            media_type=file.find_text("content_type"),
        )
        for file in record.find_records("attachments")
        if not _is_inline(file)
    )


def _is_inline(file: Record) -> bool:
    metadata = file.find_record("metadata")
    return metadata is not None and metadata.is_true("is_inline")


def _age(reply: Reply) -> tuple[datetime, int, str]:
    """Order by time, then by id, whose digits count in base 36."""
    return reply.created_at, len(reply.id), reply.id
