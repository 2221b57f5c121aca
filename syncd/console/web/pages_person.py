"""What needs a person: paused apis and systems, deliveries in doubt, parked or of a flood, suspended links."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiohttp import web

from syncd.console.delivery_evidence import judge
from syncd.console.web.attention import PARAMETER
from syncd.console.web.context import context_of
from syncd.console.web.decisions import WORDS, Do, fitting
from syncd.console.web.forms import asked_of, id_of, one_of, place_of, place_text
from syncd.console.web.overview import Lane, standing_of
from syncd.console.web.rendering import render
from syncd.model.delivery import DeliveryState
from syncd.model.link import Link
from syncd.store import lists
from syncd.store.database import Connection
from syncd.store.waiting import Filter, Kind, Waiting, list_suspended, list_waiting

FIRST_FEW = 15
ON_A_PAGE = 50


class Section(StrEnum):
    """A part of the page, or the whole page with that part alone."""

    PAUSED = "paused"
    IN_DOUBT = "in_doubt"
    PARKED = "parked"
    FLOOD = "flood"
    SUSPENDED = "suspended"


TITLES = {
    Section.PAUSED: "Paused apis and systems",
    Section.IN_DOUBT: "In doubt",
    Section.PARKED: "Parked",
    Section.FLOOD: "Floods of old replies",
    Section.SUSPENDED: "Suspended links",
}
HINTS = {
    Section.PAUSED: "Nothing is sent to such an api, and nothing read of such a system; what arrives waits.",
    Section.IN_DOUBT: "Sent, perhaps, and nobody can know. Look into the thread in the CRM, then say what you saw. "
    "Sent again, one that is there stands there twice, and neither can be taken back.",
    Section.PARKED: "Refused by the API for what they say, or impossible to map. Mend the text, send as it is once "
    "the CRM is mended, or skip.",
    Section.FLOOD: "More old replies than usual came as new, so none of them was sent. Find out why (a migration, a "
    "changed account), then send or skip them. All of a system at once: syncd deliveries retry or skip --system "
    "NAME --because flood",
    Section.SUSPENDED: "Their tickets are not read, or their threads refuse what is sent; what waits for them waits.",
}

_SECTIONS = {one.value: one for one in Section}


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery of the list, with what is known about why it waits."""

    waiting: Waiting
    because: str


@dataclass(frozen=True, slots=True)
class Part:
    """One section as it is shown. `more` is the rest of the address of what comes after it, None if nothing does."""

    section: Section
    lanes: Sequence[Lane] = ()
    rows: Sequence[Row] = ()
    links: Sequence[Link] = ()
    actions: Sequence[Do] = ()
    more: str | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing in it."""
        return not (self.lanes or self.rows or self.links)


def add_routes(app: web.Application) -> None:
    """Add the page."""
    app.router.add_get("/needs-person", _list)


async def _list(request: web.Request) -> web.StreamResponse:
    query = request.query
    kind = query.get("kind", "")
    only = one_of(_SECTIONS, kind, "the kind") if kind else None
    wanted = Filter(asked_of(query, "api") or None, asked_of(query, "system") or None)
    after = query.get("after", "")
    sections = list(Section) if only is None else [only]
    limit = FIRST_FEW if only is None else ON_A_PAGE
    lanes = [lane for lane in (await standing_of(request)).paused if _is_wanted(lane, wanted)]

    def read(connection: Connection) -> list[Part]:
        return [_read(connection, one, wanted, after, limit, lanes) for one in sections]

    context = context_of(request)
    parts = await context.database.read(read)
    return render(
        request,
        "needs_person.html",
        title="Needs a person",
        live=True,
        sections=[part for part in parts if not part.is_empty],
        only=only,
        wanted=wanted,
        is_first=not after,
        apis=sorted(context.settings.api),
        systems=sorted(context.settings.systems),
        here=str(request.rel_url.with_query([(k, v) for k, v in query.items() if k not in {PARAMETER, "after"}])),
        kinds=TITLES,
        hints=HINTS,
        words=WORDS,
    )


def _is_wanted(lane: Lane, wanted: Filter) -> bool:
    name = wanted.system if "adapter" in lane.values else wanted.api
    return (wanted.api is None and wanted.system is None) or name == lane.name


def _read(
    connection: Connection, section: Section, wanted: Filter, after: str, limit: int, lanes: Sequence[Lane]
) -> Part:
    """Return a section from a point on, with one more than is shown, so as to know whether there is more."""
    if section is Section.PAUSED:
        return Part(section, lanes=lanes)
    if section is Section.SUSPENDED:
        links = list_suspended(connection, wanted, id_of(after or "0"), limit + 1)
        return Part(section, links=links[:limit], more=str(links[limit - 1].id) if len(links) > limit else None)
    kind = Kind(section.value)
    found = list_waiting(connection, kind, wanted, place_of(after), limit + 1)
    rows = [Row(one, _because(connection, kind, one)) for one in found[:limit]]
    state = DeliveryState.IN_DOUBT if kind is Kind.IN_DOUBT else DeliveryState.PARKED
    more = place_text(found[limit - 1].place) if len(found) > limit else None
    return Part(section, rows=rows, actions=fitting(state.value), more=more)


def _because(connection: Connection, kind: Kind, one: Waiting) -> str:
    """Return why it waits; of what is in doubt, what its evidence says."""
    reason = one.item.reason or ""
    if kind is not Kind.IN_DOUBT:
        return reason
    found: Any = lists.find_delivery(connection, one.item.id)
    judgement = None if found is None else judge(found)
    return reason if judgement is None else judgement.because
