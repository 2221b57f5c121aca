"""A budget at work."""

import asyncio

import pytest

from syncd.model.errors import RetryLater
from syncd.sources.budget import Budget


async def test_first_come_first_served(clock):
    """Requests go out in the order they came, one per interval of the pace."""
    budget = Budget("acme.test", 30, clock)
    seen = []

    async def ask(number):
        await budget.take()
        seen.append((number, round(clock.monotonic(), 3)))

    await asyncio.gather(*(ask(number) for number in range(4)))
    assert seen == [(0, 2), (1, 4), (2, 6), (3, 8)]


async def test_quiet_is_waited_out_if_short(clock):
    """A quiet of a minute or less delays the next request; a shorter one after it changes nothing."""
    budget = Budget("acme.test", 60_000, clock)
    budget.be_quiet(60)
    budget.be_quiet(5)
    await budget.take()
    assert clock.monotonic() == pytest.approx(60)


async def test_quiet_is_refused_if_long(clock):
    """A longer quiet is the caller's to wait out; the name says whose it is."""
    budget = Budget("acme.test", 60_000, clock)
    budget.be_quiet(61)
    with pytest.raises(RetryLater, match=r"acme\.test asked"):
        await budget.take()
    assert clock.monotonic() == 0


async def test_a_cancelled_request_gives_its_turn_away(clock):
    """A request that is cancelled while it waits costs nothing of the budget."""
    budget = Budget("acme.test", 6, clock)
    first = asyncio.create_task(budget.take())
    second = asyncio.create_task(budget.take())
    await clock.sleep(1)
    first.cancel()
    await second
    assert clock.monotonic() == pytest.approx(10)


async def test_a_pace_of_nothing_is_refused(clock):
    """No request at all is not a pace."""
    with pytest.raises(ValueError, match=r"acme\.test"):
        Budget("acme.test", 0, clock)
