"""What the replies of a ticket mean for one link: new, withheld, older, changed, withdrawn. Pure.

The ledger decides what is new. A time decides once only: at the first reading of a link, which replies are older
than its `from`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from syncd.mapping.mapper import fingerprint, map_reply, thread_status
from syncd.mapping.text import clean
from syncd.model.collected import Change, Collected, Disposition, Entry, Gap, Known, NewDelivery
from syncd.model.delivery import DeliveryKind, DeliveryState, Lane
from syncd.model.link import Link
from syncd.model.policy import OnEdit, SystemPolicy
from syncd.model.ticket import AuthorKind, Reply, Ticket, Visibility
from syncd.sync.flood import held, is_late

WITHDRAWN_INTERNAL = "withdrawn: it is internal now"
WITHDRAWN_DELETED = "withdrawn: it is deleted now"


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a ticket.

    `complete`: it holds all replies that were created at `since` or later (all if None), so that what is not in it
    is not there. `collects`: with it the link has been collected, and is due again at `next_due_at`. `late_before`:
    what was made before this instant may be late (None: nothing is).
    """

    ticket: Ticket
    replies: Sequence[Reply]
    since: datetime | None
    started_at: datetime
    next_due_at: datetime | None = None
    complete: bool = True
    collects: bool = True
    late_before: datetime | None = None


@dataclass(slots=True)
class _Found:
    """What a reading has come to so far."""

    entries: list[Entry] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    confirmed: list[int] = field(default_factory=list)
    corrections: list[NewDelivery] = field(default_factory=list)


def read_for_link(
    link: Link,
    policy: SystemPolicy,
    reading: Reading,
    known: Mapping[str, Known],
    waiting: Mapping[str, Known],
    gap: Gap | None = None,
) -> Collected:
    """Return what a reading means for a link, given what the store knows of its replies."""
    found = _Found()
    for reply in distinct(reading.replies):
        before = known.get(reply.id)
        entry = _entry(link, policy, reading.ticket, reply, before, gap)
        late = is_late(link, reply.created_at, reading.late_before)
        if entry is not None:
            found.entries.append(_held(link, entry) if late else entry)
        elif before is not None and before.delivery_id is not None and before.disposition is Disposition.DELIVERY:
            correction = _compare(policy, reading.ticket, reply, before, gap, found)
            if correction is not None:
                found.corrections.append(held(link, correction) if late else correction)
    found.changes += _deleted(reading, waiting)
    status, _ = thread_status(reading.ticket, policy)
    newest = _newest(reading)
    return Collected(
        link_id=link.id,
        thread_key=link.thread_key,
        system=link.system,
        started_at=reading.started_at,
        entries=tuple(found.entries),
        changes=tuple(found.changes),
        confirmed=tuple(found.confirmed),
        corrections=tuple(found.corrections),
        ticket=clean_ticket(reading.ticket),
        status=status,
        newest_reply_at=_latest(link.newest_reply_at, newest),
        active_at=_latest(_latest(link.active_at, newest), reading.ticket.updated_at),
        next_due_at=reading.next_due_at,
        complete=reading.collects,
    )


def distinct(replies: Sequence[Reply]) -> list[Reply]:
    """Return each reply once, the last one told, in the order of their first telling, with ids fit for a database."""
    return list({clean(reply.id): _with_clean_id(reply) for reply in replies}.values())


def _with_clean_id(reply: Reply) -> Reply:
    clean_id = clean(reply.id)
    return reply if clean_id == reply.id else replace(reply, id=clean_id)


def _newest(reading: Reading) -> datetime | None:
    """Return when the newest reply was made, but not later than now.

    A reply with a time far ahead would else put the beginning of every later reading behind whatever comes.
    """
    newest = max((reply.created_at for reply in reading.replies), default=None)
    return None if newest is None else min(newest, reading.started_at)


def _held(link: Link, entry: Entry) -> Entry:
    return entry if entry.delivery is None else replace(entry, delivery=held(link, entry.delivery))


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((instant for instant in (one, other) if instant is not None), default=None)


def clean_ticket(ticket: Ticket) -> Ticket:
    """Return a ticket whose texts every database can keep."""
    texts = (ticket.number, ticket.link, ticket.subject, ticket.vendor_status, ticket.assignee)
    if all(text is None or clean(text) == text for text in texts):
        return ticket
    return replace(
        ticket,
        number=clean(ticket.number),
        link=_clean(ticket.link),
        subject=_clean(ticket.subject),
        vendor_status=_clean(ticket.vendor_status),
        assignee=_clean(ticket.assignee),
    )


def _clean(text: str | None) -> str | None:
    return None if text is None else clean(text)


def _entry(
    link: Link, policy: SystemPolicy, ticket: Ticket, reply: Reply, before: Known | None, gap: Gap | None
) -> Entry | None:
    """Return the ledger entry that a reply makes, None if what is there stands."""
    if before is None:
        disposition = _first_disposition(link, policy, ticket, reply)
        replaces: tuple[Disposition, ...] = ()
    elif before.disposition in {Disposition.WITHHELD, Disposition.WITHDRAWN} and reply.visibility is Visibility.PUBLIC:
        # Published later. Its time says when it was written, not when the customer could first see it.
        disposition, replaces = _public_disposition(policy, reply), (Disposition.WITHHELD, Disposition.WITHDRAWN)
    else:
        return None
    if disposition is not Disposition.DELIVERY:
        return Entry(reply.id, disposition, None, replaces)
    if gap is not None and (before is not None or link.registered_at >= gap.from_at):
        gap = gap.for_older()
    return Entry(reply.id, disposition, new_delivery(policy, ticket, reply, Lane.LIVE, gap), replaces)


def _first_disposition(link: Link, policy: SystemPolicy, ticket: Ticket, reply: Reply) -> Disposition:
    if reply.visibility is not Visibility.PUBLIC:
        return Disposition.WITHHELD
    if reply.written_on is not None and reply.written_on != ticket.id:
        # It came with a merge. It belongs here only if this link is the one that followed it here.
        ours = reply.written_on in link.merged_from
        return _public_disposition(policy, reply) if ours else Disposition.MERGED
    # Vendors keep seconds: a reply of the very second in which the link was registered counts as new.
    if link.collected_at is None and reply.created_at < link.from_at.replace(microsecond=0):
        return Disposition.OLDER
    return _public_disposition(policy, reply)


def _public_disposition(policy: SystemPolicy, reply: Reply) -> Disposition:
    if reply.author.kind is AuthorKind.SYSTEM and not policy.automatic_messages:
        return Disposition.AUTOMATIC
    return Disposition.DELIVERY


def new_delivery(policy: SystemPolicy, ticket: Ticket, reply: Reply, lane: Lane, gap: Gap | None) -> NewDelivery:
    """Return the delivery of a reply; parked, with the reason, where it cannot be mapped."""
    state, reason = DeliveryState.PENDING, None
    if gap is not None and gap.holds(reply.created_at):
        state, reason = DeliveryState.IN_DOUBT, "restored"
    try:
        message = map_reply(reply, ticket, policy)
        mark = fingerprint(reply)
    except Exception as error:  # noqa: BLE001 - one reply that cannot be mapped must not hold up its page
        return NewDelivery(
            reply_id=reply.id,
            message=None,
            fingerprint=None,
            occurred_at=reply.created_at,
            lane=lane,
            state=DeliveryState.PARKED,
            reason=f"cannot be mapped: {type(error).__name__}",
        )
    return NewDelivery(reply.id, message, mark, reply.created_at, lane=lane, state=state, reason=reason)


def _compare(
    policy: SystemPolicy,
    ticket: Ticket,
    reply: Reply,
    before: Known,
    gap: Gap | None,
    found: _Found,
) -> NewDelivery | None:
    """Hold a reply against its delivery: the newest text is sent, what is internal now is not.

    Return the correction that an edit after delivery makes, if it is to make one.
    """
    if before.delivery_id is None:
        return None
    public = reply.visibility is Visibility.PUBLIC
    same = fingerprint(reply) == before.fingerprint
    if before.state is DeliveryState.PENDING:
        if not public:
            found.changes.append(Change(before.delivery_id, before.version, skip_reason=WITHDRAWN_INTERNAL))
        elif same:
            found.confirmed.append(before.delivery_id)
        elif before.fingerprint is None:
            found.confirmed.append(before.delivery_id)  # A person gave it its text, as it could not be mapped.
        else:
            newest = new_delivery(policy, ticket, reply, Lane.LIVE, None)
            if newest.message is not None:
                found.changes.append(Change(before.delivery_id, before.version, newest.message, newest.fingerprint))
    elif before.state is DeliveryState.DELIVERED and public and not same and policy.on_edit is OnEdit.CORRECTION:
        edited = reply if reply.edited_at is None else replace(reply, created_at=reply.edited_at)
        correction = new_delivery(policy, ticket, edited, Lane.LIVE, gap)
        return replace(correction, kind=DeliveryKind.CORRECTION, fingerprint=fingerprint(reply))
    return None


def _deleted(reading: Reading, waiting: Mapping[str, Known]) -> list[Change]:
    """Return the withdrawal of what waits, should have been in the reading, and was not."""
    if not reading.complete:
        return []
    there = {clean(reply.id) for reply in reading.replies}
    return [
        Change(known.delivery_id, known.version, skip_reason=WITHDRAWN_DELETED)
        for reply_id, known in waiting.items()
        if reply_id not in there
        and known.delivery_id is not None
        and known.occurred_at is not None
        # The time of a correction is that of the edit: the reply itself may be older than what was read.
        and (reading.since is None or (known.occurred_at >= reading.since and not known.is_correction))
    ]
