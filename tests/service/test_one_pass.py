"""One pass that cannot do what it is for ends all the same, says so, and leaves the rest to the next one."""

import asyncio
import os

import pytest_asyncio

from syncd.model.lease import Kind, Subject
from syncd.service.parts import PATIENCE_SECONDS, Parts


@pytest_asyncio.fixture
async def waiting(world):
    """Return parts for one pass over two deliveries that wait; nothing else is at work, and no system is read."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    world.parts.may_send.clear()
    for text in ("waits", "waits too"):
        world.helpdesk.customer_reply(ticket.id, text)
    await world.sync()
    assert await world.states() == {"pending": 2}
    await world.parts.end_polling()
    await world.parts.drain()
    return await parts_for_one_pass(world)


async def parts_for_one_pass(world) -> Parts:
    """Return parts that only send."""
    world.parts = Parts(world.parts.settings, world.database, world.clock, world.high_water, lambda: None)
    world.parts.make()
    await world.parts.end(Subject(Kind.SYSTEM, "desk"))
    world.parts.may_send.set()
    return world.parts


async def test_a_database_that_stays_away_ends_it(world, waiting) -> None:
    """It waits for a while, then it has failed; once the file is back the next one delivers what waits."""
    file = world.folder / "syncd.db"
    away = file.rename(world.folder / "away.db")
    began = world.clock.monotonic()
    assert set(await waiting.once()) == {"berlin", "hamburg"}
    assert PATIENCE_SECONDS <= world.clock.monotonic() - began < 2 * PATIENCE_SECONDS
    assert world.sandbox.requests == 0
    await waiting.drain()
    away.rename(file)
    assert await (await parts_for_one_pass(world)).once() == []
    assert world.sent() == ["waits", "waits too"]


async def test_a_database_that_comes_back_soon_does_not(world, waiting) -> None:
    """What is away for less than that is waited for."""
    file = world.folder / "syncd.db"
    away = file.rename(world.folder / "away.db")
    world.clock.loop.call_later(PATIENCE_SECONDS / 2, away.rename, file)
    assert await waiting.once() == []
    assert world.sent() == ["waits", "waits too"]


class Late:
    """A backend that tells what a look has seen only when what was on its way has come to its end.

    `idle_after`: how many had arrived whenever the dispatcher said that nothing may start any more.
    """

    def __init__(self, backend, world, dispatcher) -> None:
        self._backend, self.dialect, self._world, self._dispatcher = backend, backend.dialect, world, dispatcher
        self.transact, self.close = backend.transact, backend.close
        self.idle_after: set[int] = set()

    async def read(self, operation):
        if self._dispatcher.idle:
            self.idle_after.add(len(self._world.sandbox.communications))
        was_busy = self._dispatcher.in_flight > 0
        seen = await self._backend.read(operation)
        while was_busy and self._dispatcher.in_flight:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
        return seen


async def test_what_an_end_has_left_due_does_not(world, waiting) -> None:
    """A look that saw nothing due, as the thread was sending, is not the last one: its next one is due by then."""
    late = Late(world.database.backend, world, waiting.apis["berlin"].dispatcher)
    world.database.backend = late
    world.sandbox.answer_delay = lambda: 1.0
    assert await waiting.once() == []
    assert world.sent() == ["waits", "waits too"]
    assert late.idle_after <= {2}


async def test_answers_that_take_long_do_not(world, waiting) -> None:
    """Of what is on its way everything is waited for, however long it takes in all."""
    world.sandbox.answer_delay = lambda: PATIENCE_SECONDS * 0.8
    assert await waiting.once() == []
    assert world.sent() == ["waits", "waits too"]


async def test_a_mark_that_cannot_be_kept_makes_it_a_failure(world, waiting) -> None:
    """Nothing leaves, and that is no good end, though the delivery waits for a later try by then."""
    descriptor = world.high_water._descriptor
    kept, full = os.dup(descriptor), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    assert await waiting.once() == ["berlin"]
    assert (world.sandbox.requests, await world.states()) == (0, {"pending": 2})
    os.dup2(kept, descriptor)
    for one in (kept, full):
        os.close(one)


async def test_leave_that_does_not_come_back_ends_it(world, waiting) -> None:
    """An api whose lease cannot be renewed, though nobody has taken it, is waited for no longer than that."""
    world.parts.may_send.clear()
    assert set(await waiting.once()) == {"berlin", "hamburg"}
    assert world.sandbox.requests == 0
