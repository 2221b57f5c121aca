"""What Zammad's records say, as values: tickets, states, articles and histories. Pure; it knows nothing of requests.

https://docs.zammad.org/en/latest/api/ticket/index.html and .../api/ticket/articles.html describe the records.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.ticket import (
    Attachment,
    Author,
    AuthorKind,
    Body,
    BodyFormat,
    Reply,
    Ticket,
    Visibility,
)
from syncd.sources.records import Record

MERGED = "merged"
STATUSES = {"new": ThreadStatus.CREATED}
STATUSES |= dict.fromkeys(("open", "pending reminder", "pending action"), ThreadStatus.ONGOING)
STATUSES |= dict.fromkeys(("closed", MERGED, "removed"), ThreadStatus.CLOSED)

# The ids that Zammad's installation gives to its types of states, for answers that do not name the type.
STATE_TYPES = {1: "new", 2: "open", 3: "pending reminder", 4: "pending action", 5: "closed", 6: MERGED, 7: "removed"}

SENDERS = {"Customer": AuthorKind.CUSTOMER, "Agent": AuthorKind.AGENT, "System": AuthorKind.SYSTEM}

CHANNELS = {"email": Channel.EMAIL, "sms": Channel.TEXT_MESSAGE, "fax": Channel.FAX, "phone": Channel.PHONE}
CHANNELS |= dict.fromkeys(("chat", "twitter direct-message", "facebook direct-message"), Channel.CHAT)
CHANNELS |= dict.fromkeys(("telegram personal-message", "whatsapp message"), Channel.CHAT)

NOBODY = "1"  # the user whom unassigned tickets belong to
GIVEN_UP_AFTER = 3  # retries of a message that could not be sent

# The address of an image inside the text names the ticket that the article is on, which a merge changes.
_INLINE_IMAGE = re.compile(r"""(\bsrc\s*=\s*["'])/api/v1/ticket_attachment/\d+/\d+/(\d+)[^"'<>]*""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class State:
    """A state of tickets: the name that people gave it, and what kind of state it is."""

    name: str
    type: str | None


@dataclass(frozen=True, slots=True)
class SeenTicket:
    """A ticket as its record has it: its state and its owner are ids of other records."""

    id: str
    number: str
    title: str | None
    state_id: str
    state_name: str | None
    owner_id: str | None
    owner_login: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Article:
    """An article: the reply that it makes, and what decides how it is yielded.

    `writer_id` names the person behind it. `is_moved_perhaps` says that it was touched after it was made, as a merge
    does with all articles that it moves. `is_merge_note` is what a merge leaves on the ticket that was merged.
    """

    id: int
    reply: Reply
    updated_at: datetime | None
    writer_id: str | None
    writer_login: str | None
    is_unsent: bool
    is_merge_note: bool

    @property
    def is_moved_perhaps(self) -> bool:
        """Tell whether it may have been written on another ticket."""
        return self.updated_at != self.reply.created_at

    def is_of(self, since: datetime | None) -> bool:
        """Tell whether it was written or touched at an instant or later."""
        touched_at = self.updated_at
        return since is None or touched_at is None or max(touched_at, self.reply.created_at) >= since

    @property
    def age(self) -> tuple[datetime, int]:
        """Return what articles are sorted by."""
        return self.reply.created_at, self.id


@dataclass(frozen=True, slots=True)
class History:
    """What the history of a ticket tells about merges.

    `written` are the ids of the articles that were written on this ticket, wherever they are now.
    """

    written: frozenset[str]
    merged_from: tuple[str, ...]
    merged_into: str | None


def parse_state(record: Record) -> tuple[str, State]:
    """Return the id of a state and the state. Its type is named if the answer was asked to expand names."""
    type_id = record.find_int("state_type_id")
    kind = record.find_text("state_type") or (STATE_TYPES.get(type_id) if type_id is not None else None)
    return record.get_key("id"), State(record.get_text("name"), kind)


def parse_ticket(record: Record) -> SeenTicket:
    """Return a ticket as single answers and searches have it with `expand=true`."""
    return SeenTicket(
        id=record.get_key("id"),
        number=record.get_key("number"),
        title=record.find_text("title"),
        state_id=record.get_key("state_id"),
        state_name=record.find_text("state"),
        owner_id=record.find_key("owner_id"),
        owner_login=record.find_text("owner"),
        updated_at=record.get_instant("updated_at"),
    )


def ticket_of(seen: SeenTicket, state: State | None, assignee: str | None, base_url: str) -> Ticket:
    """Return a ticket as the core knows it; a state that cannot be found leaves its name alone."""
    return Ticket(
        id=seen.id,
        number=seen.number,
        link=f"{base_url}/#ticket/zoom/{seen.id}",
        subject=seen.title,
        vendor_status=state.name if state else seen.state_name,
        status=STATUSES.get(state.type or "") if state else None,
        assignee=assignee,
        updated_at=seen.updated_at,
    )


def parse_name(record: Record) -> str | None:
    """Return the name of a user."""
    names = (record.find_text("firstname"), record.find_text("lastname"))
    return " ".join(name.strip() for name in names if name and name.strip()) or None


def parse_article(record: Record, base_url: str) -> Article:
    """Return an article of `ticket_articles/by_ticket`.

    `sender` says who speaks. `created_by` does not: a phone call is noted down by an agent, and is the customer's.
    """
    sender, kind = record.find_text("sender"), record.find_text("type")
    subject, body = record.find_text("subject"), record.find_text("body") or ""
    is_html = "html" in (record.find_text("content_type") or "").lower()
    key = record.get_int("id")
    reply = Reply(
        id=str(key),
        author=Author(SENDERS.get(sender or "", AuthorKind.UNKNOWN)),
        visibility=Visibility.PUBLIC if record.raw("internal") is False else Visibility.INTERNAL,
        body=Body(_INLINE_IMAGE.sub(r"\1cid:\2", body), BodyFormat.HTML) if is_html else Body(body),
        created_at=record.get_instant("created_at"),
        subject=subject,
        channel=CHANNELS.get((kind or "").lower(), Channel.OTHER),
        vendor_channel=kind,
        attachments=_attachments(record, key, base_url),
    )
    by = "origin_by" if record.find_key("origin_by_id") else "created_by"
    return Article(
        id=key,
        reply=reply,
        updated_at=record.find_instant("updated_at"),
        writer_id=record.find_key(f"{by}_id"),
        writer_login=record.find_text(by),
        is_unsent=_is_unsent(record.find_record("preferences")),
        is_merge_note=(sender, kind, body, is_html) == ("Agent", "note", "merged", False),
    )


def parse_history(record: Record, ticket_id: str) -> History:
    """Return what `ticket_history` tells about merges, and about where articles were written."""
    written: set[str] = set()
    merged_from: list[str] = []
    merged_into = None
    for entry in record.get_records("history"):
        event = entry.find_text("object"), entry.find_text("type")
        if event == ("Ticket::Article", "created") and entry.find_key("related_o_id") in {None, ticket_id}:
            written.add(entry.get_key("o_id"))
        elif event == ("Ticket", "received_merge"):
            merged_from.append(entry.get_key("id_from"))
        elif event == ("Ticket", "merged_into"):
            merged_into = entry.get_key("id_to")
    return History(frozenset(written), tuple(dict.fromkeys(merged_from)), merged_into)


def _is_unsent(preferences: Record | None) -> bool:
    """Tell whether Zammad has given up sending a message; one that is tried again may still arrive."""
    if preferences is None or preferences.find_text("delivery_status") != "fail":
        return False
    return (preferences.find_int("delivery_retry") or 0) > GIVEN_UP_AFTER


def _attachments(record: Record, article_id: int, base_url: str) -> tuple[Attachment, ...]:
    """Return the files of an article; those that only hold its text in another form are left out."""
    ticket_id = record.get_key("ticket_id")
    files = [(file, file.find_record("preferences")) for file in record.find_records("attachments")]
    return tuple(
        Attachment(
            name=file.find_text("filename") or "attachment",
            size_bytes=file.find_int("size"),
            media_type=(preferences.find_text("Content-Type") or preferences.find_text("Mime-Type"))
            if preferences
            else None,
            link=f"{base_url}/api/v1/ticket_attachment/{ticket_id}/{article_id}/{file.get_key('id')}",
        )
        for file, preferences in files
        if preferences is None or not preferences.is_true("original-format")
    )
