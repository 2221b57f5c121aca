"""How a backfill cuts what it has read into transactions, and what one that is refused costs the others."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from syncd.model.collected import Disposition, Entry
from syncd.model.communication import Thread
from syncd.model.link import Link, LinkState
from syncd.model.ticket import Author, AuthorKind, Body, Reply, Ticket, TicketRef, Visibility
from syncd.store import link_changes, links, requests
from syncd.store.requests import RequestKind
from syncd.sync.backfill import Wanted
from syncd.sync.backfill_fates import Judged
from syncd.sync.backfill_parts import ROWS_AT_ONCE, Read, in_transactions, parts_of
from syncd.sync.backfill_storing import Storing

AT = datetime(2026, 1, 1, tzinfo=UTC)
TICKET = Ticket(id="1", number="1")


def link_of(number: int) -> Link:
    """Return a link that is followed."""
    ref = TicketRef(number=str(number))
    return Link(number, number, Thread("berlin", 7, number), "desk", LinkState.ACTIVE, ref, AT, AT)


def read_by(link: Link, ticket: Ticket = TICKET, replies: int = 1) -> Read:
    """Return a reading of a ticket with so many replies."""
    author = Author(AuthorKind.CUSTOMER, "Ada")
    told = [Reply(f"{ticket.id}-{one}", author, Visibility.PUBLIC, Body("old"), AT) for one in range(replies)]
    return Read(ticket, [link], told, AT)


@pytest.mark.parametrize(
    "sizes",
    [
        [0],
        [1, 1, 1],
        [ROWS_AT_ONCE, ROWS_AT_ONCE],
        [2 * ROWS_AT_ONCE + 5, 3, 0, ROWS_AT_ONCE + 1],
        [1] * 250,
        [0] * 250,
    ],
)
def test_transactions_are_small_and_hold_everything_once_and_in_order(sizes) -> None:
    """None has more rows than a live delivery can wait for, nor two parts of a link; the last part of each says so."""
    parts = []
    for number, size in enumerate(sizes):
        entries = [Entry(f"{number}-{one}", Disposition.DELIVERY) for one in range(size)]
        parts += parts_of(read_by(link_of(number)), link_of(number), Judged(entries), 1)
    transactions = list(in_transactions(parts))
    for some in transactions:
        assert sum(part.rows for part in some) <= ROWS_AT_ONCE
        assert len({part.link.id for part in some}) == len(some)
    assert [part for some in transactions for part in some] == parts
    assert len(transactions) <= 1 + 2 * sum(max(size, 1) for size in sizes) // ROWS_AT_ONCE
    for number, size in enumerate(sizes):
        its = [part for part in parts if part.link.id == number]
        assert sum(len(part.collected.entries) for part in its) == size
        assert [part.is_last for part in its] == [False] * (len(its) - 1) + [True]


async def test_a_link_that_cannot_be_stored_costs_no_other_of_its_transaction_anything(world) -> None:
    """Where one of several links that share a transaction follows another ticket by now, it alone has failed."""
    tickets = [world.ticket(f"ticket {number}") for number in range(4)]
    await world.begin(api_mode="hold")
    ids = [await world.link(ticket) for ticket in tickets]
    await world.sync()
    told = []

    async def report(progress) -> None:
        told.append(progress)

    asked = (RequestKind.BACKFILL, "desk", Wanted().as_arguments(), "tester", world.clock.now())
    request_id = await world.database.write(lambda c: requests.ask(c, *asked))
    storing = Storing(world.lane.system, request_id, False, report, lambda: (0, 0.0))
    followed = await world.database.read(lambda c: links.by_ids(c, ids))
    moved = replace(followed[2].ticket, id="another")
    await world.database.write(lambda c: link_changes.set_ticket(c, followed[2].id, moved))
    for link in followed:
        await storing.add(read_by(link, link.ticket))
    await storing.flush()
    assert (storing.progress.links, storing.progress.failed, storing.progress.enqueued) == (4, 1, 3)
    assert len(told) == 2, "what was read while the first was stored shares a transaction"
    assert await world.database.read(lambda c: requests.steps_failed(c, request_id)) == {followed[2].id}
    assert await world.states() == {"pending": 3}
