"""What Intercom's answers mean: a conversation or a ticket with its parts as a ticket and its replies. Pure.

A part is what Intercom calls one entry of a conversation or ticket: a message, a note, or an event.

https://developers.intercom.com/docs/references/rest-api/api.intercom.io/conversations/conversation
https://developers.intercom.com/docs/references/rest-api/api.intercom.io/tickets/ticket
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from html import unescape

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Attachment, Author, AuthorKind, Body, BodyFormat, Reply, Ticket, Visibility
from syncd.sources.records import Record


@dataclass(frozen=True, slots=True)
class Family:
    """Conversations or tickets: the name of their lists and paths, and what their ids begin with in syncd.

    Both have numbers for ids, and what is both a conversation and a ticket has the same number as either.
    """

    name: str
    prefix: str


CONVERSATIONS = Family("conversations", "")
TICKETS = Family("tickets", "ticket-")
FAMILIES = (CONVERSATIONS, TICKETS)

CONVERSATION_STATES: Mapping[str, ThreadStatus] = {
    "open": ThreadStatus.ONGOING,
    "snoozed": ThreadStatus.ONGOING,
    "closed": ThreadStatus.CLOSED,
}
TICKET_STATES: Mapping[str, ThreadStatus] = {
    "submitted": ThreadStatus.CREATED,
    "in_progress": ThreadStatus.ONGOING,
    "waiting_on_customer": ThreadStatus.ONGOING,
    "resolved": ThreadStatus.CLOSED,
}
MESSAGES = frozenset({"comment", "quick_reply", "open", "close"})  # to open and to close can carry an answer
ASSIGNMENTS = frozenset({"assignment", "assign_and_reopen"})  # and so can these
AUTHORS: Mapping[str, AuthorKind] = {
    "user": AuthorKind.CUSTOMER,
    "lead": AuthorKind.CUSTOMER,
    "contact": AuthorKind.CUSTOMER,
    "admin": AuthorKind.AGENT,
    "team": AuthorKind.AGENT,
    "bot": AuthorKind.SYSTEM,
}
AUTOMATIC = frozenset({"automated", "campaigns_initiated", "operator_initiated"})  # delivered without a person's doing
OPERATOR = "operator+"  # Intercom's own bot may appear as an agent with such a mail address
CHANNELS: Mapping[str, Channel] = {
    "conversation": Channel.CHAT,
    "push": Channel.CHAT,
    "facebook": Channel.CHAT,
    "instagram": Channel.CHAT,
    "twitter": Channel.CHAT,
    "email": Channel.EMAIL,
    "sms": Channel.TEXT_MESSAGE,
    "whatsapp": Channel.TEXT_MESSAGE,
    "phone_call": Channel.PHONE,
    "phone_switch": Channel.PHONE,
}
OF_A_TICKET = "ticket"
MOST_PARTS = 500  # an answer has the newest 500; older ones cannot be read
_TAG = re.compile(r"<[^<>]*>")
_MEDIA = re.compile(r"<(?:img|video|audio|iframe|object|embed)\b", re.IGNORECASE)
_TICKET_ID = re.compile(r"(ticket-)?([1-9][0-9]{0,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Talk:
    """What is the same for all parts of a conversation or ticket: how it came, and which parts the customer sees."""

    word: str
    public_types: Collection[str]


def parse_ticket_id(ticket_id: str) -> tuple[Family, str] | None:
    """Return the family and Intercom's own id of a ticket id, or None if it is none of ours."""
    match = _TICKET_ID.fullmatch(ticket_id)
    return None if match is None else (TICKETS if match[1] else CONVERSATIONS, match[2])


def parse_state(family: Family, item: Record, link: str | None, names: Mapping[str, str | None]) -> Ticket:
    """Return the state of a conversation or ticket, whether it was searched or read by itself."""
    is_ticket = family is TICKETS
    key = item.get_key("id")
    word = _ticket_word(item) if is_ticket else _conversation_word(item)
    return Ticket(
        id=f"{family.prefix}{key}",
        number=f"#{item.get_key('ticket_id')}" if is_ticket else key,
        link=link,
        subject=_ticket_subject(item) if is_ticket else _conversation_subject(item),
        vendor_status=word,
        status=TICKET_STATES.get(word) if is_ticket else _conversation_status(word, item),
        assignee=names.get(find_assignee(item) or ""),
        updated_at=item.find_epoch("updated_at"),
    )


def find_assignee(item: Record) -> str | None:
    """Return the id of the agent to whom it is assigned; Intercom writes 0 for nobody."""
    assignee = item.find_key("admin_assignee_id")
    return None if assignee == "0" else assignee


def parse_replies(family: Family, item: Record, *, are_assignments_public: bool) -> tuple[Reply, ...]:
    """Return all messages and notes of a conversation or ticket that was read by itself, oldest first."""
    types = MESSAGES | ASSIGNMENTS if are_assignments_public else MESSAGES
    if family is TICKETS:
        return _ticket_replies(item, types)
    source = item.find_record("source")
    talk = Talk((source.find_text("type") if source is not None else None) or "", types)
    first = _find_first_message(item, source, talk) if source is not None else None
    return _sorted(first, _parse_parts(item, "conversation_parts", talk))


def _ticket_replies(item: Record, types: Collection[str]) -> tuple[Reply, ...]:
    """Return the replies of a ticket; those of one that is not shared with the customer are all internal.

    The description is the first message if there is one, else the oldest part is, as far as all parts came.
    """
    is_shared = item.raw("category") == "Customer" and item.is_true("is_shared")
    talk = Talk(OF_A_TICKET, types if is_shared else ())
    parts = _parse_parts(item, "ticket_parts", talk)
    description = _find_description(item, is_public=is_shared)
    replies = _sorted(description, parts)
    if description is None and replies and len(parts) < MOST_PARTS:
        return (replace(replies[0], first_message=True), *replies[1:])
    return replies


def _parse_parts(item: Record, name: str, talk: Talk) -> list[Reply | None]:
    """Return the parts as replies, with None for events.

    Raises:
        UnexpectedAnswer: there is no list of parts, or an empty one though parts are counted.
    """
    inside = item.get_record(name)
    parts = inside.get_records(name)
    if not parts and (inside.find_int("total_count") or 0) > 0:
        raise UnexpectedAnswer(f"{inside.where} counts parts and has none")
    return [_find_reply(part, talk) for part in parts]


def _find_reply(part: Record, talk: Talk) -> Reply | None:
    """Return a part as a reply, or None for an event, which has no words.

    Public is what is of a type that the customer sees. Notes, whatever else has words, and what was redacted, are
    internal: a redacted message is still told, because one that vanishes would look like a failure.
    """
    body, files = part.find_text("body") or "", _attachments(part)
    is_redacted = part.raw("redacted") not in (None, False)
    if not _has_content(body) and not files and not is_redacted:
        return None
    is_mail = part.raw("email_message_metadata") is not None
    word = "email" if is_mail else talk.word
    created_at, updated_at = part.get_epoch("created_at"), part.find_epoch("updated_at")
    is_public = part.find_text("part_type") in talk.public_types and not is_redacted
    return Reply(
        id=part.get_key("id"),
        author=_author(part.find_record("author")),
        visibility=Visibility.PUBLIC if is_public else Visibility.INTERNAL,
        body=Body(body, BodyFormat.HTML),
        created_at=created_at,
        edited_at=updated_at if updated_at is not None and updated_at > created_at else None,
        channel=CHANNELS.get(word, Channel.OTHER),
        vendor_channel=word or None,
        attachments=files,
    )


def _find_first_message(item: Record, source: Record, talk: Talk) -> Reply | None:
    """Return the message that began a conversation, which is no part of it, or None if it has no words.

    It is named after its conversation: the id of a source is that of a campaign for all who got it.
    """
    body, files, subject = source.find_text("body") or "", _attachments(source), _plain(source.find_text("subject"))
    is_redacted = source.raw("redacted") not in (None, False)
    if not _has_content(body) and not files and not subject and not is_redacted:
        return None
    author = _author(source.find_record("author"))
    if source.find_text("delivered_as") in AUTOMATIC and author.kind is not AuthorKind.CUSTOMER:
        author = Author(AuthorKind.SYSTEM, author.name)
    return Reply(
        id=f"source:{item.get_key('id')}",
        author=author,
        visibility=Visibility.INTERNAL if is_redacted else Visibility.PUBLIC,
        body=Body(body, BodyFormat.HTML),
        created_at=item.get_epoch("created_at"),
        subject=subject,
        channel=CHANNELS.get(talk.word, Channel.OTHER),
        vendor_channel=talk.word or None,
        attachments=files,
        first_message=True,
    )


def _find_description(item: Record, *, is_public: bool) -> Reply | None:
    """Return what a ticket's form says, which is no part either; it is the customer's request."""
    attributes = item.find_record("ticket_attributes")
    text = attributes.find_text("_default_description_") if attributes is not None else None
    if not text or not text.strip():
        return None
    return Reply(
        id=f"description:{item.get_key('id')}",
        author=Author(AuthorKind.CUSTOMER),
        visibility=Visibility.PUBLIC if is_public else Visibility.INTERNAL,
        body=Body(unescape(text)),
        created_at=item.get_epoch("created_at"),
        vendor_channel=OF_A_TICKET,
        first_message=True,
    )


def _sorted(first: Reply | None, parts: Iterable[Reply | None]) -> tuple[Reply, ...]:
    """Return replies oldest first, each once."""
    replies = {reply.id: reply for reply in (first, *parts) if reply is not None}
    return tuple(sorted(replies.values(), key=_age))


def _age(reply: Reply) -> tuple[datetime, bool, int, str]:
    """Order by time, then by id as a number: several parts share a second."""
    return reply.created_at, not reply.first_message, len(reply.id), reply.id


def _author(author: Record | None) -> Author:
    """Return who wrote it. Customers stay without a name: nothing needs it."""
    if author is None:
        return Author(AuthorKind.UNKNOWN)
    kind = AUTHORS.get(author.find_text("type") or "", AuthorKind.UNKNOWN)
    is_robot = author.is_true("from_ai_agent") or author.is_true("is_ai_answer")
    if kind is AuthorKind.AGENT and (is_robot or (author.find_text("email") or "").startswith(OPERATOR)):
        kind = AuthorKind.SYSTEM
    return Author(kind, author.find_text("name") if kind in (AuthorKind.AGENT, AuthorKind.SYSTEM) else None)


def _attachments(holder: Record) -> tuple[Attachment, ...]:
    """Return the files, without links: those that Intercom has are signed anew for every answer, and end."""
    return tuple(
        Attachment(
            name=file.find_text("name") or "attachment",
            size_bytes=file.find_int("filesize"),
            media_type=file.find_text("content_type"),
        )
        for file in holder.find_records("attachments")
    )


def _conversation_word(item: Record) -> str:
    """Return the state; `open` says true of snoozed ones too, so it counts only where there is nothing else."""
    word = item.find_text("state")
    if word is None and isinstance(item.raw("open"), bool):
        word = "open" if item.is_true("open") else "closed"
    return word or item.get_text("state")


def _conversation_status(word: str, item: Record) -> ThreadStatus | None:
    """Return the status. Intercom has no word for "nobody has answered yet": its statistics tell."""
    statistics = item.find_record("statistics")
    if word == "open" and statistics is not None and statistics.find_epoch("last_admin_reply_at") is None:
        return ThreadStatus.CREATED
    return CONVERSATION_STATES.get(word)


def _conversation_subject(item: Record) -> str | None:
    source = item.find_record("source")
    return _plain(item.find_text("title")) or (_plain(source.find_text("subject")) if source is not None else None)


def _ticket_word(item: Record) -> str:
    """Return the category of a ticket's state: its labels are the account's own, its category is Intercom's."""
    if isinstance(item.raw("ticket_state"), str):  # in older versions of the API
        return item.get_text("ticket_state")
    return item.get_record("ticket_state").get_text("category")


def _ticket_subject(item: Record) -> str | None:
    attributes = item.find_record("ticket_attributes")
    return _plain(attributes.find_text("_default_title_")) if attributes is not None else None


def _plain(markup: str | None) -> str | None:
    """Return a line without tags and entities, or None if nothing is left."""
    return unescape(_TAG.sub("", markup)).strip() or None if markup else None


def _has_content(body: str) -> bool:
    """Tell whether there is anything in a text: a picture or a film without a word is a message, too."""
    return _MEDIA.search(body) is not None or _plain(body) is not None
