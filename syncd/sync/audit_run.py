"""An audit at work: every linked ticket read by itself, its replies accounted for, and what is missing queued.

Tickets are read one after the other, in the order of their ids, so what was stopped goes on where it was. It steps
aside for sweeps: of the system's pace it takes what they leave, and a request now and then while they are long.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from loguru import logger

from syncd.model.collected import Collected, Disposition, Entry, Gap, Stored
from syncd.model.delivery import Lane
from syncd.model.errors import PauseSystem, RetryLater, StoreError, SyncdError
from syncd.model.link import Link
from syncd.model.ticket import Reply, Ticket, Unavailable
from syncd.store import audit as stored_side
from syncd.store import health, replies, restored
from syncd.store.audit import Held, HeldDelivery
from syncd.store.database import Connection
from syncd.store.standing import Decision
from syncd.sync import flood
from syncd.sync.audit import (
    Account,
    Audited,
    Fate,
    Remark,
    accounts,
    holds_nothing_known,
    is_followed,
    is_overdue,
    vanished,
)
from syncd.sync.audit_findings import Progress, Wanted, finding, unread
from syncd.sync.collect import System, read_replies
from syncd.sync.intake import clean_ticket, distinct, new_delivery
from syncd.sync.resolving import read_tickets

TICKETS_AT_ONCE = 25
FAILURES_IN_A_ROW = 3
ASIDE_SECONDS = 10.0
"""The longest that one ticket waits for a sweep to end."""
LOOK_SECONDS = 0.1


class Keeper(Protocol):
    """Keeps how far an audit has come, so that a killed one goes on there."""

    async def save(self, done: Progress) -> None:
        """Keep it, if it is time to: what is not kept is read again."""
        ...

    def record(self, connection: Connection, done: Progress) -> None:
        """Keep it in the transaction of a repair."""
        ...


@dataclass(frozen=True, slots=True)
class _Reading:
    """A ticket as it was read, and the accounts of each of its links; None for one whose suspension says why."""

    ticket_id: str
    state: Ticket | Unavailable
    audited: Audited | None
    told: Sequence[tuple[Link, list[Account] | None]]


async def run_audit(
    system: System, wanted: Wanted, done: Progress, keeper: Keeper, is_busy: Callable[[], bool] = lambda: False
) -> Progress:
    """Read every linked ticket and account for its replies; `done` is what an earlier run has left.

    Raises:
        RetryLater, PauseSystem: the system cannot be read; what was done stays done.
    """
    scope = await system.database.read(lambda c: stored_side.count_scope(c, system.name))
    done.of, done.unresolved = scope.tickets, scope.unresolved
    while True:
        ids = await system.database.read(
            lambda c: stored_side.tickets_after(c, system.name, done.after, TICKETS_AT_ONCE)
        )
        if not ids:
            break
        await _audit_some(system, wanted, done, ids, keeper, is_busy)
    for ticket_id in list(done.again):
        await _step_aside(system, is_busy)
        await _audit_again(system, wanted, done, ticket_id, keeper)
        await keeper.save(done)
    now = system.clock.now()
    done.findings += [unread(link, "its ticket was not found yet") for link in scope.failing if is_overdue(link, now)]
    return done


async def _step_aside(system: System, is_busy: Callable[[], bool]) -> None:
    """Wait while a sweep is under way, but not for ever: some systems are never done with sweeping."""
    until = system.clock.monotonic() + ASIDE_SECONDS
    while is_busy() and system.clock.monotonic() < until:
        await system.clock.sleep(LOOK_SECONDS)


async def _audit_some(
    system: System, wanted: Wanted, done: Progress, ids: Sequence[str], keeper: Keeper, is_busy: Callable[[], bool]
) -> None:
    await _step_aside(system, is_busy)
    states = await _read_states(system, ids)
    in_a_row = 0
    for ticket_id in ids:
        await _step_aside(system, is_busy)
        await _refuse_paused(system)
        failure = await _try(system, wanted, done, ticket_id, states.get(ticket_id), keeper)
        if failure is not None:
            done.pass_by(ticket_id)
            done.again.append(ticket_id)
        await keeper.save(done)
        in_a_row = in_a_row + 1 if isinstance(failure, RetryLater) else 0
        if isinstance(failure, RetryLater) and (in_a_row >= FAILURES_IN_A_ROW or failure.wait_seconds is not None):
            raise failure


async def _refuse_paused(system: System) -> None:
    """Ask a system for nothing more once a person has paused it; the audit goes on after that.

    Raises:
        RetryLater: it is paused.
    """
    state = await system.database.read(lambda c: health.get_system(c, system.name))
    if state.paused_by == health.PERSON:
        raise RetryLater(f"the system is paused: {state.reason}")


async def _read_states(system: System, ids: Sequence[str]) -> dict[str, Ticket | Unavailable]:
    """Return the tickets as they are now, by id; none where the answers make no sense.

    Raises:
        RetryLater, PauseSystem: the system cannot be read.
    """
    try:
        return await read_tickets(system, ids)
    except (RetryLater, PauseSystem, StoreError):
        raise
    except Exception as error:  # noqa: BLE001 - each of them is then named as unread
        logger.bind(system=system.name, tickets=len(ids), failure=type(error).__name__).warning("tickets not audited")
        return {}


async def _try(
    system: System, wanted: Wanted, done: Progress, ticket_id: str, state: Ticket | Unavailable | None, keeper: Keeper
) -> Exception | None:
    """Audit one ticket; return what it failed with.

    Raises:
        PauseSystem: the system cannot be read.
    """
    try:
        await _audit_ticket(system, wanted, done, ticket_id, state, keeper)
    except (PauseSystem, StoreError):
        raise
    except Exception as error:  # noqa: BLE001 - one ticket must not stop an audit
        logger.bind(system=system.name, failure=type(error).__name__).warning("ticket not audited; tried once more")
        return error
    return None


async def _audit_again(system: System, wanted: Wanted, done: Progress, ticket_id: str, keeper: Keeper) -> None:
    """Read a ticket that failed once more, and name it if it fails again: unaccounted is not fine."""
    failure: Exception | None = None
    try:
        states = await _read_states(system, [ticket_id])
        failure = await _try(system, wanted, done, ticket_id, states.get(ticket_id), keeper)
    except RetryLater as error:
        failure = error
    if failure is None:
        return
    done.pass_by(ticket_id)
    done.tickets += 1
    reason = str(failure) if isinstance(failure, SyncdError) else f"{type(failure).__name__}; see the log"
    for link in await system.database.read(lambda c: stored_side.links_of_ticket(c, system.name, ticket_id)):
        done.links += 1
        done.findings.append(unread(link, reason))


async def _audit_ticket(
    system: System, wanted: Wanted, done: Progress, ticket_id: str, state: Ticket | Unavailable | None, keeper: Keeper
) -> None:
    if state is None:
        raise RetryLater("the system said nothing about this ticket")
    audited = None
    if isinstance(state, Ticket):
        at = system.clock.now()
        audited = Audited(clean_ticket(state), distinct(await read_replies(system, state, None)), at, system.policy)
    # Only now is looked at what is here: whatever the reading has, and was collected meanwhile, is accounted for.
    its_links = await system.database.read(lambda c: stored_side.links_of_ticket(c, system.name, ticket_id))
    told = [
        (link, None if audited is None else await _account_for(system, wanted, link, audited)) for link in its_links
    ]
    reading = _Reading(ticket_id, state, audited, told)
    repaired = await _repair(system, wanted, done, reading, keeper) if wanted.repair else {}
    # Counted once all of it is known: a ticket that fails is read once more.
    _count(done, reading, repaired)


async def _account_for(system: System, wanted: Wanted, link: Link, audited: Audited) -> list[Account] | None:
    """Return what became of a ticket's replies, and of those that are gone there; None if a suspension says why.

    Raises:
        RetryLater: the reading holds nothing of what the ticket had, so it proves nothing.
    """
    ids = [reply.id for reply in audited.replies]

    def look(connection: Connection) -> tuple[dict[str, Held], dict[str, HeldDelivery]]:
        held = stored_side.held(connection, link.thread_key, system.name, ids)
        return held, stored_side.delivered_before(connection, link, audited.ticket.number, audited.at)

    held, delivered = await system.database.read(look)
    if holds_nothing_known(link, audited, held):
        if is_followed(link):
            raise RetryLater("it came without any of the replies that it had before")
        return None
    told = [*accounts(link, audited, held), *vanished(audited, delivered)]
    return [one for one in told if wanted.since is None or one.at >= wanted.since]


def _count(done: Progress, reading: _Reading, repaired: Mapping[int, set[str]]) -> None:
    """Count one more ticket, and name what is to be named of it; `repaired` are replies that were queued, by link."""
    for link, told in reading.told:
        done.links += 1
        if reading.audited is not None and told is not None:
            queued = repaired.get(link.id, set())
            done.count(one for one in told if one.remark is not Remark.DELETED)
            done.repaired += len(queued)
            done.findings += [
                finding(link, reading.audited.ticket, one, is_repaired=one.reply_id in queued)
                for one in told
                if one.fate in {Fate.MISSING, Fate.LEAKED} or one.remark is not None
            ]
        elif is_followed(link):
            done.findings.append(unread(link, str(reading.state)))
        else:
            done.suspended += 1
    done.tickets += 1
    done.pass_by(reading.ticket_id)


async def _repair(
    system: System, wanted: Wanted, done: Progress, reading: _Reading, keeper: Keeper
) -> dict[int, set[str]]:
    """Queue what is missing of a ticket, ledger first; return the ids of what was queued, by link.

    How far the audit is then, and that these were missing, is kept in the same transaction: after a kill the ticket
    would else be read again, and nothing would be missing any more.
    """
    missing = {link: _missing(told) for link, told in reading.told if told is not None and _missing(told)}
    if reading.audited is None or not missing:
        return {}
    audited, by = reading.audited, Decision(wanted.who, system.clock.now(), "missing at an audit")

    def store(connection: Connection) -> dict[int, set[str]]:
        repaired = {}
        for link, ids in sorted(missing.items(), key=lambda one: one[0].thread_key):
            stored = _queue(connection, system, link, audited, ids, by)
            repaired[link.id] = ids if stored.taken_in else set()
        ahead = done.copy()
        _count(ahead, reading, repaired)
        keeper.record(connection, ahead)
        return repaired

    system.may_hold = True  # the sweep that ends next looks at those that are late
    repaired = await system.database.write(store)
    for link_id, ids in repaired.items():
        logger.bind(system=system.name, link=link_id, queued=len(ids)).warning("missing replies queued")
    return repaired


def _missing(told: Sequence[Account]) -> set[str]:
    """Return the ids of the replies that are to be queued."""
    return {one.reply_id for one in told if one.fate is Fate.MISSING and one.repairable}


def _queue(connection: Connection, system: System, link: Link, audited: Audited, ids: set[str], by: Decision) -> Stored:
    gap = restored.find_gap(connection)
    late_before = flood.late_before(system.policy, health.get_system(connection, system.name).last_success_at)
    entries = [
        _entry(system, link, audited.ticket, reply, gap, late_before) for reply in audited.replies if reply.id in ids
    ]
    target = Collected(link.id, link.thread_key, system.name, audited.at, tuple(entries), ticket=audited.ticket)
    stored = replies.store_collected(connection, replace(target, is_ticket_fresh=False), by.at)
    stored_side.record_repair(connection, stored, by)
    return stored


def _entry(
    system: System, link: Link, ticket: Ticket, reply: Reply, gap: Gap | None, late_before: datetime | None
) -> Entry:
    # Found this late, it may have been sent in the time that a restored database does not know, however old it is.
    delivery = new_delivery(system.policy, ticket, reply, Lane.LIVE, None if gap is None else gap.for_older())
    if flood.is_late(link, reply.created_at, late_before):
        delivery = flood.held(link, delivery)  # a great many of them are a vendor's mistake, and wait for a person
    return Entry(reply.id, Disposition.DELIVERY, delivery, (Disposition.WITHHELD, Disposition.WITHDRAWN))
