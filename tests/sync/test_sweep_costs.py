"""What a sweep asks of the vendor and of the database, counted."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Engine, event

from syncd.model.communication import Thread, ThreadStatus
from syncd.model.link import NewLink
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import (
    Author,
    AuthorKind,
    Body,
    ChangePage,
    Cursor,
    Identity,
    Reply,
    Ticket,
    TicketRef,
    Unavailable,
    Visibility,
)
from syncd.sources.adapter import Adapter, AdapterConfig, Capability, Connection
from syncd.store import link_changes, links
from syncd.store.database import Database, open_database
from syncd.store.schema import ensure_schema
from syncd.sync.collect import System
from syncd.sync.poll import sweep

LINKS = 60


class CountingDesk(Adapter[AdapterConfig]):
    """A desk whose feed tells of tickets, and of their replies too if it is `bulk`; each call is a request."""

    config = AdapterConfig
    capabilities = frozenset({Capability.CHANGE_FEED, Capability.BULK_REPLIES})

    def __init__(self, clock: Any, *, bulk: bool) -> None:
        self.clock, self.bulk = clock, bulk
        self.changed: list[str] = []
        self.written: dict[str, list[Reply]] = {}
        self.tells_tickets = True
        self.requests: list[str] = []

    @classmethod
    def connection(cls, options: AdapterConfig) -> Connection:
        raise NotImplementedError

    async def check(self) -> Identity:
        raise NotImplementedError

    async def resolve(self, ref: TicketRef) -> Ticket:
        raise NotImplementedError

    def write(self, ticket_id: str) -> None:
        """Let a customer write."""
        at = self.clock.now()
        its = self.written.setdefault(ticket_id, [])
        text = Body(f"text {len(its)}")
        its.append(Reply(f"{ticket_id}-{len(its)}", Author(AuthorKind.CUSTOMER), Visibility.PUBLIC, text, at))
        self.changed.append(ticket_id)

    def ticket(self, ticket_id: str) -> Ticket:
        return Ticket(ticket_id, f"T{ticket_id}", status=ThreadStatus.ONGOING, updated_at=self.clock.now())

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        self.requests += ["tickets"] * bool(ids)
        return [self.ticket(ticket_id) for ticket_id in ids]

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        self.requests.append("replies")
        for reply in self.written.get(ticket.id, []):
            if since is None or reply.created_at >= since:
                yield reply

    async def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        self.requests.append("feed")
        changed, self.changed = tuple(self.changed), []
        told = tuple(map(self.ticket, changed)) if self.tells_tickets else ()
        new = {ticket_id: tuple(self.written[ticket_id]) for ticket_id in changed} if self.bulk else {}
        yield ChangePage(Cursor(f"after {start}"[:40]), changed, told, new)


@pytest_asyncio.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    """Return an empty database: PostgreSQL does not live in virtual time."""
    opened = open_database(sqlite_url)
    await ensure_schema(opened, migrate=True)
    yield opened
    await opened.close()


async def _linked(database: Database, desk: CountingDesk) -> System:
    """Return a system of many links that were collected once; what that asked is forgotten."""

    def register(connection: Any) -> None:
        now = desk.clock.now()
        for number in range(LINKS):
            new = NewLink(Thread("berlin", 7, number), "desk", TicketRef(number=f"T{number}"), now)
            added = links.add(connection, new, now)
            ticket = desk.ticket(str(number))
            link_changes.resolve(connection, added.link_id, ticket, ThreadStatus.ONGOING, now)

    await database.write(register)
    system = System(SystemPolicy("desk"), desk, database, desk.clock, has_feed=True)
    await sweep(system)
    desk.requests.clear()
    await desk.clock.sleep(60)
    return system


@contextmanager
def _statements() -> Iterator[list[str]]:
    told: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        told.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield told
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def test_a_sweep_without_news_asks_once(database, clock) -> None:
    """However many links there are, the feed alone is asked, and nothing is written but how far it was read."""
    desk = CountingDesk(clock, bulk=True)
    system = await _linked(database, desk)
    with _statements() as told:
        await sweep(system)
    assert desk.requests == ["feed"]
    written = [one for one in told if one.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert [one.split()[1] for one in written] == ["cursor"]


@pytest.mark.parametrize(("bulk", "requests"), [(True, ["feed"]), (False, ["feed"] + ["replies"] * 10)])
async def test_ten_changed_tickets_take_a_request_each_at_most(database, clock, bulk, requests) -> None:
    """A ticket that the feed has told of is not asked for again, and its replies only where they did not come too."""
    desk = CountingDesk(clock, bulk=bulk)
    system = await _linked(database, desk)
    for number in range(10):
        desk.write(str(number))
    done = await sweep(system)
    assert (desk.requests, done.stored.new) == (requests, 10)


async def test_a_ticket_is_asked_for_once_its_state_is_older_than_what_is_known(database, clock) -> None:
    """What a feed tells of a ticket is not believed against something newer."""
    desk = CountingDesk(clock, bulk=False)
    system = await _linked(database, desk)
    desk.write("3")
    newer = Ticket("3", "T3", status=ThreadStatus.CLOSED, updated_at=clock.now() + timedelta(minutes=1))
    await database.write(lambda c: link_changes.set_ticket(c, 4, newer))
    await sweep(system)
    assert desk.requests == ["feed", "tickets", "replies"]


async def test_a_page_takes_as_many_statements_as_one_ticket(database, clock) -> None:
    """What a page means is looked up and stored by statements that do not grow in number with it."""
    desk = CountingDesk(clock, bulk=True)
    system = await _linked(database, desk)
    counts = []
    for tickets in (range(1), range(1, LINKS)):
        for number in tickets:
            desk.write(str(number))
        with _statements() as told:
            done = await sweep(system)
        assert done.stored.new == len(tickets)
        counts.append(Counter(" ".join(one.split()[:3]) for one in told))
    assert counts[0] == counts[1]
