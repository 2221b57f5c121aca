"""Collect: reading one ticket's replies and storing what they mean for each of its links."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from syncd.mapping.mapper import thread_status
from syncd.model.clock import Clock
from syncd.model.collected import Collected, Gap, Known, Stored
from syncd.model.errors import RetryLater
from syncd.model.link import Link
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Cursor, Reply, Ticket
from syncd.sources.adapter import Adapter
from syncd.store import link_changes, links, replies, restored
from syncd.store.database import Connection, Database
from syncd.sync.adaptive import next_due_at
from syncd.sync.intake import Reading, clean_ticket, distinct, read_for_link

FEED_FAILURES = 3

OVERLAP = timedelta(minutes=15)
"""How far before the newest reply known a reading begins, so that what was committed late is not missed."""


@dataclass(slots=True)
class System:
    """One system at work: its policy, its adapter, and whether a change feed stands for its tickets.

    `feed_failures` counts how often in a row the feed made no sense; after FEED_FAILURES it stands for nothing, and
    tickets are asked for one by one until it does again.
    """

    policy: SystemPolicy
    adapter: Adapter[Any]
    database: Database
    clock: Clock
    has_feed: bool
    unmapped: set[str] = field(default_factory=set)
    feed_failures: int = 0

    @property
    def name(self) -> str:
        """Return the system's name."""
        return self.policy.name

    @property
    def feed_stands(self) -> bool:
        """Say whether the feed tells of every change of a ticket, so that the ticket itself need not be asked."""
        return self.has_feed and self.feed_failures < FEED_FAILURES


async def read_replies(system: System, ticket: Ticket, since: datetime | None) -> list[Reply]:
    """Return the replies of a ticket from an instant on."""
    return [reply async for reply in system.adapter.replies(ticket, since)]


async def collect(system: System, ticket: Ticket, ticket_links: Sequence[Link], *, full: bool = False) -> Stored:
    """Read a ticket's replies and store what they mean for its links.

    Raises:
        RetryLater, PauseSystem, TicketUnavailable: as the adapter does; nothing was stored.
    """
    started_at = system.clock.now()
    since = None if full else begin_at(ticket_links)
    told = await read_replies(system, ticket, since)
    if since is not None and not await _overlaps(system, ticket_links, told):
        # The newest reply known should be among them. Failure is not absence: look at everything before believing it.
        since, told = None, await read_replies(system, ticket, None)
        if not await _overlaps(system, ticket_links, told):
            raise RetryLater(f"ticket {ticket.number} came without any of the replies that it had before")
    return await store_reading(system, ticket, ticket_links, told, since, started_at)


def begin_at(ticket_links: Sequence[Link]) -> datetime | None:
    """Return from when a ticket has to be read: from the start for a link that never was."""
    newest = [link.newest_reply_at if link.collected_at is not None else None for link in ticket_links]
    known = [instant for instant in newest if instant is not None]
    return min(known) - OVERLAP if known and len(known) == len(newest) else None


async def _overlaps(system: System, ticket_links: Sequence[Link], told: Sequence[Reply]) -> bool:
    ids = [reply.id for reply in told]

    def is_known(connection: Connection) -> bool:
        return any(replies.find_known(connection, link.thread_key, system.name, ids) for link in ticket_links)

    return await system.database.read(is_known)


async def store_reading(
    system: System,
    ticket: Ticket,
    ticket_links: Sequence[Link],
    told: Sequence[Reply],
    since: datetime | None,
    started_at: datetime,
) -> Stored:
    """Store a complete reading of a ticket for each of its links, in one transaction."""
    collected = await plan(system, ticket, ticket_links, told, since=since, started_at=started_at)
    now = system.clock.now()

    def store(connection: Connection) -> Stored:
        total = Stored()
        for one in collected:
            total.add(replies.store_collected(connection, one, now))
        return total

    return await system.database.write(store)


async def plan(
    system: System,
    ticket: Ticket,
    ticket_links: Sequence[Link],
    told: Sequence[Reply],
    *,
    since: datetime | None,
    started_at: datetime,
    complete: bool = True,
    collects: bool = True,
) -> list[Collected]:
    """Return what a reading means for each link, given what the store knows now."""
    told = distinct(told)
    ids = [reply.id for reply in told]
    of = system.name, clean_ticket(ticket)

    def look(
        connection: Connection,
    ) -> tuple[dict[int, dict[str, Known]], dict[int, dict[str, Known]], Gap | None]:
        known = {link.id: replies.find_known(connection, link.thread_key, system.name, ids) for link in ticket_links}
        waiting = {
            link.id: replies.waiting_replies(connection, link.thread_key, of, started_at) for link in ticket_links
        }
        return known, waiting, restored.find_gap(connection)

    known, waiting, gap = await system.database.read(look)
    due_at = _next_due(system, ticket, ticket_links, told)
    reading = Reading(ticket, told, since, started_at, due_at, complete, collects)
    return [read_for_link(link, system.policy, reading, known[link.id], waiting[link.id], gap) for link in ticket_links]


def _next_due(system: System, ticket: Ticket, ticket_links: Sequence[Link], told: Sequence[Reply]) -> datetime | None:
    if system.feed_stands:
        return None
    instants = [reply.created_at for reply in told] + [link.active_at for link in ticket_links if link.active_at]
    active_at = max([*instants, *([ticket.updated_at] if ticket.updated_at else [])], default=None)
    closed = [link.closed_at for link in ticket_links if link.closed_at is not None]
    status, _ = thread_status(ticket, system.policy)
    now = system.clock.now()
    closed_at = (min(closed) if closed else now) if status.value == "CLOSED" else None
    return next_due_at(system.policy, now, active_at, closed_at)


async def refresh(system: System, link_id: int) -> None:
    """Read the ticket of a link again, as far back as anything of it still waits; before a late delivery is sent.

    Raises:
        RetryLater, PauseSystem, TicketUnavailable: as the adapter does.
    """

    def look(connection: Connection) -> tuple[Link | None, datetime | None]:
        link = links.find(connection, link_id)
        if link is None:
            return None, None
        waiting = replies.waiting_replies(connection, link.thread_key)
        instants = [known.occurred_at for known in waiting.values() if known.occurred_at is not None]
        return link, min(instants, default=None)

    started_at = system.clock.now()
    link, oldest_at = await system.database.read(look)
    if link is None or link.ticket is None or oldest_at is None:
        return
    told = await read_replies(system, link.ticket, oldest_at)
    collected = await plan(system, link.ticket, [link], told, since=oldest_at, started_at=started_at, collects=False)
    # The ticket is as it was stored; a sweep that reads it at the same time knows it better.
    known = replace(collected[0], is_ticket_fresh=False, status=None)
    now = system.clock.now()
    await system.database.write(lambda connection: replies.store_collected(connection, known, now))


async def store_page_for_links(
    system: System, pages: Sequence[Collected], due_ids: Sequence[str], cursor: Cursor
) -> Stored:
    """Store a page of the feed: its replies, the tickets it makes due, and its cursor, in one transaction."""
    now = system.clock.now()

    def store(connection: Connection) -> Stored:
        total = Stored()
        for one in pages:
            total.add(replies.store_collected(connection, one, now))
        link_changes.mark_due(connection, system.name, due_ids, now)
        replies.store_cursor(connection, system.name, cursor, now)
        return total

    return await system.database.write(store)
