"""What a backfill has read, cut into transactions: small ones, as live deliveries wait for each. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.model.collected import Collected
from syncd.model.link import Link
from syncd.model.ticket import Reply, Ticket
from syncd.sync.backfill_fates import Judged
from syncd.sync.intake import clean_ticket

ROWS_AT_ONCE = 50
"""How many rows a transaction has at most; a link without any counts as one."""


@dataclass(frozen=True, slots=True)
class Read:
    """A ticket as it was read, with the replies that the backfill is about, and the links that they are for."""

    ticket: Ticket
    links: Sequence[Link]
    replies: Sequence[Reply]
    started_at: datetime

    @property
    def rows(self) -> int:
        """Return how many rows this comes to at most."""
        return max(len(self.replies), 1) * len(self.links)


@dataclass(frozen=True, slots=True)
class Part:
    """Some of what is to be queued for a link; with the last part it is dealt with."""

    link: Link
    judged: Judged
    collected: Collected
    is_last: bool

    @property
    def rows(self) -> int:
        """Return how many rows this comes to."""
        return max(len(self.collected.entries), 1)


def parts_of(read: Read, link: Link, judged: Judged, request_id: int) -> Iterator[Part]:
    """Yield what is to be stored for one link, in small parts; one of nothing if there is nothing."""
    for start in range(0, max(len(judged.entries), 1), ROWS_AT_ONCE):
        end = start + ROWS_AT_ONCE
        collected = Collected(
            link_id=link.id,
            thread_key=link.thread_key,
            system=link.system,
            started_at=read.started_at,
            entries=tuple(judged.entries[start:end]),
            ticket=clean_ticket(read.ticket),
            is_ticket_fresh=False,
            request_id=request_id,
        )
        yield Part(link, judged, collected, is_last=end >= len(judged.entries))


def in_transactions(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Yield parts together, as many as fit into one transaction, in this order; never two of one link."""
    some: list[Part] = []
    for part in parts:
        if some and (sum(one.rows for one in some) + part.rows > ROWS_AT_ONCE or not some[-1].is_last):
            yield some
            some = []
        some.append(part)
    if some:
        yield some
