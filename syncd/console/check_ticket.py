"""`syncd check --system X --ticket N`: what becomes of a real ticket, field by field. It stores and sends nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

import typer

from syncd.console.output import Shown, counted, print_json, say
from syncd.model.clock import Clock
from syncd.model.errors import UsageError
from syncd.model.ticket import TicketRef
from syncd.service.settings import Settings
from syncd.service.wiring import open_adapter_of
from syncd.sources.adapter import Refused
from syncd.sources.trial import TriedField

LONGEST_CELL = 160
"""Characters of one value in a table; `--json` has all of them."""


def check_ticket(settings: Settings, clock: Clock, system: str | None, ticket: str, *, as_json: bool) -> None:
    """Show what a system's adapter makes of a ticket; exit code 1 if a field has a problem.

    Raises:
        UsageError: no system is named, or there is none of that name.
        InvalidTicketRef, TicketUnavailable, RetryLater, PauseSystem: the ticket cannot be read.
    """
    tried = asyncio.run(try_ticket(settings, clock, system or _only_system(settings), ticket))
    problems = sum(one.problem is not None for one in tried)
    if as_json:
        print_json([_value(one) for one in tried])
    else:
        _print(settings, tried, problems)
    if problems:
        raise typer.Exit(1)


async def try_ticket(settings: Settings, clock: Clock, system: str, ticket: str) -> list[TriedField]:
    """Return what the adapter of a system makes of a ticket, named by number or link.

    Raises:
        UsageError: there is no such system, or it refused what it was asked.
    """
    found = settings.systems.get(system)
    if found is None:
        known = ", ".join(sorted(settings.systems)) or "none"
        raise UsageError(f"there is no [systems.{system}]; there are: {known}")
    ref = TicketRef(link=ticket) if "://" in ticket else TicketRef(number=ticket)
    async with open_adapter_of(found, clock) as opened:
        try:
            return await opened.adapter.trial(ref)
        except Refused as refused:
            said = str(refused)
    raise UsageError(f"{system} refused to answer: {said}")


def _only_system(settings: Settings) -> str:
    if len(settings.systems) == 1:
        return next(iter(settings.systems))
    raise UsageError("name the system of the ticket: --system NAME")


def _value(tried: TriedField) -> dict[str, Any]:
    return {
        "place": tried.place,
        "expression": tried.expression or None,
        "found": tried.found,
        "made": tried.made,
        "problem": tried.problem,
    }


def _print(settings: Settings, tried: Sequence[TriedField], problems: int) -> None:
    described = any(one.expression for one in tried)
    columns = ("field", "expression", "found", "made of it") if described else ("field", "made of it")
    rows = [
        (one.place, one.expression, _short(one.found), _result(one)) if described else (one.place, _result(one))
        for one in tried
    ]
    Shown(settings.zone).table(columns, rows)
    say()
    say(f"{counted(problems, 'field')} with a problem." if problems else "Every field is readable.")


def _result(tried: TriedField) -> str:
    return f"PROBLEM: {tried.problem}" if tried.problem is not None else _short(tried.made)


def _short(value: Any) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..."
