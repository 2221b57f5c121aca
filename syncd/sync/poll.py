"""Polling: one sweep over one system. Links are resolved, the feed is read, what is due is collected, notes are made.

Each step stores its own progress, so a sweep that ends early costs nothing but time. At most one sweep per system
runs at a time; its caller holds to that.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from loguru import logger

from syncd.mapping.mapper import status_note, thread_status
from syncd.model.collected import Collected, NewDelivery, Stored
from syncd.model.delivery import DeliveryKind, DeliveryState
from syncd.model.errors import PauseSystem, RetryLater, StoreError, TicketUnavailable
from syncd.model.link import Link, LinkState
from syncd.model.policy import StatusNotes
from syncd.model.ticket import ChangePage, Cursor, Ticket, Unavailable
from syncd.store import link_changes, links, notes, replies, restored, standing
from syncd.store.threads import NOTE_CLOSED, NOTE_OTHER
from syncd.sync.collect import System, collect, store_page_for_links
from syncd.sync.held_back import settle_held
from syncd.sync.planning import Told, plan_page
from syncd.sync.remembered import Remembered
from syncd.sync.resolving import postpone, read_tickets, resolve_link, resolve_links, suspend, warn_unmapped

DUE_AT_ONCE = 20
NOTES_AT_ONCE = 200
TICKETS_AT_ONCE = 4
SLICE_SECONDS = 30.0
"""How long a sweep looks up new links, and how long it collects what is due, before it looks at the feed again."""

FAILURES_IN_A_ROW = 3
START_MARGIN = timedelta(hours=1)


@dataclass(slots=True)
class Sweep:
    """What a sweep did. `told` are tickets as the feed has just told them, which need not be asked for again."""

    resolved: int = 0
    pages: int = 0
    changed: int = 0
    collected: int = 0
    failed: int = 0
    notes: int = 0
    is_cut: bool = False
    stored: Stored = field(default_factory=Stored)
    told: Remembered = field(default_factory=Remembered)


async def sweep(system: System, first: Sequence[int] = ()) -> Sweep:
    """Make one pass over a system; `first` are links that somebody waits for.

    What takes long is cut short, so that a great many new links do not keep the feed and the others waiting;
    `is_cut` then says that another pass is due at once.

    Raises:
        RetryLater, PauseSystem: the system as a whole cannot be read; what was stored before stays.
    """
    done = Sweep()
    await collect_first(system, first, done)
    found, done.is_cut = await resolve_links(system, system.clock.monotonic() + SLICE_SECONDS)
    done.resolved += found
    feed_failure: Exception | None = None
    if system.has_feed:
        try:
            await _read_feed(system, done)
            system.feed_failures = 0
        except (RetryLater, PauseSystem, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - a broken feed must not keep tickets from being read one by one
            feed_failure = error
            await _do_without_feed(system)
    await _collect_due(system, done)
    await make_notes(system, done)
    await settle_held(system)
    if feed_failure is not None:
        raise RetryLater(f"the change feed failed: {type(feed_failure).__name__}: {_told(feed_failure)}")
    return done


async def _do_without_feed(system: System) -> None:
    """Count a failure of the feed; while it has failed too often, ask for the tickets that it stood for.

    Each time, as a ticket that was being read meanwhile, or a database that failed, may have left some without a time.
    """
    system.feed_failures += 1
    if not system.feed_stands:
        now = system.clock.now()
        closed_after = now - timedelta(days=system.policy.closed_watch_days)
        due = await system.database.write(lambda c: link_changes.ensure_due(c, system.name, closed_after, now))
        if due:
            logger.bind(system=system.name, links=due).warning(
                "the change feed makes no sense; tickets are read one by one"
            )


async def collect_first(system: System, first: Sequence[int], done: Sweep) -> None:
    """Look up and collect the links that somebody waits for."""
    if not first:
        return
    for link in await system.database.read(lambda connection: links.by_ids(connection, first)):
        if link.state is LinkState.UNRESOLVED:
            done.resolved += await resolve_link(system, link)
    found = await system.database.read(lambda connection: links.by_ids(connection, first))
    await _collect_batch(system, [link for link in found if link.collect_due_at is not None], done)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, RetryLater | PauseSystem) or hasattr(error, "exit_code") else "see the log"


async def _read_feed(system: System, done: Sweep) -> None:
    start = await system.database.read(lambda connection: replies.find_feed_place(connection, system.name))
    if start is None:
        start = await _begin_feed(system)
    async for page in _changed_pages(system, start):
        await _store_page(system, page, done)
        done.pages += 1


async def _begin_feed(system: System) -> Cursor | datetime:
    now = system.clock.now()
    # Links are born due and collected one by one, so a feed that begins now has everything that they do not. The
    # margin is for clocks that differ; what it repeats is in the ledger.
    return await system.database.write(
        lambda connection: replies.start_feed(connection, system.name, now - START_MARGIN, now)
    )


async def _changed_pages(system: System, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
    pages = system.adapter.changes(start)
    try:
        async for page in pages:
            yield page
    finally:
        close = getattr(pages, "aclose", None)
        if close is not None:
            await close()


async def _store_page(system: System, page: ChangePage, done: Sweep) -> None:
    started_at = system.clock.now()
    linked = await system.database.read(lambda connection: links.of_tickets(connection, system.name, page.ticket_ids))
    states = {ticket.id if isinstance(ticket, Ticket) else ticket.ticket_id: ticket for ticket in page.tickets}
    told: list[Told] = []
    due: set[str] = set()
    for link in linked:
        ticket_id = link.ticket.id if link.ticket is not None else ""
        new_replies = page.replies.get(ticket_id)
        # A ticket whose status the page does not carry keeps the one that is known.
        state = states.get(ticket_id, link.ticket)
        if new_replies is None or link.collected_at is None or not isinstance(state, Ticket):
            due.add(ticket_id)
            done.told.remember(states.get(ticket_id))
            continue
        warn_unmapped(system, state, thread_status(state, system.policy)[1])
        told.append(Told(state, [link], new_replies))
    collected = await plan_page(system, told, started_at)
    done.changed += len({link.ticket.id for link in linked if link.ticket is not None})
    done.stored.add(await store_page_for_links(system, collected, sorted(due), page.cursor))


async def _collect_due(system: System, done: Sweep) -> None:
    failures = 0
    until = system.clock.monotonic() + SLICE_SECONDS
    # What becomes due meanwhile is for the next sweep: else a long one would ask the first tickets again at its end.
    now = system.clock.now()
    while True:
        batch = await system.database.read(lambda connection: links.due(connection, system.name, now, DUE_AT_ONCE))
        if not batch:
            return
        tickets, failed = await _collect_batch(system, batch, done)
        failures = failures + failed if failed == tickets else 0
        if failures >= FAILURES_IN_A_ROW:
            raise RetryLater(f"{failures} tickets in a row could not be read")
        if system.clock.monotonic() >= until:
            done.is_cut = True
            return


async def _collect_batch(system: System, batch: Sequence[Link], done: Sweep) -> tuple[int, int]:
    """Collect links; return how many tickets they have, and how many of those failed."""
    by_ticket: dict[str, list[Link]] = {}
    for link in batch:
        if link.ticket is not None:
            by_ticket.setdefault(link.ticket.id, []).append(link)
    try:
        states = done.told.recall(by_ticket)
        states |= await read_tickets(system, [ticket_id for ticket_id in by_ticket if ticket_id not in states])
    except (RetryLater, PauseSystem, StoreError):
        raise
    except Exception as error:  # noqa: BLE001 - what has been due for longest must not keep all others waiting
        logger.bind(system=system.name, tickets=len(by_ticket)).opt(exception=error).error("tickets failed")
        for link in batch:
            await postpone(system, link, error)
        done.failed += len(by_ticket)
        return len(by_ticket), len(by_ticket)
    return len(by_ticket), await _collect_tickets(system, by_ticket, states, done)


async def _collect_tickets(
    system: System, by_ticket: dict[str, list[Link]], states: dict[str, Ticket | Unavailable], done: Sweep
) -> int:
    """Collect tickets, a few at a time; return how many failed."""
    before = done.failed
    slots = asyncio.Semaphore(TICKETS_AT_ONCE)

    async def one(ticket_id: str, its_links: list[Link]) -> None:
        async with slots:
            await collect_ticket(system, its_links, states.get(ticket_id), done)

    tasks = [asyncio.create_task(one(ticket_id, its_links)) for ticket_id, its_links in by_ticket.items()]
    try:
        for task in tasks:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return done.failed - before


async def collect_ticket(
    system: System, its_links: list[Link], state: Ticket | Unavailable | None, done: Sweep, *, full: bool = False
) -> None:
    """Collect one ticket for its links; whatever fails, fails this ticket alone.

    Raises:
        PauseSystem: the whole system cannot be read.
    """
    try:
        state = _present(state)
        warn_unmapped(system, state, thread_status(state, system.policy)[1])
        done.stored.add(await collect(system, state, its_links, full=full))
        done.collected += 1
    except (PauseSystem, StoreError):
        raise
    except TicketUnavailable as error:
        for link in its_links:
            await suspend(system, link, error.unavailable)
    except Exception as error:  # noqa: BLE001 - one ticket must not stop the sweep
        done.failed += 1
        if not isinstance(error, RetryLater):
            logger.bind(system=system.name, link=its_links[0].id).opt(exception=error).error("ticket failed")
        for link in its_links:
            await postpone(system, link, error)


def _present(state: Ticket | Unavailable | None) -> Ticket:
    if state is None:
        raise RetryLater("the system said nothing about this ticket")
    if isinstance(state, Unavailable):
        raise TicketUnavailable(state)
    return state


async def make_notes(system: System, done: Sweep) -> None:
    """Queue status notes for threads whose ticket changed with no reply to carry it."""
    kinds = {
        StatusNotes.NEVER: (),
        StatusNotes.CLOSED: (NOTE_CLOSED,),
        StatusNotes.ALL: (NOTE_CLOSED, NOTE_OTHER),
    }[system.policy.status_notes]
    if not kinds:
        return
    waiting = await system.database.read(
        lambda connection: notes.notes_due(connection, system.name, kinds, NOTES_AT_ONCE)
    )
    done.is_cut |= len(waiting) == NOTES_AT_ONCE
    for one in waiting:
        done.notes += await _make_note(system, one)


async def _make_note(system: System, waiting: notes.Waiting) -> bool:
    link = await system.database.read(lambda connection: links.find(connection, waiting.link_id))
    if link is None or (ticket := link.ticket) is None or (status := link.known_status) is None:
        return False
    now = system.clock.now()
    at = max(ticket.updated_at or now, link.newest_reply_at or link.from_at)
    gap = await system.database.read(restored.find_gap)
    unknown = gap is not None and gap.holds(at)
    note = NewDelivery(
        reply_id=None,
        message=status_note(
            system.policy, status, subject=ticket.subject, number=ticket.number, link=ticket.link, occurred_at=at
        ),
        fingerprint=None,
        occurred_at=at,
        kind=DeliveryKind.STATUS_NOTE,
        state=DeliveryState.IN_DOUBT if unknown else DeliveryState.PENDING,
        reason=standing.RESTORED_REASON if unknown else None,
    )
    target = Collected(link.id, link.thread_key, system.name, now, ticket=ticket, status=status)
    return await system.database.write(lambda connection: notes.add_note(connection, target, note, now))
