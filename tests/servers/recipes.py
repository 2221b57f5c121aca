"""The recipes in docs/recipes, opened at real servers."""

import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.rest import Rest
from syncd.model.clock import SystemClock
from syncd.model.ticket import Cursor, Reply, TicketRef
from syncd.sources.http import VendorHttp
from syncd.sources.registry import validate_options

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"


def options_of(name: str) -> dict[str, Any]:
    """Return the options of a recipe's system."""
    tree = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
    (system,) = tree["systems"].values()
    assert system["adapter"] == "rest"
    return dict(system["options"])


@asynccontextmanager
async def opened(options: dict[str, Any]) -> AsyncIterator[Rest]:
    """Open the adapter, at a pace that never waits; its requests are counted in `adapter.http`."""
    config = validate_options(Rest, options)
    http = VendorHttp(Rest.connection(config), clock=SystemClock(), requests_per_minute=60_000)
    try:
        yield Rest(config, http)
    finally:
        await http.close()


async def replies_of(adapter: Rest, number: int, since: Any = None) -> list[Reply]:
    """Return the replies of a ticket."""
    ticket = await adapter.resolve(TicketRef(number=str(number)))
    return [reply async for reply in adapter.replies(ticket, since)]


async def read_feed(adapter: Rest, start: Any) -> tuple[set[int], Cursor]:
    """Return the numbers of the tickets that changed, and the last cursor."""
    pages = [page async for page in adapter.changes(start)]
    return {int(ticket_id) for page in pages for ticket_id in page.ticket_ids}, pages[-1].cursor
