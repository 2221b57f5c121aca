"""`syncd backfill`: collecting what is older than the links, planned first, resumable, behind live replies."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from syncd.console.backfill_list import list_backfills, stop_backfill
from syncd.console.backfill_plan import make_plans, say_plans, say_scope
from syncd.console.backfill_request import carry_out_backfill, open_again
from syncd.console.backfill_wait import follow_until_delivered
from syncd.console.context import CommandContext, parse_instant, perform
from syncd.console.output import counted, notice, say
from syncd.console.poll import find_systems
from syncd.console.progress import ProgressDisplay
from syncd.console.seat import worker_runs
from syncd.console.worker import failure_of
from syncd.model.errors import Conflict, UsageError
from syncd.model.link import LinkState
from syncd.store import backfilled, links
from syncd.store.requests import Request, RequestState
from syncd.sync.backfill import Wanted

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)
app.command("list")(list_backfills)
app.command("stop")(stop_backfill)


@app.callback()
def backfill(  # noqa: PLR0913, PLR0917 - each is an option of the command
    ctx: typer.Context,
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="The ticketing system, as in [systems.NAME]; else all of them.")
    ] = None,
    ticket: Annotated[
        list[str] | None, typer.Option(metavar="T", help="This ticket alone; may be said several times.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="INSTANT", help="Replies from then on (ISO 8601).")] = None,
    until: Annotated[str | None, typer.Option(metavar="INSTANT", help="Replies up to then (ISO 8601).")] = None,
    first_message: Annotated[
        bool,
        typer.Option(
            "--first-message", help="The first messages too; whoever made a thread has usually put them there."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say the plan and end; nothing is queued.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until what was queued is delivered.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Begin at once: no plan is made, and nothing asked.")] = False,
) -> None:
    """Collect replies that are older than their links, and queue them behind live ones.

    Everything is read once beforehand to say what would be sent and how long that takes; then it is asked for on a
    terminal, and needs --yes elsewhere. What is stopped is gone on with by the same command. What was delivered,
    withheld or skipped before stays as it is.
    """
    if ctx.invoked_subcommand is not None:
        return

    async def work(context: CommandContext) -> bool:
        wanted = _wanted(context, since, until, first_message=first_message)
        names = await find_systems(context, system, ticket or [])
        asked = [(name, await choose_tickets(context, name, wanted, ticket or [])) for name in names]
        for name, mine in asked:
            await say_scope(context, name, mine)
        if dry_run or not yes:
            plans = await make_plans(context, asked)
            say_plans(context, plans)
            is_known = not any(plan.failure or plan.progress.failed for plan in plans)
            if dry_run or not _is_confirmed():
                return dry_run and is_known
        return await _carry_out_all(context, asked, wait=wait)

    if not perform(ctx, work):
        raise typer.Exit(1)


def _is_confirmed() -> bool:
    """Ask whether to go on.

    Raises:
        UsageError: nobody can be asked.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "nothing was queued: nobody can be asked here; say --yes to go on, or --dry-run for this alone"
        )
    return typer.confirm("Go on?", default=False)


def _wanted(context: CommandContext, since: str | None, until: str | None, *, first_message: bool) -> Wanted:
    begin, end = (_instant(context, text) if text is not None else None for text in (since, until))
    if begin is not None and end is not None and begin > end:
        raise UsageError("--since is after --until, so there is nothing between them")
    return Wanted(since=begin, until=end, first_message=first_message)


def _instant(context: CommandContext, text: str) -> datetime:
    instant, assumed = parse_instant(text, context.zone)
    if assumed:
        notice(f"{text} has no time zone; it is taken as a time of {context.zone.key}")
    return instant


async def choose_tickets(context: CommandContext, name: str, wanted: Wanted, tickets: Sequence[str]) -> Wanted:
    """Return what is wanted of one system, its tickets by their numbers, however they were named.

    Raises:
        Conflict: a ticket's link is not active, or there is none any more, so that nothing can be sent for it.
    """
    numbers = set()
    for ticket in tickets:
        for link in await context.database.read(lambda c: links.listed(c, system=name, ticket=ticket)):  # noqa: B023
            if link.state is LinkState.ACTIVE and link.ticket is not None:
                numbers.add(link.ticket.number)
            elif link.state is not LinkState.REMOVED:
                raise Conflict(f"link {link.id} of ticket {ticket} is {link.state}; see syncd links show {link.id}")
    if tickets and not numbers:
        # Without a number it would be about all tickets of the system.
        raise Conflict(f"no link of {name} has one of these tickets any more; syncd links list shows them")
    return replace(wanted, tickets=tuple(sorted(numbers)))


async def _carry_out_all(context: CommandContext, asked: Sequence[tuple[str, Wanted]], *, wait: bool) -> bool:
    begun: list[int] = []
    try:
        with ProgressDisplay(context.clock) as display:
            return await _carry_out(context, asked, begun, display, wait=wait)
    except asyncio.CancelledError:
        await _say_what_goes_on(context, begun)
        raise


async def _carry_out(
    context: CommandContext,
    asked: Sequence[tuple[str, Wanted]],
    begun: list[int],
    display: ProgressDisplay,
    *,
    wait: bool,
) -> bool:
    went_well = True
    enqueued = 0
    for name, wanted in asked:
        arguments = wanted.as_arguments()
        if await open_again(context, name, arguments):
            say(f"{name}: the same backfill was stopped, or failed in parts; it goes on where it was")
        request = await carry_out_backfill(context, name, arguments, display, name, begun)
        enqueued += request.result.get("enqueued", 0)
        went_well = _say_result(name, request) and went_well
    if wait:
        earlier = [await context.database.read(lambda c: backfilled.find_unsent(c, name)) for name, _ in asked]  # noqa: B023
        ids = sorted({*begun, *(request_id for some in earlier for request_id in some)})
        return await follow_until_delivered(context, ids, display) and went_well
    if enqueued and not await worker_runs(context):
        say("No worker runs, so they wait: `syncd run` (systemctl start syncd) delivers them.")
    return went_well


async def _say_what_goes_on(context: CommandContext, begun: Sequence[int]) -> None:
    """Say, at Ctrl-C, what becomes of what was begun."""
    if not begun:
        return
    if await worker_runs(context):
        notice(f"The worker goes on with backfill {begun[-1]}; `syncd backfill stop {begun[-1]}` stops it.")
    else:
        notice(f"No worker runs, so backfill {begun[-1]} rests; the same command, or the service, goes on with it.")


def _say_result(name: str, request: Request) -> bool:
    counts = request.result
    if "failure" in counts:
        say(f"{name}: failed: {counts['failure']}")
        return False
    found = counted(counts.get("found", 0), "reply", "replies")
    say(f"{name}: {counted(counts.get('links', 0), 'link')}, {found} found, {counts.get('enqueued', 0)} queued")
    if request.state is RequestState.STOPPED:
        say(f"{name}: backfill {request.id} was stopped; the same command goes on where it was")
        return False
    if failure_of(request) is not None:
        say(f"{name}: {counted(counts.get('failed', 0), 'link')} failed (see the log); the same command tries again")
        return False
    return True
