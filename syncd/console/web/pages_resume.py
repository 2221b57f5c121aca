"""Pausing, resuming and releasing: each has a page that says what it does, and asks for a reason."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from syncd.console import pauses
from syncd.console.context import CommandContext
from syncd.console.web.attention import back_to
from syncd.console.web.context import context_of, who_asks
from syncd.console.web.form_body import read_form
from syncd.console.web.forms import back_of, reason_of
from syncd.console.web.overview import Lane, standing_of
from syncd.console.web.rendering import render
from syncd.model.errors import Conflict, Missing
from syncd.model.health import PauseCause


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is done to an api or a system.

    `word`: how it has to stand for this; None if it has to stand in any other way. `done`: said of it afterwards.
    """

    kind: str
    name: str
    word: str | None
    carry: Callable[[CommandContext, str, str], Awaitable[object]]
    effects: tuple[str, ...]
    done: str


_CHANGES = (
    Change(
        "api",
        "pause",
        None,
        pauses.pause_api,
        (
            "Nothing is sent to it until somebody resumes it. What is on the wire is finished.",
            "The systems are read as before; what arrives for it waits, and nothing is lost.",
        ),
        "is paused",
    ),
    Change("api", "resume", "paused", pauses.resume_api, (), "is sent to again"),
    Change(
        "api",
        "release",
        "held",
        pauses.release_api,
        (
            'It is sent to from now on, what waits first. "Hold" in its settings means nothing any more after that.',
            "What was sent cannot be taken back: look at what waits before you release it.",
        ),
        "is released",
    ),
    Change(
        "system",
        "pause",
        None,
        pauses.pause_system,
        (
            "Nothing is asked of it until somebody resumes it: no sweep, no backfill, no look at a ticket.",
            "What was read before is still sent. What is written there meanwhile is read afterwards.",
            "What has waited over 10 minutes is read again before it is sent, so that waits as well.",
        ),
        "is paused",
    ),
    Change(
        "system",
        "resume",
        "paused",
        pauses.resume_system,
        ("It is read again at once, from where it was. If its account is still refused, it is paused again.",),
        "is read again",
    ),
)

_RESUMING = {
    PauseCause.KEY: "Its key was refused. syncd asks by itself now and then whether it is good again, without sending.",
    PauseCause.NOT_THE_API: "Something else answered in its place. If that is still so, it is paused again at once.",
    PauseCause.THREADS: "Three threads in a row were refused. If that goes on, it is paused again.",
    PauseCause.PERSON: "Somebody has paused it: read why, and ask if you do not know whether that is over.",
}


def add_routes(app: web.Application) -> None:
    """Add the pages."""
    for change in _CHANGES:
        path = f"/{change.kind}s/{{name}}/{change.name}"
        app.router.add_get(path, partial(_confirm, change))
        app.router.add_post(path, partial(_do, change))


async def _confirm(change: Change, request: web.Request) -> web.StreamResponse:
    lane = await _get_lane(change, request)
    name = lane.name
    return render(
        request,
        "change.html",
        title=f"{change.name.capitalize()} {change.kind} {name}",
        lane=lane,
        change=change,
        effects=list(_effects(change, lane)),
        back=back_of(request.query, "/"),
    )


async def _do(change: Change, request: web.Request) -> web.StreamResponse:
    lane = await _get_lane(change, request)
    form = await read_form(request)
    context = context_of(request)
    done = await change.carry(context.acting_for(who_asks(request)), lane.name, reason_of(form))
    if change.kind == "system":
        context.poke(lane.name)
    if done is False:
        raise Conflict(f"nothing was changed: {change.kind} {lane.name} was {_past(change)} already")
    raise back_to(request, back_of(form, "/"), f"{change.kind.capitalize()} {lane.name} {change.done}.")


def _past(change: Change) -> str:
    return {"pause": "paused", "resume": "resumed", "release": "released"}[change.name]


async def _get_lane(change: Change, request: web.Request) -> Lane:
    """Return what is to be changed.

    Raises:
        Missing: it is not in the settings.
    """
    standing = await standing_of(request)
    name = request.match_info["name"]
    for lane in standing.apis if change.kind == "api" else standing.systems:
        if lane.name == name and lane.word != "not configured":
            return lane
    raise Missing(f"there is no {change.kind} {name!r} in the settings")


def _effects(change: Change, lane: Lane) -> Iterable[str]:
    yield from change.effects
    values: Any = lane.values
    if change.kind == "api":
        waiting = values["pending"]
        if change.name != "pause":
            yield f"{waiting} wait for it, and go out at its pace, the oldest first."
        if change.name == "resume" and values["cause"] in _RESUMING:
            yield _RESUMING[values["cause"]]
    if change.word is not None and lane.word != change.word:
        yield f"It is not {change.word} now, so there is nothing to change."
