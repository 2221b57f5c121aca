"""`syncd poll`: reading systems or tickets now, instead of when they are due."""

from collections.abc import Collection
from typing import Annotated, Any

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.output import notice, say
from syncd.console.worker import carry_out, failure_of
from syncd.model.errors import UsageError
from syncd.model.link import LinkState
from syncd.store import health, links
from syncd.store.requests import Request, RequestKind

_WORDS = (
    ("resolved", "links resolved"),
    ("changed", "tickets changed"),
    ("collected", "tickets read"),
    ("failed", "tickets failed"),
    ("new", "new deliveries"),
    ("notes", "status notes"),
    ("withheld", "internal, withheld"),
    ("skipped", "skipped"),
    ("parked", "parked"),
    ("updated", "waiting ones updated"),
)


def poll(
    ctx: typer.Context,
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="The ticketing system, as in [systems.NAME]; else all of them.")
    ] = None,
    ticket: Annotated[
        str | None, typer.Option(metavar="T", help="Read this ticket, whether it changed or not.")
    ] = None,
) -> None:
    """Read systems or tickets now.

    A worker that runs does it while this command waits; without one the command does it itself. What is found is
    delivered by the worker.
    """

    async def work(context: CommandContext) -> bool:
        names = await find_systems(context, system, [ticket] if ticket else [])
        results = [await _poll_one(context, name, ticket) for name in names]
        return all(results)

    if not perform(ctx, work):
        raise typer.Exit(1)


async def find_systems(context: CommandContext, given: str | None, tickets: Collection[str]) -> list[str]:
    """Return the systems that a command is about; those that are left out are said.

    Raises:
        UsageError: there is none, or no link to one of the tickets.
    """
    names, left_out = await choose_systems(context, given, tickets)
    for name, reason in left_out.items():
        notice(f"{name} is paused ({reason}) and left out; syncd systems resume {name}")
    return names


async def choose_systems(
    context: CommandContext, given: str | None, tickets: Collection[str]
) -> tuple[list[str], dict[str, str]]:
    """Return the systems that something is about: the given one, those that the tickets are linked to, or all.

    Without a given one, those that a person has paused are left out; they come second, each with the reason.

    Raises:
        UsageError: there is none, or no link to one of the tickets.
    """
    if given is not None:
        context.get_system(given)
    names = {given} if given is not None else set(context.settings.systems)
    if not names:
        raise UsageError("no [systems.NAME] is configured")
    if tickets:
        names &= {name for ticket in tickets for name in await _linked_systems(context, given, ticket)}
    left_out: dict[str, str] = {}
    if given is None:
        states = await context.database.read(health.list_systems)
        paused = {name for name in names if name in states and states[name].paused_by == health.PERSON}
        left_out = {name: states[name].reason or "" for name in sorted(paused)}
    return sorted(names - left_out.keys()), left_out


async def _linked_systems(context: CommandContext, given: str | None, ticket: str) -> set[str]:
    found = await context.database.read(lambda c: links.listed(c, system=given, ticket=ticket))
    names = {link.system for link in found if link.state is not LinkState.REMOVED}
    if not names:
        raise UsageError(f"no link has a ticket {ticket}{f' of {given}' if given else ''}; syncd links list shows them")
    return names


async def _poll_one(context: CommandContext, name: str, ticket: str | None) -> bool:
    arguments: dict[str, Any] = {"tickets": [ticket]} if ticket else {}
    request = await carry_out(context, RequestKind.POLL, name, arguments)
    failure = failure_of(request)
    say(f"{name}: {_describe(request) if failure is None else f'failed: {failure}'}")
    return failure is None


def _describe(request: Request) -> str:
    counts = request.result
    parts = [f"{counts[key]} {words}" for key, words in _WORDS if counts.get(key)]
    return ", ".join(parts) or "nothing new"
