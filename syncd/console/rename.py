"""`syncd rename`: another name for a system or an api that has a history, so that nothing is sent twice under it."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.output import counted, say
from syncd.model.errors import UsageError
from syncd.model.lease import Kind

if TYPE_CHECKING:  # the store takes a third of a second to import, which a help text does not need
    from syncd.store.database import Connection

app = typer.Typer(
    help="Give a system or an api that has a history another name.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

Old = Annotated[str, typer.Argument(metavar="OLD", help="The name in the database.")]
New = Annotated[str, typer.Argument(metavar="NEW", help="The name in the settings.")]


@app.command("system")
def system(ctx: typer.Context, old: Old, new: New) -> None:
    """Rename a ticketing system: links, deliveries, cursor and all that is known of its replies go to the new name.

    Stop every worker, rename [systems.OLD] and its credentials, then say this. It is one transaction. A system of
    another kind, or another account, is no rename: its replies have other ids.
    """
    changed = perform(ctx, lambda context: _rename(context, Kind.SYSTEM, old, new, context.settings.systems))
    _tell(changed, "system", old, new)


@app.command("api")
def api(ctx: typer.Context, old: Old, new: New) -> None:
    """Rename an api: its threads, with all that was sent to them, and its state go to the new name.

    Stop every worker, rename [api.OLD] and its credential, then say this. It is one transaction. Another studio is no
    rename: its customers and threads are others.
    """
    changed = perform(ctx, lambda context: _rename(context, Kind.API, old, new, context.settings.api))
    _tell(changed, "api", old, new)


async def _rename(
    context: CommandContext, kind: Kind, old: str, new: str, configured: Collection[str]
) -> dict[str, int]:
    from syncd.console.locked import locked  # noqa: PLC0415 - see above
    from syncd.store import rename  # noqa: PLC0415 - see above

    _refuse_settings(kind, old, new, configured)
    by = context.decision(f"it was {old}")

    def write(connection: "Connection") -> dict[str, int]:
        if not rename.is_known(connection, kind, old):
            raise UsageError(f"nothing is known of {kind} {old} in the database; nothing was changed")
        if history := rename.find_history(connection, kind, new):
            raise UsageError(
                f"{new} has a history of its own ({', '.join(history)}), and two cannot become one; nothing was changed"
            )
        return rename.rename(connection, kind, old, new, by)

    async with locked(context.database_url, context.database, context.clock):
        return await context.database.write(write)


def _refuse_settings(kind: Kind, old: str, new: str, configured: Collection[str]) -> None:
    table = "api" if kind is Kind.API else "systems"
    if new not in configured:
        raise UsageError(f"there is no [{table}.{new}] in the settings; rename [{table}.{old}] there first")
    if old in configured:
        raise UsageError(f"[{table}.{old}] is still in the settings; rename it to [{table}.{new}] there first")


def _tell(changed: dict[str, int], kind: str, old: str, new: str) -> None:
    rows = ", ".join(counted(number, f"row of {name}", f"rows of {name}") for name, number in sorted(changed.items()))
    say(f"{kind} {old} is {new} now: {rows}")
    say("Run `syncd check`, and start syncd.")
