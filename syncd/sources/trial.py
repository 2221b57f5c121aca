"""Trying a mapping out: what each field of a real ticket and of its replies becomes, for an operator's eyes alone."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from syncd.model.ticket import Attachment, Author, Body, Reply, Ticket


@dataclass(frozen=True, slots=True)
class TriedField:
    """One field of a real ticket or reply, for whoever writes a mapping by trial.

    `place` names it (`ticket.subject`, `replies[0].author`), `expression` is what the settings say about it (empty
    where the adapter's code decides), `found` what stands in the vendor's answer, `made` what it became, and `problem`
    what is wrong with it, if anything. What it holds is for the operator's eyes, and for no log.
    """

    place: str
    made: str = field(repr=False)
    expression: str = ""
    found: Any = field(default=None, repr=False)
    problem: str | None = None


def tried_fields(place: str, value: Ticket | Reply) -> list[TriedField]:
    """Return the fields of a ticket or reply as an operator reads them."""
    return [TriedField(f"{place}.{one.name}", made_text(getattr(value, one.name))) for one in fields(value)]


def made_text(value: Any) -> str:
    """Return one value of a ticket or reply as an operator reads it; empty for None."""
    for kind, write in _WRITTEN:
        if isinstance(value, kind):
            return write(value)
    return "" if value is None else str(value)


def _attachment_text(attachment: Attachment) -> str:
    size = None if attachment.size_bytes is None else f"{attachment.size_bytes} bytes"
    return ", ".join(one for one in (attachment.name, size, attachment.media_type, attachment.link) if one)


_WRITTEN: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (datetime, lambda value: value.isoformat()),
    (bool, lambda value: str(value).lower()),
    (Author, lambda value: f"{value.kind.value} {value.name or ''}".strip()),
    (Body, lambda value: f"{value.format.value}: {value.text}"),
    (Attachment, _attachment_text),
    (tuple, lambda value: "; ".join(made_text(one) for one in value)),
)
