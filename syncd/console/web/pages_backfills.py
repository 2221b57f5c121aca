"""The pages of backfills: how far each is, what it could not read, and stopping it."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from syncd.console.web.attention import back_to
from syncd.console.web.context import CONTEXT, context_of, who_asks
from syncd.console.web.form_body import read_form
from syncd.console.web.forms import id_of, reason_of
from syncd.console.web.remembered import Remembered
from syncd.console.web.rendering import render
from syncd.model.delivery import DeliveryState
from syncd.model.errors import Conflict, Missing
from syncd.store import backfilled, requests
from syncd.store.backfilled import HeldUp
from syncd.store.database import Connection
from syncd.store.requests import OPEN_STATES, Request, RequestKind
from syncd.store.timeline import Decided, read_decisions
from syncd.sync.backfill import Wanted

ON_PAGE = 10
FAILED_SHOWN = 20
ADDRESS = r"/backfills/{id:\d{1,18}}"

FIRST_PAGE = web.AppKey("first_page", Remembered["list[Backfill]"])


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill, how far it is, and what became of what it has queued.

    `links`, `of`: how many links it has dealt with, of how many. `by_state`: the deliveries that it has queued.
    """

    request: Request
    wanted: Wanted
    is_dry: bool
    links: int
    of: int
    counts: dict[str, Any]
    by_state: dict[str, int]

    @property
    def is_open(self) -> bool:
        """Say whether it still waits or runs, so that it can be stopped."""
        return self.request.state in OPEN_STATES

    @property
    def queued(self) -> int:
        """Return how many deliveries it has queued."""
        return sum(self.by_state.values())

    @property
    def delivered(self) -> int:
        """Return how many of them are delivered."""
        return self.by_state.get(DeliveryState.DELIVERED.value, 0)


def add_routes(app: web.Application) -> None:
    """Add the pages."""
    context = app[CONTEXT]

    async def read_first() -> list[Backfill]:
        return await context.database.read(lambda c: read_some(c, None))

    app[FIRST_PAGE] = Remembered(context.clock, read_first)
    app.router.add_get("/backfills", _list)
    app.router.add_get(ADDRESS, _show)
    app.router.add_get(f"{ADDRESS}/stop", _ask)
    app.router.add_post(f"{ADDRESS}/stop", _stop)


async def _list(request: web.Request) -> web.StreamResponse:
    text = request.query.get("before", "")
    before = id_of(text) if text else None
    if before is None:
        some = await request.app[FIRST_PAGE].get()
    else:
        some = await context_of(request).database.read(lambda c: read_some(c, before))
    shown = some[:ON_PAGE]
    older = shown[-1].request.id if len(some) > ON_PAGE else None
    return render(
        request, "backfills.html", title="Backfills", live=before is None, backfills=shown, older=older, before=before
    )


def read_some(connection: Connection, before: int | None) -> list[Backfill]:
    """Return backfills, the newest first: a page of them, and one more if there is one."""
    return [
        _backfill(connection, one) for one in requests.recent(connection, RequestKind.BACKFILL, ON_PAGE + 1, before)
    ]


def _backfill(connection: Connection, request: Request) -> Backfill:
    is_dry = bool(request.arguments.get("dry_run"))
    counts = request.result or request.progress
    return Backfill(
        request=request,
        wanted=Wanted.from_arguments(request.arguments),
        is_dry=is_dry,
        links=int(counts.get("links", 0)),
        of=int(counts.get("of", 0)),
        counts=counts,
        by_state={} if is_dry else backfilled.count_states(connection, [request.id]),
    )


@dataclass(frozen=True, slots=True)
class InFull:
    """A backfill with what keeps it, and what was decided about it."""

    backfill: Backfill
    unsent: dict[str, int]
    held_up: list[HeldUp]
    failed: list[int]
    decided: list[Decided]


def read_in_full(connection: Connection, request_id: int) -> InFull:
    """Return a backfill in full.

    Raises:
        Missing: there is none of that id.
    """
    found = requests.find(connection, request_id)
    if found is None or found.kind is not RequestKind.BACKFILL:
        raise Missing(f"there is no backfill {request_id}")
    return InFull(
        backfill=_backfill(connection, found),
        unsent=backfilled.count_open(connection, [request_id]),
        held_up=backfilled.find_held_up(connection, [request_id]),
        failed=sorted(requests.steps_failed(connection, request_id))[:FAILED_SHOWN],
        decided=read_decisions(connection, f"request {request_id}"),
    )


async def _read(request: web.Request) -> InFull:
    request_id = int(request.match_info["id"])
    return await context_of(request).database.read(lambda c: read_in_full(c, request_id))


async def _show(request: web.Request) -> web.StreamResponse:
    found = await _read(request)
    title = f"Backfill {found.backfill.request.id}"
    return render(request, "backfill.html", title=title, live=found.backfill.is_open or bool(found.unsent), found=found)


async def _ask(request: web.Request, message: str = "") -> web.StreamResponse:
    found = await _read(request)
    one = found.backfill
    if not one.is_open:
        raise Conflict(f"backfill {one.request.id} is {one.request.state}, so there is nothing to stop")
    return render(
        request,
        "backfill_stop.html",
        status=400 if message else 200,
        title=f"Stop backfill {one.request.id}",
        one=one,
        message=message,
        unsent=sum(found.unsent.values()),
    )


async def _stop(request: web.Request) -> web.StreamResponse:
    reason = reason_of(await read_form(request))
    if not reason:
        return await _ask(request, "Say why: it stays in the records.")
    context, request_id = context_of(request), int(request.match_info["id"])
    by = context.acting_for(who_asks(request)).decision(reason)
    await context.database.write(lambda c: requests.stop(c, request_id, by))
    request.app[FIRST_PAGE].forget()
    found = await _read(request)
    context.poke(found.backfill.request.system)
    return back_to(request, f"/backfills/{request_id}", "The backfill is stopped; what it has queued is sent.")
