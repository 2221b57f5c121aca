"""What GLPI's records say, as values: tickets, actors, and the items of a timeline. Pure; it knows nothing of requests.

https://github.com/glpi-project/glpi/blob/main/apirest.md describes the answers; their fields are the columns of GLPI's
tables.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from zoneinfo import ZoneInfo

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Author, AuthorKind, Body, BodyFormat, Reply, Ticket, Visibility
from syncd.sources.records import Record

STATUSES: Mapping[int, tuple[str, ThreadStatus]] = {
    1: ("new", ThreadStatus.CREATED),
    2: ("assigned", ThreadStatus.ONGOING),
    3: ("planned", ThreadStatus.ONGOING),
    4: ("pending", ThreadStatus.ONGOING),
    5: ("solved", ThreadStatus.CLOSED),
    6: ("closed", ThreadStatus.CLOSED),
    10: ("approval", ThreadStatus.ONGOING),
}
"""GLPI's statuses are numbers that nobody can change; their names are translated, so these words are ours."""

CHANNELS: Mapping[str, Channel] = {
    "2": Channel.EMAIL,
    "3": Channel.PHONE,
    "4": Channel.CONVERSATION,
    "5": Channel.LETTER,
}
"""Request sources by the ids that an installation gives them; their names are translated and can be changed."""

NOBODY = "0"
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)

_SANITIZED = (("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&"))  # GLPI 10; the last one last
_CLEANED = (("&lt;", "<"), ("&gt;", ">"))  # GLPI 9, which left & alone
_TAG = re.compile(r"<[a-zA-Z/!][^<]*>")


@dataclass(frozen=True, slots=True)
class Fields:
    """The numbers that GLPI's search knows the fields of a ticket by. `technician` is None where it has another."""

    id: str
    title: str
    status: str
    changed: str
    technician: str | None

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the numbers of the fields that a search is to show."""
        named = (self.id, self.title, self.status, self.changed)
        return named if self.technician is None else (*named, self.technician)


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket as a search shows it; `changed_at` is the time as GLPI's own clock had it, without a zone."""

    ticket: Ticket
    changed_at: datetime
    technician_id: str | None


@dataclass(frozen=True, slots=True)
class SeenTicket:
    """A ticket as its record has it. `created` is the text of a time; `opener_id` is who typed it in."""

    ticket: Ticket
    reply: Reply
    created: str | None
    opener_id: str
    is_deleted: bool

    @property
    def id(self) -> str:
        """Return the id of the ticket."""
        return self.ticket.id


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a timeline: the reply that it makes, who wrote it, and the ticket that it is a copy from, if any."""

    reply: Reply
    writer_id: str | None
    copied_from: str | None
    is_mail_perhaps: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of item: its path below a ticket, the field that names the ticket, and what its ids begin with."""

    path: str
    ticket_field: str
    prefix: str
    has_privacy: bool


FOLLOWUP = Kind("ITILFollowup", "items_id", "followup", has_privacy=True)
SOLUTION = Kind("ITILSolution", "items_id", "solution", has_privacy=False)
TASK = Kind("TicketTask", "tickets_id", "task", has_privacy=True)


@dataclass(frozen=True, slots=True)
class Places:
    """Where tickets are shown, and the zone that times are told in."""

    web_url: str
    zone: ZoneInfo

    def link(self, ticket_id: str) -> str:
        """Return the web address of a ticket."""
        return f"{self.web_url}/front/ticket.form.php?id={ticket_id}"


def parse_fields(options: Record) -> Fields:
    """Return the numbers of fields from the list of search options, whose other keys are headings.

    https://github.com/glpi-project/glpi/blob/main/apirest.md#list-searchoptions
    """
    numbered = [(number, options.get_record(number)) for number in options if number.isdecimal()]
    numbers = {option.find_text("uid"): number for number, option in reversed(numbered)}
    try:
        id_, title, status, changed = (numbers[f"Ticket.{name}"] for name in ("id", "name", "status", "date_mod"))
    except KeyError as missing:
        raise UnexpectedAnswer(f"{options.where} has no {missing.args[0]}") from None
    # Requesters, technicians and observers have the same uid, so this one is known by the number that it always has.
    is_technician = any(number == "5" and option.find_text("table") == "glpi_users" for number, option in numbered)
    return Fields(id_, title, status, changed, technician="5" if is_technician else None)


def parse_row(record: Record, fields: Fields, places: Places) -> Row:
    """Return a ticket of a search. Its keys are numbers of fields; a field with several values is a list."""
    key = get_id(record, fields.id)
    technicians = record.raw(fields.technician) if fields.technician else None
    first = technicians[0] if isinstance(technicians, list) and technicians else technicians
    text = str(first) if isinstance(first, int | str) and not isinstance(first, bool) else ""
    return Row(
        ticket=_ticket(key, record, fields.title, fields.status, fields.changed, places),
        changed_at=parse_wall(record.get_text(fields.changed), record.where),
        technician_id=text if text.isascii() and text.isdecimal() and text != NOBODY else None,
    )


def parse_ticket(record: Record, places: Places) -> SeenTicket:
    """Return a ticket of GET /Ticket/ID with its first message, which is no item of the timeline."""
    key = get_id(record, "id")
    source = find_id(record, "requesttypes_id") or NOBODY
    reply = Reply(
        id=f"ticket-{key}",
        author=Author(AuthorKind.UNKNOWN),
        visibility=Visibility.PUBLIC,
        body=parse_body(record.find_text("content")),
        created_at=_written_at(record, places),
        channel=CHANNELS.get(source, Channel.OTHER),
        vendor_channel=source,
        first_message=True,
    )
    return SeenTicket(
        ticket=_ticket(key, record, "name", "status", "date_mod", places),
        reply=reply,
        created=record.find_text("date_creation"),
        opener_id=find_id(record, "users_id_recipient") or NOBODY,
        is_deleted=_flag(record, "is_deleted"),
    )


def parse_item(record: Record, kind: Kind, ticket_id: str, places: Places) -> Item:
    """Return an item of a ticket's timeline.

    Raises:
        UnexpectedAnswer: it is of another ticket, so that the list was not the ticket's.
    """
    if get_id(record, kind.ticket_field) != ticket_id or record.find_text("itemtype") not in {None, "Ticket"}:
        raise UnexpectedAnswer(f"{record.where} is of another ticket than was asked for")
    key, source = get_id(record, "id"), find_id(record, "requesttypes_id")
    is_public = record.find_flag("is_private") is False if kind.has_privacy else True
    is_edited = find_id(record, "users_id_editor") not in {None, NOBODY}
    copied_from = find_id(record, "sourceitems_id")
    reply = Reply(
        id=f"{kind.prefix}-{key}",
        author=Author(AuthorKind.UNKNOWN),
        visibility=Visibility.PUBLIC if is_public else Visibility.INTERNAL,
        body=parse_body(record.find_text("content")),
        created_at=_written_at(record, places),
        edited_at=record.find_instant("date_mod", places.zone) if is_edited else None,
        channel=CHANNELS.get(source or "", Channel.OTHER),
        vendor_channel=source if kind is FOLLOWUP else kind.prefix,
    )
    return Item(
        reply=reply,
        writer_id=find_id(record, "users_id"),
        copied_from=copied_from if copied_from not in {None, NOBODY, ticket_id} else None,
        is_mail_perhaps=kind is FOLLOWUP,
    )


def parse_body(text: str | None) -> Body:
    """Return a text. Before GLPI 11 the database holds HTML with its tags escaped, and so does the answer."""
    plain = parse_text(text or "")
    return Body(plain, BodyFormat.HTML) if _TAG.search(plain) else Body(unescape(plain))


def parse_text(text: str) -> str:
    """Return a text as its writer saw it. One that holds a `<` was never escaped."""
    if "<" in text:
        return text
    for code, char in _SANITIZED if any(code in text for code, _ in _SANITIZED) else _CLEANED:
        text = text.replace(code, char)
    return text


def parse_wall(text: str, where: str) -> datetime:
    """Return a time as GLPI's own clock showed it, without a zone."""
    try:
        if TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise UnexpectedAnswer(f"{where} has a time that is none")


def find_id(record: Record, name: str) -> str | None:
    """Return an id as text; GLPI's are whole numbers, 0 for none."""
    number = record.find_int(name)
    return None if number is None else str(number)


def get_id(record: Record, name: str) -> str:
    """Return an id as text; it must be there."""
    return str(record.get_int(name))


def _flag(record: Record, name: str) -> bool:
    flag = record.find_flag(name)
    if flag is None:
        raise UnexpectedAnswer(f"{record.where}: {name} is neither 0 nor 1")
    return flag


def _written_at(record: Record, places: Places) -> datetime:
    """Return when a message was written; mails may have the time of the mail, and old rows lack one of the two."""
    written_at = record.find_instant("date", places.zone)
    return written_at if written_at is not None else record.get_instant("date_creation", places.zone)


def _ticket(key: str, record: Record, title: str, status: str, changed: str, places: Places) -> Ticket:
    number = record.get_int(status)
    name, level = STATUSES.get(number, (str(number), None))
    subject = record.find_text(title)
    return Ticket(
        id=key,
        number=key,
        link=places.link(key),
        subject=parse_text(subject) if subject else None,
        vendor_status=name,
        status=level,
        updated_at=record.find_instant(changed, places.zone),
    )
