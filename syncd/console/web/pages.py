"""The pages of the status page, by address."""

from importlib.resources import files
from pathlib import Path

from aiohttp import web

from syncd.console.status import read_overview
from syncd.console.web.context import context_of
from syncd.console.web.rendering import render


def add_routes(app: web.Application) -> None:
    """Add every page and what they need."""
    app.router.add_get("/", _overview)
    app.router.add_static("/static", Path(str(files("syncd.console.web") / "static")))


async def _overview(request: web.Request) -> web.StreamResponse:
    overview = await read_overview(context_of(request).acting_for("the status page"))
    return render(request, "overview.html", title="Overview", overview=overview)
