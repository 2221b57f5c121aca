"""The pages of the status page, by address."""

from importlib.resources import files
from pathlib import Path

from aiohttp import web

from syncd.console.web import (
    pages_backfills,
    pages_decide,
    pages_delivery,
    pages_links,
    pages_overview,
    pages_person,
    pages_resume,
)


def add_routes(app: web.Application) -> None:
    """Add every page and what they need."""
    own = (pages_overview, pages_person, pages_delivery, pages_decide, pages_resume, pages_links, pages_backfills)
    for pages in own:
        pages.add_routes(app)
    app.router.add_static("/static", Path(str(files("syncd.console.web") / "static")))
