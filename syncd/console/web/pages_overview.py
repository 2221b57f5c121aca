"""The first page: every api and system at a glance, with what needs a person before anything else."""

import contextlib

from aiohttp import web

from syncd.console.web import attention
from syncd.console.web.context import CONTEXT
from syncd.console.web.guards import SAFE, Handler
from syncd.console.web.overview import OBSERVER, Observer, standing_of
from syncd.console.web.rendering import render
from syncd.model.errors import SyncdError

PAGES = ("/needs-person", "/deliveries", "/links", "/backfills", "/apis", "/systems")


def add_routes(app: web.Application) -> None:
    """Add the page, and what all pages have at their top."""
    app[OBSERVER] = Observer(app[CONTEXT])
    app[attention.NOTES] = attention.new_notes()
    app.middlewares.append(_with_attention)
    app.router.add_get("/", _overview)


async def _overview(request: web.Request) -> web.StreamResponse:
    return render(request, "overview.html", title="Overview", live=True, standing=await standing_of(request))


@web.middleware
async def _with_attention(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say on every page how much needs a person; what somebody did here is seen at once."""
    if request.path == "/" or request.path.startswith(PAGES):
        if request.method not in SAFE:
            try:
                return await handler(request)
            finally:
                request.app[OBSERVER].standing.forget()
        # Without a database there is nothing to say, and the page itself says why.
        with contextlib.suppress(SyncdError, TimeoutError):
            request[attention.NEEDED] = (await standing_of(request)).needed
    return await handler(request)
