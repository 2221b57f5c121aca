"""Backfill: what is older than a link, made into deliveries of the slow lane. Resumable, ticket by ticket.

It turns replies that the ledger has as `older` into deliveries, and those it does not have at all. What was
delivered, withheld or skipped for another reason stays as it is, so repeating a backfill is harmless. Its requests
to the vendor give way to those of the sweeps.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime

from loguru import logger

from syncd.model.collected import Collected, Gap, Known, Stored
from syncd.model.errors import PauseSystem, RetryLater, StoreError, SyncdError, TicketUnavailable
from syncd.model.health import SystemState
from syncd.model.link import Link, LinkState
from syncd.model.ticket import Reply, Ticket, Unavailable
from syncd.sources.errand import Errand
from syncd.store import backfilled, health, links, replies, requests, restored
from syncd.store.database import Connection
from syncd.store.requests import Request
from syncd.sync.backfill_fates import Judged, judge
from syncd.sync.backfill_progress import Progress, Wanted
from syncd.sync.collect import System, read_replies
from syncd.sync.intake import clean_ticket, distinct
from syncd.sync.resolving import read_tickets
from syncd.sync.taken_in import log_taken_in

__all__ = ["Ended", "Progress", "Report", "Wanted", "chosen_links", "run_backfill"]

ROWS_AT_ONCE = 50
TICKETS_AT_ONCE = 100
FAILURES_IN_A_ROW = 3
PAUSE_SECONDS = 0.005
"""Between transactions: SQLite's busy handler is not fair, and live deliveries share the database."""


Report = Callable[[Progress], Awaitable[None]]


class FollowsAnotherTicket(SyncdError):
    """A link was given another ticket while its own was read; the same backfill, asked for again, reads that one."""


class Ended(Exception):
    """The backfill that is carried out has ended meanwhile: a person has stopped it."""


async def chosen_links(system: System, wanted: Wanted) -> list[Link]:
    """Return the links that a backfill is about."""
    listed = await system.database.read(lambda c: links.listed(c, system=system.name, state=LinkState.ACTIVE.value))
    names = set(wanted.tickets)
    return [link for link in listed if link.ticket is not None and (not names or link.ticket.number in names)]


async def run_backfill(
    system: System, wanted: Wanted, report: Report, *, request_id: int, counts_only: bool = False
) -> Progress:
    """Collect what is older, ticket by ticket, or only count what that would come to.

    Raises:
        RetryLater, PauseSystem: the system cannot be read; what was done stays done.
        Ended: a person has stopped it; nothing more was stored.
    """
    run = _Run(system, wanted, report, request_id, counts_only)
    todo = await run.begin()
    await report(run.progress)
    with run.errand.begun():
        for some in _batches(todo):
            await run.read_some(some)
    return run.progress


def _batches(todo: Sequence[Sequence[Link]]) -> Iterator[Sequence[Sequence[Link]]]:
    for start in range(0, len(todo), TICKETS_AT_ONCE):
        yield todo[start : start + TICKETS_AT_ONCE]


def _by_ticket(chosen: Sequence[Link]) -> list[list[Link]]:
    found: dict[str, list[Link]] = {}
    for link in chosen:
        found.setdefault(_ticket_id(link), []).append(link)
    return list(found.values())


def _ticket_id(link: Link) -> str:
    return "" if link.ticket is None else link.ticket.id


@dataclass(slots=True)
class _Run:
    """A backfill under way. Earlier runs of it have `tried` some links in vain.

    `before`: the requests that they took, and the seconds.
    """

    system: System
    wanted: Wanted
    report: Report
    request_id: int
    counts_only: bool
    progress: Progress = field(default_factory=Progress)
    errand: Errand = field(default_factory=Errand)
    tried: set[int] = field(default_factory=set)
    before: tuple[int, float] = (0, 0.0)
    in_a_row: int = 0

    async def begin(self) -> list[list[Link]]:
        """Find out how far it is; return the links that are left, those of one ticket together.

        Those that failed before come last, so that what cannot be read keeps nothing else from being read.
        """
        chosen = await chosen_links(self.system, self.wanted)
        done: set[int] = set()
        if not self.counts_only:
            done, self.tried, self.progress = await self.system.database.read(self._kept)
            self.before = self.progress.requests, self.progress.seconds
        self.progress.of = len(chosen)
        left = [link for link in chosen if link.id not in done]
        return _by_ticket(sorted(left, key=lambda link: link.id in self.tried))

    def _kept(self, connection: Connection) -> tuple[set[int], set[int], Progress]:
        done = requests.steps_done(connection, self.request_id)
        request = requests.find(connection, self.request_id)
        kept = Progress.from_dict({} if request is None else request.progress)
        # More may have been queued than was reported: of a ticket with very many replies a part.
        kept.by_api = backfilled.count_queued(connection, self.request_id)
        kept.links, kept.failed, kept.enqueued = len(done), 0, sum(kept.by_api.values())
        return done, requests.steps_failed(connection, self.request_id), kept

    async def read_some(self, tickets: Sequence[Sequence[Link]]) -> None:
        """Deal with the links of some tickets."""
        await self._go_on()
        states = await read_tickets(self.system, [_ticket_id(its_links[0]) for its_links in tickets])
        for its_links in tickets:
            await self._go_on()
            failure = await self._one_ticket(its_links, states.get(_ticket_id(its_links[0])))
            await self.report(self.progress)
            self._heed(failure, is_tried=its_links[0].id in self.tried)

    async def _go_on(self) -> None:
        """Raise `Ended` once it was stopped, and `RetryLater` while a person has paused the system."""

        def look(connection: Connection) -> tuple[Request | None, SystemState]:
            return requests.find(connection, self.request_id), health.get_system(connection, self.system.name)

        request, state = await self.system.database.read(look)
        if request is None or request.state not in requests.OPEN_STATES:
            raise Ended
        if state.paused_by == health.PERSON:
            raise RetryLater(f"the system is paused: {state.reason}")

    def _heed(self, failure: Exception | None, *, is_tried: bool) -> None:
        """Wait for a system that answers nothing: its tickets are not at fault, and would all fail.

        Raises:
            RetryLater: to be gone on with later.
        """
        if not isinstance(failure, RetryLater):
            self.in_a_row = 0
            return
        self.in_a_row += 1
        # One that failed before is not waited for again: what cannot be read must end some day. Nor is it for a count,
        # which would begin anew.
        is_outage = self.in_a_row >= FAILURES_IN_A_ROW and not is_tried and not self.counts_only
        if failure.wait_seconds is not None or is_outage:
            raise failure

    async def _one_ticket(self, its_links: Sequence[Link], state: Ticket | Unavailable | None) -> Exception | None:
        """Read a ticket once, for all of its links; whatever fails, fails these alone. Return what it was."""
        started_at = self.system.clock.now()
        try:
            ticket = _readable(state)
            told = distinct(await read_replies(self.system, ticket, self.wanted.since))
        except (PauseSystem, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - one ticket must not stop a backfill
            for link in its_links:
                await self._fail(link, error)
            return error
        inside = [reply for reply in told if _inside(reply, self.wanted)]
        for link in its_links:
            await self._one_link(link, ticket, inside, started_at)
        return None

    async def _one_link(self, link: Link, ticket: Ticket, inside: Sequence[Reply], started_at: datetime) -> None:
        try:
            judged = await self._judge(link, ticket, inside)
            if self.counts_only:
                self._count_requests(self.progress)
                self.progress.count(link.thread.api, judged, len(judged.entries))
            else:
                await self._store(link, judged, _pieces(link, ticket, judged, started_at, self.request_id))
        except (Ended, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - one link must not stop a backfill
            await self._fail(link, error)

    async def _judge(self, link: Link, ticket: Ticket, inside: Sequence[Reply]) -> Judged:
        ids = [reply.id for reply in inside]

        def look(connection: Connection) -> tuple[dict[str, Known], Gap | None]:
            known = replies.find_known(connection, link.thread_key, self.system.name, ids)
            return known, restored.find_gap(connection)

        known, gap = await self.system.database.read(look)
        return judge(self.system.policy, link, ticket, inside, known, gap)

    async def _store(self, link: Link, judged: Judged, pieces: Sequence[Collected]) -> None:
        """Queue what a link comes to. With the last piece it is noted as dealt with: it is not read again."""
        queued = 0
        for piece in pieces[:-1]:
            queued += await self._queue(piece)
        now = self.system.clock.now()

        def store(connection: Connection) -> tuple[Stored, Progress]:
            self._refuse_if_ended(connection)
            stored = replies.store_collected(connection, pieces[-1], now) if pieces[-1].entries else Stored()
            if stored.elsewhere:
                raise FollowsAnotherTicket
            enqueued = queued + stored.new + stored.parked
            ahead = deepcopy(self.progress)
            self._count_requests(ahead)
            ahead.count(link.thread.api, judged, enqueued)
            requests.add_step(connection, self.request_id, link.id, sum(judged.fates.values()), enqueued, None)
            requests.report(connection, self.request_id, ahead.as_dict())
            return stored, ahead

        stored, self.progress = await self.system.database.write(store)
        log_taken_in(self.system.name, stored)
        await self.system.clock.sleep(PAUSE_SECONDS)

    async def _queue(self, piece: Collected) -> int:
        now = self.system.clock.now()

        def store(connection: Connection) -> Stored:
            self._refuse_if_ended(connection)
            return replies.store_collected(connection, piece, now)

        stored = log_taken_in(self.system.name, await self.system.database.write(store))
        await self.system.clock.sleep(PAUSE_SECONDS)
        return stored.new + stored.parked

    def _refuse_if_ended(self, connection: Connection) -> None:
        if not requests.holds_open(connection, self.request_id):
            raise Ended

    async def _fail(self, link: Link, error: Exception) -> None:
        name = type(error).__name__
        bound = logger.bind(system=self.system.name, link=link.id, ticket=link.ticket_name, failure=name)
        bound.warning("backfill of one ticket failed")
        self.progress.links += 1
        self.progress.failed += 1
        self._count_requests(self.progress)
        if self.counts_only:
            return

        def store(connection: Connection) -> None:
            requests.add_step(connection, self.request_id, link.id, 0, 0, name)
            requests.report(connection, self.request_id, self.progress.as_dict())

        await self.system.database.write(store)

    def _count_requests(self, progress: Progress) -> None:
        requests_before, seconds_before = self.before
        progress.requests = requests_before + self.errand.requests
        progress.seconds = round(seconds_before + self.errand.seconds, 3)


def _readable(state: Ticket | Unavailable | None) -> Ticket:
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


def _pieces(link: Link, ticket: Ticket, judged: Judged, started_at: datetime, request_id: int) -> list[Collected]:
    """Return what is to be stored, in small pieces; one of nothing if there is nothing."""
    whole = Collected(
        link_id=link.id,
        thread_key=link.thread_key,
        system=link.system,
        started_at=started_at,
        ticket=clean_ticket(ticket),
        is_ticket_fresh=False,
        request_id=request_id,
    )
    starts = range(0, max(len(judged.entries), 1), ROWS_AT_ONCE)
    return [replace(whole, entries=tuple(judged.entries[start : start + ROWS_AT_ONCE])) for start in starts]
