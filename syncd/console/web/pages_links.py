"""The pages of links: finding them, and the life of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from syncd.console.explaining import explain_link
from syncd.console.link_actions import is_read
from syncd.console.link_page import from_words
from syncd.console.web import link_decisions, timeline
from syncd.console.web.context import context_of
from syncd.console.web.forms import asked_of, id_of
from syncd.console.web.rendering import render
from syncd.console.web.timeline import Delay, Entry, Wait
from syncd.model.delivery import DeliveryState
from syncd.model.errors import Missing, UsageError
from syncd.model.link import Link, LinkState
from syncd.store import link_search, links, requests
from syncd.store import timeline as stored
from syncd.store.database import Connection
from syncd.store.link_search import Configured, LinkSearch
from syncd.store.requests import Request
from syncd.store.timeline import Passage

LINKS_ON_PAGE = 50
ENTRIES_ON_PAGE = 25
MEASURED = 100
LONGEST_TICKET = 2000


def add_routes(app: web.Application) -> None:
    """Add the pages."""
    app.router.add_get("/links", _list)
    app.router.add_get(r"/links/{id:\d{1,18}}", _show)
    link_decisions.add_routes(app)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and where the next one begins (None: there is none)."""

    links: list[Link]
    older: int | None


async def _list(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    fields = {name: asked_of(request.query, name) for name in LinkSearch.__dataclass_fields__}
    configured = Configured(tuple(sorted(context.settings.api)), tuple(sorted(context.settings.systems)))
    message, page = "", Page([], None)
    try:
        search, before = parse_search(fields), parse_id(request.query.get("before", ""), "before")
        page = await _read_page(request, search, configured, before)
    except UsageError as error:
        message = str(error)
    return render(
        request,
        "links.html",
        status=400 if message else 200,
        title="Links",
        fields=fields,
        is_searched=any(fields.values()),
        apis=configured.apis,
        systems=configured.systems,
        states=[state.value for state in LinkState],
        message=message,
        page=page,
        older=None if page.older is None else request.rel_url.update_query(before=str(page.older)),
        is_first="before" not in request.query,
    )


async def _read_page(request: web.Request, search: LinkSearch, configured: Configured, before: int | None) -> Page:
    found = await context_of(request).database.read(
        lambda c: link_search.search_links(c, search, configured, before=before, limit=LINKS_ON_PAGE + 1)
    )
    shown = found[:LINKS_ON_PAGE]
    return Page(shown, shown[-1].id if len(found) > LINKS_ON_PAGE else None)


def parse_search(fields: Mapping[str, str]) -> LinkSearch:
    """Return what the fields of the form ask for.

    Raises:
        UsageError: one of them makes no sense.
    """
    state = fields["state"] or None
    if state is not None and state not in set(LinkState):
        raise UsageError(f"{state[:40]!r} is no state of a link")
    if len(fields["ticket"]) > LONGEST_TICKET:
        raise UsageError("a ticket is named by its number, its link or its id, and none of them is that long")
    return LinkSearch(
        ticket=fields["ticket"] or None,
        customer=parse_id(fields["customer"], "customer"),
        thread=parse_id(fields["thread"], "thread"),
        api=fields["api"] or None,
        system=fields["system"] or None,
        state=state,
    )


def parse_id(text: str, name: str) -> int | None:
    """Return the id that a field holds; None if it is empty.

    Raises:
        UsageError: it holds something else.
    """
    try:
        return id_of(text) if text else None
    except UsageError as error:
        raise UsageError(f"{name} {text[:40]!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of one link: a page of its timeline, and what is told above it."""

    link: Link
    entries: list[Entry]
    waits: dict[int, Wait]
    delays: list[Delay]
    counts: dict[str, int]
    older: int | None
    asked: list[Request]


async def _show(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    link_id, before = int(request.match_info["id"]), parse_id(request.query.get("before", ""), "before")
    now = context.clock.now()

    def read(connection: Connection) -> Life:
        link = links.find(connection, link_id)
        if link is None:
            raise Missing(f"there is no link {link_id}")
        passages = stored.read_passages(connection, link_id, before=before, limit=ENTRIES_ON_PAGE + 1)
        page = passages[:ENTRIES_ON_PAGE]
        is_last = len(passages) <= ENTRIES_ON_PAGE
        newer = None if before is None else stored.find_taken_in(connection, link_id, before)
        decided = stored.read_link_decisions(
            connection, link_id, since=None if is_last else page[-1].taken_in_at, until=newer
        )
        head_id = stored.find_head(connection, link.thread_key)
        measured = stored.read_passages(connection, link_id, limit=MEASURED)
        return Life(
            link=link,
            entries=timeline.merged(page, decided),
            waits={one.id: timeline.wait_of(one, head_id, now) for one in page if _waits(one)},
            delays=timeline.delays_of(measured, link.registered_at),
            counts=stored.count_passages(connection, link_id),
            older=None if is_last else page[-1].id,
            asked=_asked(connection, link, request.query.get("asked", "")),
        )

    life = await context.database.read(read)
    explained = await explain_link(context.acting_for("the status page"), link_id)
    title = f"Link {link_id}"
    return render(request, "link.html", title=title, live=before is None, explained=explained, **_values(request, life))


def _values(request: web.Request, life: Life) -> dict[str, Any]:
    link = life.link
    return {
        "link": link,
        "life": life,
        "hops_of": timeline.hops_of,
        "whole_way": timeline.whole_way,
        "from_at": from_words(link),
        "older": None if life.older is None else request.rel_url.with_query(before=str(life.older)),
        "is_first": "before" not in request.query,
        "is_read": is_read(link),
    }


def _waits(passage: Passage) -> bool:
    return passage.state == DeliveryState.PENDING.value


def _asked(connection: Connection, link: Link, text: str) -> list[Request]:
    """Return what was asked of the worker about a link: what is open, and what the address names."""
    open_ones = [one for one in requests.open_requests(connection, link.system) if _is_about(one, link)]
    named = requests.find(connection, int(text)) if text.isascii() and text.isdecimal() and len(text) < 19 else None
    if named is not None and _is_about(named, link) and named.id not in {one.id for one in open_ones}:
        open_ones.append(named)
    return open_ones


def _is_about(one: Request, link: Link) -> bool:
    return one.system == link.system and (
        one.arguments.get("link") == link.id or link.ticket_name in one.arguments.get("tickets", ())
    )
