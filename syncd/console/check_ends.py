"""Whether every system and every api lets us in, what it lacks, and how to get that. It changes nothing there."""

import asyncio
from collections.abc import Awaitable, Iterator
from datetime import timedelta

from syncd.console.findings import Finding, Verdict
from syncd.delivery.api import KeyState
from syncd.model.clock import Clock
from syncd.model.errors import PauseSystem, SyncdError
from syncd.model.health import ApiState, SystemState
from syncd.service.settings import ApiSettings, Settings, SystemSettings
from syncd.service.wiring import open_api, open_system
from syncd.sources.adapter import Capability, Refused
from syncd.store import health
from syncd.store.database import Database

ANSWER_SECONDS = 45.0
"""How long one system or api may take: a request with its retries."""

MOST_SKEW = timedelta(seconds=5)
OWN_ADAPTERS = "adapters."
"""How the modules begin whose adapters have a page in docs/adapters."""


async def end_findings(
    settings: Settings, database: Database, clock: Clock, states: tuple[dict[str, SystemState], dict[str, ApiState]]
) -> list[Finding]:
    """Return what was found at systems and apis; they are asked all at once, and one that hangs holds up nobody."""
    systems, apis = states
    asked = [
        _within_time(
            f"system {name}", check_system(name, one, systems.get(name), database, clock), how_to_get(name, one)
        )
        for name, one in settings.systems.items()
    ]
    asked += [
        _within_time(f"api {name}", check_api(name, one, apis.get(name), clock), f"[api.{name}]")
        for name, one in settings.api.items()
    ]
    return [finding for some in await asyncio.gather(*asked) for finding in some]


def how_to_get(name: str, settings: SystemSettings) -> str:
    """Say what the credentials of a system have to be allowed, where they stand, and on which page that is told."""
    adapter = settings.adapter_class
    page = f"; see docs/adapters/{settings.adapter}.md" if adapter.__module__.startswith(OWN_ADAPTERS) else ""
    return f"{adapter.permissions} ([systems.{name}.options]{page})"


async def _within_time(about: str, asking: Awaitable[list[Finding]], needs: str) -> list[Finding]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asking
    except TimeoutError:
        said, advice = f"no answer within {ANSWER_SECONDS:g} s", "is the address right, and reachable from here?"
    except PauseSystem as error:
        said, advice = str(error), f"mend its credentials or permissions. It needs {needs}"
    except (SyncdError, Refused) as error:
        said, advice = str(error), "is the address right? Try again later"
    except Exception as error:  # noqa: BLE001 - a bug in one adapter must not hide what the others found
        said, advice = f"failed with {type(error).__name__}", "a bug of the adapter, or an answer it does not know"
    return [Finding(about, Verdict.BAD, said, advice)]


async def check_system(
    name: str, settings: SystemSettings, state: SystemState | None, database: Database, clock: Clock
) -> list[Finding]:
    """Return who we are at a system, what it lets us see, and what it lacks."""
    about = f"system {name}"
    system, opened = open_system(name, settings, database, clock)
    async with opened:
        identity = await system.adapter.check()
        lacking = system.adapter.described(settings.options) - await system.adapter.available()
        ahead = opened.http.clock_ahead
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
                about, Verdict.WARNING, f"this account has no {words}", f"slower; it needs {how_to_get(name, settings)}"
            )
        )
    if state is not None and state.paused_by is not None:
        paused = f"paused by {'a person' if state.paused_by == health.PERSON else 'syncd'}: {state.reason}"
        findings.append(Finding(about, Verdict.BAD, paused, f"syncd systems resume {name}"))
    return [*findings, *_skew(about, ahead)]


def _capabilities(available: frozenset[Capability]) -> str:
    there = sorted(capability.replace("_", " ") for capability in available)
    return f"has {', '.join(there)}" if there else "tickets are read one by one"


async def check_api(name: str, settings: ApiSettings, state: ApiState | None, clock: Clock) -> list[Finding]:
    """Return whether an api takes its key, and is sent to."""
    about = f"api {name}"
    api = open_api(settings, clock)
    try:
        key = await api.probe()
        ahead = api.clock_ahead
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
    return [*findings, *_skew(about, ahead)]


def _skew(about: str, ahead: timedelta | None) -> Iterator[Finding]:
    """Yield that a clock there and ours do not agree: what is new, and what is old, is told by them."""
    if ahead is not None and abs(ahead) > MOST_SKEW:
        where = "ahead of" if ahead > timedelta(0) else "behind"
        said = f"the clock of {about} is {abs(ahead).total_seconds():.0f} s {where} this machine's"
        advice = (
            "is this machine's synchronised (timedatectl)? Else a reply written when its link was made may be missed"
        )
        yield Finding("clock", Verdict.WARNING, said, advice)
