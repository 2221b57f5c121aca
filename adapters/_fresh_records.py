"""What the records of Freshdesk and Freshservice mean: JSON in, values out. Both speak the same; a `Flavour` differs.

https://developers.freshdesk.com/api/#tickets and #conversations, https://api.freshservice.com/#ticket_attributes
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
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

OPEN = 2
STATUSES: Mapping[int, tuple[str, ThreadStatus]] = {
    OPEN: ("open", ThreadStatus.ONGOING),
    3: ("pending", ThreadStatus.ONGOING),
    4: ("resolved", ThreadStatus.CLOSED),
    5: ("closed", ThreadStatus.CLOSED),
}
# Sources of a conversation. They have numbers of their own, which mean other things than the sources of a ticket.
REPLY, TWEET, SURVEY, FACEBOOK, FORWARD, PHONE, SHOP = 0, 5, 6, 7, 8, 9, 11
NOT_OF_THE_TICKET = {SURVEY: "survey", SHOP: "e-commerce"}
SOCIAL = {TWEET: "twitter", FACEBOOK: "facebook"}
TALKS = frozenset({Channel.CHAT, Channel.TEXT_MESSAGE})
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Flavour:
    """In what the two products differ.

    `sources` are those of a ticket: the word for people, and the channel. `outbound` are the sources of tickets that an
    agent wrote, `among_agents` those of them whose description is for colleagues, `repeating` those whose first
    conversation is the description once more. `wrapped`: answers hold their records under a name. `sorts`: the list of
    tickets comes in the order of change if it is asked to. `most_pages` is how far a list can be turned.
    """

    title: str
    host: str
    sources: Mapping[int, tuple[str, Channel]]
    number: re.Pattern[str]
    hint: str
    outbound: frozenset[int] = frozenset()
    among_agents: frozenset[int] = frozenset()
    repeating: frozenset[int] = frozenset()
    wrapped: bool = False
    archive: bool = False
    sorts: bool = False
    most_pages: int = 500


@dataclass(frozen=True, slots=True)
class SeenTicket:
    """What of a ticket is needed to read its replies. `opening` is its first message, None if that is empty."""

    id: str
    is_archived: bool
    requester_id: str | None
    responder_id: str | None
    word: str
    channel: Channel
    text: str
    repeats: bool
    opening: Reply | None


def parse_ticket(row: Record, flavour: Flavour, base_url: str, assignee: str | None) -> Ticket | Unavailable:
    """Return a ticket; one in the trash, which answers like any other, is gone."""
    ticket_id = row.get_key("id")
    if row.is_true("deleted"):
        return Unavailable(ticket_id, Unavailability.GONE)
    word, status = _status(row, flavour)
    return Ticket(
        id=ticket_id,
        number=ticket_id,
        link=f"{base_url.rstrip('/')}/a/tickets/{ticket_id}",
        subject=row.find_text("subject"),
        vendor_status=word,
        status=status,
        assignee=assignee,
        updated_at=row.find_instant("updated_at"),
    )


def _status(row: Record, flavour: Flavour) -> tuple[str, ThreadStatus | None]:
    """Return a ticket's status as word and level; one of the account's own is a number without a level."""
    if row.is_true("spam"):
        return "spam", ThreadStatus.CLOSED
    number = row.get_int("status")
    word, status = STATUSES.get(number, (str(number), None))
    stats = row.find_record("stats")
    unanswered = stats is not None and stats.find_text("first_responded_at") is None
    if number == OPEN and unanswered and row.find_int("source") not in flavour.outbound:
        return word, ThreadStatus.CREATED
    return word, status


def parse_seen(row: Record, flavour: Flavour, *, is_archived: bool) -> SeenTicket:
    """Return what replies need of their ticket, and its description as the first of them."""
    source = row.find_int("source")
    word, channel = flavour.sources.get(source or 0, (f"source {source}", Channel.OTHER))
    ticket_id, body, attachments = row.get_key("id"), _body(row, "description"), _attachments(row)
    kind = AuthorKind.AGENT if source in flavour.outbound else AuthorKind.CUSTOMER
    opening = Reply(
        id=f"description:{ticket_id}",
        author=Author(kind),
        visibility=Visibility.INTERNAL if source in flavour.among_agents else Visibility.PUBLIC,
        body=body,
        created_at=row.get_instant("created_at"),
        channel=channel,
        vendor_channel=word,
        attachments=attachments,
        first_message=True,
    )
    return SeenTicket(
        id=ticket_id,
        is_archived=is_archived,
        requester_id=row.find_key("requester_id"),
        responder_id=row.find_key("responder_id"),
        word=word,
        channel=channel,
        text=_plain(body),
        repeats=source in flavour.repeating,
        opening=opening if body.text.strip() or attachments else None,
    )


def in_order(rows: list[Record]) -> list[Record]:
    """Return conversations oldest first and once each; those that were deleted but are still told are left out."""
    found = {row.get_key("id"): row for row in rows if not row.is_true("deleted")}
    return sorted(found.values(), key=_age)


def _age(row: Record) -> tuple[datetime, int, str]:
    key = row.get_key("id")
    return row.get_instant("created_at"), len(key), key


def without_repeated(rows: list[Record], ticket: SeenTicket) -> list[Record]:
    """Return conversations (oldest first) without the one that says what the description of a web chat has said.

    The conversation is dropped and not the description, because that one is there from the beginning. Where it is
    empty (the chat began with a file) it says nothing, and so nothing is said once more.
    """
    first = next((row for row in rows if is_public(row) and row.find_flag("incoming")), None)
    if not ticket.repeats or ticket.opening is None or first is None or _plain(_body(first, "body")) != ticket.text:
        return rows
    return [row for row in rows if row is not first]


def is_public(row: Record) -> bool:
    """Tell whether customers can see a conversation: only if it says so itself."""
    return row.raw("private") is False


def parse_reply(row: Record, ticket: SeenTicket, agents: Mapping[str, str | None]) -> Reply:
    """Return a conversation as a reply; `agents` are those that are known, by id."""
    word, channel = _channel(row, ticket)
    return Reply(
        id=row.get_key("id"),
        author=_author(row, ticket, agents),
        visibility=Visibility.PUBLIC if is_public(row) else Visibility.INTERNAL,
        body=_body(row, "body"),
        created_at=row.get_instant("created_at"),
        edited_at=row.find_instant("last_edited_at"),
        channel=channel,
        vendor_channel=word,
        attachments=_attachments(row),
    )


def _author(row: Record, ticket: SeenTicket, agents: Mapping[str, str | None]) -> Author:
    """Return who wrote a conversation: `incoming` says on which way it came in, the id who it was."""
    user, incoming = row.find_key("user_id"), row.find_flag("incoming")
    is_requester = user is not None and user == ticket.requester_id
    if not incoming and (row.raw("automation_id") or row.is_true("auto_response")):
        return Author(AuthorKind.SYSTEM)
    if user is not None and user in agents and not (is_requester and incoming):
        return Author(AuthorKind.AGENT, agents[user])
    if incoming or (is_requester and user != ticket.responder_id):
        return Author(AuthorKind.CUSTOMER)
    return Author(AuthorKind.UNKNOWN if incoming is None else AuthorKind.AGENT)


def _channel(row: Record, ticket: SeenTicket) -> tuple[str, Channel]:
    """Return word and channel of a conversation: those of its ticket, unless its own source says more."""
    source = row.find_int("source")
    if source == PHONE:
        return "phone", Channel.PHONE
    if source in SOCIAL:
        return SOCIAL[source], Channel.CHAT if ticket.channel is Channel.CHAT else Channel.OTHER
    if source in NOT_OF_THE_TICKET:
        return NOT_OF_THE_TICKET[source], Channel.OTHER
    # What agents answer to a form or a call goes out as mail; what they answer in a talk does not.
    if source == FORWARD or (source == REPLY and row.raw("to_emails") and ticket.channel not in TALKS):
        return "email", Channel.EMAIL
    return ticket.word, ticket.channel


def _body(row: Record, name: str) -> Body:
    html = row.find_text(name)
    return Body(html, BodyFormat.HTML) if html else Body(row.find_text(f"{name}_text") or "")


def _plain(body: Body) -> str:
    """Return a text to compare: without markup and without regard to blanks."""
    text = _TAG.sub(" ", body.text) if body.format is BodyFormat.HTML else body.text
    return " ".join(text.split())


def _attachments(row: Record) -> tuple[Attachment, ...]:
    """Return the files of a record. Their addresses are left out: who has one needs no sign-in, and they expire."""
    return tuple(
        Attachment(
            name=file.find_text("name") or "attachment",
            size_bytes=file.find_int("size"),
            media_type=file.find_text("content_type"),
        )
        for file in row.find_records("attachments")
    )


def must_be(row: Record, ticket_id: str) -> Record:
    """Return a record that was asked for by its id.

    Raises:
        UnexpectedAnswer: it is another.
    """
    if row.get_key("id") != ticket_id:
        raise UnexpectedAnswer(f"{row.where} is about another ticket than the one asked for")
    return row
