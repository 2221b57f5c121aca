"""The daemon's watch, in virtual time."""

from datetime import timedelta

import pytest_asyncio

from syncd.model.clock import SystemClock
from syncd.model.health import PauseCause
from syncd.service.daemon import Daemon
from syncd.service.notify import Notifier
from syncd.store import health
from syncd.store.heads import due_heads


@pytest_asyncio.fixture
async def daemon(world):
    """Return a daemon between both ends that was started as `serve` does, without its signals."""
    # The scheduler has the machine's clock; from another date it would count every second that it has missed.
    world.clock.start = SystemClock().now()
    settings = world.settings()
    made = Daemon(settings, world.clock, Notifier({}, world.clock), lambda: settings)
    await made.start()
    world.database = made.database
    made.parts.run()
    made._begin_schedule()
    yield made
    await made.stop()


async def test_a_wall_clock_that_is_set_back_is_noticed_within_seconds(world, daemon) -> None:
    """The watch goes by the monotonic clock: what was due before the clock was set back is due after it."""
    ticket = world.ticket()
    await world.link(ticket)
    lane = daemon.parts.systems["desk"].lane
    await lane.turn()
    now = world.clock.now()
    await world.database.write(lambda c: health.pause_api(c, "berlin", PauseCause.PERSON, "maintenance", now))
    world.helpdesk.customer_reply(ticket.id, "waiting")
    await lane.turn()
    world.clock.jump_wall_clock(-timedelta(hours=1))
    await world.pass_time(12)
    heads = await world.database.read(lambda c: due_heads(c, "berlin", world.clock.now(), 9))
    assert len(heads) == 1
