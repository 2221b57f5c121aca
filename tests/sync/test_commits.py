"""Each commit of a sweep fails once, before it is kept and after: a page is read again, and never skipped."""

import pytest

from syncd.store import health
from tests.unacknowledged import Failing


@pytest.mark.parametrize("kept", [True, False])
async def test_a_commit_of_a_sweep_that_fails_loses_and_repeats_nothing(world, kept) -> None:
    """Whichever commit of a sweep over two pages of the feed is cut off, each reply arrives once."""
    world.helpdesk.page_size = 2
    tickets = [world.ticket(f"ticket {number}") for number in range(4)]
    await world.begin()
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    written: list[str] = []
    number = 0
    while True:
        number += 1
        for ticket in tickets:
            written.append(f"{ticket.subject} before commit {number}")
            world.helpdesk.customer_reply(ticket.id, written[-1])
        sound = world.database.backend
        failing = world.database.backend = Failing(sound, number, kept=kept)
        await world.sweep()
        world.database.backend = sound
        await world.pass_time(1000)
        await world.database.write(lambda c: health.resume_system(c, "desk"))
        await world.sync()
        await world.pass_time(60)
        assert sorted(world.sent()) == sorted(written), f"commit {number}"
        if not failing.failed:
            break
    assert number > 2
