"""When things happen: in the event loop, and what is taken in goes out without waiting for the schedule."""

import asyncio
import threading

from syncd.model.clock import SystemClock
from syncd.service.schedule import Schedule


async def test_jobs_run_in_the_event_loop() -> None:
    """A plain function and a coroutine both run where the parts live that they trigger, never in another thread."""
    ran: dict[str, int] = {}
    both = asyncio.Event()

    def plain() -> None:
        ran["plain"] = threading.get_ident()
        if len(ran) == 2:
            both.set()

    async def awaited() -> None:
        ran["awaited"] = threading.get_ident()
        if len(ran) == 2:
            both.set()

    schedule = Schedule(SystemClock())
    schedule.every("plain", 3600, plain)
    schedule.every("awaited", 3600, awaited)
    schedule.start()
    try:
        await asyncio.wait_for(both.wait(), 30)
    finally:
        schedule.stop()
    assert ran == dict.fromkeys(("plain", "awaited"), threading.get_ident())


async def test_what_a_sweep_takes_in_goes_out_at_once(world) -> None:
    """The lane wakes the dispatchers, which would else sleep until the schedule wakes them, or for half a minute."""
    ticket = world.ticket()
    await world.begin(poll_seconds=300)
    await world.link(ticket)
    await world.sync()
    await world.clock.sleep(60)
    world.helpdesk.customer_reply(ticket.id, "quickly please")
    await world.lane.turn()
    await world.clock.sleep(0.5)
    assert world.sent() == ["quickly please"]
