"""`syncd check`: whether everything that syncd needs is there and lets it in. It changes nothing anywhere."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from syncd.console.check_console import alert_finding, console_findings, webhook_findings
from syncd.console.check_ends import end_findings
from syncd.console.check_ticket import check_ticket
from syncd.console.context import invocation_of, quiet_log
from syncd.console.findings import (
    Finding,
    Verdict,
    database_findings,
    settings_findings,
    state_directory_finding,
)
from syncd.console.output import Shown, counted, print_json, say
from syncd.model.clock import Clock
from syncd.model.errors import StoreError, UsageError
from syncd.model.health import ApiState, SystemState
from syncd.service.settings import Settings
from syncd.store import health
from syncd.store.database import Database, open_database


def check(
    ctx: typer.Context,
    system: Annotated[
        str | None, typer.Option("--system", metavar="NAME", help="With --ticket: the system that it is of.")
    ] = None,
    ticket: Annotated[
        str | None,
        typer.Option("--ticket", metavar="T", help="Show field by field what becomes of this ticket (number or link)."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object with every finding; with --ticket, one array of fields.")
    ] = False,
) -> None:
    """Check settings, database, every system and every api; read-only.

    Every system is asked who we are and what we may see, every api whether its key is good. With --ticket, one ticket
    of a system is read and shown field by field, with its replies: so a mapping of the rest adapter is written by
    trial. Exit code 1 if anything is not good, 2 if the settings cannot be used.
    """
    quiet_log()
    invocation = invocation_of(ctx)
    settings = invocation.load_settings()
    if ticket is not None:
        check_ticket(settings, invocation.clock, system, ticket, as_json=json)
        return
    if system is not None:
        raise UsageError("--system goes with --ticket; without both, everything is checked")
    findings = asyncio.run(find_all(settings, invocation.clock))
    worst = _worst(findings)
    if json:
        print_json({"verdict": worst, "findings": [_value(finding) for finding in findings]})
    else:
        _print_findings(settings, findings, worst)
    if worst is Verdict.BAD:
        raise typer.Exit(1)


def _value(finding: Finding) -> dict[str, Any]:
    return {
        "about": finding.about,
        "verdict": finding.verdict,
        "found": finding.found,
        "advice": finding.advice or None,
    }


def _worst(findings: Sequence[Finding]) -> Verdict:
    found = {finding.verdict for finding in findings}
    return next((verdict for verdict in (Verdict.BAD, Verdict.WARNING) if verdict in found), Verdict.GOOD)


def _print_findings(settings: Settings, findings: Sequence[Finding], worst: Verdict) -> None:
    rows, rest = table_of(findings)
    shown = Shown(settings.zone)
    shown.table(("verdict", "what", "found", "what to do"), [_cells(finding) for finding in rows])
    if rest:
        say()
        say("And also:")
        shown.table(("verdict", "what", "found", "what to do"), [_cells(finding) for finding in rest])
    bad = sum(1 for finding in findings if finding.verdict is Verdict.BAD)
    say()
    say(
        {Verdict.GOOD: "All good.", Verdict.WARNING: "Good, with warnings."}.get(
            worst, f"{counted(bad, 'thing')} not good."
        )
    )


def _cells(finding: Finding) -> tuple[Any, ...]:
    return finding.verdict, finding.about, finding.found, finding.advice


def table_of(findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Return a row for each thing that was looked at, its worst finding, the worst first; and what else was found."""
    order = [Verdict.BAD, Verdict.WARNING, Verdict.GOOD]
    by_verdict = sorted(findings, key=lambda finding: order.index(finding.verdict))
    rows: dict[str, Finding] = {}
    for finding in by_verdict:
        rows.setdefault(finding.about, finding)
    return list(rows.values()), [finding for finding in by_verdict if rows[finding.about] is not finding]


async def find_all(settings: Settings, clock: Clock) -> list[Finding]:
    """Return every finding."""
    database = open_database(settings.database.url.get_secret_value())
    try:
        local = [*settings_findings(settings), state_directory_finding(settings)]
        local += await database_findings(settings, database)
        local += [*await console_findings(settings), *webhook_findings(settings), alert_finding(settings)]
        states = await _stored_health(settings, database)
        return local + await end_findings(settings, database, clock, states)
    finally:
        await database.close()


async def _stored_health(settings: Settings, database: Database) -> tuple[dict[str, SystemState], dict[str, ApiState]]:
    file = settings.database.sqlite_path
    if file is not None and not file.exists():
        return {}, {}
    try:
        return await database.read(health.list_systems), await database.read(health.list_apis)
    except StoreError:  # what is wrong with the database is a finding of its own
        return {}, {}
