"""`syncd check`: whether everything that syncd needs is there and lets it in. It changes nothing anywhere."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Annotated, Any

import typer

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
from syncd.delivery.api import KeyState
from syncd.model.clock import Clock
from syncd.model.errors import PauseSystem, StoreError, SyncdError, UsageError
from syncd.model.health import ApiState, SystemState
from syncd.service.settings import ApiSettings, Settings, SystemSettings
from syncd.service.wiring import open_api, open_system
from syncd.sources.adapter import Capability, Refused
from syncd.store import health
from syncd.store.database import Database, open_database

ANSWER_SECONDS = 45.0
"""How long one system or api may take: a request with its retries."""


def check(
    ctx: typer.Context,
    system: Annotated[str | None, typer.Option("--system", help="With --ticket: the system that it is of.")] = None,
    ticket: Annotated[
        str | None, typer.Option("--ticket", help="Show field by field what becomes of this ticket (number or link).")
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
    rows = [(finding.verdict, finding.about, finding.found, finding.advice) for finding in findings]
    Shown(settings.zone).table(("verdict", "what", "found", "what to do"), rows)
    bad = sum(1 for finding in findings if finding.verdict is Verdict.BAD)
    say()
    say(
        {Verdict.GOOD: "All good.", Verdict.WARNING: "Good, with warnings."}.get(
            worst, f"{counted(bad, 'thing')} not good."
        )
    )


async def find_all(settings: Settings, clock: Clock) -> list[Finding]:
    """Return every finding; systems and apis are asked all at once, and one that hangs holds up nobody."""
    database = open_database(settings.database.url.get_secret_value())
    try:
        local = [*settings_findings(settings), state_directory_finding(settings)]
        local += await database_findings(settings, database)
        systems, apis = await _stored_health(settings, database)
        asked: list[Awaitable[list[Finding]]] = [
            _within_time(f"system {name}", _check_system(name, one, systems.get(name), database, clock))
            for name, one in settings.systems.items()
        ]
        asked += [
            _within_time(f"api {name}", _check_api(name, one, apis.get(name), clock))
            for name, one in settings.api.items()
        ]
        return local + [finding for some in await asyncio.gather(*asked) for finding in some]
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


async def _within_time(about: str, asking: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asking
    except TimeoutError:
        said, advice = f"no answer within {ANSWER_SECONDS:g} s", "is the address right, and reachable from here?"
    except PauseSystem as error:
        said, advice = str(error), "mend its credentials or permissions"
    except (SyncdError, Refused) as error:
        said, advice = str(error), "is the address right? Try again later"
    except Exception as error:  # noqa: BLE001 - a bug in one adapter must not hide what the others found
        said, advice = f"failed with {type(error).__name__}", "a bug of the adapter, or an answer it does not know"
    return [Finding(about, Verdict.BAD, said, advice)]


async def _check_system(
    name: str, settings: SystemSettings, state: SystemState | None, database: Database, clock: Clock
) -> list[Finding]:
    about = f"system {name}"
    system, opened = open_system(name, settings, database, clock)
    async with opened:
        identity = await system.adapter.check()
        lacking = system.adapter.described(settings.options) - await system.adapter.available()
    said = "; ".join(
        [
            f"signed in as {identity.account}",
            *identity.notes,
            _capabilities(system.adapter.described(settings.options) - lacking),
        ]
    )
    findings = [Finding(about, Verdict.GOOD, said)]
    findings += [Finding(about, Verdict.WARNING, warning) for warning in identity.warnings]
    if lacking:
        words = ", ".join(sorted(capability.replace("_", " ") for capability in lacking))
        findings.append(
            Finding(
                about, Verdict.WARNING, f"this account has no {words}", f"slower; {settings.adapter_class.permissions}"
            )
        )
    if state is not None and state.paused_by is not None:
        paused = f"paused by {'a person' if state.paused_by == health.PERSON else 'syncd'}: {state.reason}"
        findings.append(Finding(about, Verdict.BAD, paused, f"syncd systems resume {name}"))
    return findings


def _capabilities(available: frozenset[Capability]) -> str:
    there = sorted(capability.replace("_", " ") for capability in available)
    return f"has {', '.join(there)}" if there else "tickets are read one by one"


async def _check_api(name: str, settings: ApiSettings, state: ApiState | None, clock: Clock) -> list[Finding]:
    about = f"api {name}"
    api = open_api(settings, clock)
    try:
        key = await api.probe()
    finally:
        await api.close()
    if key is KeyState.GOOD:
        held = settings.mode.value == "hold" and (state is None or state.released_at is None)
        said = (
            f"the key is good; mode hold: nothing is sent until syncd apis release {name}"
            if held
            else "the key is good"
        )
        findings = [Finding(about, Verdict.GOOD, said)]
    elif key is KeyState.REFUSED:
        findings = [Finding(about, Verdict.BAD, "the key is refused (401)", f"put a valid key at api.{name}.api_key")]
    else:
        said = f"{settings.base_url} does not answer as the Open API does"
        findings = [Finding(about, Verdict.BAD, said, "is base_url right, and reachable from here?")]
    if state is not None and state.paused_cause is not None:
        findings.append(Finding(about, Verdict.BAD, f"paused: {state.reason}", f"syncd apis resume {name}"))
    return findings
