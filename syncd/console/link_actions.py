"""What a person or a program does to a link: register it, resume it, remove it, have its ticket read now.

The commands, the status page and the control API do it through these. Each decision is written down in the same
transaction as what it changes.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from syncd.console.context import CommandContext, parse_instant
from syncd.console.worker import refuse_paused
from syncd.model.errors import Conflict, Missing, UsageError
from syncd.model.link import THE_START, Cause, Link, LinkState, NewLink
from syncd.store import link_changes, links, lists, requests, standing
from syncd.store.database import Connection
from syncd.store.requests import RequestKind


@dataclass(frozen=True, slots=True)
class Resumed:
    """What resuming a link came to. `merged_into`: another ticket has what its own had."""

    state: LinkState
    merged_into: str | None


def parse_from(text: str, now: datetime, zone: ZoneInfo) -> tuple[datetime, bool]:
    """Return the instant from which replies count as new, and whether the zone was added to what was written.

    `now` and `start` are words for the instant of registering, and for everything.

    Raises:
        UsageError: neither one of the words nor an instant.
    """
    if text in {"now", "start"}:
        return (now if text == "now" else THE_START), False
    try:
        return parse_instant(text, zone)
    except UsageError as error:
        raise UsageError(f"{error}, or `now`, or `start`") from None


async def get_link(context: CommandContext, link_id: int) -> Link:
    """Return a link.

    Raises:
        Missing: there is none of that id.
    """
    found = await context.database.read(lambda c: links.find(c, link_id))
    if found is None:
        raise Missing(f"there is no link {link_id}; `syncd links list` shows them")
    return found


async def register_link(context: CommandContext, new: NewLink) -> tuple[Link, bool]:
    """Register a link; return it, and whether it was not there before.

    Raises:
        UsageError: the api or the system is not configured.
        Conflict: the thread has another link.
    """
    context.get_api(new.thread.api)
    context.get_system(new.system)
    now = context.clock.now()
    added = await context.database.write(lambda c: links.add(c, new, now))
    return await get_link(context, added.link_id), added.created


def check_suspended(link: Link) -> None:
    """Refuse to resume what is not suspended.

    Raises:
        Conflict: it is not.
    """
    if link.state is not LinkState.SUSPENDED:
        raise Conflict(f"link {link.id} is {link.state}; only suspended links are resumed")


def check_not_removed(link: Link) -> None:
    """Refuse to remove what was removed before.

    Raises:
        Conflict: it was.
    """
    if link.state is LinkState.REMOVED:
        raise Conflict(f"link {link.id} was removed before")


async def resume_link(context: CommandContext, link_id: int, reason: str = "resumed") -> Resumed:
    """Follow a suspended link again.

    Raises:
        Missing, Conflict: there is none of that id, or it is not suspended.
    """
    by = context.decision(reason)
    link = await get_link(context, link_id)
    check_suspended(link)

    def write(connection: Connection) -> LinkState | None:
        state = link_changes.resume(connection, link_id, by.at)
        if state is not None:
            standing.write_decision(connection, "resume", f"link {link_id}", by)
        return state

    state = await context.database.write(write)
    if state is None:
        raise Conflict(f"link {link_id} was resumed or removed meanwhile")
    return Resumed(state, link.merged_into)


async def count_waiting(context: CommandContext, link_id: int) -> int:
    """Return how many deliveries wait for a link: as many are skipped when it is removed."""
    return await context.database.read(lambda c: lists.count_waiting(c, link_id))


async def remove_link(context: CommandContext, link_id: int, reason: str = "removed") -> int | None:
    """End a link; return how many waiting deliveries were skipped, None if it was removed before.

    Raises:
        Missing: there is none of that id.
    """
    by = context.decision(reason)
    await get_link(context, link_id)

    def write(connection: Connection) -> int | None:
        found = links.find(connection, link_id)
        if found is None or found.state is LinkState.REMOVED:
            return None
        skipped = link_changes.remove(connection, link_id, by.at)
        standing.write_decision(connection, "remove", f"link {link_id}", by)
        return skipped

    return await context.database.write(write)


def merged_into(link: Link) -> str:
    """Return the ticket that a suspended link's own was merged into.

    Raises:
        Conflict: it is not suspended because of a merge.
    """
    check_suspended(link)
    if link.merged_into is None:
        raise Conflict(f"link {link.id} is suspended for another reason than a merge: {link.reason}")
    return link.merged_into


async def ask_to_follow(context: CommandContext, link_id: int, reason: str = "") -> int:
    """Ask the owner of a link's system to go on with the ticket that its own was merged into; return the request's id.

    Raises:
        Missing, Conflict: there is none of that id, or it is not suspended because of a merge.
        UsageError: its system is not configured, or a person has paused it.
    """
    link = await get_link(context, link_id)
    other = merged_into(link)
    by = context.decision(reason or f"asked to follow the merge into {other}")
    context.get_system(link.system)
    await refuse_paused(context, link.system)

    def write(connection: Connection) -> int:
        standing.write_decision(connection, "follow", f"link {link_id}", by)
        return requests.ask(connection, RequestKind.FOLLOW, link.system, {"link": link_id}, by.who, by.at)

    return await context.database.write(write)


async def ask_to_poll(context: CommandContext, link_id: int) -> int:
    """Ask the owner of a link's system to read its ticket now; return the request's id.

    Raises:
        Missing, Conflict: there is none of that id, or its ticket is not read.
        UsageError: its system is not configured, or a person has paused it.
    """
    link = await get_link(context, link_id)
    if not is_read(link):
        raise Conflict(f"link {link_id} is {link.state}, so its ticket is not read")
    context.get_system(link.system)
    await refuse_paused(context, link.system)
    now, arguments = context.clock.now(), {"tickets": [link.ticket_name]}
    return await context.database.write(
        lambda c: requests.ask(c, RequestKind.POLL, link.system, arguments, context.who, now)
    )


def is_read(link: Link) -> bool:
    """Say whether a link's ticket is read: by every sweep that comes upon it, and when somebody asks for it."""
    return link.state in {LinkState.ACTIVE, LinkState.UNRESOLVED} or link.cause is Cause.THREAD_REFUSED
