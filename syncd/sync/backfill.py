"""Backfill: what is older than a link, made into deliveries of the slow lane. Resumable, ticket by ticket.

It turns replies that the ledger has as `older` into deliveries, and those it does not have at all. What was
delivered, withheld or skipped for another reason stays as it is, so repeating a backfill is harmless. Its requests
to the vendor give way to those of the sweeps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from syncd.model.errors import PauseSystem, RetryLater, StoreError, TicketUnavailable
from syncd.model.health import SystemState
from syncd.model.link import Link, LinkState
from syncd.model.ticket import Reply, Ticket, Unavailable
from syncd.sources.errand import Errand
from syncd.store import backfilled, health, links, requests
from syncd.store.database import Connection
from syncd.store.requests import Request
from syncd.sync.backfill_parts import Read
from syncd.sync.backfill_progress import Progress, Wanted
from syncd.sync.backfill_storing import Ended, Report, Storing
from syncd.sync.collect import System, read_replies
from syncd.sync.intake import distinct
from syncd.sync.resolving import read_tickets

__all__ = ["Ended", "Progress", "Report", "Wanted", "chosen_links", "run_backfill"]

TICKETS_AT_ONCE = 100
FAILURES_IN_A_ROW = 3


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
    await report(run.storing.progress)
    try:
        with run.errand.begun():
            for some in _batches(todo):
                await run.read_some(some)
    finally:
        await run.storing.abandon()
    return run.storing.progress


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
    errand: Errand = field(default_factory=Errand)
    tried: set[int] = field(default_factory=set)
    before: tuple[int, float] = (0, 0.0)
    in_a_row: int = 0
    storing: Storing = field(init=False)

    def __post_init__(self) -> None:
        """Make what stores."""
        self.storing = Storing(self.system, self.request_id, self.counts_only, self.report, self._spent)

    def _spent(self) -> tuple[int, float]:
        requests_before, seconds_before = self.before
        return requests_before + self.errand.requests, round(seconds_before + self.errand.seconds, 3)

    async def begin(self) -> list[list[Link]]:
        """Find out how far it is; return the links that are left, those of one ticket together.

        Those that failed before come last, so that what cannot be read keeps nothing else from being read.
        """
        chosen = await chosen_links(self.system, self.wanted)
        done: set[int] = set()
        if not self.counts_only:
            done, self.tried, kept = await self.system.database.read(self._kept)
            self.before = kept.requests, kept.seconds
            self.storing.progress = kept
        self.storing.progress.of = len(chosen)
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
        """Read some tickets, one after the other, and hand each over to be stored."""
        await self._go_on()
        states = await read_tickets(self.system, [_ticket_id(its_links[0]) for its_links in tickets])
        for its_links in tickets:
            if self.storing.is_empty:
                await self._go_on()
            try:
                read = await self._read(its_links, states.get(_ticket_id(its_links[0])))
            except StoreError:
                raise
            except Exception as error:
                await self.storing.flush()
                if isinstance(error, PauseSystem):
                    raise
                await self._fail(its_links, error)
            else:
                self.in_a_row = 0
                await self.storing.add(read)
        await self.storing.flush()

    async def _fail(self, its_links: Sequence[Link], error: Exception) -> None:
        for link in its_links:
            await self.storing.fail(link, error)
        await self.report(self.storing.progress)
        self._heed(error, is_tried=its_links[0].id in self.tried)

    async def _read(self, its_links: Sequence[Link], state: Ticket | Unavailable | None) -> Read:
        """Read a ticket once, for all of its links."""
        started_at = self.system.clock.now()
        ticket = _readable(state)
        told = distinct(await read_replies(self.system, ticket, self.wanted.since))
        return Read(ticket, its_links, [reply for reply in told if _inside(reply, self.wanted)], started_at)

    async def _go_on(self) -> None:
        """Raise `Ended` once it was stopped, and `RetryLater` while a person has paused the system."""

        def look(connection: Connection) -> tuple[Request | None, SystemState]:
            return requests.find(connection, self.request_id), health.get_system(connection, self.system.name)

        request, state = await self.system.database.read(look)
        if request is None or request.state not in requests.OPEN_STATES:
            raise Ended
        if state.paused_by == health.PERSON:
            raise RetryLater(f"the system is paused: {state.reason}")

    def _heed(self, failure: Exception, *, is_tried: bool) -> None:
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
