"""What Zoho Desk's records say, as values: tickets, threads, comments and descriptions. Pure.

A thread is what Zoho calls a message of a ticket; a comment is a note beside them, public or not.

https://desk.zoho.com/DeskAPIDocument#Tickets
https://desk.zoho.com/DeskAPIDocument#Threads
https://desk.zoho.com/DeskAPIDocument#TicketsComments
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import unescape

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

SPAM = "Spam"
SENT, PENDING = "SUCCESS", "PENDING"
NOT_SENT = frozenset({"DRAFT", PENDING, "FAILED"})
KINDS: Mapping[str, AuthorKind] = {"AGENT": AuthorKind.AGENT, "END_USER": AuthorKind.CUSTOMER}
DIRECTIONS: Mapping[str, AuthorKind] = {"in": AuthorKind.CUSTOMER, "out": AuthorKind.AGENT}
FORMATS: Mapping[str, BodyFormat] = {"text/plain": BodyFormat.TEXT, "plaintext": BodyFormat.TEXT}
CHANNELS: Mapping[str, Channel] = {
    **dict.fromkeys(("EMAIL", "OUTBOUND_EMAIL"), Channel.EMAIL),
    **dict.fromkeys(("PHONE", "ZOHO_VOICE", "TELEPHONY"), Channel.PHONE),
    **dict.fromkeys(("CHAT", "ONLINE_CHAT", "LIVECHAT"), Channel.CHAT),
    **dict.fromkeys(("FACEBOOK_DM", "TWITTER_DM", "INSTAGRAM", "TELEGRAM", "LINE", "WECHAT"), Channel.CHAT),
    **dict.fromkeys(("WHATSAPP", "SMS"), Channel.TEXT_MESSAGE),
}
OPENED_BY_A_THREAD = frozenset({"EMAIL", "WEB", "CHAT", "ONLINE_CHAT", "LIVECHAT"})
COMMENT = "COMMENT"
OPENING_WITHIN = timedelta(minutes=1)  # an incoming thread this near to its ticket's beginning is what began it
COMPARED = 100  # characters; a summary has 180
_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class Thread:
    """One row of a ticket's list of threads, which was sent or received; its text there is cut.

    `opens` says that Zoho calls it the ticket's first message.
    """

    id: str
    created_at: datetime
    incoming: bool
    opens: bool
    visibility: Visibility
    row: Record = field(repr=False)

    @property
    def summary(self) -> str:
        """Return the beginning of its text."""
        return self.row.find_text("summary") or ""


def parse_ticket(record: Record) -> Ticket | Unavailable:
    """Return a ticket's state. One in the trash can be read for a while, but nobody works on it any more."""
    ticket_id = record.get_key("id")
    if record.is_true("isTrashed") or record.is_true("isDeleted"):
        return Unavailable(ticket_id, Unavailability.GONE)
    assignee, spam = record.find_record("assignee"), record.is_true("isSpam")
    return Ticket(
        id=ticket_id,
        number=record.get_key("ticketNumber"),
        link=record.find_text("webUrl"),
        subject=record.find_text("subject"),
        vendor_status=SPAM if spam else record.get_text("status"),
        status=ThreadStatus.CLOSED if spam else _status(record),
        assignee=_name(assignee) if assignee is not None else None,
        updated_at=record.find_instant("modifiedTime"),
    )


def find_unsent(row: Record) -> str | None:
    """Return the state of a thread that was not sent (yet), or None if it was, or if that cannot be read."""
    state = (row.find_text("status") or "").upper()
    return state if state in NOT_SENT else None


def parse_thread(row: Record) -> Thread:
    """Return a row of the list of threads."""
    return Thread(
        id=row.get_key("id"),
        created_at=row.get_instant("createdTime"),
        incoming=row.find_text("direction") == "in",
        opens=row.is_true("isDescriptionThread"),
        visibility=_visibility(row),
        row=row,
    )


def parse_reply(thread: Thread, detail: Record | None, text: str) -> Reply:
    """Return a thread as a reply, with its whole text; `detail` is None for one that is internal anyway."""
    record = thread.row if detail is None else detail
    is_public = thread.visibility is Visibility.PUBLIC and _visibility(record) is Visibility.PUBLIC
    word = _word(record.find_text("channel") or "")
    return Reply(
        id=thread.id,
        author=_author(record),
        visibility=Visibility.PUBLIC if is_public else Visibility.INTERNAL,
        body=_body(record, text),
        created_at=thread.created_at,
        subject=record.find_text("subject"),
        channel=CHANNELS.get(word, Channel.OTHER),
        vendor_channel=word or None,
        attachments=_attachments(record),
    )


def parse_comment(row: Record) -> Reply:
    """Return a comment as a reply; customers see it in their portal if it is public."""
    written, touched = row.get_instant("commentedTime"), row.find_instant("modifiedTime")
    commenter = row.find_record("commenter")
    kind = KINDS.get(commenter.find_text("type") or "", AuthorKind.UNKNOWN) if commenter else AuthorKind.UNKNOWN
    return Reply(
        id=f"comment-{row.get_key('id')}",
        author=Author(kind, _name(commenter) if commenter and kind is AuthorKind.AGENT else None),
        visibility=Visibility.PUBLIC if row.is_true("isPublic") else Visibility.INTERNAL,
        body=_body(row, row.find_text("content") or ""),
        created_at=written,
        edited_at=touched if touched is not None and touched > written else None,
        vendor_channel=COMMENT,
        attachments=_attachments(row),
    )


def find_description(record: Record, rows: Iterable[Record]) -> Reply | None:
    """Return a ticket's description as its first message, or None if it has none, or a thread for it (sent or not).

    It has no id, no author and no channel of its own: it is what the customer said, by the channel of the ticket.
    """
    text = record.find_text("description")
    if text is None or any(row.is_true("isDescriptionThread") or _opens_once_sent(row, record) for row in rows):
        return None
    word = _word(record.find_text("channel") or "")
    return Reply(
        id=f"description-{record.get_key('id')}",
        author=Author(AuthorKind.CUSTOMER),
        visibility=Visibility.PUBLIC,
        body=Body(text, BodyFormat.HTML),
        created_at=record.get_instant("createdTime"),
        channel=CHANNELS.get(word, Channel.OTHER),
        vendor_channel=word or None,
        first_message=True,
    )


def find_opening(record: Record, threads: Sequence[Thread]) -> Thread | None:
    """Return the thread that is a ticket's first message, or None if no thread is.

    Tickets by mail or form begin with a thread, which is marked in some accounts and not in others: then it is one of
    the time when the ticket began, that came in or begins as the description does. Tickets by phone or API have a
    description instead.
    """
    oldest_first = sorted(threads, key=lambda thread: thread.created_at)
    marked = next((thread for thread in oldest_first if thread.opens), None)
    if marked is not None:
        return marked
    began, text = record.get_instant("createdTime"), _beginning(record.find_text("description") or "")
    near = (thread for thread in oldest_first if abs(thread.created_at - began) <= OPENING_WITHIN)
    return next((one for one in near if one.incoming or (text and _beginning(one.summary) == text)), None)


def _opens_once_sent(row: Record, record: Record) -> bool:
    """Tell whether a thread that was not sent (yet) would be the first message of its ticket, marked or not."""
    if find_unsent(row) is None or row.find_text("createdTime") is None:
        return False
    return find_opening(record, [parse_thread(row)]) is not None


def age_of(one: Thread | Reply) -> tuple[datetime, int, str]:
    """Order by time, then by id as a number."""
    return one.created_at, len(one.id), one.id


def _status(record: Record) -> ThreadStatus | None:
    """Return the status by its type: the names are the account's own, in its language.

    Zoho has no word for "nobody has answered yet". How many threads there are tells it, as far as it goes.
    """
    kind = (record.find_text("statusType") or "").lower()
    if kind != "open":
        return {"closed": ThreadStatus.CLOSED, "on hold": ThreadStatus.ONGOING}.get(kind)
    threads, word = record.find_int("threadCount"), _word(record.find_text("channel") or "")
    is_unanswered = threads == 0 or (threads == 1 and word in OPENED_BY_A_THREAD)
    return ThreadStatus.CREATED if is_unanswered else ThreadStatus.ONGOING


def _visibility(row: Record) -> Visibility:
    """Return whether the customer sees a thread: not if it is private, went on to a third party, or never left."""
    state, is_incoming = (row.find_text("status") or "").upper(), row.find_text("direction") == "in"
    is_through = state == SENT or (is_incoming and not state)
    is_forward = row.raw("isForward") not in (False, None)
    is_public = row.find_text("visibility") == "public" and is_through and not is_forward
    return Visibility.PUBLIC if is_public else Visibility.INTERNAL


def _author(record: Record) -> Author:
    """Return who wrote a thread, by its direction: an agent can write in a customer's name."""
    author = record.find_record("author")
    by_type = KINDS.get(author.find_text("type") or "") if author else None
    kind = DIRECTIONS.get(record.find_text("direction") or "") or by_type or AuthorKind.UNKNOWN
    if record.raw("impersonatedUser"):
        kind = AuthorKind.CUSTOMER
    return Author(kind, _name(author) if author and kind is AuthorKind.AGENT else None)


def _body(record: Record, text: str) -> Body:
    kind = (record.find_text("contentType") or "").lower()
    return Body(text, FORMATS.get(kind.partition(";")[0].strip(), BodyFormat.HTML))


def _beginning(text: str) -> str:
    """Return how a text begins, without tags, so that a cut text can be compared with a whole one."""
    return " ".join(unescape(_TAG.sub(" ", text)).split())[:COMPARED]


def _name(person: Record) -> str | None:
    names = (person.find_text("firstName"), person.find_text("lastName"))
    return person.find_text("name") or " ".join(name for name in names if name) or person.find_text("email")


def _word(channel: str) -> str:
    """Return a channel's name in one spelling: tickets have `Email` and threads `EMAIL`."""
    return "_".join(channel.upper().split())


def _attachments(record: Record) -> tuple[Attachment, ...]:
    """Return the files, without links: those that Zoho names are for programs that sign in.

    Files that cannot be read do not hold up the text that they hang on.
    """
    try:
        return tuple(
            Attachment(name=file.find_text("name") or "attachment", size_bytes=file.find_int("size"))
            for file in record.find_records("attachments")
        )
    except UnexpectedAnswer:
        return ()
