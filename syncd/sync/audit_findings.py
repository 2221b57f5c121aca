"""What an audit is asked for, how far it is, and what it found: values that a request of the database can hold."""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from syncd.model.link import Link
from syncd.model.ticket import Ticket
from syncd.sync.audit import Account, Fate, Remark

UNREAD = "unread"
NEEDS_PERSON = (Fate.MISSING.value, Fate.LEAKED.value, UNREAD)
"""The kinds of findings that are not fine; the others are told for information."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an audit is asked for: replies from an instant on, and whether what is missing is queued, by whom."""

    since: datetime | None = None
    repair: bool = False
    who: str = ""

    def as_arguments(self) -> dict[str, Any]:
        """Return it as JSON can hold it; who asks is known of every request."""
        return {"since": None if self.since is None else self.since.isoformat(), "repair": self.repair}

    @classmethod
    def from_arguments(cls, arguments: dict[str, Any], who: str) -> "Wanted":
        """Read it back."""
        since = arguments.get("since")
        return cls(None if since is None else datetime.fromisoformat(since), bool(arguments.get("repair")), who)


@dataclass(slots=True)
class Progress:
    """How far an audit has come and what it found. `after` and `again` are where it goes on.

    `tickets` are those read, `of` those there are; `replies` counts those of each link. `suspended` are links whose
    ticket cannot be read, as their suspension says.
    """

    after: str = ""
    again: list[str] = field(default_factory=list)
    of: int = 0
    tickets: int = 0
    links: int = 0
    unresolved: int = 0
    suspended: int = 0
    replies: int = 0
    repaired: int = 0
    fates: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it, as it is now whatever is counted later."""
        return {name: copy(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Progress":
        """Read it back; what another version has left counts for nothing."""
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        return cls(**known) if len(known) == len(cls.__dataclass_fields__) else cls()

    def copy(self) -> "Progress":
        """Return one that counts on by itself."""
        return Progress(**self.as_dict())

    def pass_by(self, ticket_id: str) -> None:
        """Be done with a ticket: the next one in order, or one that is read again."""
        if ticket_id in self.again:
            self.again.remove(ticket_id)
        else:
            self.after = ticket_id

    def count(self, told: Iterable[Account]) -> None:
        """Add accounts."""
        for one in told:
            self.replies += 1
            self.fates[one.fate.value] = self.fates.get(one.fate.value, 0) + 1
            if one.fate is Fate.SKIPPED:
                reason = one.reason or "by a person"
                self.skipped[reason] = self.skipped.get(reason, 0) + 1


def unread(link: Link, reason: str) -> dict[str, Any]:
    """Return the finding about a link whose ticket could not be read."""
    return _about(link, link.ticket_name) | {"kind": UNREAD, "reason": reason}


def finding(link: Link, ticket: Ticket, one: Account, *, is_repaired: bool) -> dict[str, Any]:
    """Return the finding about one reply; never a word of what it says."""
    kind = one.fate if one.fate in {Fate.MISSING, Fate.LEAKED} else one.remark
    sent = one.delivery
    return _about(link, ticket.number) | {
        "kind": str(kind),
        "reason": one.reason if kind in {Fate.MISSING, Fate.LEAKED} else _REMARKS[Remark(str(kind))],
        "reply_id": one.reply_id,
        "at": one.at.isoformat(),
        "delivery_id": None if sent is None else sent.id,
        "communication_id": None if sent is None else sent.communication_id,
        "repaired": is_repaired,
    }


_REMARKS = {
    Remark.EDITED: "edited since it was delivered",
    Remark.HIDDEN: "made internal since it was delivered",
    Remark.DELETED: "not at the vendor any more; it was delivered",
}


def _about(link: Link, ticket_number: str) -> dict[str, Any]:
    return {
        "kind": "",
        "system": link.system,
        "link_id": link.id,
        "api": link.thread.api,
        "customer_id": link.thread.customer_id,
        "thread_id": link.thread.thread_id,
        "ticket_number": ticket_number,
        "reply_id": None,
        "at": None,
        "reason": None,
        "delivery_id": None,
        "communication_id": None,
        "repaired": False,
    }
