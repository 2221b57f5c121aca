"""What the tests of the adapter contract stand on: the opened adapter, instants to seed, and short ways to read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

import pytest
import pytest_asyncio

from syncd.model.ticket import ChangePage, Cursor, Reply, Ticket, Unavailable
from syncd.sources.adapter import Adapter, Capability
from syncd.sources.registry import OpenedAdapter, open_adapter, validate_options
from syncd.testing.vendor import NotOffered, SeededTicket, Vendor
from syncd.testing.virtual_clock import DEFAULT_START, VirtualClock

T = TypeVar("T")
FOREIGN_HOST = "tickets.elsewhere.test"
YESTERDAY = DEFAULT_START - timedelta(days=1)


class ContractBase:
    """The parts that all tests use."""

    pytestmark = pytest.mark.asyncio
    adapter: ClassVar[type[Adapter[Any]]]

    @pytest_asyncio.fixture
    async def opened(self, vendor: Vendor, clock: VirtualClock) -> AsyncIterator[OpenedAdapter]:
        """Open the adapter at the stand-in, with good credentials."""
        options = validate_options(self.adapter, vendor.options())
        async with open_adapter(self.adapter, options, clock=clock, link_hosts=[FOREIGN_HOST]) as opened:
            yield opened
        assert opened.http.requests_under_way == 0

    def need_a_feed(self) -> None:
        """Skip a test that is about the change feed if there is none."""
        if Capability.CHANGE_FEED not in self.adapter.capabilities:
            pytest.skip("the adapter has no change feed")

    async def seed_feed(self, vendor: Vendor) -> list[SeededTicket]:
        """Make tickets that fill more than a page of the feed, two of them changed in the same instant."""
        steps = [0, *range(vendor.feed_page_size + 2)]
        seeded = [await vendor.seed_ticket([at]) for at in instants(vendor, steps)]
        await asyncio.sleep(vendor.feed_lag_seconds)
        return seeded


async def offered(ability: Awaitable[T]) -> T:
    """Return what the stand-in did, or skip the test because it cannot."""
    try:
        return await ability
    except NotOffered as lack:
        reason = str(lack)
    pytest.skip(reason)


def instants(vendor: Vendor, steps: Sequence[int]) -> list[datetime]:
    """Return instants of yesterday, so many of the vendor's finest steps after its beginning."""
    step = max(vendor.resolution_seconds, 0.001)
    return [YESTERDAY + timedelta(seconds=number * step) for number in steps]


def crossing_borders(vendor: Vendor) -> list[datetime]:
    """Return instants for more than two pages of replies, with a run of equal ones across the first border."""
    run, rest = [1] * vendor.page_size, [2, 2, *range(3, vendor.page_size + 3)]
    return instants(vendor, [0, *run, *rest])


async def read_replies(opened: OpenedAdapter, ticket: Ticket, since: datetime | None = None) -> list[Reply]:
    """Return all replies of a ticket since an instant."""
    return [reply async for reply in opened.adapter.replies(ticket, since)]


async def read_pages(opened: OpenedAdapter, start: Cursor | datetime) -> list[ChangePage]:
    """Return the pages of the feed from an instant or a cursor to its end."""
    return [page async for page in opened.adapter.changes(start)]


def ids_on(pages: Sequence[ChangePage]) -> set[str]:
    """Return the ids of the tickets that pages name."""
    return {ticket_id for page in pages for ticket_id in page.ticket_ids}


def id_of(ticket: Ticket | Unavailable) -> str:
    """Return the id of a ticket, whether it can be followed or not."""
    return ticket.id if isinstance(ticket, Ticket) else ticket.ticket_id
