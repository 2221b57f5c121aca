"""Backfill and the full sweep, in virtual time."""

from datetime import timedelta

from syncd.store import health, links, requests, standing
from syncd.store.requests import RequestKind, RequestState
from syncd.store.standing import Decision
from syncd.sync.backfill import Progress, Wanted, run_backfill


async def old_ticket(world, replies: int = 4):
    """Return a ticket with a first message and older replies, linked from now and read once."""
    ticket = world.ticket("Old")
    for number in range(replies):
        world.helpdesk.agent_reply(ticket.id, f"old {number}", at=world.clock.now() - timedelta(minutes=40 - number))
    return ticket


async def backfill(world, **wanted):
    """Ask for a backfill and have it carried out; return the ended request."""
    now = world.clock.now()
    arguments = Wanted(**wanted).as_arguments()
    ask = (RequestKind.BACKFILL, "desk", arguments, "tester", now)
    request_id = await world.database.write(lambda c: requests.ask(c, *ask))
    await world.sync(60)
    return await world.database.read(lambda c: requests.find(c, request_id))


async def test_what_is_older_is_delivered_on_request_without_the_first_message(world) -> None:
    """Replies from before the link are sent once, with their own times; the first message only if asked for."""
    ticket = await old_ticket(world)
    await world.begin()
    await world.link(ticket)
    await world.sync()
    assert world.sent() == []
    ended = await backfill(world)
    assert (ended.state, ended.result["enqueued"]) == (RequestState.DONE, 4)
    assert world.sent() == [f"old {number}" for number in range(4)]
    assert (await backfill(world)).result["enqueued"] == 0
    assert (await backfill(world, first_message=True)).result["enqueued"] == 1
    assert world.sent()[4:] == ["first message"]


async def test_a_window_of_time_is_kept_to(world) -> None:
    """`since` and `until` choose by the replies' own times."""
    ticket = await old_ticket(world)
    await world.begin()
    await world.link(ticket)
    await world.sync()
    now = world.clock.now()
    await backfill(world, since=now - timedelta(minutes=39, seconds=20), until=now - timedelta(minutes=37, seconds=20))
    assert world.sent() == ["old 1", "old 2"]


async def test_internal_and_delivered_replies_are_left_alone(world) -> None:
    """A backfill sends no internal note, nothing twice, and nothing that a person skipped."""
    ticket = await old_ticket(world, replies=1)
    world.helpdesk.internal_note(ticket.id, "secret", at=world.clock.now() - timedelta(minutes=30))
    await world.begin(api_mode="hold")
    await world.link(ticket)
    await world.sync()
    world.helpdesk.customer_reply(ticket.id, "left by a person")
    world.helpdesk.customer_reply(ticket.id, "new")
    await world.sync()
    skipped = (await world.deliveries())[0].id
    by = Decision("tester", world.clock.now(), "said by phone")
    await world.database.write(lambda c: standing.skip(c, skipped, by))
    await backfill(world)
    now = world.clock.now()
    await world.database.write(lambda c: health.release_api(c, "berlin", now))
    await world.pass_time(30)
    assert sorted(world.sent()) == ["new", "old 0"]


async def test_a_plan_counts_and_stores_nothing(world) -> None:
    """Without a request a backfill only says what it would do."""
    ticket = await old_ticket(world)
    await world.begin()
    await world.link(ticket)
    await world.sync()
    told: list[int] = []

    async def report(progress: Progress) -> None:
        told.append(progress.enqueued)

    system = world.lane.system
    planned = await run_backfill(system, Wanted(), report, request_id=None, stop=lambda: False)
    assert (planned.links, planned.found, planned.enqueued, planned.known) == (1, 4, 4, 0)
    assert await world.deliveries() == []


async def test_a_backfill_that_was_stopped_goes_on_where_it_was(world) -> None:
    """Links that were dealt with are not asked again, over a restart of the process too."""
    tickets = [await old_ticket(world, replies=1) for _ in range(4)]
    await world.begin()
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    now = world.clock.now()
    ask = (RequestKind.BACKFILL, "desk", Wanted().as_arguments(), "tester", now)
    request_id = await world.database.write(lambda c: requests.ask(c, *ask))
    seen: list[int] = []

    async def report(progress: Progress) -> None:
        seen.append(progress.links)

    system = world.lane.system
    await run_backfill(system, Wanted(), report, request_id=request_id, stop=lambda: len(seen) > 2)
    assert await world.database.read(lambda c: requests.steps_done(c, request_id)) == {1, 2}
    await world.end()
    await world.begin()
    before = len(world.helpdesk.requests)
    await world.sync(60)
    replies_asked = [one for one in world.helpdesk.requests[before:] if "/replies" in one]
    assert len(replies_asked) == 2
    assert world.sent() == ["old 0"] * 4


async def test_a_full_sweep_finds_what_the_feed_missed(world) -> None:
    """A reply that the feed never named is found however much came after it, and it is said how many there were."""
    ticket = world.ticket()
    await world.begin(full_sweep_hours=1)
    await world.link(ticket)
    await world.sync()
    world.helpdesk.customer_reply(ticket.id, "never named")
    world.helpdesk.changes.pop()
    await world.pass_time(1800)
    world.helpdesk.customer_reply(ticket.id, "half an hour later")
    await world.sync()
    assert world.sent() == ["half an hour later"]
    await world.pass_time(3700)
    await world.sync()
    assert world.sent() == ["half an hour later", "never named"]
    state = await world.database.read(lambda c: health.get_system(c, "desk"))
    assert state.full_sweep_found == 1


async def test_a_ticket_that_may_be_seen_again_is_resumed_by_the_full_sweep(world) -> None:
    """A permission that was taken and given back costs nothing but time."""
    ticket = world.ticket()
    await world.begin(full_sweep_hours=1)
    link_id = await world.link(ticket)
    await world.sync()
    world.helpdesk.forbid(ticket.id)
    await world.sync()
    assert (await world.get_link(link_id)).state == "suspended"
    world.helpdesk.customer_reply(ticket.id, "meanwhile")
    world.helpdesk.forbid(ticket.id, forbidden=False)
    await world.pass_time(3700)
    await world.sync()
    await world.sync()
    assert (await world.get_link(link_id)).state == "active"
    assert world.sent() == ["meanwhile"]


async def test_without_a_feed_active_tickets_are_asked_sooner(world) -> None:
    """A system that cannot name what changed is asked ticket by ticket, the quiet ones seldom; nothing is missed."""
    world.helpdesk.feed = False
    busy, quiet = world.ticket("busy"), world.ticket("quiet")
    world.helpdesk.create_ticket("elsewhere", "text")
    await world.begin(adapter="in_memory_plain", poll_seconds=10)
    for ticket in (busy, quiet):
        await world.link(ticket)
    await world.sync()
    for minute in range(10):
        world.helpdesk.customer_reply(busy.id, f"busy {minute}")
        await world.sync(60)
    asked = [one for one in world.helpdesk.requests if one.endswith("/replies") or "/replies?" in one]
    of_quiet = [one for one in asked if f"/{quiet.id}/" in one]
    assert len(of_quiet) <= 3 < len(asked) - len(of_quiet)
    assert world.sent() == [f"busy {minute}" for minute in range(10)]
    world.helpdesk.customer_reply(quiet.id, "not so quiet")
    await world.pass_time(900)
    await world.sync()
    assert world.sent()[-1] == "not so quiet"
    assert len(await world.database.read(links.listed)) == 2


async def test_a_slice_that_does_not_end_in_time_is_made_narrower(world) -> None:
    """Fewer tickets are read at once, and one that alone takes too long is left out: the others are read."""
    tickets = [world.ticket(f"ticket {number}") for number in range(3)]
    await world.begin(full_sweep_hours=1, sweep_deadline_seconds=5)
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    slow = tickets[0].id
    adapter = world.lane.system.adapter

    class Slow(type(adapter)):
        async def replies(self, ticket, since):
            if ticket.id == slow and since is None:
                await world.clock.sleep(60)
            async for reply in super().replies(ticket, since):
                yield reply

    world.lane.system.adapter = Slow(adapter.options, adapter.http)
    for ticket in tickets:
        world.helpdesk.customer_reply(ticket.id, f"never named: {ticket.subject}")
        world.helpdesk.changes.pop()
    await world.pass_time(3700)
    for _ in range(12):
        await world.sync(20)
    assert sorted(world.sent()) == ["never named: ticket 1", "never named: ticket 2"]
