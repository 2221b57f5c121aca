"""What Zendesk's records say, as values: tickets, people, comments and events. Pure; it knows nothing of requests.

https://developer.zendesk.com/documentation/ticketing/reference-guides/via-types/ lists the channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Attachment, Author, AuthorKind, Body, BodyFormat, Reply, Visibility
from syncd.sources.records import Record

Json = dict[str, Any]

SYSTEM_ID = -1

STATUSES = {"new": ThreadStatus.CREATED}
STATUSES |= dict.fromkeys(("open", "pending", "hold"), ThreadStatus.ONGOING)
STATUSES |= dict.fromkeys(("solved", "closed", "deleted"), ThreadStatus.CLOSED)

KINDS = {"end-user": AuthorKind.CUSTOMER, "agent": AuthorKind.AGENT, "admin": AuthorKind.AGENT}

# Channels come as words and, in old and voice records, as numbers of the via types; both are looked up as text.
MAIL = frozenset({"email", "mail", "4"})
WEB = frozenset({"web", "web_form", "0"})
SOCIAL = frozenset({"twitter", "x", "30", "facebook", "facebook_post", "38"})
AUTOMATION = frozenset({"rule", "8", "system"})
NO_CHANNEL = AUTOMATION | {"merge", "19", "linked_problem", "9", "batch", "20", "closed_ticket", "27"}
NO_CHANNEL |= {"recovered_from_suspended", "21", "macro_reference", "32"}
CHANNELS = dict.fromkeys(MAIL, Channel.EMAIL)
CHANNELS |= dict.fromkeys(("sms", "text_message", "text", "37", "57"), Channel.TEXT_MESSAGE)
CHANNELS |= dict.fromkeys(("voice", "voicemail", "phone_call_inbound", "phone_call_outbound"), Channel.PHONE)
CHANNELS |= dict.fromkeys(("33", "34", "35", "44", "45", "46"), Channel.PHONE)
CHANNELS |= dict.fromkeys(("chat", "29", "chat_transcript", "native_messaging", "whatsapp", "line"), Channel.CHAT)
CHANNELS |= dict.fromkeys(("instagram_dm", "apple", "twitter_dm", "26", "facebook_message", "41"), Channel.CHAT)

PERSONS = ("author_id", "requester_id", "assignee_id")
COMMENTS = frozenset({"Comment", "VoiceComment"})


@dataclass(frozen=True, slots=True)
class SeenTicket:
    """What is kept of a ticket: enough to yield it, and to judge its comments.

    `channel` is the vendor's word. `exported_at` (Unix seconds) orders the export of tickets; 0 elsewhere.
    """

    id: str
    subject: str | None
    status: str
    requester_id: int | None
    assignee_id: int | None
    channel: str
    updated_at: datetime | None
    exported_at: int


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the account: what its present role makes it, and its name."""

    kind: AuthorKind
    name: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """One audit of the export of events.

    `opening` says that it made the ticket, `status` is the ticket's new status if it was changed, `incomplete` that
    something happened to comments which the export does not hold, so that the ticket itself must be asked.
    """

    ticket_id: str
    happened_at: datetime
    comments: tuple[Json, ...]
    opening: bool
    status: str | None
    incomplete: bool


NOBODY = Person(AuthorKind.UNKNOWN, None)


def check_ids(row: Any, where: str) -> None:
    """Refuse a row that is no object, has no id, or names a person by anything but a number.

    Raises:
        UnexpectedAnswer: one of these.
    """
    record = Record(row, where)
    record.get_int("id")
    for name in PERSONS:
        record.find_int(name)


def parse_ticket(raw: Json) -> SeenTicket:
    """Return a ticket as `/tickets`, `show_many` and the export have it."""
    ticket_id, status = raw.get("id"), str(raw.get("status") or "").lower()
    if not isinstance(ticket_id, int):
        raise UnexpectedAnswer("Zendesk answered a ticket without an id")
    # Wiped tickets stay in the export under this subject, which is nobody's.
    wiped = status == "deleted" and raw.get("subject") == "SCRUBBED"
    return SeenTicket(
        id=str(ticket_id),
        subject=None if wiped else Record(raw, "a ticket").find_text("subject"),
        status=status,
        requester_id=raw.get("requester_id"),
        assignee_id=raw.get("assignee_id"),
        channel=_via(raw.get("via"))[0],
        updated_at=parse_instant(raw["updated_at"]) if raw.get("updated_at") else None,
        exported_at=Record(raw, "a ticket").find_int("generated_timestamp") or 0,
    )


def parse_person(user: Record) -> Person:
    """Return a user. A role that is not known makes an author unknown, not a customer."""
    return Person(KINDS.get(str(user.raw("role")), AuthorKind.UNKNOWN), user.find_text("name"))


def parse_event(raw: Json) -> Event:
    """Return an event of `incremental/ticket_events` with its comments, if they were asked for and are whole."""
    record = Record(raw, "an event")
    ticket_id, timestamp = record.get_int("ticket_id"), record.get_epoch("timestamp")
    record.find_records("child_events")
    children: list[Json] = raw.get("child_events") or []
    spoken = [child for child in children if {str(child.get("type")), str(child.get("event_type"))} & COMMENTS]
    comments = tuple({"created_at": raw.get("created_at"), **child} for child in spoken if _is_whole(child))
    for comment in comments:
        check_ids(comment, "a comment of an event")
    # A comment that was made private or redacted keeps its id: only the ticket's own comments show it.
    altered = any(word in str(child.get("event_type")) for child in children for word in ("Privacy", "Redact"))
    changes = [child["status"] for child in children if isinstance(child.get("status"), str)]
    return Event(
        ticket_id=str(ticket_id),
        happened_at=timestamp,
        comments=comments,
        opening=any(child.get("event_type") == "Create" for child in children),
        status=changes[-1].lower() if changes else None,
        incomplete=altered or len(comments) < sum(child.get("comment_present") is not False for child in spoken),
    )


def parse_reply(
    raw: Json, ticket: SeenTicket | None, people: Mapping[int, Person], *, first_message: bool = False
) -> Reply:
    """Return a comment as the comments of a ticket and the export of events have it.

    The body is `html_body`: the export documents no `plain_body`, and a reply must read the same from both.
    """
    word, relation = _via(raw.get("via"))
    author = _author(raw.get("author_id"), word, ticket, people)
    record = Record(raw, "a comment")
    html = record.find_text("html_body")
    voice = "VoiceComment" in (raw.get("type"), raw.get("event_type"))
    channel = _channel(word, relation, ticket.channel if ticket else "", by_agent=author.kind is AuthorKind.AGENT)
    return Reply(
        id=str(raw["id"]),
        author=author,
        visibility=Visibility.PUBLIC if raw.get("public") is True else Visibility.INTERNAL,
        body=Body(html, BodyFormat.HTML) if html else Body(record.find_text("body") or "", BodyFormat.MARKDOWN),
        created_at=parse_instant(raw.get("created_at")),
        channel=Channel.PHONE if voice else channel,
        vendor_channel=word or None,
        attachments=_attachments(raw.get("attachments")),
        first_message=first_message,
    )


def _is_whole(child: Json) -> bool:
    """Tell whether a comment is there itself; without the side-load there are only flags about it."""
    return type(child.get("id")) is int and ("html_body" in child or "body" in child)


def parse_instant(text: Any) -> datetime:
    """Return an instant such as `2011-05-05T10:38:52Z`."""
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise UnexpectedAnswer("Zendesk answered a record without a readable time") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _author(author_id: Any, word: str, ticket: SeenTicket | None, people: Mapping[int, Person]) -> Author:
    """Return who wrote a comment. Customers stay without a name: nothing needs it, and the exports have none."""
    if author_id == SYSTEM_ID or word in AUTOMATION:
        return Author(AuthorKind.SYSTEM)
    if ticket is not None and author_id is not None and author_id == ticket.requester_id:
        return Author(AuthorKind.CUSTOMER)  # an agent with a request of its own too
    person = people.get(author_id)
    if person is None or person.kind is not AuthorKind.AGENT:
        return Author(person.kind if person else AuthorKind.UNKNOWN)
    return Author(person.kind, person.name)


def _via(value: Any) -> tuple[str, str]:
    """Return a channel's word in lower case (a number as text, "" if there is none) and its relation."""
    relation = ""
    if isinstance(value, dict):
        source = value.get("source")
        relation = str(source.get("rel") or "") if isinstance(source, dict) else ""
        value = value.get("channel")
    return "" if value is None else str(value).strip().lower().replace(" ", "_"), relation


def _channel(word: str, relation: str, ticket_word: str, *, by_agent: bool) -> Channel:
    """Return the channel of a comment. Agents write in the web, and to who wrote by mail or form mail goes out."""
    if word in NO_CHANNEL or not word:
        word = ticket_word
    elif word in WEB and by_agent and ticket_word in MAIL | WEB:
        return Channel.EMAIL
    if word in SOCIAL:
        return Channel.CHAT if "message" in relation else Channel.OTHER  # public posts are no conversation
    return CHANNELS.get(word, Channel.OTHER)


def _attachments(value: Any) -> tuple[Attachment, ...]:
    """Return the files of a comment; those inside its text are not listed, malware is named without its link."""
    listed = value if isinstance(value, list) else []
    files = [raw for raw in listed if isinstance(raw, dict) and not raw.get("deleted") and not raw.get("inline")]
    return tuple(
        Attachment(
            name=str(raw.get("file_name") or "attachment"),
            size_bytes=raw.get("size") if isinstance(raw.get("size"), int) else None,
            media_type=raw.get("content_type"),
            link=None if raw.get("malware_scan_result") == "malware_found" else raw.get("content_url"),
        )
        for raw in files
    )
