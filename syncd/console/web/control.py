"""The control API: JSON under /api/v1/, for programs that make threads, and for scripts. See docs/control-api.md."""

from functools import partial

from aiohttp import web

from syncd.console.output import json_text
from syncd.console.status import read_overview
from syncd.console.web import control_deliveries, control_lanes, control_links, control_requests
from syncd.console.web.context import CONTEXT
from syncd.console.web.control_route import PREFIX, STANDING, Route, add_route
from syncd.console.web.openapi import describe
from syncd.console.web.remembered import Remembered

ROUTES: tuple[Route, ...] = (
    *control_links.ROUTES,
    *control_requests.ROUTES,
    *control_deliveries.ROUTES,
    *control_lanes.ROUTES,
)
DOCUMENT = f"{PREFIX}/openapi.json"


def add_routes(app: web.Application) -> None:
    """Add every route, and the document that describes them."""
    context = app[CONTEXT]
    app[STANDING] = Remembered(context.clock, lambda: read_overview(context.acting_for("the control API")))
    for route in ROUTES:
        add_route(app, route)
    app.router.add_get(DOCUMENT, partial(_document, json_text(describe(ROUTES, PREFIX))))


async def _document(text: str, _request: web.Request) -> web.Response:
    return web.json_response(text=text)
