"""What readings mean for links, given what the store knows now: looked up at once for a ticket, or for a whole page."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.mapping.mapper import thread_status
from syncd.model.collected import Collected, Gap, Known
from syncd.model.link import Link
from syncd.model.ticket import Reply, Ticket
from syncd.store import health, replies, restored
from syncd.store.database import Connection
from syncd.sync.adaptive import next_due_at
from syncd.sync.flood import late_before
from syncd.sync.intake import Reading, clean_ticket, distinct, read_for_link
from syncd.sync.system import System

MAPPED_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of one ticket, and the links that it is for."""

    ticket: Ticket
    links: Sequence[Link]
    replies: Sequence[Reply]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the store knows when a reading is planned; of replies by thread."""

    known: Mapping[int, Mapping[str, Known]]
    waiting: Mapping[int, Mapping[str, Known]]
    gap: Gap | None
    late_before: datetime | None


async def plan(
    system: System,
    ticket: Ticket,
    ticket_links: Sequence[Link],
    told: Sequence[Reply],
    *,
    since: datetime | None,
    started_at: datetime,
    collects: bool = True,
) -> list[Collected]:
    """Return what a complete reading of a ticket means for each link, given what the store knows now."""
    whole = Told(ticket, ticket_links, distinct(told))
    looked = await _look(system, [whole], started_at, complete=True)
    due_at = _next_due(system, ticket, ticket_links, whole.replies)
    reading = Reading(
        ticket, whole.replies, since, started_at, due_at, collects=collects, late_before=looked.late_before
    )
    return _mean(system, whole, reading, looked)


async def plan_page(system: System, told: Sequence[Told], started_at: datetime) -> list[Collected]:
    """Return what a page of the feed means for links, given what the store knows now; it is looked up at once."""
    if not told:
        return []
    told = [Told(one.ticket, one.links, distinct(one.replies)) for one in told]
    looked = await _look(system, told, started_at, complete=False)
    collected: list[Collected] = []
    for number, one in enumerate(told):
        reading = Reading(
            one.ticket, one.replies, None, started_at, complete=False, collects=False, late_before=looked.late_before
        )
        collected += _mean(system, one, reading, looked)
        if number % MAPPED_AT_ONCE == 0:
            await asyncio.sleep(0)  # what is being delivered meanwhile goes on
    return collected


def _mean(system: System, told: Told, reading: Reading, looked: _Looked) -> list[Collected]:
    nothing: Mapping[str, Known] = {}
    return [
        read_for_link(
            link,
            system.policy,
            reading,
            looked.known.get(link.thread_key, nothing),
            looked.waiting.get(link.thread_key, nothing),
            looked.gap,
        )
        for link in told.links
    ]


async def _look(system: System, told: Sequence[Told], started_at: datetime, *, complete: bool) -> _Looked:
    asked = {link.thread_key: [reply.id for reply in one.replies] for one in told for link in one.links}

    def look(connection: Connection) -> _Looked:
        # Only what is complete can tell that something that waits is gone.
        waiting = {
            link.thread_key: replies.waiting_replies(
                connection, link.thread_key, (system.name, clean_ticket(one.ticket)), started_at
            )
            for one in told
            for link in (one.links if complete else ())
        }
        known = replies.find_known_of(connection, system.name, asked)
        last_success_at = health.get_system(connection, system.name).last_success_at
        return _Looked(known, waiting, restored.find_gap(connection), late_before(system.policy, last_success_at))

    return await system.database.read(look)


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
