"""Backfill and the full sweep, in virtual time."""

from collections import Counter
from datetime import timedelta

import pytest
from loguru import logger
from sqlalchemy import select

from syncd.model.delivery import Lane
from syncd.model.errors import Conflict, RetryLater
from syncd.model.ticket import Ticket
from syncd.store import backfilled, health, link_changes, links, requests, standing
from syncd.store.requests import RequestKind, RequestState
from syncd.store.standing import Decision
from syncd.store.tables import delivery
from syncd.sync.backfill import Wanted
from syncd.sync.backfill_fates import judge


async def old_ticket(world, replies: int = 4):
    """Return a ticket with a first message and older replies, linked from now and read once."""
    ticket = world.ticket("Old")
    for number in range(replies):
        world.helpdesk.agent_reply(ticket.id, f"old {number}", at=world.clock.now() - timedelta(minutes=40 - number))
    return ticket


async def ask(world, *, dry_run: bool = False, **wanted) -> int:
    """Ask for a backfill; return the request's id."""
    arguments = Wanted(**wanted).as_arguments() | ({"dry_run": True} if dry_run else {})
    asked = (RequestKind.BACKFILL, "desk", arguments, "tester", world.clock.now())
    return await world.database.write(lambda c: requests.ask(c, *asked))


async def find(world, request_id: int):
    """Return a request as it stands."""
    return await world.database.read(lambda c: requests.find(c, request_id))


async def backfill(world, **wanted):
    """Ask for a backfill and have it carried out; return the ended request."""
    request_id = await ask(world, **wanted)
    await world.sync(60)
    return await find(world, request_id)


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


async def test_a_plan_says_what_then_happens(world) -> None:
    """What a dry run counts is what the backfill does then: by api and fate, and in requests; it stores nothing."""
    world.helpdesk.page_size = 2
    tickets = [await old_ticket(world, replies=3) for _ in range(5)]
    world.helpdesk.internal_note(tickets[0].id, "secret", at=world.clock.now() - timedelta(minutes=35))
    world.helpdesk.forbid(tickets[4].id)
    await world.begin()
    for number, ticket in enumerate(tickets):
        await world.link(ticket, api="hamburg" if number == 2 else "berlin")
    await world.link(tickets[1], api="hamburg")
    await world.sync()
    await backfill(world, tickets=(tickets[0].number,))
    tickets[3].replies[1].format = "a form that the adapter does not know"
    before = len(world.helpdesk.requests)
    planned = await backfill(world, dry_run=True, first_message=True)
    asked = [one for one in world.helpdesk.requests[before:] if "/changes" not in one]
    was = await world.deliveries()
    done = await backfill(world, first_message=True)
    made = (await world.deliveries())[len(was) :]
    kept = ("links", "of", "found", "enqueued", "failed", "requests", "by_api", "fates")
    assert {name: planned.result[name] for name in kept} == {name: done.result[name] for name in kept}
    assert (planned.state, planned.result["failed"]) == (RequestState.FAILED, 1)
    assert planned.result["requests"] == len(asked)
    assert planned.result["by_api"] == dict(Counter(one.api for one in made))
    assert planned.result["fates"] == {
        "berlin": {"to_send": 5, "delivered": 3, "withheld": 1},
        "hamburg": {"to_send": 8},
    }


async def test_a_backfill_that_was_killed_goes_on_where_it_was(world) -> None:
    """Tickets that were dealt with are not asked again after a restart, and nothing is counted or sent twice."""
    tickets = [await old_ticket(world, replies=1) for _ in range(4)]
    await world.begin(requests_per_minute=60)
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    request_id = await ask(world)
    before = len(world.helpdesk.requests)
    await world.lane.turn()
    while len(await world.database.read(lambda c: requests.steps_done(c, request_id))) < 2:
        await world.clock.sleep(0.2)
    await world.end()
    await world.begin()
    await world.sync(60)
    read = [one for one in world.helpdesk.requests[before:] if "/replies" in one]
    assert len(set(read)) == 4
    assert len(read) <= 5  # but the one in the middle
    ended = await find(world, request_id)
    assert (ended.state, ended.result["links"], ended.result["enqueued"]) == (RequestState.DONE, 4, 4)
    assert world.sent() == ["old 0"] * 4


async def test_the_log_tells_how_far_it_is(world) -> None:
    """A line at the beginning, one each half minute, and one with the totals at the end; not one for each ticket."""
    tickets = [await old_ticket(world, replies=1) for _ in range(8)]
    await world.begin(requests_per_minute=10)
    for ticket in tickets:
        await world.link(ticket)
    await world.sync(60)
    lines: list[str] = []
    sink = logger.add(
        lines.append, level="INFO", format="{message} {extra[links]}", filter=lambda one: "links" in one["extra"]
    )
    began = world.clock.monotonic()
    request_id = await ask(world)
    await world.lane.turn()
    while (await find(world, request_id)).state is not RequestState.DONE:
        await world.clock.sleep(1)
    seconds = world.clock.monotonic() - began
    logger.remove(sink)
    told = [line.strip() for line in lines if line.startswith("backfill")]
    assert (told[0], told[-1]) == ("backfill under way 0", "backfill ended 8")
    assert 1 <= len(told) - 2 <= seconds / 30


async def test_a_ticket_of_several_threads_is_read_once(world) -> None:
    """A ticket that is linked to two threads is asked for once, and its replies go to both."""
    ticket = await old_ticket(world, replies=1)
    await world.begin()
    for thread in (501, 502):
        await world.link(ticket, thread=thread)
    await world.sync()
    before = len(world.helpdesk.requests)
    assert (await backfill(world)).result["enqueued"] == 2
    assert len([one for one in world.helpdesk.requests[before:] if "/replies" in one]) == 1
    assert (world.sent(501), world.sent(502)) == (["old 0"], ["old 0"])


async def test_what_is_stopped_queues_nothing_more(world) -> None:
    """A stop ends it between tickets: what was queued is sent, the rest is not read; asked again, it goes on there."""
    tickets = [await old_ticket(world, replies=1) for _ in range(6)]
    await world.begin(requests_per_minute=60)
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    request_id = await ask(world)
    await world.lane.turn()
    while len(await world.database.read(lambda c: requests.steps_done(c, request_id))) < 2:
        await world.clock.sleep(0.2)
    by = Decision("tester", world.clock.now(), "wrong dates")
    await world.database.write(lambda c: requests.stop(c, request_id, by))
    await world.sync(60)
    stopped = await find(world, request_id)
    assert (stopped.state, len(world.sent())) == (RequestState.STOPPED, stopped.result["enqueued"])
    assert 2 <= len(world.sent()) <= 3
    with pytest.raises(Conflict, match="stopped"):
        await world.database.write(lambda c: requests.stop(c, request_id, by))
    before = len(world.helpdesk.requests)
    again = (RequestKind.BACKFILL, "desk", Wanted().as_arguments(), world.clock.now() - timedelta(days=1))
    assert await world.database.write(lambda c: requests.ask_again(c, *again)) == request_id
    await world.sync(60)
    assert (await find(world, request_id)).result["enqueued"] == len(world.sent()) == 6
    assert len([one for one in world.helpdesk.requests[before:] if "/replies" in one]) == 6 - stopped.result["links"]


async def test_a_paused_system_is_asked_for_nothing(world) -> None:
    """A backfill under way waits while a person has paused its system, and goes on where it was."""
    tickets = [await old_ticket(world, replies=1) for _ in range(6)]
    await world.begin(requests_per_minute=60)
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    request_id = await ask(world)
    await world.lane.turn()
    while len(await world.database.read(lambda c: requests.steps_done(c, request_id))) < 2:
        await world.clock.sleep(0.2)
    pause = ("desk", health.PERSON, "tester: it is slow", world.clock.now(), None)
    await world.database.write(lambda c: health.pause_system(c, *pause))
    await world.clock.sleep(2)
    before = len(world.helpdesk.requests)
    await world.sync(60)
    assert len(world.helpdesk.requests) == before
    assert (await find(world, request_id)).state is RequestState.RUNNING
    await world.database.write(lambda c: health.resume_system(c, "desk"))
    await world.sync(60)
    ended = await find(world, request_id)
    assert (ended.state, ended.result["links"], len(world.sent())) == (RequestState.DONE, 6, 6)


async def test_a_link_that_was_given_another_ticket_meanwhile_is_not_said_to_be_done(world) -> None:
    """A link that follows a merge while its ticket is read counts as failed: nothing was queued of the new ticket."""
    one, other = await old_ticket(world, replies=9), world.ticket("Other")
    await world.begin(requests_per_minute=60)
    link_id = await world.link(one)
    await world.sync()
    request_id = await ask(world)
    before = len(world.helpdesk.requests)
    await world.lane.turn()
    while not any("/replies" in asked for asked in world.helpdesk.requests[before:]):
        await world.clock.sleep(0.2)
    moved = Ticket(id=other.id, number=other.number, subject="Other")
    await world.database.write(lambda c: link_changes.set_ticket(c, link_id, moved))
    await world.pass_time(30)
    ended = await find(world, request_id)
    assert (ended.result["failed"], ended.result["enqueued"], world.sent()) == (1, 0, [])
    assert ended.state is RequestState.FAILED


async def test_what_is_dropped_may_be_backfilled_later(world) -> None:
    """Taking back skips what was not sent and nothing else; another backfill sends it then, once."""
    tickets = [await old_ticket(world, replies=2) for _ in range(2)]
    await world.begin(api_mode="hold")
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    world.helpdesk.customer_reply(tickets[0].id, "live")
    request_id = (await backfill(world)).id
    by = Decision("tester", world.clock.now(), "not yet")
    dropped = [await world.database.write(lambda c: backfilled.drop_some(c, request_id, by, 2)) for _ in range(3)]
    assert dropped == [2, 2, 0]
    assert await world.states() == {"skipped": 4, "pending": 1}
    assert (await backfill(world)).result["enqueued"] == 4
    now = world.clock.now()
    await world.database.write(lambda c: health.release_api(c, "berlin", now))
    await world.pass_time(30)
    assert sorted(world.sent()) == ["live", "old 0", "old 0", "old 1", "old 1"]


async def test_an_outage_in_the_middle_is_waited_out(world) -> None:
    """A vendor that answers nothing for a while fails no ticket: the backfill waits and goes on."""
    tickets = [await old_ticket(world, replies=1) for _ in range(8)]
    await world.begin()
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    adapter = world.lane.system.adapter
    failing = True

    class Away(type(adapter)):
        async def replies(self, ticket, since):
            if failing and ticket.id != tickets[0].id:
                raise RetryLater("away")
            async for reply in super().replies(ticket, since):
                yield reply

    world.lane.system.adapter = Away(adapter.options, adapter.http)
    request_id = await ask(world)
    await world.sync(60)
    assert (await find(world, request_id)).state is RequestState.RUNNING
    failing = False
    await world.sync(60)
    ended = await find(world, request_id)
    assert (ended.state, ended.result["failed"], len(world.sent())) == (RequestState.DONE, 0, 8)


async def test_a_live_reply_is_hardly_later_while_a_backfill_runs(world) -> None:
    """It waits for one request at the vendor and one at the API more than alone, however much is backfilled."""
    world.helpdesk.page_size = 1
    tickets = [await old_ticket(world, replies=6) for _ in range(12)]
    live = [world.ticket(f"live {number}") for number in range(4)]
    await world.begin(requests_per_minute=30, api_requests_per_minute=30)
    for ticket in (*tickets, *live):
        await world.link(ticket)
    await world.sync(60)
    alone = await delay_of(world, live, "alone")
    request_id = await ask(world)
    await world.sync(60)
    beside = await delay_of(world, live, "beside")
    assert (await find(world, request_id)).state is RequestState.RUNNING
    assert "old 0" in world.sent()
    assert await world.database.read(lambda c: backfilled.count_open(c, [request_id]))
    assert alone > 4 * 60 / 30  # a page of the feed for each of them
    assert beside <= alone + 60 / 30 + 60 / 30 + 0.5


async def delay_of(world, tickets, text: str) -> float:
    """Return how long after the beginning of a sweep all of these tickets' new replies are there."""
    for ticket in tickets:
        world.helpdesk.customer_reply(ticket.id, text)
    began = world.clock.monotonic()
    await world.sweep()
    while world.sent().count(text) < len(tickets):
        world.parts.wake_dispatchers()
        await world.clock.sleep(0.5)
    return world.clock.monotonic() - began


async def test_a_reply_that_came_since_is_live(world) -> None:
    """A new reply that the backfill reads before any sweep does not wait behind what is older."""
    ticket = await old_ticket(world, replies=1)
    await world.begin(api_mode="hold")
    await world.link(ticket)
    await world.sync()
    request_id = await ask(world)
    await world.clock.sleep(1)
    world.helpdesk.customer_reply(ticket.id, "since")
    world.helpdesk.changes.pop()
    await world.sync()
    assert (await find(world, request_id)).result["enqueued"] == 2
    lanes = await world.database.read(
        lambda c: c.execute(select(delivery.c.lane).order_by(delivery.c.id)).scalars().all()
    )
    assert lanes == [Lane.BACKFILL.value, Lane.LIVE.value]


async def test_a_reply_of_the_second_of_a_link_is_live(world) -> None:
    """Vendors keep seconds, so it counts as new for a backfill, too: it is in the live lane, and no drop takes it."""
    ticket = await old_ticket(world, replies=1)
    await world.begin(api_mode="hold")
    await world.clock.sleep(1.5 - world.clock.now().microsecond / 1e6)
    second = world.clock.now().replace(microsecond=0)
    world.helpdesk.customer_reply(ticket.id, "of this second", at=second)
    number = await world.link(ticket)
    await world.sync()
    link = await world.database.read(lambda c: links.find(c, number))
    told = [one async for one in world.lane.system.adapter.replies(link.ticket, None)]
    judged = judge(world.lane.system.policy, link, link.ticket, told, {}, None)
    lanes = {one.delivery.occurred_at: one.delivery.lane for one in judged.entries}
    assert link.from_at > second
    assert [lane for at, lane in lanes.items() if at == second] == [Lane.LIVE]
    assert Lane.BACKFILL in lanes.values()


async def test_what_is_backfilled_was_read_when_its_reading_began(world) -> None:
    """However long the pages of a ticket take, what was read 10 minutes before it is sent is read again then."""
    world.helpdesk.page_size = 1
    ticket = await old_ticket(world, replies=4)
    await world.begin(api_mode="hold", requests_per_minute=60)
    await world.link(ticket)
    await world.sync()
    await ask(world)
    await world.lane.turn()
    began = world.clock.now()
    await world.sync(60)
    read_at = await world.database.read(lambda c: set(c.execute(select(delivery.c.read_at)).scalars()))
    assert len(read_at) == 1
    assert max(read_at) <= began + timedelta(seconds=3)  # its pages took five more


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
    await world.begin(adapter="in_memory_plain", poll_seconds=10, active_hours=0.25)
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
