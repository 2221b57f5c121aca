"""The flood guard: old replies that come as new in great numbers wait for a person, and nothing else does."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.collected import NewDelivery
from syncd.model.communication import Thread
from syncd.model.delivery import DeliveryState
from syncd.model.health import PauseCause
from syncd.model.link import THE_START, Link, LinkState
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import TicketRef
from syncd.store import health, link_changes, links, requests, standing, tables
from syncd.store.floods import HELD_REASON, Told
from syncd.store.requests import RequestKind
from syncd.sync import collect, flood
from syncd.sync.backfill import Wanted
from syncd.testing.helpdesk import DeskTicket

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
POLICY = SystemPolicy("desk", flood_replies=200, flood_older_hours=1)
NEW = Link(1, 1, Thread("berlin", 7, 8), "desk", LinkState.ACTIVE, TicketRef("T9"), NOON - 30 * DAY, NOON - 30 * DAY)
LINK = replace(NEW, collected_at=NOON - 30 * DAY, newest_reply_at=NOON - 3 * HOUR)


@pytest.mark.parametrize(
    ("link", "made", "last_success", "late"),
    [
        (LINK, NOON - 4 * HOUR, NOON, True),  # something newer was known
        (LINK, NOON - 3 * HOUR, NOON, True),  # the newest one itself, by another id
        (LINK, NOON - 2 * HOUR, NOON, False),  # newer than all that was known
        (LINK, NOON - 4 * HOUR, NOON - 3.5 * HOUR, False),  # it came only a little late
        (LINK, NOON - 4 * HOUR, None, False),  # no sweep has gone well yet
        (NEW, NOON - 60 * DAY, NOON, False),  # the first reading asks for what it wants
        (replace(LINK, newest_reply_at=None), NOON - 31 * DAY, NOON, True),  # it was not there when it was read
        (replace(LINK, newest_reply_at=None), NOON - 2 * DAY, NOON, False),
        (replace(LINK, from_at=NOON - HOUR), NOON - 2 * HOUR, NOON, True),  # made before the link wants any
    ],
)
def test_late_is_what_should_have_been_known_long_ago(link, made, last_success, late) -> None:
    """A reply is late if it is not newer than what its link knew, and older than the last good sweep by the margin."""
    assert flood.is_late(link, made, flood.late_before(POLICY, last_success)) is late


def test_nothing_is_late_where_the_guard_is_off() -> None:
    """`flood_replies = 0` switches the guard off."""
    assert flood.late_before(replace(POLICY, flood_replies=0), NOON) is None
    assert not flood.is_flood(replace(POLICY, flood_replies=0), Told(NOON, 10_000))


def test_late_replies_of_a_day_are_counted_together() -> None:
    """The count goes on within a day, whatever restarts lie in it, and begins anew after that or after a set-back."""
    told = flood.count_on(None, 150, NOON)
    assert not flood.is_flood(POLICY, told)
    later = flood.count_on(told, 51, NOON + 23 * HOUR)
    assert later == Told(NOON, 201)
    assert flood.is_flood(POLICY, later)
    assert flood.count_on(later, 3, NOON + 24 * HOUR) == Told(NOON + 24 * HOUR, 3)
    assert flood.count_on(later, 3, NOON - HOUR) == Told(NOON - HOUR, 3)


def test_what_waits_for_a_person_already_is_not_held() -> None:
    """What is in doubt or cannot be mapped keeps its own reason."""
    delivery = NewDelivery("r", None, None, NOON)
    assert flood.held(LINK, delivery).reason == HELD_REASON
    assert flood.held(replace(LINK, newest_reply_at=None), delivery).reason == flood.STRANGE_REASON
    doubtful = replace(delivery, state=DeliveryState.IN_DOUBT, reason="restored")
    assert flood.held(LINK, doubtful) == doubtful


def renumber(world, tickets: Sequence[DeskTicket]) -> int:
    """Give every reply of these tickets a new id, as a migration does, and tell of each; return how many there are."""
    ids = itertools.count(900_000 + len(world.helpdesk.changes))
    replies = [reply for ticket in tickets for reply in ticket.replies]
    for reply in replies:
        reply.id = str(next(ids))
        world.helpdesk.edit(reply.id, reply.text)
    return len(replies)


async def old_tickets(world, number: int, replies: int, **changes: object) -> list[DeskTicket]:
    """Return linked tickets with a history of some days, all of it known and delivered."""
    world.helpdesk.page_size = 500
    days_ago = world.clock.now() - 5 * DAY
    made = [world.helpdesk.create_ticket(f"ticket {one}", "first message", at=days_ago) for one in range(number)]
    for ticket in made:
        for reply in range(replies - 1):
            at = days_ago + timedelta(hours=reply + 1)
            world.helpdesk.customer_reply(ticket.id, f"{ticket.number} old {reply}", at=at)
    await world.begin(requests_per_minute=6000, **changes)
    for ticket in made:
        await world.link(ticket)
    await world.sync()
    return made


async def test_a_renumbered_history_waits_and_new_replies_go(world) -> None:
    """A thousand old replies that come as new are parked, all of them; what is new of the same tickets is delivered."""
    tickets = await old_tickets(world, 50, 20)
    assert renumber(world, tickets) == 1000
    for ticket in tickets[:3]:
        world.helpdesk.customer_reply(ticket.id, f"{ticket.number} is new")
    await world.sync()
    assert sorted(world.sent()) == sorted(f"{ticket.number} is new" for ticket in tickets[:3])
    assert await world.states() == {"parked": 1000, "delivered": 3}
    assert {item.reason for item in await world.deliveries(state="parked")} == {flood.flood_reason(1000)}
    world.helpdesk.customer_reply(tickets[5].id, "and so is this")
    await world.sync()
    assert world.sent()[3:] == ["and so is this"]


async def test_a_flood_that_a_person_releases_goes(world) -> None:
    """What was parked is retried like anything else that is parked, and goes to its thread."""
    tickets = await old_tickets(world, 2, 3, flood_replies=5)
    renumber(world, tickets)
    await world.sync()
    parked = await world.deliveries(state="parked")
    assert len(parked) == 6
    by = standing.Decision("me", world.clock.now(), "it is right")
    await world.database.write(lambda c: standing.retry(c, parked[0].id, by))
    await world.sync(15)
    assert await world.states() == {"parked": 5, "delivered": 1}


async def test_a_few_late_replies_go_when_the_sweep_has_ended(world) -> None:
    """Fewer than the limit are no flood: they are sent, in order."""
    tickets = await old_tickets(world, 2, 3, flood_replies=6)
    renumber(world, tickets[:1])
    await world.sync()
    assert world.sent() == ["first message", "HD-1 old 0", "HD-1 old 1"]
    assert await world.states() == {"delivered": 3}


async def test_a_restart_lets_no_more_through(world) -> None:
    """The count of a day is in the database: what drips in by a few at a time, over restarts, is a flood too."""
    tickets = await old_tickets(world, 4, 3, flood_replies=7)
    for ticket in tickets:
        renumber(world, [ticket])
        await world.sync()
        await world.end()
        await world.begin(flood_replies=7)
    assert await world.states() == {"delivered": 6, "parked": 6}


async def test_what_a_sweep_left_held_is_judged_by_the_next_process(world) -> None:
    """A sweep that ends early leaves late replies held; they are neither sent nor lost, and a later sweep decides."""
    tickets = await old_tickets(world, 2, 3, flood_replies=1)
    world.helpdesk.page_size = 1
    told = len(world.helpdesk.changes)
    renumber(world, tickets)
    turn = asyncio.create_task(world.lane.turn())
    while len(await world.deliveries()) < 2:
        await world.pass_time(0)
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    await world.end()
    await world.begin(flood_replies=1)
    held = await world.deliveries()
    assert {(item.state, item.reason) for item in held} == {("parked", HELD_REASON)}
    # Nothing else comes after the restart, so that it is about those alone.
    del world.helpdesk.changes[told + len(held) :]
    await world.sync()
    assert world.sent() == []
    assert {item.reason for item in await world.deliveries()} == {flood.flood_reason(len(held))}


async def test_the_first_reading_of_links_from_the_start_is_no_flood(world) -> None:
    """Whoever asks for everything gets everything."""
    days_ago = world.clock.now() - 5 * DAY
    made = [world.helpdesk.create_ticket(f"ticket {one}", "text", at=days_ago) for one in range(3)]
    for ticket, number in itertools.product(made, range(4)):
        world.helpdesk.customer_reply(ticket.id, f"old {number}", at=days_ago + timedelta(hours=number))
    await world.begin(flood_replies=3)
    await world.sync()
    for ticket in made:
        await world.link(ticket, from_at=THE_START)
    await world.sync()
    assert await world.states() == {"delivered": 15}


async def test_a_backfill_is_no_flood(world) -> None:
    """What a person asked for is sent, however old and however much."""
    await old_tickets(world, 3, 5, flood_replies=3)
    arguments = Wanted().as_arguments()
    ask = (RequestKind.BACKFILL, "desk", arguments, "tester", world.clock.now())
    await world.database.write(lambda c: requests.ask(c, *ask))
    await world.sync(60)
    assert await world.states() == {"delivered": 12}


@pytest.mark.parametrize("asleep", [True, False], ids=["syncd was down", "the vendor was down"])
async def test_an_outage_of_two_days_is_no_flood(world, asleep) -> None:
    """What was written in a long outage is old by the clock and new all the same."""
    world.helpdesk.page_size = 1
    tickets = [world.ticket(f"ticket {one}") for one in range(3)]
    await world.begin(flood_replies=3)
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    await world.sync()
    if asleep:
        await world.end()
    else:
        world.helpdesk.faults.fail(503, times=1000)
    down = world.clock.now()
    for ticket, number in itertools.product(tickets, range(4)):
        world.helpdesk.customer_reply(ticket.id, f"new {number}", at=down + timedelta(hours=number * 10 + 1))
    world.clock.jump_wall_clock(timedelta(days=2))
    if asleep:
        await world.begin(flood_replies=3)
    else:
        assert not await world.sweep()
        world.helpdesk.faults.clear()
        world.clock.jump_wall_clock(timedelta(hours=1))
    await world.sync(30)
    assert await world.states() == {"delivered": 12}
    assert [world.sent(thread) for thread in (500, 501, 502)] == [[f"new {number}" for number in range(4)]] * 3


async def test_with_the_guard_off_old_replies_go(world) -> None:
    """`flood_replies = 0` sends whatever comes as new."""
    tickets = await old_tickets(world, 2, 3, flood_replies=0)
    renumber(world, tickets)
    await world.sync()
    assert await world.states() == {"delivered": 6}


async def test_a_flood_of_edits_waits_too(world) -> None:
    """Where edits are told as corrections, a vendor that rewrites all old texts makes no flood of corrections."""
    await world.begin(flood_replies=3, on_edit="correction")
    ticket = world.ticket()
    await world.link(ticket)
    await world.sync()
    said = [world.helpdesk.customer_reply(ticket.id, f"said {number}") for number in range(4)]
    await world.sync()
    world.clock.jump_wall_clock(timedelta(hours=3))
    await world.sync()
    for reply in said:
        world.helpdesk.edit(reply.id, f"{reply.text}, in other words")
    await world.sync()
    assert await world.states() == {"delivered": 4, "parked": 4}


async def test_notes_that_are_all_published_at_once_wait(world) -> None:
    """Internal notes of long ago that are all public at once are more likely a mistake than news."""
    await world.begin(flood_replies=3)
    ticket = world.ticket()
    await world.link(ticket)
    await world.sync()
    notes = [world.helpdesk.internal_note(ticket.id, f"note {number}") for number in range(4)]
    await world.sync()
    world.clock.jump_wall_clock(timedelta(hours=3))
    await world.sync()
    for note in notes:
        world.helpdesk.publish(note.id)
    await world.sync()
    assert await world.states() == {"parked": 4}


async def test_old_replies_of_a_ticket_that_lost_all_its_others_wait_at_once(world) -> None:
    """A link that was resumed after its replies had vanished sends none of the old ones, however few they are."""
    tickets = await old_tickets(world, 1, 3)
    renumber(world, tickets)
    await world.database.write(lambda c: c.execute(tables.link.update().values(newest_reply_at=None)))
    await world.sync()
    assert world.sent() == []
    assert {item.reason for item in await world.deliveries()} == {flood.STRANGE_REASON}


async def hold_one(world, **changes):
    """Return a ticket with a late reply that a failed sweep has left held, and its link."""
    (ticket,) = await old_tickets(world, 1, 3, **changes)
    (link,) = await world.database.read(lambda c: links.listed(c, system="desk"))
    late = world.helpdesk.customer_reply(ticket.id, "an old reply that came late", at=world.clock.now() - 2 * DAY)
    system = world.lane.system
    told = await collect.read_replies(system, link.ticket, None)
    await collect.store_reading(system, link.ticket, [link], told, None, world.clock.now())
    assert [one.reason for one in await world.deliveries(state="parked")] == [HELD_REASON]
    return late, link


async def test_what_was_held_is_read_again_before_it_is_sent(world) -> None:
    """While it was held it did not follow its reply; internal by now, it stays here."""
    late, _ = await hold_one(world)
    before = world.sent()
    world.helpdesk.publish(late.id, public=False)
    await world.sync(30)
    assert world.sent() == before
    assert "withdrawn" in (await world.deliveries(state="skipped"))[-1].reason


async def test_what_is_held_ends_with_its_link(world) -> None:
    """Nobody has decided about it, so it is skipped with what waits."""
    _, link = await hold_one(world)
    before = world.sent()
    now = world.clock.now()
    assert await world.database.write(lambda c: link_changes.remove(c, link.id, now)) == 1
    await world.sync(30)
    assert world.sent() == before


async def test_with_strict_order_nothing_overtakes_what_is_held(world) -> None:
    """A newer reply of its thread waits while an older one is held, and both go in order once the sweep has ended."""
    await hold_one(world, api_order="strict")
    (link,) = await world.database.read(lambda c: links.listed(c, system="desk"))
    world.helpdesk.customer_reply(link.ticket.id, "a new one")
    before = world.sent()
    system = world.lane.system
    told = await collect.read_replies(system, link.ticket, None)
    await collect.store_reading(system, link.ticket, [link], told, None, world.clock.now())
    await world.pass_time(300)
    assert world.sent() == before
    assert await world.states() == {"parked": 1, "pending": 1}
    await world.sync(30)
    assert world.sent() == [*before, "an old reply that came late", "a new one"]


async def test_with_strict_order_nothing_overtakes_what_the_last_reading_holds(world) -> None:
    """What is read again before it is sent waits too, if that very reading finds an older reply, which is held."""
    (ticket,) = await old_tickets(world, 1, 3, api_order="strict", on_edit="correction")
    reply = world.helpdesk.customer_reply(ticket.id, "typo")
    await world.sync()
    await world.database.write(lambda c: health.pause_api(c, "berlin", PauseCause.PERSON, "later", world.clock.now()))
    world.helpdesk.edit(reply.id, "no typo")
    await world.sync()
    world.helpdesk.customer_reply(ticket.id, "an old reply that came late", at=world.clock.now() - 2 * DAY)
    await world.pass_time(700)
    await world.database.write(lambda c: health.resume_api(c, "berlin"))
    await world.pass_time(300)
    assert [one.reason for one in await world.deliveries(state="parked")] == [HELD_REASON]
    assert world.sent() == ["typo"]
    await world.sync(30)
    assert world.sent() == ["typo", "an old reply that came late", "no typo"]
