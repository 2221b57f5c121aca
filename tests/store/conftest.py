"""A database with links and deliveries in it, made by the store's own operations."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from syncd.model.collected import Collected, Disposition, Entry, NewDelivery
from syncd.model.communication import Channel, Direction, Message, Thread, ThreadStatus
from syncd.model.delivery import DeliveryState, Lane, Outcome, Reached
from syncd.model.link import NewLink
from syncd.model.ticket import Ticket, TicketRef
from syncd.store import link_changes, links, lists, marking, outbox, recording, replies
from syncd.store.database import Database, open_database
from syncd.store.heads import due_heads
from syncd.store.outbox import Outgoing, Record
from syncd.store.schema import ensure_schema

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass
class Filled:
    """A database, and short ways to put things into it."""

    database: Database
    now: datetime = NOON
    links: dict[int, int] = field(default_factory=dict)

    async def do(self, operation: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Run an operation of the store and commit it."""
        return await self.database.write(lambda c: operation(c, *arguments, **more))

    async def link(self, thread: int = 1, api: str = "berlin", number: str | None = None) -> int:
        """Register and resolve a link to a ticket of its own; return its id."""
        number = number or f"T{thread}"
        new = NewLink(Thread(api, 7, thread), "desk", TicketRef(number=number), self.now)
        added = await self.do(links.add, new, self.now)
        ticket = Ticket(id=f"id-{number}", number=number, vendor_status="open")
        await self.do(link_changes.resolve, added.link_id, ticket, ThreadStatus.ONGOING, self.now)
        self.links[thread] = added.link_id
        return added.link_id

    async def enqueue(
        self, thread: int, *reply_ids: str, minutes: float = 0, lane: Lane = Lane.LIVE, **more: Any
    ) -> Any:
        """Store replies of a thread as deliveries, a second apart."""
        link = await self.get_link(thread)
        entries = []
        for index, reply_id in enumerate(reply_ids):
            at = self.now + timedelta(minutes=minutes, seconds=index)
            delivery = NewDelivery(reply_id, message(reply_id, at), f"mark of {reply_id}", at, lane=lane, **more)
            entries.append(Entry(reply_id, Disposition.DELIVERY, delivery))
        collected = Collected(link.id, link.thread_key, "desk", self.now, tuple(entries), ticket=link.ticket)
        return await self.do(replies.store_collected, collected, self.now)

    async def get_link(self, thread: int) -> Any:
        """Return the link of a thread."""
        return await self.database.read(lambda c: links.find(c, self.links[thread]))

    async def heads(self, api: str = "berlin", limit: int = 100) -> list[str | None]:
        """Return the reply ids of the due heads of an api."""
        heads = await self.database.read(lambda c: due_heads(c, api, self.now, limit))
        return [(await self.outgoing(head.delivery_id)).reply_id for head in heads]

    async def outgoing(self, delivery_id: int) -> Outgoing:
        """Return a pending delivery."""
        found = await self.database.read(lambda c: outbox.find_outgoing(c, delivery_id))
        assert found is not None
        return found

    async def mark(self, delivery_id: int, **more: Any) -> int | None:
        """Mark a delivery as sending; return the attempt's id."""
        return await self.do(marking.mark_sending, await self.outgoing(delivery_id), self.now, "worker", **more)

    async def end(self, delivery_id: int, outcome: Outcome, state: DeliveryState, **more: Any) -> int:
        """Mark a delivery and record an outcome; return the attempt's id."""
        outgoing = await self.outgoing(delivery_id)
        attempt_id = await self.do(marking.mark_sending, outgoing, self.now, "worker")
        assert attempt_id is not None
        await self.do(recording.record, record(attempt_id, outgoing, outcome, state, **more), self.now)
        return attempt_id

    async def items(self, **wanted: Any) -> list[lists.DeliveryItem]:
        """Return deliveries as they are listed."""
        return await self.database.read(lambda c: lists.list_deliveries(c, **wanted))

    async def states(self) -> dict[str | None, str]:
        """Return the state of each delivery by its reply id."""
        return {item.reply_id: item.state for item in await self.items()}


def message(text: str, at: datetime) -> Message:
    """Return a message with this content."""
    return Message("subject", text, Direction.INCOMING, Channel.EMAIL, at)


def record(attempt_id: int, outgoing: Outgoing, outcome: Outcome, state: DeliveryState, **more: Any) -> Record:
    """Return the record of an attempt's end."""
    return Record(attempt_id, outgoing.delivery_id, outgoing.thread_key, Reached.ANSWERED, outcome, state, **more)


@pytest.fixture
def filled(database: Database) -> Filled:
    """Return an empty database with short ways to fill it."""
    return Filled(database)


@pytest_asyncio.fixture
async def on_sqlite(sqlite_url: str) -> AsyncIterator[Filled]:
    """Return an empty SQLite database with short ways to fill it."""
    database = open_database(sqlite_url)
    await ensure_schema(database, migrate=True)
    yield Filled(database)
    await database.close()


@pytest.fixture
def ended() -> Callable[..., Awaitable[Any]]:
    """Return the maker of records, for tests that record by hand."""
    return record
