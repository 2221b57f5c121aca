"""The full sweep: every watched ticket read from its start, a slice at a time, to find what the feed has missed."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from loguru import logger

from syncd.model.errors import StoreError
from syncd.model.link import Cause, Link, LinkState
from syncd.model.ticket import Ticket, Unavailable
from syncd.store import health, link_changes, links
from syncd.sync.collect import System
from syncd.sync.held_back import settle_held
from syncd.sync.poll import Sweep, collect_ticket
from syncd.sync.resolving import read_tickets

SHARE = 0.25
"""The part of a system's budget of requests that a full sweep may take."""


SLICE = 25
"""So many links a slice has, where they are read within a sweep's deadline."""


@dataclass(slots=True)
class FullSweep:
    """One pass over all watched links, that goes on where its last slice ended; `links` is how many the next has."""

    started_at: datetime
    after_id: int = 0
    links: int = SLICE
    tickets: int = 0
    found: int = 0
    failed: int = 0
    ended: bool = field(default=False)


def is_due(last_at: datetime | None, now: datetime, hours: float) -> bool:
    """Say whether another full sweep is to begin; a system that never had one waits its first interval."""
    return last_at is not None and now - last_at >= timedelta(hours=hours)


async def make_narrower(system: System, full: FullSweep) -> None:
    """After a slice that did not end in time, or that a bug has ended: take fewer links, and leave out a single one.

    The same slice again would fail again, and what lies behind it would never be read.
    """
    if full.links > 1:
        full.links //= 2
        return
    closed_after = system.clock.now() - timedelta(days=system.policy.closed_watch_days)
    for link in await system.database.read(lambda c: links.watched(c, system.name, closed_after, full.after_id, 1)):
        logger.bind(system=system.name, link=link.id, ticket=link.ticket_name).error("left out of the full sweep")
        full.after_id = link.id
        full.failed += 1


async def sweep_slice(system: System, full: FullSweep) -> None:
    """Read the next tickets of a full sweep; note its result when the last one is read.

    Raises:
        RetryLater, PauseSystem: the system cannot be read; the slice is tried again.
    """
    closed_after = system.clock.now() - timedelta(days=system.policy.closed_watch_days)
    batch = await system.database.read(lambda c: links.watched(c, system.name, closed_after, full.after_id, full.links))
    by_ticket: dict[str, list[Link]] = {}
    for link in batch:
        if link.ticket is not None:
            by_ticket.setdefault(link.ticket.id, []).append(link)
    states = await read_tickets(system, list(by_ticket))
    done = Sweep()
    for ticket_id, its_links in by_ticket.items():
        followed = [link for link in its_links if await _readable(system, link, states.get(ticket_id))]
        if followed:
            await collect_ticket(system, followed, states.get(ticket_id), done, full=True)
    full.tickets += len(by_ticket)
    await settle_held(system)
    full.found += done.stored.new + done.stored.parked
    full.failed += done.failed
    full.after_id = batch[-1].id if batch else full.after_id
    if len(batch) < full.links:
        await _end(system, full)
    full.links = min(2 * full.links, SLICE)


async def _readable(system: System, link: Link, state: Ticket | Unavailable | None) -> bool:
    """Say whether a link is to be read; one that was suspended and whose ticket is there again is resumed."""
    if link.state is not LinkState.SUSPENDED or link.cause is Cause.THREAD_REFUSED:
        return True
    if not isinstance(state, Ticket):
        return False
    now = system.clock.now()
    await system.database.write(lambda c: link_changes.resume(c, link.id, now))
    logger.bind(system=system.name, link=link.id, ticket=link.ticket_name).info(
        "link resumed: its ticket is there again"
    )
    return True


async def _end(system: System, full: FullSweep) -> None:
    full.ended = True
    now = system.clock.now()
    seconds = round((now - full.started_at).total_seconds())
    try:
        await system.database.write(lambda c: health.note_full_sweep(c, system.name, now, full.found, seconds))
    except StoreError:
        full.ended = False
        raise
    bound = logger.bind(system=system.name, tickets=full.tickets, found=full.found, failed=full.failed, seconds=seconds)
    bound.log("WARNING" if full.found else "INFO", "full sweep ended")
