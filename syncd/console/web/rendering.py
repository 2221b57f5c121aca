"""Pages from templates: everything that is put into one is escaped."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from syncd.console.output import shown, shown_lines, span
from syncd.console.web import attention
from syncd.console.web.context import WHO, context_of


@cache
def environment() -> Environment:
    """Return the templates. A name that is not given is a mistake, not an empty text."""
    made = Environment(
        loader=PackageLoader("syncd.console.web", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["span"] = _span
    made.filters["shown"] = _shown
    made.filters["contents"] = _contents
    return made


def render(
    request: web.Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> web.Response:
    """Return a page.

    Every template has `who` (None before a login), `zone`, `now`, `path`, `can_log_in`, `needed` (how much needs a
    person, None if that is not known) and `note` (what was done just now) besides its own values.
    """
    context = context_of(request)
    text = (
        environment()
        .get_template(template)
        .render(
            who=request.get(WHO),
            zone=context.settings.zone,
            now=context.clock.now(),
            path=request.path,
            can_log_in=context.settings.console.token is not None,
            needed=attention.needed(request),
            note=attention.find_note(request),
            **values,
        )
    )
    return web.Response(text=text, status=status, headers=headers, content_type="text/html", charset="utf-8")


def _span(value: timedelta | datetime | None, now: datetime | None = None) -> str:
    """Return a length of time in words; of an instant, how long before `now` it was."""
    if value is None:
        return "never"
    if isinstance(value, datetime):
        value = max(timedelta(), (now or value) - value)
    return span(value)


def _shown(value: Any) -> str:
    """Return a text of others in one line, in which nothing turns the direction of writing; nothing is a dash."""
    return "-" if value is None or value == "" else shown(str(value))


def _contents(text: str) -> str:
    """Return a text of others with its lines, each harmless."""
    return "\n".join(shown_lines(text))
