"""ServiceNow's records as values: tickets, journal rows, and the journal as one text. No I/O.

Every value is a text. A field comes as a text, or as an object with `value` and `display_value`, by what was asked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import Author, AuthorKind, Body, BodyFormat, Reply, Ticket, Visibility
from syncd.sources.records import Record, find_instant_in

COMMENTS, WORK_NOTES = "comments", "work_notes"
GUEST = "guest"

_CREATED, _ONGOING, _CLOSED = ThreadStatus.CREATED, ThreadStatus.ONGOING, ThreadStatus.CLOSED
STATES: Mapping[str, Mapping[str, ThreadStatus]] = {
    "incident": {
        "1": _CREATED,
        **dict.fromkeys(("2", "3", "4", "5"), _ONGOING),
        **dict.fromkeys(("6", "7", "8"), _CLOSED),
    },
    "sn_customerservice_case": {
        "1": _CREATED,
        **dict.fromkeys(("10", "18"), _ONGOING),
        **dict.fromkeys(("3", "6", "7"), _CLOSED),
    },
}
"""What a number of `state` means differs from table to table: 3 is On Hold for incidents and Closed for cases."""

CHANNELS: Mapping[str, Channel] = {
    "email": Channel.EMAIL,
    "phone": Channel.PHONE,
    "chat": Channel.CHAT,
    "virtual_agent": Channel.CHAT,
    "social": Channel.CHAT,
    "messaging": Channel.CHAT,
    "walk-in": Channel.CONVERSATION,
    "sms": Channel.TEXT_MESSAGE,
    "fax": Channel.FAX,
    "letter": Channel.LETTER,
}
_SPOKEN = frozenset({Channel.PHONE, Channel.CONVERSATION})

_CODE = re.compile(r"\[code\](.*?)\[/code\]", re.DOTALL | re.IGNORECASE)
# A label may hold brackets of its own: "Additional comments (Customer visible)".
_LABEL = r"(?:[^\n()]|\([^\n()]*\))*"
_HEADER = re.compile(rf"(?:\A|(?<=\n\n))(\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d) - ([^\n]*) \(({_LABEL})\)[ ]*(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class SeenTicket:
    """A ticket as ServiceNow has it. `customers` and `assignees` are logins or full names, in small letters."""

    id: str
    number: str
    subject: str = field(repr=False)
    text: str = field(repr=False)
    state: str
    active: str
    channel: str
    table: str
    created_at: datetime
    updated_at: datetime
    created_by: str = field(repr=False)
    customers: frozenset[str] = field(repr=False)
    has_customer: bool
    assignees: frozenset[str] = field(repr=False)
    assignee: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One comment or work note; `writer` is a login, or a full name where the journal was read as one text."""

    id: str
    ticket_id: str
    element: str
    text: str = field(repr=False)
    writer: str = field(repr=False)
    at: datetime
    table: str = ""
    edited_at: datetime | None = None


def find_value(record: Record, name: str, side: str = "value") -> str:
    """Return a field in either of its shapes, "" if it is empty or left out (as unreadable ones are)."""
    if isinstance(record.raw(name), dict):
        return record.get_record(name).find_text(side) or ""
    return record.find_text(name) or ""


def get_value(record: Record, name: str) -> str:
    """Return a field that must hold something."""
    value = find_value(record, name)
    if not value:
        raise UnexpectedAnswer(f"{record.where} has no {name}: may the account read that field?")
    return value


def get_instant(record: Record, name: str) -> datetime:
    """Return a raw time: UTC, in whole seconds."""
    instant = find_instant_in(get_value(record, name))
    if instant is None:
        raise UnexpectedAnswer(f"{record.where}: {name} is no time")
    return instant


def ticket_fields(customer_fields: Sequence[str]) -> tuple[str, ...]:
    """Return what is asked of a ticket, with the login and name of its people (fields of the referenced records)."""
    people = [f"{name}.{part}" for name in (*customer_fields, "assigned_to") for part in ("user_name", "name")]
    own = ("sys_id", "number", "short_description", "description", "state", "active", "contact_type")
    return (*own, "sys_class_name", "sys_created_on", "sys_created_by", "sys_updated_on", *customer_fields, *people)


def parse_ticket(record: Record, customer_fields: Sequence[str], key: str) -> SeenTicket:
    """Return a ticket; its people are told by `key`, their login (`user_name`) or full name (`name`)."""
    subject = find_value(record, "short_description")
    return SeenTicket(
        id=get_value(record, "sys_id"),
        number=get_value(record, "number"),
        subject=subject,
        text=find_value(record, "description") or subject,
        state=find_value(record, "state"),
        active=find_value(record, "active"),
        channel=find_value(record, "contact_type"),
        table=find_value(record, "sys_class_name"),
        created_at=get_instant(record, "sys_created_on"),
        updated_at=get_instant(record, "sys_updated_on"),
        created_by=find_value(record, "sys_created_by"),
        customers=_people(record, customer_fields, key),
        has_customer=any(find_value(record, name) for name in customer_fields),
        assignees=_people(record, ["assigned_to"], key),
        assignee=find_value(record, "assigned_to.name"),
    )


def _people(record: Record, fields: Sequence[str], key: str) -> frozenset[str]:
    found = (find_value(record, f"{name}.{key}") for name in fields)
    return frozenset(value.casefold() for value in found if value)


def parse_entry(record: Record) -> Entry:
    """Return a row of sys_journal_field."""
    at = get_instant(record, "sys_created_on")
    # No release documents a time of change; where one is told, an edited post can be told by it.
    changed = get_instant(record, "sys_updated_on") if find_value(record, "sys_updated_on") else at
    return Entry(
        id=get_value(record, "sys_id"),
        ticket_id=get_value(record, "element_id"),
        element=get_value(record, "element"),
        text=find_value(record, "value"),
        writer=find_value(record, "sys_created_by"),
        at=at,
        table=get_value(record, "name"),
        edited_at=changed if changed > at else None,
    )


def parse_journal_text(record: Record, element: str, ticket: SeenTicket) -> list[Entry]:
    """Return the entries of a journal that came as one text, oldest first.

    They have no ids, so one is made of what does not change: ticket, field, time, and the place within that second.

    Raises:
        PauseSystem: times come in another form or zone than raw ones, which then cannot be told.
        UnexpectedAnswer: a text that does not begin with an entry.
    """
    text = find_value(record, element, "display_value").replace("\r\n", "\n").strip("\n")
    if not text:
        return []
    if not reads_utc(record):
        raise PauseSystem(
            "ServiceNow writes times in a zone or form of the account's own: set its time zone to GMT, its date format "
            "to yyyy-MM-dd and its time format to HH:mm:ss, then resume the system"
        )
    headers = list(_HEADER.finditer(text))
    if not headers or headers[0].start():
        raise UnexpectedAnswer(f"{record.where}: {element} does not begin with an entry of a journal")
    # Another label is that of another field, so its line is the text of somebody who quotes.
    headers = [header for header in headers if header[3] == headers[0][3]]
    ends = [header.start() for header in headers[1:]] + [len(text)]
    entries: list[Entry] = []
    for header, end in zip(headers, ends, strict=True):
        at = find_instant_in(header[1])
        if at is None:
            raise UnexpectedAnswer(f"{record.where}: {element} has an entry without a time")
        body = text[header.end() : end].strip("\n")
        entries.insert(0, Entry("", ticket.id, element, body, header[2], at, ticket.table))
    return list(_numbered(sorted(entries, key=lambda entry: entry.at)))


def _numbered(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield entries that are sorted by time with ids: the place counts from the oldest of a second, which stays."""
    place, before = 0, None
    for entry in entries:
        place = place + 1 if entry.at == before else 0
        before = entry.at
        key = f"{entry.element}:{entry.ticket_id}:{entry.at:%Y%m%d%H%M%S}:{place}"
        yield Entry(key, entry.ticket_id, entry.element, entry.text, entry.writer, entry.at, entry.table)


def reads_utc(record: Record) -> bool:
    """Tell whether a record's times look for the account as they are stored: in UTC, in ServiceNow's own form."""
    names = ("sys_created_on", "sys_updated_on")
    return all(find_value(record, name) == find_value(record, name, "display_value") for name in names)


def ticket_of(seen: SeenTicket, table: str, base_url: str) -> Ticket:
    """Return a ticket as the core knows it."""
    return Ticket(
        id=seen.id,
        number=seen.number,
        link=f"{base_url.rstrip('/')}/nav_to.do?uri={table}.do%3Fsys_id%3D{seen.id}",
        subject=seen.subject or None,
        vendor_status=seen.state or None,
        status=_status(seen, table),
        assignee=seen.assignee or None,
        updated_at=seen.updated_at,
    )


def _status(seen: SeenTicket, table: str) -> ThreadStatus | None:
    """Return what a state means; a number that is not known counts by whether the ticket is active."""
    known = STATES.get(table, {}).get(seen.state)
    return known or {"true": _ONGOING, "false": _CLOSED}.get(seen.active)


def first_message(seen: SeenTicket, automatic: frozenset[str]) -> Reply:
    """Return the description, which is no row of the journal, as the ticket's first message."""
    unknown = AuthorKind.SYSTEM if seen.created_by.casefold() in automatic else AuthorKind.UNKNOWN
    return Reply(
        id=f"description:{seen.id}",
        author=Author(AuthorKind.CUSTOMER if seen.has_customer else unknown),
        visibility=Visibility.PUBLIC,
        body=body_of(seen.text),
        created_at=seen.created_at,
        channel=CHANNELS.get(seen.channel, Channel.OTHER),
        vendor_channel=seen.channel or None,
        first_message=True,
    )


def reply_of(entry: Entry, seen: SeenTicket, author: Author) -> Reply:
    """Return a comment or a work note. Of a channel there is only the ticket's; what follows a talk is written."""
    channel = CHANNELS.get(seen.channel, Channel.OTHER)
    return Reply(
        id=entry.id,
        author=author,
        visibility=Visibility.PUBLIC if entry.element == COMMENTS else Visibility.INTERNAL,
        body=body_of(entry.text),
        created_at=entry.at,
        edited_at=entry.edited_at,
        channel=Channel.OTHER if channel in _SPOKEN else channel,
        vendor_channel=seen.channel or None,
    )


def body_of(text: str) -> Body:
    """Return a text; what stands between [code] and [/code] is HTML, as the instance itself shows it."""
    parts = _CODE.split(text)
    if len(parts) == 1:
        return Body(text)
    # Between the parts that matched stand those that did not, and those are plain.
    shown = (part if place % 2 else escape(part).replace("\n", "<br>") for place, part in enumerate(parts))
    return Body("".join(shown), BodyFormat.HTML)
