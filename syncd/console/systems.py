"""`syncd systems`: the ticketing systems, whether they are polled, and why not."""

from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from syncd.console import pauses
from syncd.console.context import CommandContext, perform
from syncd.console.output import Shown, print_json, say
from syncd.model.health import SystemState
from syncd.store import health
from syncd.store.database import Connection

if TYPE_CHECKING:  # it imports the vendors' HTTP, a third of a second that a help text does not need
    from syncd.service.settings import Settings

app = typer.Typer(
    help="List, pause and resume ticketing systems.", add_completion=False, rich_markup_mode=None, no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The system, as in [systems.NAME].")]


def read_systems(connection: Connection, settings: "Settings") -> dict[str, dict[str, Any]]:
    """Return what is known of every configured system, by its name."""
    states = health.list_systems(connection)
    return {name: _values(name, settings, states.get(name, SystemState(name))) for name in sorted(settings.systems)}


def _values(name: str, settings: "Settings", state: SystemState) -> dict[str, Any]:
    return {
        "name": name,
        "adapter": settings.systems[name].adapter,
        "state": _word(state),
        "paused_by": state.paused_by,
        "reason": state.reason if state.paused_by is not None or state.failures else None,
        "since_at": state.since_at if state.paused_by is not None or state.failures else None,
        "retry_at": state.retry_at,
        "failures": state.failures,
        "last_success_at": state.last_success_at,
        "last_full_sweep_at": state.last_full_sweep_at,
        "full_sweep_found": state.full_sweep_found,
        "full_sweep_seconds": state.full_sweep_seconds,
    }


def _word(state: SystemState) -> str:
    if state.paused_by is not None:
        return "paused"
    if state.failures:
        return "failing"
    return "polled" if state.last_success_at is not None else "not polled yet"


@app.command("list")
def list_systems(
    ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False
) -> None:
    """List systems: whether they are polled, and why not."""

    async def work(context: CommandContext) -> tuple[list[dict[str, Any]], ZoneInfo]:
        found = await context.database.read(lambda c: read_systems(c, context.settings))
        return list(found.values()), context.zone

    found, zone = perform(ctx, work)
    if json:
        print_json(found)
        return
    names = ("name", "adapter", "state", "since_at", "last_success_at", "last_full_sweep_at", "reason")
    Shown(zone).table(
        ("system", "adapter", "state", "since", "last success", "last full sweep", "reason"),
        [[one[name] for name in names] for one in found],
    )


@app.command("pause")
def pause(
    ctx: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the records with your name.")],
) -> None:
    """Ask a system for nothing until it is resumed."""

    async def work(context: CommandContext) -> None:
        await pauses.pause_system(context, name, reason)

    perform(ctx, work)
    say(f"{name} is paused; to go on: syncd systems resume {name}")


@app.command("resume")
def resume(
    ctx: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the records.")] = "resumed",
) -> None:
    """Poll a paused system again, at once."""

    async def work(context: CommandContext) -> bool:
        return await pauses.resume_system(context, name, reason)

    say(f"{name} is polled again" if perform(ctx, work) else f"{name} was not paused")
