"""Backfill: what is older than a link, made into deliveries of the slow lane. Resumable, ticket by ticket.

It turns replies that the ledger has as `older` into deliveries, and those it does not have at all. What was
delivered, withheld or skipped for another reason stays as it is, so repeating a backfill is harmless.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from loguru import logger

from syncd.model.collected import Collected, Disposition, Entry, Gap, Known, Stored
from syncd.model.delivery import Lane
from syncd.model.errors import PauseSystem, RetryLater, TicketUnavailable
from syncd.model.link import Link, LinkState
from syncd.model.ticket import AuthorKind, Reply, Ticket, Unavailable, Visibility
from syncd.store import links, replies, requests, restored
from syncd.store.database import Connection
from syncd.sync.collect import System, read_replies
from syncd.sync.intake import clean_ticket, distinct, new_delivery
from syncd.sync.resolving import read_tickets

ROWS_AT_ONCE = 50
PAUSE_SECONDS = 0.005
"""Between transactions: SQLite's busy handler is not fair, and live deliveries share the database."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a backfill is asked for; `tickets` are numbers, all of the system's if empty."""

    tickets: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    first_message: bool = False

    def as_arguments(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "tickets": sorted(self.tickets),
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "first_message": self.first_message,
        }

    @classmethod
    def from_arguments(cls, arguments: dict[str, Any]) -> "Wanted":
        """Read it back."""
        since, until = arguments.get("since"), arguments.get("until")
        return cls(
            tickets=tuple(arguments.get("tickets", ())),
            since=None if since is None else datetime.fromisoformat(since),
            until=None if until is None else datetime.fromisoformat(until),
            first_message=bool(arguments.get("first_message")),
        )


@dataclass(slots=True)
class Progress:
    """How far a backfill has come. `by_api` splits what was enqueued since it began or went on."""

    links: int = 0
    of: int = 0
    found: int = 0
    known: int = 0
    enqueued: int = 0
    failed: int = 0
    by_api: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


Report = Callable[[Progress], Awaitable[None]]


async def chosen_links(system: System, wanted: Wanted) -> list[Link]:
    """Return the links that a backfill is about."""
    listed = await system.database.read(lambda c: links.listed(c, system=system.name, state=LinkState.ACTIVE.value))
    names = set(wanted.tickets)
    return [link for link in listed if link.ticket is not None and (not names or link.ticket.number in names)]


async def run_backfill(
    system: System, wanted: Wanted, report: Report, *, request_id: int | None, stop: Callable[[], bool]
) -> Progress:
    """Collect what is older, link by link; with no request id only count what would be done.

    Raises:
        RetryLater, PauseSystem: the system cannot be read; what was done stays done.
    """
    chosen = await chosen_links(system, wanted)
    done: set[int] = set()
    progress = Progress(of=len(chosen))
    if request_id is not None:
        done = await system.database.read(lambda c: requests.steps_done(c, request_id))
        steps = await system.database.read(lambda c: requests.count_steps(c, request_id))
        progress.links, progress.found, progress.enqueued = len(done), steps.found, steps.enqueued
    await report(progress)
    todo = [link for link in chosen if link.id not in done]
    for start in range(0, len(todo), 100):
        some = todo[start : start + 100]
        states = await read_tickets(system, list({link.ticket.id for link in some if link.ticket is not None}))
        for link in some:
            if stop():
                return progress
            await _one_link(system, link, states, wanted, progress, request_id)
            await report(progress)
    return progress


async def _one_link(
    system: System,
    link: Link,
    states: dict[str, Ticket | Unavailable],
    wanted: Wanted,
    progress: Progress,
    request_id: int | None,
) -> None:
    """Backfill one link; whatever fails, fails this link alone."""
    found = enqueued = 0
    error: str | None = None
    try:
        ticket = _ticket(link, states)
        told = distinct(await read_replies(system, ticket, wanted.since))
        inside = [reply for reply in told if _inside(reply, wanted)]
        collected, known = await _plan(system, link, ticket, inside)
        found, enqueued = len(inside), sum(len(one.entries) for one in collected)
        progress.known += known
        if request_id is not None:
            enqueued = await _store(system, collected)
    except PauseSystem:
        raise
    except Exception as failure:  # noqa: BLE001 - one ticket must not stop a backfill
        error = type(failure).__name__
        progress.failed += 1
        logger.bind(system=system.name, link=link.id, ticket=link.ticket_name, failure=error).warning(
            "backfill of one ticket failed"
        )
    progress.links += 1
    progress.found += found
    progress.enqueued += enqueued
    if enqueued:
        progress.by_api[link.thread.api] = progress.by_api.get(link.thread.api, 0) + enqueued
    if request_id is not None:
        await system.database.write(lambda c: requests.add_step(c, request_id, link.id, found, enqueued, error))


def _ticket(link: Link, states: dict[str, Ticket | Unavailable]) -> Ticket:
    state = None if link.ticket is None else states.get(link.ticket.id)
    if state is None:
        # It may be merged or gone by now. What is not known is no reason to go on with what was known before.
        raise RetryLater("the system said nothing about this ticket")
    if isinstance(state, Unavailable):
        raise TicketUnavailable(state)
    return state


def _inside(reply: Reply, wanted: Wanted) -> bool:
    if wanted.since is not None and reply.created_at < wanted.since:
        return False
    if wanted.until is not None and reply.created_at > wanted.until:
        return False
    return wanted.first_message or not reply.first_message


async def _plan(system: System, link: Link, ticket: Ticket, told: Sequence[Reply]) -> tuple[list[Collected], int]:
    """Return what is to be stored, in small pieces, and how many of the replies are known already."""
    ids = [reply.id for reply in told]

    def look(connection: Connection) -> tuple[dict[str, Known], Gap | None]:
        known = replies.find_known(connection, link.thread_key, system.name, ids)
        return known, restored.find_gap(connection)

    known, gap = await system.database.read(look)
    told = [reply for reply in told if reply.written_on in {None, ticket.id, *link.merged_from}]
    started_at = system.clock.now()
    entries = [_entry(system, ticket, reply, gap) for reply in told if _is_wanted(system, reply, known.get(reply.id))]
    pieces = [
        Collected(
            link_id=link.id,
            thread_key=link.thread_key,
            system=system.name,
            started_at=started_at,
            entries=tuple(entries[start : start + ROWS_AT_ONCE]),
            ticket=clean_ticket(ticket),
            is_ticket_fresh=False,
        )
        for start in range(0, len(entries), ROWS_AT_ONCE)
    ]
    return pieces, sum(1 for reply in told if _was_sent(known.get(reply.id)))


def _was_sent(known: Known | None) -> bool:
    return known is not None and known.disposition is Disposition.DELIVERY


def _is_wanted(system: System, reply: Reply, known: Known | None) -> bool:
    if reply.visibility is not Visibility.PUBLIC:
        return False
    if reply.author.kind is AuthorKind.SYSTEM and not system.policy.automatic_messages:
        return False
    return known is None or known.disposition is Disposition.OLDER


def _entry(system: System, ticket: Ticket, reply: Reply, gap: Gap | None) -> Entry:
    # A backfill of the time that a restored database does not know may have sent it.
    delivery = new_delivery(system.policy, ticket, reply, Lane.BACKFILL, None if gap is None else gap.for_older())
    return Entry(reply.id, Disposition.DELIVERY, delivery, (Disposition.OLDER,))


async def _store(system: System, collected: Sequence[Collected]) -> int:
    enqueued = 0
    for one in collected:
        now = system.clock.now()
        stored: Stored = await system.database.write(lambda c: replies.store_collected(c, one, now))  # noqa: B023
        enqueued += stored.new + stored.parked
        await system.clock.sleep(PAUSE_SECONDS)
    return enqueued
