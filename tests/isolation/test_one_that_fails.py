"""One that fails among many: a reply, a ticket, an api, a system."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio

from syncd.model.health import PauseCause
from syncd.model.link import Cause
from syncd.store import health, links
from syncd.store.database import Backend
from syncd.testing.sandbox_faults import refusal
from syncd.testing.virtual_clock import VirtualClock
from tests.isolation.town import PROMPT_SECONDS, Town, show


async def test_one_refused_reply_among_a_thousand_is_parked_and_the_others_arrive_in_order(town) -> None:
    """The API refuses one message for what it says; its thread and all others go on at once."""
    await town.begin()
    tickets = await town.tickets("calm", 10, "berlin")
    await town.pass_time(20)
    town.sandbox.plan(refusal(400))
    for number in range(100):
        for ticket in tickets:
            town.write("calm", ticket, f"{ticket.number} {number:02}")
    await town.pass_time(90)
    assert await town.states() == {"delivered": 999, "parked": 1}
    show("999 replies beside one that is refused", town.latencies())
    assert max(town.latencies()) <= PROMPT_SECONDS + 1000 / 15, "a thousand at 900 a minute take 67 s"
    (parked,) = await town.deliveries(state="parked")
    texts = {one.thread_id: town.sent(one.thread_id) for one in town.sandbox.communications}
    assert all(sent == sorted(sent) for sent in texts.values())
    assert sorted(map(len, texts.values())) == [99] + [100] * 9
    assert len(texts[parked.thread_id]) == 99


async def test_a_forbidden_ticket_suspends_its_own_link_alone(town) -> None:
    """One ticket that may not be seen any more is suspended; its neighbours do not notice."""
    await town.begin()
    forbidden, *others = await town.tickets("calm", 10, "berlin")
    await town.pass_time(20)
    town.desks["calm"].forbid(forbidden.id)
    for ticket in others:
        town.write("calm", ticket, f"{ticket.number} says this")
    await town.pass_time(30)
    suspended = await town.database.read(lambda c: links.listed(c, state="suspended"))
    assert [(link.ticket.id, link.cause) for link in suspended] == [(forbidden.id, Cause.TICKET_FORBIDDEN)]
    assert len(town.latencies()) == 9
    assert max(town.latencies()) <= PROMPT_SECONDS


class Counting:
    """The database, with a count of what is asked of it."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.dialect = backend.dialect
        self.reads = 0

    async def read(self, operation: Callable[..., Any]) -> Any:
        """Count one read."""
        self.reads += 1
        return await self.backend.read(operation)

    async def transact(self, operations: list[Callable[..., Any]]) -> list[Any]:
        """Commit."""
        return await self.backend.transact(operations)

    async def close(self) -> None:
        """Close every connection."""
        await self.backend.close()


@pytest_asyncio.fixture
async def many_apis(clock: VirtualClock, tmp_path: Path) -> AsyncIterator[Town]:
    """Return one system and fifty apis."""
    made = Town(clock, tmp_path, ["calm"], [f"studio-{number}" for number in range(50)])
    await made.open()
    yield made
    await made.close()


async def test_one_paused_api_of_fifty_costs_the_others_nothing(many_apis: Town) -> None:
    """Its deliveries wait; those of the others arrive as before, and it asks no more of the database than they do."""
    town = many_apis
    await town.begin()
    tickets = [(await town.tickets("calm", 1, name))[0] for name in town.apis]
    town.parts.systems["calm"].lane.trigger()
    await town.pass_time(3)
    counting = town.database.backend = Counting(town.database.backend)
    await town.pass_time(2)
    idle = counting.reads
    now = town.clock.now()
    await town.database.write(lambda c: health.pause_api(c, "studio-7", PauseCause.NOT_THE_API, "a proxy answers", now))
    counting.reads = 0
    await town.pass_time(2)
    assert counting.reads <= idle * 1.2
    for ticket in tickets:
        town.write("calm", ticket, f"{ticket.number} says this")
    await town.pass_time(7)
    show(f"49 apis beside a paused one ({idle / 2:.0f} reads a second when idle)", town.latencies())
    assert sorted({one.studio for one in town.sandbox.communications}) == sorted(set(town.apis) - {"studio-7"})
    assert max(town.latencies()) <= PROMPT_SECONDS
    assert await town.states() == {"delivered": 49, "pending": 1}


async def test_a_system_that_hangs_delays_no_other(town) -> None:
    """One vendor takes every request and never answers; the other's replies arrive as before."""
    await town.begin()
    (calm,) = await town.tickets("calm", 1, "berlin")
    await town.tickets("wild", 20, "berlin")
    await town.pass_time(20)
    show("undisturbed", await town.converse("calm", calm, times=3))
    town.desks["wild"].faults.hang(times=10_000)
    await town.pass_time(40)
    disturbed = await town.converse("calm", calm, times=3)
    show("beside a system that hangs", disturbed)
    assert max(disturbed) <= PROMPT_SECONDS


async def test_what_waited_for_long_goes_though_another_system_hangs(town) -> None:
    """Late deliveries are read again before they are sent; those of a vendor that hangs wait, no others do."""
    await town.begin()
    calm = await town.tickets("calm", 20, "berlin")
    wild = await town.tickets("wild", 20, "berlin")
    await town.pass_time(20)
    now = town.clock.now()
    await town.database.write(lambda c: health.pause_api(c, "berlin", PauseCause.PERSON, "a look first", now))
    for one, other in zip(wild, calm, strict=True):
        town.write("wild", one, f"wild {one.number}")
        town.write("calm", other, f"calm {other.number}")
    await town.pass_time(12)
    town.clock.jump_wall_clock(timedelta(minutes=11))
    town.desks["wild"].faults.hang(times=10_000)
    await town.database.write(lambda c: health.resume_api(c, "berlin"))
    resumed = town.clock.now()
    await town.pass_time(30)
    took = [(one.received_at - resumed).total_seconds() for one in town.arrived("calm")]
    show("after the pause, beside a system that hangs", took)
    assert len(took) == 20
    assert town.arrived("wild") == []
    assert max(took) <= PROMPT_SECONDS
    town.desks["wild"].faults.clear()
    await town.pass_time(130)
    assert len(town.arrived("wild")) == 20
