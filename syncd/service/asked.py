"""What commands ask of a system before its next sweep: tickets to be read first, and merges to be followed."""

from collections.abc import Sequence

from loguru import logger

from syncd.model.errors import SyncdError
from syncd.model.link import LinkState
from syncd.store import link_changes, links, requests
from syncd.store.requests import Request
from syncd.sync import resolving
from syncd.sync.collect import System


async def make_due(system: System, polls: Sequence[Request]) -> list[int]:
    """Make the links of the tickets that were asked for due; return their ids."""
    now = system.clock.now()
    asked_for: list[int] = []
    for request in polls:
        await system.database.write(lambda c: requests.report(c, request.id, {}))  # noqa: B023 - awaited at once
        for number in request.arguments.get("tickets", []):
            found = await system.database.read(
                lambda c: links.listed(c, system=system.name, ticket=number)  # noqa: B023 - awaited at once
            )
            ids = [link.id for link in found]
            await system.database.write(lambda c: link_changes.mark_links_due(c, ids, now))  # noqa: B023
            asked_for += ids
    return asked_for


async def follow(system: System, request: Request) -> str | None:
    """Retarget the link of a merged ticket, as a person asked; return what failed, None if nothing did."""
    link = await system.database.read(lambda c: links.find(c, int(request.arguments["link"])))
    if link is None or link.state is not LinkState.SUSPENDED or link.merged_into is None:
        return "the link is not suspended because of a merge"
    try:
        await resolving.follow_merge(system, link, link.merged_into, link.active_at or link.from_at)
    except SyncdError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a bug in an adapter fails what was asked, never the daemon
        logger.bind(system=system.name, link=link.id).opt(exception=error).error("merge not followed")
        return f"{type(error).__name__}; see the log"
    return None
