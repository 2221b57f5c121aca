"""A reply becomes a communication, a ticket's status a level of its thread. Pure: values in, values out."""

import hashlib
import json
import re
from datetime import datetime

from syncd.mapping.history import is_forward, without_history
from syncd.mapping.text import clean, find_web_address, is_blank, one_line, tidy
from syncd.model.communication import Channel, Direction, Message, ThreadStatus
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Attachment, AuthorKind, Body, BodyFormat, Reply, Ticket

AUTHOR_UNKNOWN = "author_unknown"
"""Flag of a communication whose direction is a guess, because the vendor does not tell who wrote it."""
NO_TEXT = "(no text)"
"""Content of a reply without text and attachments; the contract wants some."""

_DIRECTIONS = {
    AuthorKind.CUSTOMER: Direction.INCOMING,
    AuthorKind.AGENT: Direction.OUTGOING,
    AuthorKind.SYSTEM: Direction.OUTGOING,
    AuthorKind.UNKNOWN: Direction.INCOMING,
}
_STATUS_PLACE = "{status}"
_ADDRESS = re.compile(r"://([^\s\"'<>()]*)")


def map_reply(reply: Reply, ticket: Ticket, policy: SystemPolicy) -> Message:
    """Return the communication that a reply makes: plain texts, `subject` and `content` never empty."""
    subject = _subject(reply.subject, ticket.subject, ticket.number)
    return Message(
        subject=subject,
        content=_content(reply, subject),
        direction=_DIRECTIONS[reply.author.kind],
        channel=_channel(reply, policy),
        occurred_at=reply.created_at,
        agent=_agent(reply, ticket),
        ticket_number=_line_or_none(ticket.number),
        ticket_link=find_web_address(ticket.link),
        flags=(AUTHOR_UNKNOWN,) if reply.author.kind is AuthorKind.UNKNOWN else (),
    )


def thread_status(ticket: Ticket, policy: SystemPolicy) -> tuple[ThreadStatus, bool]:
    """Return the level of a thread for a ticket's status, and whether the vendor's word is unmapped.

    The settings decide by the vendor's word in any case of letters, then the adapter; an unmapped one is ONGOING.
    """
    word = _key(ticket.vendor_status)
    for name, status in policy.statuses.items():
        if word and _key(name) == word:
            return status, False
    if ticket.status is not None:
        return ticket.status, False
    return ThreadStatus.ONGOING, True


def status_note(
    policy: SystemPolicy,
    status: ThreadStatus,
    subject: str | None,
    number: str,
    *,
    link: str | None,
    occurred_at: datetime,
) -> Message:
    """Return the communication that carries a change of status when no reply does.

    `subject`, `number` and `link` are the ticket's; `{status}` in the configured text becomes created, ongoing or
    closed.
    """
    # Replaced, not formatted: an operator's text may hold braces of its own.
    text = policy.status_note_text.replace(_STATUS_PLACE, status.value.lower())
    return Message(
        subject=_subject(None, subject, number),
        content=_or_no_text(tidy(clean(text))),
        direction=Direction.OUTGOING,
        channel=Channel.OTHER,
        occurred_at=occurred_at,
        ticket_number=_line_or_none(number),
        ticket_link=find_web_address(link),
    )


def fingerprint(reply: Reply) -> str:
    """Return a hash of what a reader would see of a reply (64 hexadecimal digits): it changes when the reply is edited.

    Subject, body and the names of attachments count. Their links and the query strings of addresses in the body do
    not, since vendors sign them anew at every reading. The text is taken before it is laid out, so that a new
    version of syncd takes no old reply for an edited one.
    """
    seen = [
        one_line(reply.subject or ""),
        reply.body.format.value,
        _ADDRESS.sub(_without_query, tidy(clean(reply.body.text))),
        *sorted(one_line(attachment.name) for attachment in reply.attachments),
    ]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def _without_query(behind_scheme: re.Match[str]) -> str:
    address, _, query = behind_scheme.group(1).partition("?")
    _, mark, fragment = query.partition("#")
    return f"://{address}{mark}{fragment}"


def _subject(own: str | None, of_ticket: str | None, number: str) -> str:
    for candidate in (own, of_ticket):
        line = one_line(candidate or "")
        if not is_blank(line):
            return line
    return f"Ticket {one_line(number)}".rstrip()


def _content(reply: Reply, subject: str) -> str:
    text = _plain(reply.body)
    # What a first message quotes was said elsewhere, and what a forward quotes is what it has to say.
    if not reply.first_message and not is_forward(subject):
        text = without_history(text)
    parts = ("" if is_blank(text) else text, _attachment_list(reply.attachments))
    return _or_no_text("\n\n".join(part for part in parts if part))


def _plain(body: Body) -> str:
    if body.format is BodyFormat.HTML:
        from syncd.mapping.markup import html_to_text  # noqa: PLC0415 - megabytes of parsers, for those who have HTML

        return html_to_text(body.text)
    return tidy(clean(body.text))


def _or_no_text(text: str) -> str:
    return NO_TEXT if is_blank(text) else text


def _attachment_list(attachments: tuple[Attachment, ...]) -> str:
    if not attachments:
        return ""
    return "\n".join(["Attachments:", *(f"- {_attachment_line(attachment)}" for attachment in attachments)])


def _attachment_line(attachment: Attachment) -> str:
    name = one_line(attachment.name)
    parts = ["(unnamed)" if is_blank(name) else name]
    if attachment.size_bytes is not None and attachment.size_bytes >= 0:
        parts.append(f"({_size(attachment.size_bytes)})")
    if link := one_line(attachment.link or ""):
        parts.append(link.replace(" ", "%20"))
    return " ".join(parts)


def _size(size_bytes: int) -> str:
    """Return a size as people read it, in decimal units."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    if size_bytes < 999_500:
        return f"{size_bytes / 1000:.0f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"


def _channel(reply: Reply, policy: SystemPolicy) -> Channel:
    word = reply.vendor_channel
    if word is None:
        return reply.channel
    return policy.channels.get(word) or policy.channels.get(word.lower()) or reply.channel


def _agent(reply: Reply, ticket: Ticket) -> str | None:
    if reply.author.kind is AuthorKind.AGENT:
        return _line_or_none(reply.author.name)
    return _line_or_none(ticket.assignee) if reply.author.kind is AuthorKind.CUSTOMER else None


def _line_or_none(text: str | None) -> str | None:
    line = one_line(text or "")
    return None if is_blank(line) else line


def _key(word: str | None) -> str:
    return (word or "").strip().casefold()
