"""Links on their way to a ticket, and away from one: looking up, suspending, following a merge."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from loguru import logger

from syncd.mapping.mapper import thread_status
from syncd.model.errors import InvalidTicketRef, PauseSystem, RetryLater, StoreError, SyncdError, TicketUnavailable
from syncd.model.link import Cause, Link
from syncd.model.policy import OnMerge
from syncd.model.ticket import Ticket, Unavailability, Unavailable
from syncd.store import health, link_changes, links
from syncd.sync.adaptive import failed_due_at
from syncd.sync.collect import System
from syncd.sync.intake import clean_ticket

CAUSES = {
    Unavailability.GONE: Cause.TICKET_GONE,
    Unavailability.FORBIDDEN: Cause.TICKET_FORBIDDEN,
    Unavailability.MERGED: Cause.TICKET_MERGED,
}
AT_ONCE = 100
ALL_FAIL_AFTER = 3


async def resolve_links(system: System, until: float) -> tuple[int, bool]:
    """Look up the tickets of unresolved links; return how many were found, and whether some are left.

    `until` is the monotonic instant after which no other is begun.
    """
    found = 0
    while True:
        now = system.clock.now()
        waiting = await system.database.read(lambda c: links.unresolved(c, system.name, now, AT_ONCE))  # noqa: B023 - awaited at once
        if not waiting:
            return found, False
        for link in waiting:
            if system.clock.monotonic() >= until:
                return found, True
            found += await resolve_link(system, link)


async def resolve_link(system: System, link: Link) -> bool:
    """Look up the ticket of one link; suspend the link if there is none.

    Raises:
        PauseSystem: nothing can be looked up.
    """
    try:
        ticket = await system.adapter.resolve(link.ref)
    except (PauseSystem, StoreError):
        raise
    except TicketUnavailable as error:
        await suspend(system, link, error.unavailable)
    except InvalidTicketRef as error:
        await _suspend(system, link, Cause.TICKET_UNKNOWN, str(error))
    except Exception as error:  # noqa: BLE001 - one link that fails must not stop the others
        await postpone(system, link, error)
    else:
        await _tie(system, link, ticket)
        return True
    return False


async def _tie(system: System, link: Link, ticket: Ticket) -> None:
    status, unmapped = thread_status(ticket, system.policy)
    warn_unmapped(system, ticket, unmapped)
    now = system.clock.now()
    await system.database.write(
        lambda connection: link_changes.resolve(connection, link.id, clean_ticket(ticket), status, now)
    )
    logger.bind(system=system.name, link=link.id, ticket=ticket.number).info("link resolved")


def warn_unmapped(system: System, ticket: Ticket, unmapped: bool) -> None:
    """Warn once about a vendor status that no table knows."""
    word = ticket.vendor_status or ""
    if unmapped and word not in system.unmapped:
        system.unmapped.add(word)
        logger.bind(system=system.name, status=word).warning("vendor status is not mapped; it counts as ONGOING")


async def suspend(system: System, link: Link, unavailable: Unavailable) -> None:
    """Suspend a link whose ticket cannot be followed; or follow the ticket that it was merged into."""
    merged_into, reason = unavailable.merged_into, str(unavailable)
    looked_at = await _looked_at(system, link) if unavailable.reason is Unavailability.MERGED else None
    if looked_at is not None and merged_into and system.policy.on_merge is OnMerge.FOLLOW:
        try:
            await follow_merge(system, link, merged_into, looked_at)
        except (PauseSystem, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is about this link alone
            reason += f"; {error}" if isinstance(error, SyncdError) else f"; {type(error).__name__}"
        else:
            return
    await _suspend(system, link, CAUSES[unavailable.reason], reason, merged_into, looked_at)


async def _looked_at(system: System, link: Link) -> datetime:
    """Return when a ticket that is merged now was last known not to be.

    Its own last reading says so. Where there is a feed, the last sweep that went well does too, unless the feed had
    named the ticket by then and it could not be read since.
    """
    state = await system.database.read(lambda connection: health.get_system(connection, system.name))
    told_at = state.last_success_at if system.has_feed else None
    due_since = _due_since(system, link)
    if told_at is not None and due_since is not None:
        told_at = min(told_at, due_since)
    looked_at = max((at for at in (told_at, link.collected_at) if at is not None), default=system.clock.now())
    return max(link.from_at, looked_at - timedelta(seconds=system.policy.poll_seconds))


def _due_since(system: System, link: Link) -> datetime | None:
    """Return since when a link is due, for sure: each failure has put it off, from the sweep that came upon it."""
    due_at = link.collect_due_at
    if due_at is None:
        return None
    sweep = timedelta(seconds=system.policy.poll_seconds)
    for failures in range(link.failures):
        due_at -= failed_due_at(system.policy, due_at, failures, None) - due_at + sweep
    return due_at


async def _suspend(
    system: System,
    link: Link,
    cause: Cause,
    reason: str,
    merged_into: str | None = None,
    active_at: datetime | None = None,
) -> None:
    await system.database.write(
        lambda connection: link_changes.suspend(connection, link.id, cause, reason, merged_into, active_at)
    )
    logger.bind(system=system.name, link=link.id, ticket=link.ticket_name, cause=cause.value).warning("link suspended")


async def follow_merge(system: System, link: Link, into: str, from_at: datetime) -> None:
    """Retarget a link to the ticket that its own was merged into: what was written there from an instant on.

    Raises:
        TicketUnavailable, RetryLater, PauseSystem: that ticket cannot be read now.
    """
    told = await system.adapter.tickets([into])
    ticket = next((one for one in told if isinstance(one, Ticket)), None)
    if ticket is None:
        raise TicketUnavailable(next(one for one in told if isinstance(one, Unavailable)))
    now = system.clock.now()
    await system.database.write(
        lambda connection: link_changes.follow(connection, link.id, clean_ticket(ticket), from_at, now)
    )
    logger.bind(system=system.name, link=link.id, ticket=ticket.number).info("link follows a merge")


async def postpone(system: System, link: Link, error: Exception) -> None:
    """Try a link again later, after a failure of its own."""
    now = system.clock.now()
    wait = error.wait_seconds if isinstance(error, RetryLater) else None
    until = failed_due_at(system.policy, now, link.failures, wait)
    await system.database.write(lambda connection: link_changes.postpone(connection, link.id, until))
    bound = logger.bind(system=system.name, link=link.id, ticket=link.ticket_name, failure=type(error).__name__)
    bound.warning("ticket could not be read; tried again later")


async def read_tickets(system: System, ticket_ids: Sequence[str]) -> dict[str, Ticket | Unavailable]:
    """Return the state of tickets by id; one whose answer makes no sense is missing, and costs no other its own.

    Raises:
        RetryLater, PauseSystem: none can be read now.
    """
    told: dict[str, Ticket | Unavailable] = {}
    for start in range(0, len(ticket_ids), AT_ONCE):
        for one in await _read_some(system, list(ticket_ids[start : start + AT_ONCE])):
            told[one.id if isinstance(one, Ticket) else one.ticket_id] = one
    return told


async def _read_some(system: System, ticket_ids: list[str]) -> list[Ticket | Unavailable]:
    """Return the state of tickets read at once, or one by one if that failed: one of them may have spoilt it.

    Raises:
        RetryLater, PauseSystem: the system cannot be read.
        Exception: what the first one failed with, where none of many can be read: then it is not about one ticket.
    """
    try:
        return await system.adapter.tickets(ticket_ids)
    except Exception as error:
        if _is_about_the_system(error) or (len(ticket_ids) == 1 and isinstance(error, RetryLater)):
            raise
        if len(ticket_ids) == 1:
            _warn_left_out(system, error)
            return []
        bound = logger.bind(system=system.name, tickets=len(ticket_ids), failure=type(error).__name__)
        bound.warning("tickets could not be read at once, so they are read one by one")
    return await _read_each(system, ticket_ids)


async def _read_each(system: System, ticket_ids: Sequence[str]) -> list[Ticket | Unavailable]:
    told: list[Ticket | Unavailable] = []
    failures: list[Exception] = []
    for ticket_id in ticket_ids:
        try:
            told += await system.adapter.tickets([ticket_id])
        except Exception as error:
            if _is_about_the_system(error):
                raise
            failures.append(error)
            _warn_left_out(system, error)
        if not told and sum(isinstance(one, RetryLater) for one in failures) == ALL_FAIL_AFTER:
            raise failures[0]  # each of them takes its time; this is an outage
    is_outage = bool(failures) and all(isinstance(one, RetryLater) for one in failures)
    if not told and (is_outage or len(failures) >= ALL_FAIL_AFTER):
        raise failures[0]
    return told


def _is_about_the_system(error: Exception) -> bool:
    """Tell whether nothing else need be asked now: a person has to mend something, or a wait was asked for."""
    return isinstance(error, PauseSystem) or (isinstance(error, RetryLater) and error.wait_seconds is not None)


def _warn_left_out(system: System, error: Exception) -> None:
    reason = str(error) if isinstance(error, SyncdError) else type(error).__name__
    logger.bind(system=system.name, failure=type(error).__name__).warning("ticket could not be read: {}", reason)
