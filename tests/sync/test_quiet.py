"""A system without a feed: how often its tickets are asked, in virtual time and by real sweeps, one a minute."""

from datetime import timedelta

from syncd.store import link_changes

TICKETS, MINUTES = 25, 10


async def test_quiet_tickets_cost_little_and_an_active_one_is_asked_at_each_sweep(world) -> None:
    """With one ticket of 25 active, twenty times fewer requests than asking each, and its replies as soon.

    The vendor's pace makes each answer take its second, so that tickets are asked some time after a sweep has begun.
    """
    world.helpdesk.feed, world.helpdesk.page_size = False, 50
    long_ago = world.clock.now() - timedelta(days=10)
    tickets = [world.helpdesk.create_ticket(f"ticket {number}", "text", at=long_ago) for number in range(TICKETS)]
    await world.begin(adapter="in_memory_plain", poll_seconds=60, requests_per_minute=60)
    for ticket in tickets:
        await world.link(ticket)
    await world.sweep()
    world.helpdesk.customer_reply(tickets[0].id, "hello?")
    now = world.clock.now()
    await world.database.write(lambda c: link_changes.mark_due(c, "desk", [tickets[0].id], now))
    await world.sweep()
    before = len(world.helpdesk.requests)
    for minute in range(MINUTES):
        await world.clock.sleep(60 - world.clock.monotonic() % 60)
        if minute % 5 == 0:
            world.helpdesk.customer_reply(tickets[0].id, f"minute {minute}")
        await world.sweep()
    await world.pass_time(60)
    asked = world.helpdesk.requests[before:]
    of_active = [one for one in asked if f"/{tickets[0].id}/replies" in one]
    assert len(of_active) == MINUTES
    assert len(asked) * 20 <= 2 * TICKETS * MINUTES
    assert world.sent() == ["hello?", *(f"minute {minute}" for minute in range(0, MINUTES, 5))]
