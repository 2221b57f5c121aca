"""What a backfill makes of each reply that it finds: sent by it, or why not. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from syncd.model.collected import Disposition, Entry, Gap, Known
from syncd.model.delivery import DeliveryState, Lane
from syncd.model.link import Link
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import AuthorKind, Reply, Ticket, Visibility
from syncd.sync.intake import new_delivery


class Fate(StrEnum):
    """What becomes of a reply in one thread. The first two are the backfill's doing, the others were so before."""

    TO_SEND = "to_send"
    FOR_PERSON = "for_person"
    DELIVERED = "delivered"
    WAITING = "waiting"
    STUCK = "stuck"
    SKIPPED = "skipped"
    WITHHELD = "withheld"


_BEFORE = {
    DeliveryState.DELIVERED: Fate.DELIVERED,
    DeliveryState.PENDING: Fate.WAITING,
    DeliveryState.SENDING: Fate.WAITING,
    DeliveryState.IN_DOUBT: Fate.STUCK,
    DeliveryState.PARKED: Fate.STUCK,
    DeliveryState.SKIPPED: Fate.SKIPPED,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """The replies of a ticket as they are for one link: what is to be queued, and how many met which fate."""

    entries: Sequence[Entry] = ()
    fates: Mapping[Fate, int] = field(default_factory=dict)

    def __add__(self, more: "Judged") -> "Judged":
        """Return this with the replies after it."""
        return Judged([*self.entries, *more.entries], Counter(self.fates) + Counter(more.fates))


def judge(
    policy: SystemPolicy,
    link: Link,
    ticket: Ticket,
    replies: Sequence[Reply],
    known: Mapping[str, Known],
    gap: Gap | None,
) -> Judged:
    """Return what becomes of replies, given what the store knows of them."""
    entries: list[Entry] = []
    fates: Counter[Fate] = Counter()
    for reply in replies:
        fate = _fate_without(policy, link, ticket, reply, known.get(reply.id))
        if fate is None:
            entry = _entry(policy, link, ticket, reply, known.get(reply.id), gap)
            entries.append(entry)
            is_pending = entry.delivery is not None and entry.delivery.state is DeliveryState.PENDING
            fate = Fate.TO_SEND if is_pending else Fate.FOR_PERSON
        fates[fate] += 1
    return Judged(entries, fates)


def _fate_without(policy: SystemPolicy, link: Link, ticket: Ticket, reply: Reply, known: Known | None) -> Fate | None:
    """Return what becomes of a reply that this backfill leaves alone, None for one that it queues."""
    if known is not None and known.disposition is Disposition.DELIVERY:
        return Fate.SKIPPED if known.state is None else _BEFORE[known.state]
    if reply.visibility is not Visibility.PUBLIC:
        return Fate.WITHHELD
    if known is not None and known.disposition is not Disposition.OLDER:
        # Withheld and shown since: the next sweep sends it. All the others were left for a reason that still stands.
        return Fate.WITHHELD if known.disposition is Disposition.WITHHELD else Fate.SKIPPED
    is_automatic = reply.author.kind is AuthorKind.SYSTEM and not policy.automatic_messages
    is_anothers = reply.written_on not in {None, ticket.id, *link.merged_from}
    return Fate.SKIPPED if is_automatic or is_anothers else None


def _entry(
    policy: SystemPolicy, link: Link, ticket: Ticket, reply: Reply, known: Known | None, gap: Gap | None
) -> Entry:
    # A reply that came since the link is there, and that no sweep has seen yet, is as live as if one had.
    # Vendors keep seconds: one of the very second of the link's `from` is new.
    is_new = known is None and reply.created_at >= link.from_at.replace(microsecond=0)
    lane = Lane.LIVE if is_new else Lane.BACKFILL
    # A backfill of the time that a restored database does not know may have sent it.
    delivery = new_delivery(policy, ticket, reply, lane, None if gap is None else gap.for_older())
    return Entry(reply.id, Disposition.DELIVERY, delivery, (Disposition.OLDER,))
