"""The dispatcher where others act at the same moment: people, clocks, systems that fail, a backfill."""

import asyncio
from datetime import timedelta

from syncd.model.health import PauseCause
from syncd.store import health, requests
from syncd.store.requests import RequestKind
from syncd.sync.backfill import Wanted
from syncd.testing.sandbox_faults import Break, refusal


async def waiting(world, threads: int = 1, replies: int = 1, **settings) -> None:
    """Link tickets and let customers write, unseen by any sweep so far."""
    world.tickets = [world.ticket(f"ticket {number}") for number in range(threads)]
    await world.begin(**settings)
    for number, ticket in enumerate(world.tickets):
        await world.link(ticket, thread=100 + number)
    await world.sync()
    for number in range(replies):
        for ticket in world.tickets:
            world.helpdesk.customer_reply(ticket.id, f"{ticket.subject} reply {number}")


async def pause(world, cause: PauseCause = PauseCause.PERSON, **more) -> None:
    """Pause the api."""
    now = world.clock.now()
    await world.database.write(lambda c: health.pause_api(c, "berlin", cause, "maintenance", now, **more))


async def paused_cause(world):
    """Return why the api is paused."""
    return (await world.database.read(lambda c: health.get_api(c, "berlin"))).paused_cause


async def test_a_pause_by_a_person_outlives_a_trial_that_goes_well(world) -> None:
    """Whoever pauses an api while its trial is on the wire finds it paused afterwards."""
    await waiting(world, threads=3)
    await pause(world, PauseCause.THREADS, retry_at=world.clock.now())
    world.sandbox.answer_delay = lambda: 10.0
    await world.sweep()
    while world.dispatcher.in_flight == 0:
        await world.pass_time(0.5)
    await world.pass_time(1)
    await pause(world)
    await world.pass_time(60)
    assert await paused_cause(world) is PauseCause.PERSON
    assert len(world.sent()) == 1


async def test_a_pause_by_a_person_outlives_a_key_that_is_good_again(world) -> None:
    """So it does when the key was refused, and HEAD says meanwhile that it is good."""
    await waiting(world, threads=3)
    world.sandbox.plan(refusal(401), times=9)
    await world.sync(5)
    assert await paused_cause(world) is PauseCause.KEY
    await pause(world)
    await world.pass_time(120)
    assert await paused_cause(world) is PauseCause.PERSON
    assert world.sent() == []


async def test_a_bug_in_an_adapter_makes_its_delivery_wait_and_asks_seldom(world) -> None:
    """What is thrown while a ticket is read again costs one look a minute, not a thousand a second."""
    await waiting(world)
    await pause(world)
    await world.sweep()
    await world.pass_time(700)
    await world.database.write(lambda c: health.resume_api(c, "berlin"))
    world.helpdesk.faults.answer(418, b"{}", times=10000)
    before = len(world.helpdesk.requests)
    for _ in range(400):
        await asyncio.sleep(0)
        await world.database.read(health.list_apis)
    await world.pass_time(100)
    assert len(world.helpdesk.requests) - before <= 4
    world.helpdesk.faults.__init__()
    await world.pass_time(90)
    assert world.sent() == ["ticket 0 reply 0"]


async def test_late_deliveries_of_a_system_that_hangs_leave_room_for_others(world) -> None:
    """Deliveries that must be read again first hold at most two places of an api, and those not for long."""
    await waiting(world, threads=40)
    await pause(world)
    await world.sweep()
    await world.pass_time(700)
    world.helpdesk.faults.hang(times=10000)
    await world.database.write(lambda c: health.resume_api(c, "berlin"))
    await world.pass_time(5)
    assert world.dispatcher.in_flight <= 2
    asked = len(world.helpdesk.requests)
    await world.pass_time(300)
    assert len(world.helpdesk.requests) - asked <= 2 * 6
    world.helpdesk.faults.__init__()
    await world.pass_time(300)
    assert await world.states() == {"delivered": 40}


async def test_an_old_throttle_does_not_come_back_with_the_clock(world) -> None:
    """A wall clock that is set back an hour makes no 429 of long ago a new one."""
    await waiting(world)
    world.sandbox.plan(Break.THROTTLE)
    await world.sync(200)
    assert await world.states() == {"delivered": 1}
    world.helpdesk.customer_reply(world.tickets[0].id, "later")
    await world.sweep()
    world.clock.jump_wall_clock(-timedelta(hours=1))
    await world.pass_time(3)
    assert world.dispatcher.health.wait_seconds(world.clock.monotonic()) == 0


async def test_a_live_reply_does_not_wait_for_backfilled_ones_at_a_slow_pace(world) -> None:
    """However many backfilled deliveries were due before it, a live reply is the next to go."""
    world.helpdesk.page_size = 100
    ticket, live = world.ticket("old"), world.ticket("live")
    others = [world.ticket(f"old {number}") for number in range(20)]
    for one in (ticket, *others):
        world.helpdesk.agent_reply(one.id, "old answer", at=world.clock.now() - timedelta(minutes=40))
    await world.begin(api_requests_per_minute=6)
    for one in (ticket, live, *others):
        await world.link(one)
    await world.sync()
    now = world.clock.now()
    arguments = Wanted().as_arguments()
    await world.database.write(lambda c: requests.ask(c, RequestKind.BACKFILL, "desk", arguments, "tester", now))
    await world.sync(25)
    assert world.sent()
    assert {one.state for one in await world.deliveries()} >= {"pending"}
    world.helpdesk.customer_reply(live.id, "hello?")
    sent = len(world.sent())
    await world.sync(25)
    assert "hello?" in world.sent()[: sent + 2]
