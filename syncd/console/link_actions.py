"""What a person does to a link: resume it, remove it, have it follow a merge, have its ticket read now.

The commands, the status page and the control API do it through these. Each decision is written down in the same
transaction as what it changes.
"""

from dataclasses import dataclass

from syncd.console.context import CommandContext
from syncd.console.worker import refuse_paused
from syncd.model.delivery import DeliveryState
from syncd.model.errors import UsageError
from syncd.model.link import Cause, Link, LinkState
from syncd.store import link_changes, links, lists, requests, standing
from syncd.store.database import Connection
from syncd.store.requests import RequestKind


@dataclass(frozen=True, slots=True)
class Resumed:
    """What resuming a link came to. `merged_into`: another ticket has what its own had."""

    state: LinkState
    merged_into: str | None


async def get_link(context: CommandContext, link_id: int) -> Link:
    """Return a link.

    Raises:
        UsageError: there is none of that id.
    """
    found = await context.database.read(lambda c: links.find(c, link_id))
    if found is None:
        raise UsageError(f"there is no link {link_id}; `syncd links list` shows them")
    return found


async def resume_link(context: CommandContext, link_id: int, reason: str) -> Resumed:
    """Follow a suspended link again.

    Raises:
        UsageError: it is not suspended, or there is none.
    """
    link = await get_link(context, link_id)
    by = context.decision(reason)

    def resume(connection: Connection) -> LinkState:
        state = link_changes.resume(connection, link_id, by.at)
        if state is None:
            raise UsageError(f"link {link_id} is {link.state}; only suspended links are resumed")
        standing.write_decision(connection, "resume", f"link {link_id}", by)
        return state

    return Resumed(await context.database.write(resume), link.merged_into)


async def count_waiting(context: CommandContext, link_id: int) -> int:
    """Return how many deliveries wait for a link: as many are skipped when it is removed."""
    pending = DeliveryState.PENDING.value
    return len(await context.database.read(lambda c: lists.list_deliveries(c, state=pending, link_id=link_id)))


async def remove_link(context: CommandContext, link_id: int, reason: str) -> int:
    """End a link; return how many deliveries were skipped with it.

    Raises:
        UsageError: it was removed before, or there is none.
    """
    link = await get_link(context, link_id)
    if link.state is LinkState.REMOVED:
        raise UsageError(f"link {link_id} was removed before")
    by = context.decision(reason)

    def remove(connection: Connection) -> int:
        skipped = link_changes.remove(connection, link_id, by.at)
        standing.write_decision(connection, "remove", f"link {link_id}", by)
        return skipped

    return await context.database.write(remove)


def merged_into(link: Link) -> str:
    """Return the ticket that a suspended link's own was merged into.

    Raises:
        UsageError: it is not suspended because of a merge.
    """
    if link.state is not LinkState.SUSPENDED:
        raise UsageError(f"link {link.id} is {link.state}; only suspended links are resumed")
    if link.merged_into is None:
        raise UsageError(f"link {link.id} is suspended for another reason than a merge: {link.reason}")
    return link.merged_into


async def ask_to_follow(context: CommandContext, link_id: int, reason: str) -> int:
    """Ask the worker to retarget a link to the ticket that its own was merged into; return the request's id.

    Raises:
        UsageError: it is not suspended because of a merge, or its system is paused by a person.
    """
    link = await get_link(context, link_id)
    other = merged_into(link)
    await refuse_paused(context, link.system)
    context.get_system(link.system)
    by = context.decision(f"asked to follow the merge into {other}: {reason.strip()}" if reason.strip() else "")

    def ask(connection: Connection) -> int:
        standing.write_decision(connection, "follow", f"link {link_id}", by)
        return requests.ask(connection, RequestKind.FOLLOW, link.system, {"link": link_id}, context.who, by.at)

    return await context.database.write(ask)


async def ask_to_poll(context: CommandContext, link_id: int) -> int:
    """Ask the worker to read a link's ticket now; return the request's id.

    Raises:
        UsageError: the link is not followed, or its system is paused by a person.
    """
    link = await get_link(context, link_id)
    if not is_read(link):
        raise UsageError(f"link {link_id} is {link.state}, so its ticket is not read")
    await refuse_paused(context, link.system)
    context.get_system(link.system)
    now, arguments = context.clock.now(), {"tickets": [link.ticket_name]}
    return await context.database.write(
        lambda c: requests.ask(c, RequestKind.POLL, link.system, arguments, context.who, now)
    )


def is_read(link: Link) -> bool:
    """Say whether a link's ticket is read: by every sweep that comes upon it, and when somebody asks for it."""
    return link.state in {LinkState.ACTIVE, LinkState.UNRESOLVED} or link.cause is Cause.THREAD_REFUSED
