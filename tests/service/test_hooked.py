"""A lane and webhooks: the named tickets alone are read, without the feed, and however often they are named, once."""

import pytest

from syncd.service.system_lane import HOOKED_AT_ONCE
from syncd.store import health, hooks

SOME_TIME = 5.0


async def hook(world, *tickets) -> bool:
    """Do what a webhook about these tickets does, and ring the bell as the same worker does."""
    ids = [ticket.id for ticket in tickets]
    found = await world.database.read(lambda c: hooks.find_links(c, "desk", ids, []))
    now = world.clock.now()
    rang = await world.database.write(lambda c: hooks.make_due(c, "desk", found, now))
    world.lane.hooked()
    return rang


def asked_since(world, begin: int) -> tuple[int, int]:
    """Return how often the feed and lists of replies were asked for since then."""
    asked = world.helpdesk.requests[begin:]
    return sum("/api/changes" in one for one in asked), sum("/replies" in one for one in asked)


@pytest.mark.parametrize("adapter", ["in_memory", "in_memory_plain"])
async def test_a_named_ticket_is_read_at_once_and_without_the_feed(world, adapter) -> None:
    """With a feed and without one: what a webhook names is read by itself, and its new reply arrives."""
    ticket, other = world.ticket("named"), world.ticket("other")
    await world.begin(adapter=adapter, poll_seconds=300)
    for one in (ticket, other):
        await world.link(one)
    await world.sync()
    begin = len(world.helpdesk.requests)
    world.helpdesk.customer_reply(ticket.id, "quickly please")
    world.helpdesk.customer_reply(other.id, "there is time")
    await hook(world, ticket)
    await world.pass_time(SOME_TIME)
    assert world.sent() == ["quickly please"]
    assert asked_since(world, begin) == (0, 1)


async def test_many_webhooks_about_one_ticket_are_one_reading(world) -> None:
    """Thirty before it is read are one; those that come while it is read are one more."""
    ticket = world.ticket("named")
    await world.begin(poll_seconds=300)
    await world.link(ticket)
    await world.sync()
    begin = len(world.helpdesk.requests)
    rang = [await hook(world, ticket) for _ in range(30)]
    await world.pass_time(SOME_TIME)
    assert asked_since(world, begin)[1] <= 1 + sum(rang[1:])
    begin = len(world.helpdesk.requests)
    for _ in range(3):
        await hook(world, ticket)
        await world.pass_time(SOME_TIME)
    assert asked_since(world, begin) == (0, 3)


async def test_a_webhook_during_a_reading_makes_its_ticket_due_again(world) -> None:
    """What it tells of may be missing from what is being read; so the ticket is read once more, and not only later."""
    ticket = world.ticket("named")
    await world.begin(poll_seconds=300, requests_per_minute=6)
    await world.link(ticket)
    await world.sync()
    await world.pass_time(120)
    begin = len(world.helpdesk.requests)
    await hook(world, ticket)
    while len(world.helpdesk.requests) == begin:
        await world.pass_time(1)
    await world.pass_time(1)
    assert asked_since(world, begin) == (0, 0), "the ticket was read, and its replies wait for the pace"
    await hook(world, ticket)
    await world.pass_time(120)
    assert asked_since(world, begin) == (0, 2)


async def test_a_paused_system_reads_nothing_for_a_webhook(world) -> None:
    """The ticket stays due, and is read once the system goes on; nobody looks for the webhook again and again."""
    ticket = world.ticket("named")
    await world.begin(poll_seconds=300)
    await world.link(ticket)
    await world.sync()
    now = world.clock.now()
    await world.database.write(lambda c: health.pause_system(c, "desk", health.PERSON, "maintenance", now, now))
    world.helpdesk.customer_reply(ticket.id, "in the meantime")
    begin = len(world.helpdesk.requests)
    await hook(world, ticket)
    await world.pass_time(SOME_TIME)
    assert len(world.helpdesk.requests) == begin
    assert await world.database.write(lambda c: hooks.take(c, "desk")) == []
    await world.database.write(lambda c: health.resume_system(c, "desk"))
    await world.sync()
    assert world.sent() == ["in the meantime"]


async def test_more_tickets_than_fit_are_left_to_a_sweep_that_follows_at_once(world) -> None:
    """The feed is not kept waiting by a flood of webhooks: beyond the first few tickets a sweep reads them all."""
    tickets = [world.ticket(f"ticket {number}") for number in range(HOOKED_AT_ONCE + 5)]
    await world.begin(poll_seconds=300)
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    begin = len(world.helpdesk.requests)
    await hook(world, *tickets)
    await world.pass_time(60)
    feed, readings = asked_since(world, begin)
    assert feed >= 1
    assert readings == len(tickets)
