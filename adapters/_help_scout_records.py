"""What Help Scout's answers mean: a conversation and its threads as a ticket and its replies. Pure.

A thread is what Help Scout calls one entry of a conversation: a message, a note, or an event.

https://developer.helpscout.com/mailbox-api/endpoints/conversations/get/
https://developer.helpscout.com/mailbox-api/endpoints/conversations/threads/list/
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

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
    "active": ThreadStatus.ONGOING,
    "pending": ThreadStatus.ONGOING,
    "closed": ThreadStatus.CLOSED,
    "spam": ThreadStatus.CLOSED,
}
PUBLIC_TYPES = frozenset({"customer", "message", "chat", "beaconchat", "phone"})
EVENT = "lineitem"
PUBLISHED = "published"
DRAFT = "draft"
NOT_SENT = frozenset({DRAFT, "underreview", "review"})  # held back for now; they come when they are published
AUTOMATION = "workflows"
BY_TYPE: Mapping[str, AuthorKind] = {"customer": AuthorKind.CUSTOMER, "message": AuthorKind.AGENT}
BY_CREATOR: Mapping[str, AuthorKind] = {
    "customer": AuthorKind.CUSTOMER,
    "user": AuthorKind.AGENT,
    "team": AuthorKind.AGENT,
}
THREAD_CHANNELS: Mapping[str, Channel] = {
    "phone": Channel.PHONE,
    "chat": Channel.CHAT,
    "beaconchat": Channel.CHAT,
}
SOURCE_CHANNELS: Mapping[str, Channel] = {
    "email": Channel.EMAIL,
    "emailfwd": Channel.EMAIL,
    "chat": Channel.CHAT,
    "heymarket": Channel.TEXT_MESSAGE,
}
CONVERSATION_CHANNELS: Mapping[str, Channel] = {
    "email": Channel.EMAIL,
    "phone": Channel.PHONE,
    "chat": Channel.CHAT,
}
MAILED = frozenset({"web", "mobile", "manual", "beacon", "docs", "support", "notification"})
SMALLEST_PAGE = 25  # of those that Help Scout documents
TIMES = ("createdAt", "closedAt", "userUpdatedAt")


def embedded_threads(conversation: Record) -> list[Record]:
    """Return the threads that came inside a conversation; none if there is no place for them."""
    inside = conversation.find_record("_embedded")
    return inside.find_records("threads") if inside is not None else []


def find_replies(conversation: Record) -> tuple[Reply, ...] | None:
    """Return all messages and notes that came inside a conversation, or None if they may not be all."""
    threads = embedded_threads(conversation)
    return parse_replies(conversation, threads) if _are_all(threads, conversation) else None


def parse_replies(conversation: Record, threads: Iterable[Record]) -> tuple[Reply, ...]:
    """Return the messages and notes among the threads of a conversation, oldest first; the oldest is its first.

    Of a conversation that is a draft itself nothing was sent yet, whatever its threads say.
    """
    if conversation.raw("state") == DRAFT:
        return ()
    parsed = (_find_reply(thread, conversation.find_text("type") or "") for thread in threads)
    replies = sorted({reply.id: reply for reply in parsed if reply is not None}.values(), key=_age)
    return tuple(replace(reply, first_message=place == 0) for place, reply in enumerate(replies))


def parse_ticket(conversation: Record, replies: Sequence[Reply] | None, web_url: str) -> Ticket | Unavailable:
    """Return a conversation's state; `replies` are all it has, or None if they may not be all.

    Help Scout has no word for "nobody has answered yet": that an active conversation has no answer shows in them.
    """
    ticket_id, number = conversation.get_key("id"), conversation.get_key("number")
    if conversation.raw("state") == "deleted":
        return Unavailable(ticket_id, Unavailability.GONE)
    word = conversation.get_text("status").lower()
    status = STATUSES.get(word)
    if word == "active" and replies is not None and not any(_is_answer(reply) for reply in replies):
        status = ThreadStatus.CREATED
    assignee = conversation.find_record("assignee")
    return Ticket(
        id=ticket_id,
        number=number,
        link=f"{web_url}/conversation/{ticket_id}/{number}/",
        subject=conversation.find_text("subject"),
        vendor_status=word,
        status=status,
        assignee=_find_name(assignee) if assignee is not None else None,
        updated_at=_find_latest(conversation),
    )


def _are_all(threads: Sequence[Record], conversation: Record) -> bool:
    """Tell whether these are surely all threads of a conversation, which only says how many it has.

    What that number counts (events? drafts? notes?), and whether long conversations come whole, is not documented. So
    as many threads as counted are all only where they are fewer than any page of Help Scout's holds.
    """
    return conversation.get_int("threads") <= len(threads) < SMALLEST_PAGE


def _find_latest(conversation: Record) -> datetime | None:
    """Return the latest change that a conversation shows; its time of modification it does not show."""
    waiting = conversation.find_record("customerWaitingSince")
    times = [conversation.find_instant(name) for name in TIMES]
    times.append(waiting.find_instant("time") if waiting is not None else None)
    return max((instant for instant in times if instant is not None), default=None)


def _find_reply(thread: Record, conversation_type: str) -> Reply | None:
    """Return a thread as a reply, or None for events and for what was not sent (yet).

    Public is what is published and of a type that the customer sees. Notes, messages to third parties (forwardparent
    and forwardchild), what was hidden or bounced, and whatever is unknown, are internal.
    """
    kind, state = thread.find_text("type") or "", thread.find_text("state") or ""
    if kind == EVENT or state in NOT_SENT:
        return None
    source = thread.find_record("source")
    word = (source.find_text("type") if source is not None else None) or ""
    return Reply(
        id=thread.get_key("id"),
        author=_author(thread, kind, word),
        visibility=Visibility.PUBLIC if state == PUBLISHED and kind in PUBLIC_TYPES else Visibility.INTERNAL,
        body=Body(thread.find_text("body") or "", BodyFormat.HTML),
        created_at=thread.get_instant("createdAt"),
        channel=_channel(kind, word, conversation_type),
        vendor_channel=word or None,
        attachments=_attachments(thread),
    )


def _author(thread: Record, kind: str, source: str) -> Author:
    """Return who wrote a thread. Its `customer` is whose conversation it is, on answers of agents too: not the author.

    Messages of workflows are automatic, as far as their source tells.
    """
    creator = thread.find_record("createdBy")
    if kind == "message" and source == AUTOMATION:
        return Author(AuthorKind.SYSTEM)
    created_by = creator.find_text("type") if creator is not None else None
    author = BY_TYPE.get(kind) or BY_CREATOR.get(created_by or "", AuthorKind.UNKNOWN)
    if author is not AuthorKind.AGENT or creator is None:
        return Author(author)
    return Author(author, _find_name(creator))


def _find_name(person: Record) -> str | None:
    names = (person.find_text("first"), person.find_text("last"))
    return " ".join(name for name in names if name) or person.find_text("email")


def _channel(kind: str, source: str, conversation_type: str) -> Channel:
    """Return the channel: of the thread if its type is one, else of its source, else of the conversation."""
    if kind in THREAD_CHANNELS:
        return THREAD_CHANNELS[kind]
    if source in SOURCE_CHANNELS:
        return SOURCE_CHANNELS[source]
    if conversation_type in CONVERSATION_CHANNELS:
        return CONVERSATION_CHANNELS[conversation_type]
    return Channel.EMAIL if source in MAILED else Channel.OTHER


def _attachments(thread: Record) -> tuple[Attachment, ...]:
    """Return the files of a thread, without links: those that Help Scout has are for programs that sign in.

    Files that cannot be read do not hold up the text that they hang on.
    """
    try:
        inside = thread.find_record("_embedded")
        files = inside.find_records("attachments") if inside is not None else []
        return tuple(
            Attachment(
                name=file.find_text("filename") or "attachment",
                size_bytes=file.find_int("size"),
                media_type=file.find_text("mimeType"),
            )
            for file in files
        )
    except UnexpectedAnswer:
        return ()


def _is_answer(reply: Reply) -> bool:
    return reply.visibility is Visibility.PUBLIC and reply.author.kind is AuthorKind.AGENT


def _age(reply: Reply) -> tuple[datetime, int, str]:
    """Order by time, then by id as a number: many threads share a second."""
    return reply.created_at, len(reply.id), reply.id
