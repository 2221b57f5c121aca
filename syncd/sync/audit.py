"""What became of every reply that a ticket has: the accounts of an audit. Pure.

It shares nothing with the reading of the feed. What was owed is worked out anew from the link, the settings and the
reply itself, and held against ledger and outbox; so a mistake of polling or intake shows as a difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from syncd.mapping.mapper import fingerprint
from syncd.model.collected import Disposition
from syncd.model.delivery import DeliveryState
from syncd.model.link import Cause, Link, LinkState
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import AuthorKind, Reply, Ticket, Visibility
from syncd.store.audit import Held, HeldDelivery
from syncd.store.link_changes import REMOVED_REASON
from syncd.store.standing import ASSUMED_REASON

GRACE = timedelta(minutes=15)
"""How long after its poll a reply may still be on its way here: vendors' lists lag, and sweeps take their time."""


class Fate(StrEnum):
    """What became of a reply in a thread. `held_back`: its link is suspended, and reads it once it is resumed."""

    DELIVERED = "delivered"
    RESOLVED = "resolved"
    ASSUMED = "assumed"
    WAITING = "waiting"
    IN_DOUBT = "in_doubt"
    PARKED = "parked"
    SKIPPED = "skipped"
    INTERNAL = "internal"
    NOT_YET_DUE = "not_yet_due"
    HELD_BACK = "held_back"
    MISSING = "missing"
    LEAKED = "leaked"


class Remark(StrEnum):
    """What is true at the vendor of a reply that was delivered, and was not when it was sent."""

    EDITED = "edited"
    HIDDEN = "hidden"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one reply, why, and what else is to be said of it. `repairable`: it can be queued as new."""

    reply_id: str
    at: datetime
    fate: Fate
    reason: str | None = None
    remark: Remark | None = None
    delivery: HeldDelivery | None = None
    repairable: bool = False


@dataclass(frozen=True, slots=True)
class Audited:
    """One ticket as it was read by itself, at an instant, and how its system is polled."""

    ticket: Ticket
    replies: Sequence[Reply]
    at: datetime
    policy: SystemPolicy


_DELIVERED = {DeliveryState.DELIVERED, DeliveryState.SENDING, DeliveryState.IN_DOUBT}
_FATES = {
    DeliveryState.PENDING: Fate.WAITING,
    DeliveryState.SENDING: Fate.WAITING,
    DeliveryState.IN_DOUBT: Fate.IN_DOUBT,
    DeliveryState.PARKED: Fate.PARKED,
    DeliveryState.SKIPPED: Fate.SKIPPED,
}
_SHOWN_LATER = {Disposition.WITHHELD, Disposition.WITHDRAWN}


def accounts(link: Link, audited: Audited, held: Mapping[str, Held]) -> list[Account]:
    """Return what became of every reply of a ticket in the thread of one link."""
    return [_account(link, audited, reply, held.get(reply.id, Held())) for reply in audited.replies]


def vanished(audited: Audited, delivered: Mapping[str, HeldDelivery]) -> list[Account]:
    """Return what was delivered and is not at the vendor any more."""
    there = {reply.id for reply in audited.replies}
    return [
        Account(reply_id, sent.occurred_at, _fate(sent), sent.reason, Remark.DELETED, sent)
        for reply_id, sent in delivered.items()
        if reply_id not in there
    ]


def holds_nothing_known(link: Link, audited: Audited, held: Mapping[str, Held]) -> bool:
    """Say whether a reading lacks everything that its link had: then it proves nothing."""
    had_some = link.collected_at is not None and link.newest_reply_at is not None
    return had_some and not any(reply.id in held for reply in audited.replies)


def is_followed(link: Link) -> bool:
    """Say whether a link's ticket is being read."""
    return link.state is LinkState.ACTIVE or link.cause is Cause.THREAD_REFUSED


def is_overdue(link: Link, at: datetime) -> bool:
    """Say whether a link that was not read yet should have been: a first reading that fails is late, a queue is not."""
    return link.failures > 0 and at - link.registered_at > GRACE


def _account(link: Link, audited: Audited, reply: Reply, held: Held) -> Account:
    if reply.visibility is not Visibility.PUBLIC:
        return _internal(reply, held)
    sent = held.delivery
    shown_again = held.disposition in _SHOWN_LATER and (sent is None or sent.state is DeliveryState.SKIPPED)
    if sent is not None and not shown_again:
        edited = sent.state is DeliveryState.DELIVERED and held.fingerprint not in {None, fingerprint(reply)}
        remark = Remark.EDITED if edited else None
        return Account(reply.id, reply.created_at, _fate(sent), _reason(sent), remark, sent)
    reason = _not_owed(link, audited, reply, held)
    if reason is not None:
        return Account(reply.id, reply.created_at, Fate.SKIPPED, reason)
    return _owed(link, audited, reply, held)


def _internal(reply: Reply, held: Held) -> Account:
    sent = held.delivery
    if sent is None or sent.state is DeliveryState.SKIPPED:
        return Account(reply.id, reply.created_at, Fate.INTERNAL)
    if sent.state not in _DELIVERED:
        return Account(reply.id, reply.created_at, _fate(sent), "internal now", None, sent)
    # Vendors' times have seconds: an edit of the very second in which it was read counts as later.
    changed = reply.edited_at is not None and reply.edited_at >= sent.read_at.replace(microsecond=0)
    if changed and held.disposition is Disposition.DELIVERY:
        return Account(reply.id, reply.created_at, _fate(sent), _reason(sent), Remark.HIDDEN, sent)
    reason = "it is internal, and was sent; nothing shows that it was public then"
    return Account(reply.id, reply.created_at, Fate.LEAKED, reason, None, sent)


def _fate(sent: HeldDelivery) -> Fate:
    if sent.state is not DeliveryState.DELIVERED:
        return _FATES[sent.state]
    if sent.reason == ASSUMED_REASON:
        return Fate.ASSUMED
    return Fate.RESOLVED if (sent.reason or "").startswith("resolved: ") else Fate.DELIVERED


def _reason(sent: HeldDelivery) -> str | None:
    if sent.state is not DeliveryState.SKIPPED:
        return sent.reason
    if sent.reason == REMOVED_REASON:
        return "link removed"
    return "withdrawn" if (sent.reason or "").startswith("withdrawn") else "by a person"


_RECORDED = {Disposition.AUTOMATIC: "automatic", Disposition.MERGED: "merged"}


def _not_owed(link: Link, audited: Audited, reply: Reply, held: Held) -> str | None:
    """Return why a public reply without a delivery is not to be sent, None if it is: as recorded, else as it is due."""
    if held.disposition in _RECORDED:
        return _RECORDED[held.disposition]
    unread_before = link.collected_at is None and reply.created_at < link.from_at.replace(microsecond=0)
    if held.disposition is Disposition.OLDER or (held.disposition is None and unread_before):
        return "first message" if reply.first_message else "older"
    if reply.author.kind is AuthorKind.SYSTEM and not audited.policy.automatic_messages:
        return "automatic"
    if reply.written_on not in {None, audited.ticket.id, *link.merged_from}:
        return "merged"
    return None


def _owed(link: Link, audited: Audited, reply: Reply, held: Held) -> Account:
    """Account for a reply that is to be sent and has no delivery."""
    if held.disposition is Disposition.DELIVERY:
        # It may have been sent: nothing here tells. Queued again it could be there twice.
        return Account(reply.id, reply.created_at, Fate.MISSING, "the ledger has it, and no delivery is there")
    if not is_followed(link):
        return Account(reply.id, reply.created_at, Fate.HELD_BACK, "its link is suspended")
    if why := _not_yet(link, audited, _changed_at(audited, reply, held)):
        return Account(reply.id, reply.created_at, Fate.NOT_YET_DUE, why)
    was = "withheld or withdrawn before, and public now" if held.disposition is not None else "nothing here knows it"
    return Account(reply.id, reply.created_at, Fate.MISSING, was, repairable=True)


def _changed_at(audited: Audited, reply: Reply, held: Held) -> datetime:
    """Return when a reply became what it is; where it was published later, the ticket may be all that tells."""
    instants = [reply.created_at, reply.edited_at]
    if held.disposition is not None:
        instants.append(audited.ticket.updated_at)
    return max(instant for instant in instants if instant is not None)


def _not_yet(link: Link, audited: Audited, changed_at: datetime) -> str | None:
    """Return why a reply need not be here yet, None if it should be."""
    if audited.at - changed_at < timedelta(seconds=audited.policy.poll_seconds) + GRACE:
        return "it is new"
    if link.collected_at is None:
        return None if is_overdue(link, audited.at) else "its link waits for its first reading"
    if link.collected_at > changed_at + timedelta(seconds=audited.policy.poll_seconds) + GRACE:
        return None  # it was read since, and that should have held it
    due_at = link.collect_due_at
    is_due_later = link.failures == 0 and due_at is not None and due_at + GRACE > audited.at
    return "its ticket is due later" if is_due_later else None
