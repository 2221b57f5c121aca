"""The control API's overview, apis and systems: how everything stands, and pausing what must wait."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from syncd.console import pauses
from syncd.console.apis import read_apis
from syncd.console.context import CommandContext
from syncd.console.systems import read_systems
from syncd.console.web.control_answers import ApisTold, ApiTold, StatusTold, SystemsTold, SystemTold
from syncd.console.web.control_models import Because, Resume
from syncd.console.web.control_route import Answer, Call, Route
from syncd.model.errors import Missing

Change = Callable[[CommandContext, str, str], Awaitable[object]]


async def status(call: Call) -> Answer:
    """Show how everything stands."""
    return Answer((await call.standing.get()).values())


async def apis(call: Call) -> Answer:
    """List the apis."""
    return Answer({"apis": list((await call.standing.get()).apis.values())})


async def systems(call: Call) -> Answer:
    """List the systems."""
    return Answer({"systems": list((await call.standing.get()).systems.values())})


async def change_api(change: Change, call: Call) -> Answer:
    """Pause, resume or release an api."""
    if call.name not in call.context.settings.api:
        raise Missing(f"there is no [api.{call.name}] in the settings")
    await change(call.context, call.name, call.body.reason)
    now, settings = call.context.clock.now(), call.context.settings
    found = await call.context.database.read(lambda c: read_apis(c, settings, now))
    return Answer(found[call.name])


async def change_system(change: Change, call: Call) -> Answer:
    """Pause or resume a system."""
    if call.name not in call.context.settings.systems:
        raise Missing(f"there is no [systems.{call.name}] in the settings")
    await change(call.context, call.name, call.body.reason)
    call.web.poke(call.name)
    settings = call.context.settings
    found = await call.context.database.read(lambda c: read_systems(c, settings))
    return Answer(found[call.name])


ROUTES: Sequence[Route] = (
    Route("GET", "/status", "Show how everything stands, as `syncd status --json` does.", status, {200: StatusTold}),
    Route("GET", "/apis", "List the apis: whether they are sent to, and why not.", apis, {200: ApisTold}),
    Route(
        "POST",
        "/apis/{name}/pause",
        "Send nothing to an api until it is resumed; what arrives waits.",
        partial(change_api, pauses.pause_api),
        {200: ApiTold},
        body=Because,
        can_conflict=True,
    ),
    Route(
        "POST",
        "/apis/{name}/resume",
        "Send to a paused api again.",
        partial(change_api, pauses.resume_api),
        {200: ApiTold},
        body=Resume,
        can_conflict=True,
    ),
    Route(
        "POST",
        "/apis/{name}/release",
        'Let an api with mode = "hold" send from now on.',
        partial(change_api, pauses.release_api),
        {200: ApiTold},
        body=Resume,
        can_conflict=True,
    ),
    Route("GET", "/systems", "List the systems: whether they are polled, and why not.", systems, {200: SystemsTold}),
    Route(
        "POST",
        "/systems/{name}/pause",
        "Ask a system for nothing until it is resumed.",
        partial(change_system, pauses.pause_system),
        {200: SystemTold},
        body=Because,
    ),
    Route(
        "POST",
        "/systems/{name}/resume",
        "Poll a paused system again, at once.",
        partial(change_system, pauses.resume_system),
        {200: SystemTold},
        body=Resume,
    ),
)
