"""What Salesforce's records say, as values: cases, mails and comments. Pure; it knows nothing of requests.

The object reference describes them:
https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_case.htm
(and sforce_api_objects_emailmessage.htm, sforce_api_objects_casecomment.htm, sforce_api_objects_user.htm).
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from string import ascii_uppercase

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import (
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

OPENING = timedelta(seconds=60)
"""Email-to-Case makes the case and the mail that opens it at once; triggers may put some seconds between them."""

DRAFTS = frozenset({"5", "Draft"})
SENT = frozenset({"0", "1", "2", "3", "4", "New", "Read", "Replied", "Sent", "Forwarded"})
STAFF = frozenset({"Standard", "CsnOnly"})
CUSTOMERS = frozenset(
    {"CspLitePortal", "CustomerSuccess", "PowerCustomerSuccess", "PowerPartner", "Guest", "HighVolumePortal"}
)
AUTOMATIC = "AutomatedProcess"

ORIGINS = {"phone": Channel.PHONE, "chat": Channel.CHAT, "sms": Channel.TEXT_MESSAGE}
ORIGINS |= {"letter": Channel.LETTER, "mail": Channel.LETTER, "fax": Channel.FAX, "whatsapp": Channel.TEXT_MESSAGE}
ORIGINS |= {"facebook": Channel.CHAT}

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?", re.ASCII)
_CHECK = ascii_uppercase + "012345"
_ADDRESS = re.compile(r"[^\s;,<>\"]+@([^\s;,<>\"]+)")


@dataclass(frozen=True, slots=True)
class SeenCase:
    """A case: its state, and what decides what its first message is and which replies a merge has moved to it.

    `stamped_at` is when anything last changed it; of one that a merge has deleted, when it was merged.
    """

    state: Ticket | Unavailable
    id: str
    number: str
    created_at: datetime
    stamped_at: datetime
    is_deleted: bool
    merged_into: str | None
    subject: str | None
    description: str | None
    origin: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """A mail or a comment: the reply that it makes, and what decides how it is yielded.

    `created_at` and `stamped_at` are the database's own times. `is_draft` was never sent. `is_gone` was deleted, or
    came back undelivered. `is_incoming` is a mail from outside. `case_created_at` is None if the case is not visible.
    """

    reply: Reply
    case_id: str
    created_at: datetime
    stamped_at: datetime
    is_draft: bool
    is_gone: bool
    is_incoming: bool
    case_created_at: datetime | None

    @property
    def is_shown(self) -> bool:
        """Tell whether it is a reply at all."""
        return not (self.is_draft or self.is_gone)

    def opens(self, created_at: datetime | None) -> bool:
        """Tell whether it may be the mail that opened a case of that time."""
        return self.is_incoming and (created_at is None or abs(self.created_at - created_at) <= OPENING)


def parse_id(text: str) -> str:
    """Return an id in its long form: the short one has 15 characters, and distinguishes upper and lower case.

    https://help.salesforce.com/s/articleView?id=000385585&type=1
    """
    if not _ID.fullmatch(text):
        raise UnexpectedAnswer("Salesforce answered an id that is none")
    short = text[:15]
    groups = (short[start : start + 5] for start in (0, 5, 10))
    return short + "".join(_CHECK[sum(1 << place for place, one in enumerate(g) if one.isupper())] for g in groups)


def parse_case(record: Record, base_url: str) -> SeenCase:
    """Return a case, whether it is there, deleted, or merged (which deletes it unless the organisation keeps it)."""
    case_id, merged_into = parse_id(record.get_text("Id")), record.find_text("MasterRecordId")
    target = parse_id(merged_into) if merged_into else None
    is_deleted = _get_flag(record, "IsDeleted")
    stamped_at = record.get_instant("SystemModstamp")
    state: Ticket | Unavailable = _ticket(record, case_id, base_url, stamped_at)
    if target or is_deleted:
        state = Unavailable(case_id, Unavailability.MERGED if target else Unavailability.GONE, target)
    return SeenCase(
        state=state,
        id=case_id,
        number=record.get_text("CaseNumber"),
        created_at=record.get_instant("CreatedDate"),
        stamped_at=stamped_at,
        is_deleted=is_deleted,
        merged_into=target,
        subject=record.find_text("Subject"),
        description=record.find_text("Description"),
        origin=record.find_text("Origin"),
    )


def _ticket(record: Record, case_id: str, base_url: str, stamped_at: datetime) -> Ticket:
    word = record.get_text("Status")
    status = ThreadStatus.CREATED if word == "New" else ThreadStatus.ONGOING
    owner = record.find_record("Owner")
    by_person = (record.find_text("OwnerId") or "").startswith("005")  # a queue is nobody
    return Ticket(
        id=case_id,
        number=record.get_text("CaseNumber"),
        link=f"{base_url}/{case_id}",
        subject=record.find_text("Subject"),
        vendor_status=word,
        status=ThreadStatus.CLOSED if _get_flag(record, "IsClosed") else status,
        assignee=owner.find_text("Name") if owner is not None and by_person else None,
        updated_at=stamped_at,
    )


def parse_mail(record: Record, own_domains: Collection[str]) -> Row:
    """Return a mail.

    One that was received dates from its arrival, because its sender's clock may be wrong. One that was sent dates from
    its sending, because it may have been a draft before. A sent one whose status cannot be read may be a draft still,
    so it is internal; and so is one between colleagues alone.
    """
    is_incoming, status = _get_flag(record, "Incoming"), record.find_key("Status") or ""
    created_at, writer = record.get_instant("CreatedDate"), record.find_record("CreatedBy")
    is_readable = is_incoming or status in SENT
    is_among_us = _is_among_us(record, own_domains, is_incoming=is_incoming)
    html = record.find_text("HtmlBody")
    reply = Reply(
        id=parse_id(record.get_text("Id")),
        author=_mail_author(record, writer, by_customer=is_incoming and not is_among_us),
        visibility=Visibility.PUBLIC if is_readable and not is_among_us else Visibility.INTERNAL,
        body=Body(html, BodyFormat.HTML) if html else Body(record.find_text("TextBody") or ""),
        created_at=created_at if is_incoming else record.find_instant("MessageDate") or created_at,
        subject=record.find_text("Subject"),
        channel=Channel.EMAIL,
        vendor_channel="EmailMessage",
    )
    is_draft = not is_incoming and (status in DRAFTS or record.is_true("IsPrivateDraft"))
    return _row(record, reply, is_draft=is_draft, is_incoming=is_incoming)


def parse_comment(record: Record) -> Row:
    """Return a comment: internal unless it is published."""
    created_at, changed_at = record.get_instant("CreatedDate"), record.find_instant("LastModifiedDate")
    writer = record.find_record("CreatedBy")
    kind = _kind(writer)
    reply = Reply(
        id=parse_id(record.get_text("Id")),
        author=Author(kind, writer.find_text("Name") if writer is not None and kind is AuthorKind.AGENT else None),
        visibility=Visibility.PUBLIC if record.is_true("IsPublished") else Visibility.INTERNAL,
        body=Body(record.find_text("CommentBody") or ""),
        created_at=created_at,
        edited_at=changed_at if changed_at is not None and changed_at > created_at else None,
        channel=Channel.OTHER,
        vendor_channel="CaseComment",
    )
    return _row(record, reply, is_draft=False, is_incoming=False)


def _row(record: Record, reply: Reply, *, is_draft: bool, is_incoming: bool) -> Row:
    case = record.find_record("Parent")
    return Row(
        reply=reply,
        case_id=parse_id(record.get_text("ParentId")),
        created_at=record.get_instant("CreatedDate"),
        stamped_at=record.get_instant("SystemModstamp"),
        is_draft=is_draft,
        is_gone=_get_flag(record, "IsDeleted") or record.is_true("IsBounced"),
        is_incoming=is_incoming,
        case_created_at=case.find_instant("CreatedDate") if case is not None else None,
    )


def description_of(case: SeenCase, *, is_public: bool) -> Reply:
    """Return the description of a case as the reply that it would be, under the id of the case itself.

    Who writes a call or a form down is not who speaks: it is the customer's.
    """
    return Reply(
        id=case.id,
        author=Author(AuthorKind.CUSTOMER),
        visibility=Visibility.PUBLIC if is_public else Visibility.INTERNAL,
        body=Body(case.description or ""),
        created_at=case.created_at,
        subject=case.subject,
        channel=ORIGINS.get((case.origin or "").strip().lower(), Channel.OTHER),
        vendor_channel=case.origin,
        first_message=True,
    )


def with_first_message(
    case: SeenCase, rows: Sequence[Row], *, email_origins: Collection[str], is_public: bool
) -> list[Reply]:
    """Return the replies of a case, and what its first message is: the mail that opened it, else its description.

    A mail that opened it and was deleted still is what the description is a copy of; and an origin of e-mail says that
    there was one, whatever has become of it.
    """
    opening = min(
        (row for row in rows if row.opens(case.created_at) and row.reply.written_on in {None, case.id}),
        key=lambda row: (row.created_at, row.reply.id),
        default=None,
    )
    replies = [replace(row.reply, first_message=row is opening) for row in rows if row.is_shown]
    is_copy = opening is not None or _is_email_origin(case.origin or "", email_origins)
    if is_copy or not (case.description or "").strip():
        return replies
    return [description_of(case, is_public=is_public), *replies]


def _is_email_origin(origin: str, email_origins: Collection[str]) -> bool:
    word = origin.strip().lower()
    return "email" in re.sub(r"[\s_-]", "", word) or word in {one.strip().lower() for one in email_origins}


def _mail_author(record: Record, writer: Record | None, *, by_customer: bool) -> Author:
    """Return who wrote a mail. Customers stay without a name; who made the record of a received mail is nobody."""
    if by_customer:
        return Author(AuthorKind.CUSTOMER)
    if record.raw("Incoming") is True or writer is None:
        return Author(AuthorKind.AGENT, record.find_text("FromName"))
    if writer.find_text("UserType") == AUTOMATIC:
        return Author(AuthorKind.SYSTEM)
    return Author(AuthorKind.AGENT, writer.find_text("Name") or record.find_text("FromName"))


def _kind(writer: Record | None) -> AuthorKind:
    word = writer.find_text("UserType") if writer is not None else None
    if word in CUSTOMERS:
        return AuthorKind.CUSTOMER
    if word in STAFF:
        return AuthorKind.AGENT
    return AuthorKind.SYSTEM if word == AUTOMATIC else AuthorKind.UNKNOWN


def _is_among_us(record: Record, own_domains: Collection[str], *, is_incoming: bool) -> bool:
    """Tell whether a mail came from a colleague, or went to colleagues alone."""
    fields = ("FromAddress",) if is_incoming else ("ToAddress", "CcAddress", "BccAddress")
    texts = [record.find_text(name) or "" for name in fields]
    domains = {domain.lower() for text in texts for domain in _ADDRESS.findall(text)}
    return bool(domains) and domains <= set(own_domains)


def _get_flag(record: Record, name: str) -> bool:
    value = record.raw(name)
    if not isinstance(value, bool):
        raise UnexpectedAnswer(f"{record.where}: {name} is not true or false")
    return value
