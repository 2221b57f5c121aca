"""What a backfill would come to, before anything is queued: counted by reading everything once, and said as tables."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncd.console.backfill_request import carry_out_backfill
from syncd.console.context import CommandContext
from syncd.console.output import Shown, counted, notice, say, span
from syncd.console.progress import ProgressDisplay
from syncd.model.errors import StoreError
from syncd.model.link import LinkState
from syncd.service.settings import SystemSettings
from syncd.sources.adapter import Capability
from syncd.store import links, requests
from syncd.store.requests import RequestKind, RequestState
from syncd.sync.backfill import TICKETS_AT_ONCE, Progress, Wanted
from syncd.sync.backfill_fates import Fate

COLUMNS = {
    Fate.DELIVERED: "delivered",
    Fate.WAITING: "waiting",
    Fate.STUCK: "in doubt or parked",
    Fate.SKIPPED: "skipped",
    Fate.WITHHELD: "withheld",
    Fate.FOR_PERSON: "for a person",
    Fate.TO_SEND: "to send",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill of one system would come to; `failure` says why that is not known."""

    system: str
    progress: Progress
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What one side has to do for a backfill: requests to a vendor, or communications at an api."""

    name: str
    number: int
    per_minute: float
    seconds: float


async def say_scope(context: CommandContext, name: str, wanted: Wanted) -> None:
    """Say which links a backfill is about, and what reading them takes at least."""
    show = Shown(context.zone)
    active = await context.database.read(lambda c: links.listed(c, system=name, state=LinkState.ACTIVE.value))
    chosen = [link for link in active if not wanted.tickets or link.ticket_name in wanted.tickets]
    begin = "their start" if wanted.since is None else show.cell(wanted.since)
    end = "" if wanted.until is None else f" to {show.cell(wanted.until)}"
    firsts = "with" if wanted.first_message else "without"
    say(f"{name}: {counted(len(chosen), 'active link')}, replies from {begin}{end}, {firsts} first messages")
    tickets = len({link.ticket.id for link in chosen if link.ticket is not None})
    if tickets:
        least, per_minute = least_requests(context.get_system(name), tickets), pace_of(context.get_system(name))
        duration = span(max(1.0, least / per_minute * 60))
        say(f"{name}: reading them takes {least} requests or more: {duration} or more at {per_minute:g} a minute")
    arguments = wanted.as_arguments()
    for request in await context.database.read(lambda c: requests.open_requests(c, name)):
        if request.kind is RequestKind.BACKFILL and request.arguments == arguments:
            say(f"{name}: the same backfill was begun before; it goes on where it was")


def least_requests(settings: SystemSettings, tickets: int) -> int:
    """Return how many requests reading that many tickets takes if no ticket has more than a page of replies."""
    in_bulk = Capability.BULK_TICKETS in settings.adapter_class.described(settings.options)
    return tickets + (math.ceil(tickets / TICKETS_AT_ONCE) if in_bulk else tickets)


def pace_of(settings: SystemSettings) -> float:
    """Return how many requests a minute a system is asked at most."""
    own = settings.adapter_class.connection(settings.options).requests_per_minute
    return own if settings.requests_per_minute is None else settings.requests_per_minute


async def make_plans(context: CommandContext, asked: Sequence[tuple[str, Wanted]]) -> list[Plan]:
    """Read everything once, in the owner's place, and return what it comes to; ended with Ctrl-C, nobody reads on."""
    plans = []
    with ProgressDisplay(context.clock) as display:
        for name, wanted in asked:
            arguments = wanted.as_arguments() | {"dry_run": True}
            begun: list[int] = []
            try:
                request = await carry_out_backfill(context, name, arguments, display, f"{name} (reading)", begun)
            except asyncio.CancelledError:
                await _stop(context, begun)
                raise
            failure = "it was stopped" if request.state is RequestState.STOPPED else request.result.get("failure")
            plans.append(Plan(name, Progress.from_dict(request.result), failure))
    return plans


async def _stop(context: CommandContext, begun: Sequence[int]) -> None:
    for request_id in begun:
        try:
            by = context.decision("the command that wanted to know was ended")
            await context.database.write(lambda c: requests.stop(c, request_id, by))  # noqa: B023 - awaited at once
        except StoreError as error:
            notice(str(error))


def say_plans(context: CommandContext, plans: Sequence[Plan]) -> None:
    """Say plans as tables: what was found and what becomes of it, then how long that takes on either side."""
    show = Shown(context.zone)
    for plan in plans:
        if plan.failure is not None:
            notice(f"{plan.system} cannot be read: {plan.failure}")
    rows = [row for plan in plans for row in _rows(plan)]
    show.table(("system", "links", "failed", "api", "found", *COLUMNS.values()), rows)
    vendors, apis = loads(context, plans)
    say()
    both = [("vendor", one) for one in vendors] + [("api", one) for one in apis]
    rows = [(side, one.name, one.number, f"{one.per_minute:g}", span(max(1.0, one.seconds))) for side, one in both]
    show.table(("side", "name", "requests", "a minute", "time at that pace"), rows)
    for line in _ends(plans, vendors, apis):
        say(line)


def _rows(plan: Plan) -> list[Sequence[Any]]:
    """Return a row for each api; one of zeros where nothing was found."""
    done = plan.progress
    rows: list[Sequence[Any]] = []
    for api, fates in sorted(done.fates.items()) or [("", {})]:
        counts = [fates.get(fate.value, 0) for fate in COLUMNS]
        rows.append((plan.system, done.links, done.failed, api, sum(fates.values()), *counts))
    return rows


def loads(context: CommandContext, plans: Sequence[Plan]) -> tuple[list[Load], list[Load]]:
    """Return what each vendor and each api has to do; an api that left the settings is left out, and sends nothing."""
    vendors = []
    to_send: dict[str, int] = {}
    for plan in plans:
        pace = pace_of(context.get_system(plan.system))
        vendors.append(Load(plan.system, plan.progress.requests, pace, plan.progress.seconds))
        for api, fates in plan.progress.fates.items():
            to_send[api] = to_send.get(api, 0) + fates.get(Fate.TO_SEND.value, 0)
    apis = []
    for api, number in sorted(to_send.items()):
        settings = context.settings.api.get(api)
        if settings is None:
            notice(f"[api.{api}] is not in the settings, so nothing is sent there")
        else:
            pace = settings.requests_per_minute
            apis.append(Load(api, number, pace, number / pace * 60))
    return vendors, apis


def _ends(plans: Sequence[Plan], vendors: Sequence[Load], apis: Sequence[Load]) -> list[str]:
    """Return a line for each api: what is sent while more is read, so the slower side decides."""
    reading: Mapping[str, float] = {one.name: one.seconds for one in vendors}
    lines = []
    for api in apis:
        sources = [plan.system for plan in plans if plan.progress.fates.get(api.name, {}).get(Fate.TO_SEND.value)]
        slowest = max(sources, key=lambda name: reading[name], default=None)
        behind = 0.0 if slowest is None else reading[slowest]
        if api.number:
            side = f"reading {slowest} is the slower side" if behind > api.seconds else "sending is the slower side"
            seconds = max(1.0, behind, api.seconds)
            words = counted(api.number, "communication")
            lines.append(f"{api.name}: {words}, about {span(seconds)} ({side}); live replies go first")
    return lines
