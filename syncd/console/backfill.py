"""`syncd backfill`: collecting what is older than the links, planned first, resumable, behind live replies."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import typer

from syncd.console.backfill_wait import follow_until_delivered
from syncd.console.context import CommandContext, parse_instant, perform
from syncd.console.output import Shown, counted, notice, say, span
from syncd.console.poll import find_systems
from syncd.console.progress import ProgressDisplay
from syncd.console.seat import worker_runs
from syncd.console.worker import carry_out, failure_of
from syncd.model.errors import UsageError
from syncd.model.link import LinkState
from syncd.store import links, requests
from syncd.store.requests import Request, RequestKind
from syncd.sync.backfill import Wanted


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count, and do nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until what was found is delivered.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not read and ask first.")] = False,
) -> None:
    """Collect replies that are older than their links, and queue them behind live ones.

    On a terminal everything is read once beforehand to say what would be sent, and then asked for. What is stopped is
    gone on with by the same command. What was delivered, withheld or skipped before stays as it is.
    """

    async def work(context: CommandContext) -> bool:
        wanted = _wanted(context, since, until, first_message=first_message)
        names = await find_systems(context, system, ticket or [])
        asked = [(name, await choose_tickets(context, name, wanted, ticket or [])) for name in names]
        for name, mine in asked:
            await _say_scope(context, name, mine)
        if dry_run or (sys.stdin.isatty() and sys.stdout.isatty() and not yes):
            await _plan(context, asked)
            if dry_run or not typer.confirm("Go on?", default=False):
                return dry_run
        return await _carry_out_all(context, asked, wait=wait)

    if not perform(ctx, work):
        raise typer.Exit(1)


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
        UsageError: a ticket's link is not active, so that nothing can be sent for it.
    """
    numbers = set()
    for ticket in tickets:
        for link in await context.database.read(lambda c: links.listed(c, system=name, ticket=ticket)):  # noqa: B023
            if link.state is LinkState.ACTIVE and link.ticket is not None:
                numbers.add(link.ticket.number)
            elif link.state is not LinkState.REMOVED:
                raise UsageError(f"link {link.id} of ticket {ticket} is {link.state}; see syncd links show {link.id}")
    return replace(wanted, tickets=tuple(sorted(numbers)))


async def _say_scope(context: CommandContext, name: str, wanted: Wanted) -> None:
    show = Shown(context.zone)
    active = await context.database.read(lambda c: links.listed(c, system=name, state=LinkState.ACTIVE.value))
    chosen = [link for link in active if not wanted.tickets or link.ticket_name in wanted.tickets]
    begin = "their start" if wanted.since is None else show.cell(wanted.since)
    end = "" if wanted.until is None else f" to {show.cell(wanted.until)}"
    firsts = "with" if wanted.first_message else "without"
    say(f"{name}: {counted(len(chosen), 'active link')}, replies from {begin}{end}, {firsts} first messages")
    arguments = wanted.as_arguments()
    for request in await context.database.read(lambda c: requests.open_requests(c, name)):
        if request.kind is RequestKind.BACKFILL and request.arguments == arguments:
            say(f"{name}: the same backfill was begun before; it goes on where it was")


async def _plan(context: CommandContext, asked: Sequence[tuple[str, Wanted]]) -> None:
    """Read everything once and say what would be sent, and how long that takes."""
    rows: list[Sequence[Any]] = []
    to_send: dict[str, int] = {}
    with ProgressDisplay(context.clock) as display:
        for name, wanted in asked:
            arguments = wanted.as_arguments() | {"dry_run": True}
            request = await _ask(context, name, arguments, display, f"{name} (reading)")
            counts = request.result
            if "failure" in counts:
                notice(f"{name} cannot be read: {counts['failure']}")
            rows.append((name, *(counts.get(key, 0) for key in ("links", "found", "known", "enqueued", "failed"))))
            for api, number in counts.get("by_api", {}).items():
                to_send[api] = to_send.get(api, 0) + number
    columns = ("system", "links", "replies found", "sent or queued before", "to send", "links that failed")
    Shown(context.zone).table(columns, rows)
    for api, number in sorted(to_send.items()):
        say(f"{api}: {counted(number, 'communication')}, {_duration(context, api, number)}; live replies go first")


def _duration(context: CommandContext, api: str, number: int) -> str:
    settings = context.settings.api.get(api)
    if settings is None:
        return "but it is not in the settings"
    pace = settings.requests_per_minute
    return f"about {span(max(1.0, number / pace * 60))} at {pace:g} a minute"


async def _ask(
    context: CommandContext, name: str, arguments: dict[str, Any], display: ProgressDisplay, title: str
) -> Request:
    def show(request: Request) -> None:
        counts = request.result or request.progress
        if counts:
            words = f"{counts.get('found', 0)} replies, {counts.get('enqueued', 0)} to send"
            display.show(title, counts.get("links", 0), counts.get("of"), words)

    return await carry_out(context, RequestKind.BACKFILL, name, arguments, show)


async def _carry_out_all(context: CommandContext, asked: Sequence[tuple[str, Wanted]], *, wait: bool) -> bool:
    went_well = True
    enqueued = 0
    with ProgressDisplay(context.clock) as display:
        for name, wanted in asked:
            request = await _ask(context, name, wanted.as_arguments(), display, name)
            counts = request.result
            enqueued += counts.get("enqueued", 0)
            went_well = _say_result(name, request) and went_well
        if wait:
            return await follow_until_delivered(context, [name for name, _ in asked], display) and went_well
    if enqueued and not await worker_runs(context):
        say("No worker runs, so they wait: `syncd run` (systemctl start syncd) delivers them.")
    return went_well


def _say_result(name: str, request: Request) -> bool:
    counts = request.result
    if "failure" in counts:
        say(f"{name}: failed: {counts['failure']}")
        return False
    found = counted(counts.get("found", 0), "reply", "replies")
    say(f"{name}: {counted(counts.get('links', 0), 'link')}, {found} found, {counts.get('enqueued', 0)} queued")
    if failure_of(request) is not None:
        say(f"{name}: {counted(counts.get('failed', 0), 'link')} failed (see the log); the same command tries again")
        return False
    return True
