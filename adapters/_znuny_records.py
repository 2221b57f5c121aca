"""What Znuny's records say, as values: tickets, articles and their files. Pure; it knows nothing of requests.

The same field is a number in one answer and a text in another, and empty fields are "", so everything is cast. Times
have no zone; `IncomingTime` is the same instant in Unix seconds.
https://doc.znuny.org/znuny/admin/webservices/examples/GenericTicketConnectorREST/index.html
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import (
    Attachment,
    Author,
    AuthorKind,
    Body,
    BodyFormat,
    Cursor,
    Reply,
    Ticket,
    Visibility,
)
from syncd.sources.records import Record

STATUSES = {"new": ThreadStatus.CREATED}
STATUSES |= dict.fromkeys(("open", "pending reminder", "pending auto"), ThreadStatus.ONGOING)
STATUSES |= dict.fromkeys(("closed", "removed", "merged"), ThreadStatus.CLOSED)
"""By `StateType`, of which there are seven; the names of states are the site's own."""

CHANNELS = {
    "1": ("Email", Channel.EMAIL),
    "2": ("Phone", Channel.PHONE),
    "3": ("Internal", Channel.OTHER),
    "4": ("Chat", Channel.CHAT),
}
"""The communication channels of a new installation; those of add-ons have higher ids."""

KINDS = {"customer": AuthorKind.CUSTOMER, "agent": AuthorKind.AGENT, "system": AuthorKind.SYSTEM}
NOBODY = 1
"""The user root@localhost: owner of tickets that nobody took, creator of what no agent wrote."""

CHAT = "ChatMessageList"
CLOCKS_TURN = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from: the address of the pages, and the zone of times that have none."""

    base_url: str
    zone: tzinfo

    def page(self, action: str, **place: str) -> str:
        """Return the address of an agent's page."""
        return f"{self.base_url}/index.pl?" + ";".join(
            f"{key}={value}" for key, value in {"Action": action, **place}.items()
        )

    def text(self, instant: datetime) -> str:
        """Return an instant as the server's clock shows it, in the one form that its search accepts.

        In the hours before its clock is turned back it is an hour less, so that a search from there on finds the
        second run of that hour, which the server cannot tell from the first.
        """
        offsets = [moment.astimezone(self.zone).utcoffset() for moment in (instant, instant + CLOCKS_TURN)]
        least = min(offset for offset in offsets if offset is not None)
        return f"{instant.astimezone(UTC) + least:%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the feed is: the newest change that was read, or the instant to begin at while none was."""

    at: datetime
    known: bool = False

    @classmethod
    def parse(cls, start: Cursor | datetime) -> "Mark":
        """Return the mark of a cursor, or of an instant to begin at."""
        if isinstance(start, datetime):
            return cls(start.astimezone(UTC))
        try:
            data = json.loads(start)
            return cls(datetime.fromtimestamp(data["at"], UTC), data["known"] is True)
        except (RecursionError, ValueError, KeyError, TypeError, OverflowError, OSError):
            raise UnexpectedAnswer("the stored cursor of this system was not made by this adapter") from None

    def cursor(self) -> Cursor:
        """Return it as text."""
        return Cursor(json.dumps({"at": int(self.at.timestamp()), "known": self.known}, separators=(",", ":")))


def is_merged(raw: Record) -> bool:
    """Tell whether a ticket was merged into another: its articles are gone, its number stays."""
    return raw.get_text("StateType").lower() == "merged"


def parse_ticket(raw: Record, source: Source) -> Ticket:
    """Return a ticket as TicketGet has it. Its status is judged by the type of its state."""
    ticket_id, owner = raw.get_key("TicketID"), raw.find_text("Owner")
    return Ticket(
        id=ticket_id,
        number=raw.get_key("TicketNumber"),
        link=source.page("AgentTicketZoom", TicketID=ticket_id),
        subject=raw.find_text("Title"),
        vendor_status=raw.find_text("State"),
        status=STATUSES.get(raw.get_text("StateType").lower()),
        assignee=None if raw.find_int("OwnerID") == NOBODY else owner,
        updated_at=raw.find_instant("Changed", source.zone),
    )


def articles_in(raw: Record) -> list[Record]:
    """Return the articles of a ticket as they came; a ticket without any has no such key."""
    return raw.get_records("Article") if "Article" in raw else []


def in_order(articles: Sequence[Record]) -> list[Record]:
    """Return articles, oldest first: by their ids, as their numbers are in no order."""
    return sorted(articles, key=lambda article: article.get_int("ArticleID"))


def parse_replies(raw: Record, articles: Sequence[Record], source: Source, *, from_first: bool) -> list[Reply]:
    """Return articles of a ticket as replies; `from_first` says that they begin with the ticket's first one."""
    return [
        _parse_reply(article, raw, source, first_message=from_first and place == 0)
        for place, article in enumerate(articles)
        if article.find_flag("IsDeleted") is not True
    ]


def _parse_reply(article: Record, ticket: Record, source: Source, *, first_message: bool) -> Reply:
    channel_id = article.find_key("CommunicationChannelID")
    word, channel = CHANNELS.get(channel_id or "", (channel_id, Channel.OTHER))
    edited = article.find_flag("IsEdited") is True
    return Reply(
        id=str(article.get_int("ArticleID")),
        author=_author(article, ticket),
        visibility=Visibility.PUBLIC if _is_visible(article) else Visibility.INTERNAL,
        body=_body(article),
        created_at=_created_at(article, source),
        edited_at=article.find_instant("ChangeTime", source.zone) if edited else None,
        subject=article.find_text("Subject"),
        channel=channel,
        vendor_channel=word,
        attachments=_attachments(article, ticket.get_key("TicketID"), source),
        first_message=first_message,
    )


def _is_visible(article: Record) -> bool:
    """Tell whether customers see an article: 1 or "1" and nothing else. The channel says nothing about it."""
    flag = article.raw("IsVisibleForCustomer")
    return type(flag) in {int, str} and str(flag) == "1"


def _author(article: Record, ticket: Record) -> Author:
    """Return who wrote an article. Customers may claim to be agents over this interface: their user gives them away."""
    kind = KINDS.get((article.find_text("SenderType") or "").lower(), AuthorKind.UNKNOWN)
    if kind is AuthorKind.AGENT and article.find_int("CreateBy") in {NOBODY, None}:
        kind = AuthorKind.UNKNOWN
    name = _name_in(article.find_text("From") or "")
    if kind is AuthorKind.CUSTOMER:
        name = name or ticket.find_text("CustomerUserID")
    return Author(kind, name)


def _name_in(sender: str) -> str | None:
    """Return the name in `"Anna Agent" <anna@example.com>`; an agent may stand there without an address."""
    name, bracket, address = sender.partition("<")
    return name.strip(' "\t') or (address.strip("> ") if bracket else "") or None


def _body(article: Record) -> Body:
    """Return the text, plain as Znuny makes it of HTML, with blank lines around it; of a chat its lines."""
    text = article.find_text("Body")
    if text is None:
        lines = article.find_records("ChatMessageList")
        text = "\n".join(
            f"{line.find_text('ChatterName') or ''}: {line.find_text('MessageText') or ''}" for line in lines
        )
    html = (article.find_text("ContentType") or "").lower().startswith("text/html")
    return Body(text.strip(), BodyFormat.HTML if html else BodyFormat.TEXT)


def _created_at(article: Record, source: Source) -> datetime:
    if article.find_int("IncomingTime"):
        return article.get_epoch("IncomingTime")
    return article.get_instant("CreateTime", source.zone)


def _attachments(article: Record, ticket_id: str, source: Source) -> tuple[Attachment, ...]:
    """Return the files of an article without those that are its text: the HTML of the body, and pictures in it."""
    article_id = str(article.get_int("ArticleID"))
    return tuple(
        Attachment(
            name=file.find_text("Filename") or "attachment",
            size_bytes=file.find_int("FilesizeRaw"),
            media_type=_media_type(file) or None,
            link=source.page(
                "AgentTicketAttachment", TicketID=ticket_id, ArticleID=article_id, FileID=file.find_key("FileID") or ""
            ),
        )
        for file in article.find_records("Attachment")
        if not _is_text_part(file)
    )


def _is_text_part(file: Record) -> bool:
    if file.find_text("Disposition") != "inline":
        return False
    kind, name = _media_type(file), file.find_text("Filename") or ""
    html_body = kind == "text/html" and name.startswith("file-")
    return html_body or (kind.startswith("image/") and file.find_text("ContentID") is not None)


def _media_type(file: Record) -> str:
    return (file.find_text("ContentType") or "").partition(";")[0].strip().lower()
