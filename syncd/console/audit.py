"""`syncd audit`: proof that both sides match. Every linked ticket is read by itself, every reply accounted for."""

from typing import Annotated, Any

import typer

from syncd.console.audit_page import Report, system_values
from syncd.console.context import CommandContext, parse_instant, perform
from syncd.console.output import Shown, notice, print_json
from syncd.console.poll import find_systems
from syncd.console.progress import ProgressDisplay
from syncd.console.worker import carry_out
from syncd.store import lists
from syncd.store.requests import Request, RequestKind
from syncd.sync.audit_findings import Wanted


def audit(
    ctx: typer.Context,
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="The ticketing system, as in [systems.NAME]; else all of them.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="INSTANT", help="Replies from then on (ISO 8601).")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Queue what is missing, as new replies are queued.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Prove that both sides match: read every linked ticket by itself, and account for each of its replies.

    It uses neither the change feed nor anything remembered of it. Exit code 1 if a reply is missing, an internal one
    was sent, or a ticket could not be read; also where --repair has queued what was missing: the next audit is clean.
    What is stopped is gone on with by the same command.
    """

    async def work(context: CommandContext) -> Report:
        wanted = _wanted(context, since, repair=repair)
        report = Report(Shown(context.zone))
        names = await find_systems(context, system, [])
        with ProgressDisplay(context.clock) as display:
            for name in names:
                request = await carry_out(
                    context, RequestKind.AUDIT, name, wanted.as_arguments(), lambda one: _show(display, one)
                )
                report.add(name, request.result)
        if system is None:
            for name, why in (await _left_out(context, names)).items():
                report.add(name, {"failure": why})
        return report

    report = perform(ctx, work)
    if json:
        print_json(report.values())
    else:
        report.say()
    if report.needs_person:
        raise typer.Exit(1)


def _wanted(context: CommandContext, since: str | None, *, repair: bool) -> Wanted:
    if since is None:
        return Wanted(repair=repair)
    instant, assumed = parse_instant(since, context.zone)
    if assumed:
        notice(f"{since} has no time zone; it is taken as a time of {context.zone.key}")
    return Wanted(instant, repair)


def _show(display: ProgressDisplay, request: Request) -> None:
    counts: dict[str, Any] = request.result or request.progress
    if "of" in counts:
        values = system_values(counts)
        words = f"{values['replies']} replies, {values['missing']} missing"
        display.show(request.system, counts["tickets"], counts["of"], words)


async def _left_out(context: CommandContext, names: list[str]) -> dict[str, str]:
    """Return the systems that have links and were not read, with the reason: what is not read is not accounted for."""
    _, linked = await context.database.read(lists.count_open_work)
    paused = {
        name: f"paused by a person, so not read; syncd systems resume {name}" for name in context.settings.systems
    }
    gone = {name: f"it has links and is not in the settings: put [systems.{name}] back" for name in linked}
    return {name: why for name, why in sorted((gone | paused).items()) if name in linked and name not in names}
