"""`syncd db`: the version of the database, migrating it, declaring it restored from a backup, moving it."""

import asyncio
from typing import Annotated, Any

import typer

from syncd.console.context import CommandContext, Invocation, invocation_of, opened, perform, quiet_log
from syncd.console.db_copy import copy_command
from syncd.console.locked import locked
from syncd.console.output import Shown, counted, print_json, say
from syncd.model.errors import StoreError, UsageError
from syncd.store import restored
from syncd.store.high_water import HighWater, Mark, is_behind
from syncd.store.schema import LATEST, SchemaState, compare, database_id, ensure_schema, read_version

app = typer.Typer(
    help="Upgrade the database, show its version, declare it restored, move it to another one.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)
app.command("copy")(copy_command)


@app.command("upgrade")
def upgrade(ctx: typer.Context) -> None:
    """Create a missing database, migrate an older one. Make a backup first; no worker may run."""

    async def work(invocation: Invocation) -> str:
        async with opened(invocation, ensure=False) as context:
            where = context.database.where
            before = compare(await context.database.read(read_version))
            if before is SchemaState.CURRENT:
                return f"the database at {where} has schema {LATEST}; there is nothing to do"
            async with locked(context.database_url, context.database, context.clock):
                await ensure_schema(context.database, migrate=True)
            done = "was created with" if before is SchemaState.MISSING else "now has"
            return f"the database at {where} {done} schema {LATEST}"

    quiet_log()
    say(asyncio.run(work(invocation_of(ctx))))


@app.command("version")
def version(ctx: typer.Context, json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Show the schema of the database, and whether this syncd works with it (else exit code 1)."""

    async def work(invocation: Invocation) -> tuple[dict[str, Any], CommandContext]:
        async with opened(invocation, ensure=False) as context:
            found = await context.database.read(read_version)
            state = compare(found)
            name = await context.database.read(database_id) if state is SchemaState.CURRENT else None
            values = {
                "database": context.database.where,
                "schema": found,
                "needed": LATEST,
                "state": state,
                "database_id": name,
            }
            return values, context

    quiet_log()
    values, context = asyncio.run(work(invocation_of(ctx)))
    if json:
        print_json(values)
    else:
        Shown(context.zone).fields((name.replace("_", " "), value) for name, value in values.items())
    if values["state"] not in {SchemaState.CURRENT, SchemaState.MISSING}:
        raise typer.Exit(1)


@app.command("restored")
def declare_restored(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Which backup; it stays in the records with your name.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Declare it even if nothing shows that the database was restored.")
    ] = False,
) -> None:
    """Declare that the database was put back from a backup. Stop the worker first.

    Whatever was open in it, and every reply since, may have been sent: all of it is in doubt after this, for a
    person to decide, and nothing is sent twice.
    """

    async def work(context: CommandContext) -> int:
        async with locked(context.database_url, context.database, context.clock):
            return await _declare(context, reason, yes=yes)

    doubted = perform(ctx, work)
    say(f"{counted(doubted, 'delivery')} that were open are in doubt now, and so will be the replies since the backup")
    say("Look at them: syncd deliveries list --state in_doubt; decide: syncd deliveries resolve. syncd may be started.")


async def _declare(context: CommandContext, reason: str, *, yes: bool) -> int:
    from syncd.service.wiring import high_water_path  # noqa: PLC0415 - the vendors' HTTP: no help text needs it

    by = context.decision(reason)
    name = await context.database.read(database_id)
    counter = await context.database.read(restored.attempt_counter)
    high_water = HighWater(high_water_path(context.settings))
    mark = _read_mark(high_water, name, counter)
    if not is_behind(mark, name, counter) and not yes:
        raise UsageError(
            "nothing shows that this database was restored: it knows every attempt that was made. To put whatever "
            "is open in doubt all the same, say --yes. Nothing was changed."
        )
    reached = max(counter, mark.attempts if mark is not None and mark.database_id == name else 0)
    doubted = await context.database.write(lambda c: restored.declare_restored(c, reached, by))
    high_water.open(name, reached)
    high_water.close()
    return doubted


def _read_mark(high_water: HighWater, name: str, counter: int) -> Mark | None:
    """Return the mark; one that cannot be made out counts as ahead of the database, as nobody can know."""
    try:
        return high_water.read(name)
    except StoreError:
        return Mark(name, counter + 1)
