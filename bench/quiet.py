"""Ten thousand linked tickets without a feed, 1 % of them active: requests to the vendor, and how late replies are.

A day is reckoned ticket by ticket, with the very decision by which tickets are due, against every ticket asked at every
poll. That the real sweeps do the same is shown by running them in virtual time over the same tickets and replies, from
the state in which the reckoned day begins: `SYNCD_BENCH_HOURS` says for how long.
"""

import asyncio
import os
import random
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from loguru import logger
from sqlalchemy import select

from bench.conversations import (
    DAY,
    HOUR,
    MINUTE,
    Arrived,
    Asked,
    Population,
    percentile,
    quiet_seconds,
    reckoned,
    written,
)
from bench.desk import Desk, reply_id, ticket_of
from bench.figures import Better, Figure
from syncd.model.policy import SystemPolicy
from syncd.store.database import Connection, Database, open_database
from syncd.store.schema import ensure_schema
from syncd.store.tables import delivery, ledger, link, thread
from syncd.sync import poll
from syncd.sync.collect import System
from syncd.testing.virtual_clock import DEFAULT_START, VirtualClock, run_virtual

HOURS = float(os.environ.get("SYNCD_BENCH_HOURS", "0.5"))
ANSWER_SECONDS = 0.05
REQUESTS_PER_ASK = 2
"""The ticket and its replies: this vendor tells of one ticket at a time."""

ADAPTIVE = SystemPolicy("desk")
EACH_POLL = replace(ADAPTIVE, quiet_poll_seconds=ADAPTIVE.poll_seconds)
EACH = "asking each every minute"

Replies = Mapping[str, Sequence[datetime]]


@dataclass(frozen=True, slots=True)
class Swept:
    """What some hours of real sweeps came to."""

    requests: int
    arrived: Sequence[Arrived]


async def run(rounds: int) -> list[Figure]:  # noqa: ARG001 - the same numbers come out each time
    """Reckon a day, and sweep for some hours in virtual time."""
    population = Population()
    replies = written(population)
    end = DEFAULT_START + timedelta(seconds=population.seconds)
    ours = reckon(ADAPTIVE, replies, end)
    theirs = reckon(EACH_POLL, {name: told for name, told in replies.items() if int(name) < population.active}, end)
    swept = await asyncio.to_thread(run_virtual, partial(sweep, ADAPTIVE, replies, ours))
    return [*_requests(population, ours, swept), *_delays(ours, theirs, swept)]


def reckon(policy: SystemPolicy, replies: Replies, end: datetime) -> dict[str, Asked]:
    """Return what asking each ticket by a policy comes to."""
    chance = random.Random(1)
    return {ticket_id: reckoned(policy, told, chance.random(), end) for ticket_id, told in replies.items()}


async def sweep(policy: SystemPolicy, replies: Replies, states: Mapping[str, Asked], clock: VirtualClock) -> Swept:
    """Sweep once a poll for HOURS, beginning with tickets as they are when the policy has asked them for long."""

    def history(ticket_id: str, since: datetime | None) -> Sequence[datetime]:
        told = replies[ticket_id]
        return told if since is None else told[bisect_left(told, since) :]

    desk = Desk(clock, history, ANSWER_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'syncd.db'}")
        await ensure_schema(database, migrate=True)
        await database.write(lambda c: _fill(c, replies, states))
        system = System(policy, desk, database, clock, has_feed=False)
        logger.disable("syncd")
        for number in range(round(HOURS * HOUR / policy.poll_seconds)):
            await clock.sleep(number * policy.poll_seconds - clock.monotonic())
            while (await poll.sweep(system)).is_cut:
                pass
        logger.enable("syncd")
        arrived = await _arrived(database, replies)
        await database.close()
    return Swept(desk.requests, arrived)


def _fill(connection: Connection, replies: Replies, states: Mapping[str, Asked]) -> None:
    """Write links as sweeps until DEFAULT_START have left them; what was told by then is in the ledger."""
    tickets = list(enumerate(replies.items(), 1))
    connection.execute(thread.insert(), [_thread(key) for key, _ in tickets])
    connection.execute(link.insert(), [_link(key, *ticket, states[ticket[0]]) for key, ticket in tickets])
    entered = [
        {"thread_key": key, "system": "desk", "reply_id": reply_id(ticket_id, at), "disposition": "older"}
        for key, (ticket_id, told) in tickets
        for at in _seen(told, states[ticket_id])
    ]
    connection.execute(ledger.insert(), entered)


def _seen(told: Sequence[datetime], state: Asked) -> list[datetime]:
    return [at for at in told if at <= (state.before or DEFAULT_START)]


def _thread(key: int) -> dict[str, object]:
    return {
        "id": key,
        "api": "berlin",
        "customer_id": 7,
        "thread_id": key,
        "known_status": "ONGOING",
        "sent_status": "ONGOING",
        "refusals": 0,
    }


def _link(key: int, ticket_id: str, told: Sequence[datetime], state: Asked) -> dict[str, object]:
    newest = max(_seen(told, state))
    ticket = ticket_of(ticket_id, newest)
    return {
        "id": key,
        "thread_key": key,
        "system": "desk",
        "state": "active",
        "given_number": ticket.number,
        "from_at": DEFAULT_START - timedelta(days=90),
        "registered_at": DEFAULT_START - timedelta(days=90),
        "ticket_id": ticket.id,
        "ticket_number": ticket.number,
        "ticket_link": ticket.link,
        "subject": ticket.subject,
        "vendor_status": ticket.vendor_status,
        "ticket_updated_at": ticket.updated_at,
        "collected_at": state.before or newest,
        "newest_reply_at": newest,
        "active_at": newest,
        "collect_due_at": state.due_at or DEFAULT_START,
        "failures": 0,
    }


async def _arrived(database: Database, replies: Replies) -> list[Arrived]:
    columns = select(delivery.c.ticket_number, delivery.c.occurred_at, delivery.c.created_at)
    rows = await database.read(lambda c: c.execute(columns.where(delivery.c.occurred_at >= DEFAULT_START)).all())
    told = [(replies[number.removeprefix("T")], at, seen_at) for number, at, seen_at in rows]
    return [Arrived(at, seen_at, quiet_seconds(some, bisect_left(some, at))) for some, at, seen_at in told]


def _late(arrived: Iterable[Arrived], *, active: bool) -> list[float]:
    """Return how late replies of tickets were that were active when they were written, or were not."""
    longest = ADAPTIVE.active_hours * HOUR
    return [one.late_seconds for one in arrived if (one.quiet_seconds < longest) is active]


def _requests(population: Population, ours: Mapping[str, Asked], swept: Swept) -> list[Figure]:
    times = sum(len(state.times) for state in ours.values())
    each = round(population.tickets * population.seconds / EACH_POLL.poll_seconds)
    end = DEFAULT_START + timedelta(hours=HOURS)
    until_then = sum(bisect_left(state.times, end) for state in ours.values()) * REQUESTS_PER_ASK
    minutes = population.seconds / MINUTE
    return [
        Figure(
            "requests to the vendor, 1 % of 10,000 tickets active",
            each / times,
            "times fewer",
            EACH,
            20,
            tolerance=0.02,
            parts={
                "requests a minute": times * REQUESTS_PER_ASK / minutes,
                "asking each": each * REQUESTS_PER_ASK / minutes,
            },
        ),
        Figure(
            "requests of real sweeps",
            swept.requests / until_then,
            "times",
            "those reckoned",
            1.02,
            Better.LESS,
            tolerance=0.02,
            parts={"requests": swept.requests, "reckoned": until_then, "hours": HOURS},
        ),
    ]


def _delays(ours: Mapping[str, Asked], theirs: Mapping[str, Asked], swept: Swept) -> list[Figure]:
    arrived = [one for ticket_id in theirs for one in ours[ticket_id].arrived]
    arrived_theirs = [one for state in theirs.values() for one in state.arrived]
    prompt, prompt_theirs = _late(arrived, active=True), _late(arrived_theirs, active=True)
    paused = [seconds / MINUTE for seconds in _late(arrived, active=False)]
    woken = [one.late_seconds / HOUR for state in ours.values() for one in state.arrived if one.quiet_seconds > DAY]
    return [
        Figure(
            "delay of replies on active tickets, p95",
            percentile(prompt, 0.95) / percentile(prompt_theirs, 0.95),
            "times",
            EACH,
            # As much as the moments at which replies happen to be written make of it.
            1.05,
            Better.LESS,
            tolerance=0.02,
            parts={
                "seconds": percentile(prompt, 0.95),
                "asking each": percentile(prompt_theirs, 0.95),
                "of real sweeps": percentile(_late(swept.arrived, active=True), 0.95),
                "replies": len(prompt),
                "replies of real sweeps": len(swept.arrived),
            },
        ),
        _delay("delay after 4 hours or more without a reply, median", paused, "minutes"),
        _delay("delay after days without a reply, median", woken, "hours"),
    ]


def _delay(name: str, delays: Sequence[float], unit: str) -> Figure:
    parts = {"p95": percentile(delays, 0.95), "replies": len(delays)}
    return Figure(name, percentile(delays, 0.5), unit, better=Better.LESS, tolerance=0.05, parts=parts)
