"""Collect: reading one ticket's replies and storing what they mean for each of its links."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn

from loguru import logger

from syncd.model.collected import Collected, Known, Stored
from syncd.model.errors import RetryLater, UnexpectedAnswer
from syncd.model.link import Cause, Link
from syncd.model.ticket import Cursor, Reply, Ticket
from syncd.model.vanished import is_for_a_person
from syncd.store import link_changes, links, replies
from syncd.store.database import Connection
from syncd.sync.flood import holds
from syncd.sync.intake import distinct
from syncd.sync.planning import plan
from syncd.sync.system import System
from syncd.sync.taken_in import log_taken_in

__all__ = ["System", "plan"]  # of other modules, for those who collect

OVERLAP = timedelta(minutes=15)
"""How far before the newest reply known a reading begins, so that what was committed late is not missed."""


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
    read = await _read_believed(system, ticket, ticket_links, since)
    if read is None:
        await _note_vanished(system, ticket, ticket_links)
    told, since = read
    if any(link.failures for link in ticket_links):
        await _forget_vanished(system, ticket_links)
    return await store_reading(system, ticket, ticket_links, told, since, started_at)


async def _read_believed(
    system: System, ticket: Ticket, ticket_links: Sequence[Link], since: datetime | None
) -> tuple[list[Reply], datetime | None] | None:
    """Return the replies of a ticket and from when they were read; None if that cannot be believed.

    Some reply known should be among them. Failure is not absence: everything is looked at before that is believed,
    and what then holds none of them is not. A link that never had a reply, or whose person said so, expects none.
    """
    told = await read_replies(system, ticket, since)
    expected = any(link.collected_at is not None and link.newest_reply_at is not None for link in ticket_links)
    if not expected or await _overlaps(system, ticket_links, told):
        return told, since
    if since is not None:
        told = await read_replies(system, ticket, None)
        if await _overlaps(system, ticket_links, told):
            return told, None
    return None


async def _note_vanished(system: System, ticket: Ticket, ticket_links: Sequence[Link]) -> NoReturn:
    """Count a reading that held nothing of what was there; suspend the links once a person has to decide.

    Raises:
        RetryLater: always; the ticket is read again, later each time.
    """
    now = system.clock.now()

    def note(connection: Connection) -> list[Link]:
        suspended = []
        for link in ticket_links:
            seen = link_changes.note_vanished(connection, link.id, now)
            others = link_changes.count_vanished(connection, link.id, seen.since_at)
            if is_for_a_person(seen, others, now):
                link_changes.suspend(connection, link.id, Cause.REPLIES_GONE, str(seen))
                suspended.append(link)
        return suspended

    for link in await system.database.write(note):
        cause = Cause.REPLIES_GONE.value
        logger.bind(system=system.name, link=link.id, ticket=link.ticket_name, cause=cause).warning("link suspended")
    raise RetryLater(f"ticket {ticket.number} came without any of the replies that it had before")


async def _forget_vanished(system: System, ticket_links: Sequence[Link]) -> None:
    ids = [link.id for link in ticket_links]
    await system.database.write(lambda connection: link_changes.forget_vanished(connection, ids))


def begin_at(ticket_links: Sequence[Link]) -> datetime | None:
    """Return from when a ticket has to be read: from the start for a link that never was."""
    newest = [link.newest_reply_at if link.collected_at is not None else None for link in ticket_links]
    known = [instant for instant in newest if instant is not None]
    return min(known) - OVERLAP if known and len(known) == len(newest) else None


async def _overlaps(system: System, ticket_links: Sequence[Link], told: Sequence[Reply]) -> bool:
    ids = [reply.id for reply in distinct(told)]

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

    # Before the write: one that is cut off may have been kept all the same.
    system.may_hold |= holds(collected)
    return log_taken_in(system.name, await system.database.write(lambda c: replies.store_all(c, collected, now)))


def _oldest(waiting: Sequence[Known]) -> datetime | None:
    """Return from when what waits has to be read; from the start for a correction, whose time is that of the edit."""
    instants = [None if known.is_correction else known.occurred_at for known in waiting]
    there = [instant for instant in instants if instant is not None]
    return min(there) if len(there) == len(instants) else None


async def refresh(system: System, link_id: int) -> None:
    """Read the ticket of a link again, as far back as anything of it still waits; before a late delivery is sent.

    Raises:
        RetryLater, PauseSystem, TicketUnavailable: as the adapter does.
        UnexpectedAnswer: the ticket came without any of the replies that it had; what waits goes on waiting.
    """

    def look(connection: Connection) -> tuple[Link | None, list[Known]]:
        link = links.find(connection, link_id)
        return link, [] if link is None else list(replies.waiting_replies(connection, link.thread_key).values())

    started_at = system.clock.now()
    link, waiting = await system.database.read(look)
    if link is None or link.ticket is None or not waiting:
        return
    read = await _read_believed(system, link.ticket, [link], _oldest(waiting))
    if read is None:
        await _collect_soon(system, link)
        raise UnexpectedAnswer(f"ticket {link.ticket.number} came without any of the replies that it had before")
    told, since = read
    collected = await plan(system, link.ticket, [link], told, since=since, started_at=started_at, collects=False)
    # The ticket is as it was stored; a sweep that reads it at the same time knows it better.
    known = replace(collected[0], is_ticket_fresh=False, status=None)
    now = system.clock.now()
    system.may_hold |= holds([known])
    await system.database.write(lambda connection: replies.store_collected(connection, known, now))


async def _collect_soon(system: System, link: Link) -> None:
    """Have the next sweep look at a ticket that has no due time; it counts such readings, and asks a person."""
    if link.collect_due_at is None:
        now = system.clock.now()
        await system.database.write(lambda connection: link_changes.mark_links_due(connection, [link.id], now))


async def store_page_for_links(
    system: System, pages: Sequence[Collected], due_ids: Sequence[str], cursor: Cursor
) -> Stored:
    """Store a page of the feed: its replies, the tickets it makes due, and its cursor, in one transaction."""
    now = system.clock.now()

    def store(connection: Connection) -> Stored:
        stored = replies.store_all(connection, pages, now)
        link_changes.mark_due(connection, system.name, due_ids, now)
        replies.store_cursor(connection, system.name, cursor, now)
        return stored

    system.may_hold |= holds(pages)
    return log_taken_in(system.name, await system.database.write(store))
