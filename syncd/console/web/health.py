"""`/healthz`: the process answers. `/readyz`: the work goes on, or what of it does not.

What only a restart or a person at the database can mend makes it 503: a database that cannot be used, a lane that
makes no progress. What is known and waits in order, such as a paused api, is a warning: to take syncd away for that, or
to start it anew, would help nobody.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from aiohttp import web

from syncd.console.web.context import WebContext, context_of
from syncd.console.web.remembered import Remembered
from syncd.model.alert import Condition
from syncd.model.errors import StoreError
from syncd.service.alerts import read_view
from syncd.service.alerts_decide import View, find_conditions

PATIENCE_SECONDS = 2.0


def add_routes(app: web.Application, context: WebContext) -> None:
    """Add both addresses."""

    async def read() -> View:
        return await context.database.read(read_view)

    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", partial(_ready, Remembered(context.clock, read)))


async def _alive(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"alive": True})


async def _ready(remembered: Remembered[View], request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    problems = [f"{lane} makes no progress" for lane in context.stuck()]
    warnings: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            view = await remembered.get()
    except (StoreError, TimeoutError):
        problems.append("the database cannot be read")
    else:
        warnings = _warnings(find_conditions(view, context.settings, context.clock.now(), context.clock.now()))
    body = {"ready": not problems, "problems": problems, "warnings": warnings}
    return web.json_response(body, status=503 if problems else 200)


def _warnings(conditions: Sequence[Condition]) -> list[dict[str, Any]]:
    return [
        {
            "subject": one.subject,
            "kind": one.kind,
            "text": one.text,
            "number": one.number,
            "since": None if one.since_at is None else one.since_at.isoformat(),
        }
        for one in conditions
    ]
