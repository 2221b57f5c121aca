"""`syncd apis`: the targets of the Open API, whether they are sent to, and why not."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from syncd.console import pauses
from syncd.console.context import CommandContext, perform
from syncd.console.output import Shown, print_json, say
from syncd.model.health import ApiState
from syncd.model.policy import Mode
from syncd.store import gauges, health
from syncd.store.database import Connection

if TYPE_CHECKING:  # it imports the vendors' HTTP, a third of a second that a help text does not need
    from syncd.service.settings import Settings

app = typer.Typer(
    help="List, pause, resume and release targets of the Open API.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The api, as in [api.NAME].")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the records with your name.")]


def read_apis(connection: Connection, settings: "Settings", now: datetime) -> dict[str, dict[str, Any]]:
    """Return what is known of every api by its name, the configured ones and those with open work."""
    states = health.list_apis(connection)
    pending = gauges.count_pending(connection)
    names = sorted({*settings.api, *pending})
    return {
        name: _values(name, settings, states.get(name, ApiState(name)), pending.get(name, 0), now) for name in names
    }


def _values(name: str, settings: "Settings", state: ApiState, pending: int, now: datetime) -> dict[str, Any]:
    configured = settings.api.get(name)
    return {
        "name": name,
        "state": _word(None if configured is None else configured.mode, state, now),
        "mode": None if configured is None else configured.mode,
        "pending": pending,
        "cause": state.paused_cause,
        "reason": state.reason,
        "since_at": state.since_at,
        "retry_at": state.retry_at,
        "throttled_until": state.throttled_until,
        "released_at": state.released_at,
        "last_success_at": state.last_success_at,
    }


def _word(mode: Mode | None, state: ApiState, now: datetime) -> str:
    if mode is None:
        return "not configured"
    if state.paused_cause is not None:
        return "paused"
    if mode is Mode.HOLD and state.released_at is None:
        return "held"
    if state.throttled_until is not None and state.throttled_until > now:
        return "throttled"
    return "sending"


@app.command("list")
def list_apis(
    ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False
) -> None:
    """List apis: whether they are sent to, and why not."""

    async def work(context: CommandContext) -> tuple[list[dict[str, Any]], ZoneInfo]:
        now = context.clock.now()
        found = await context.database.read(lambda c: read_apis(c, context.settings, now))
        return list(found.values()), context.zone

    found, zone = perform(ctx, work)
    if json:
        print_json(found)
        return
    names = ("name", "state", "pending", "since_at", "last_success_at", "reason")
    Shown(zone).table(
        ("api", "state", "pending", "since", "last success", "reason"),
        [[one[name] for name in names] for one in found],
    )


@app.command("pause")
def pause(ctx: typer.Context, name: Name, reason: Reason) -> None:
    """Send nothing to an api until it is resumed; what arrives waits."""

    async def work(context: CommandContext) -> None:
        await pauses.pause_api(context, name, reason)

    perform(ctx, work)
    say(f"{name} is paused; to go on: syncd apis resume {name}")


@app.command("resume")
def resume(
    ctx: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the records.")] = "resumed",
) -> None:
    """Send to a paused api again."""

    async def work(context: CommandContext) -> bool:
        return await pauses.resume_api(context, name, reason)

    say(f"{name} is sent to again" if perform(ctx, work) else f"{name} was not paused")


@app.command("release")
def release(
    ctx: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the records.")] = "released",
) -> None:
    """Let an api with mode = "hold" send from now on, what waits first."""

    async def work(context: CommandContext) -> str:
        if context.get_api(name).mode is not Mode.HOLD:
            return f"{name} is not held: its mode is send"
        was_held = await pauses.release_api(context, name, reason)
        return f"{name} is released" if was_held else f"{name} was released before"

    say(perform(ctx, work))
