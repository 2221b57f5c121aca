"""A ticket that comes without any of the replies that it had: nothing is concluded from it until a person did."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.collected import Collected
from syncd.model.communication import Thread, ThreadStatus
from syncd.model.link import Cause, LinkState, NewLink
from syncd.model.ticket import Ticket, TicketRef
from syncd.model.vanished import Others, Vanished, is_for_a_person
from syncd.store import health, link_changes, links, replies

NOW = datetime(2026, 5, 2, 8, tzinfo=UTC)
HOUR = 3600.0


@pytest.mark.parametrize(
    ("readings", "hours", "others", "expected"),
    [
        (3, 24, Others(0, is_one_well=False), True),
        (2, 48, Others(0, is_one_well=True), False),
        (30, 23.9, Others(0, is_one_well=True), False),
        (30, 48, Others(1, is_one_well=False), False),
        (30, 48, Others(1, is_one_well=True), True),
    ],
)
def test_a_person_is_asked_after_several_readings_and_a_day_about_one_ticket_alone(
    readings, hours, others, expected
) -> None:
    """Neither a few readings nor a short time, nor tickets that all fare alike, say that replies are gone."""
    assert is_for_a_person(Vanished(NOW - timedelta(hours=hours), readings), others, NOW) is expected


async def held_reply(world, **changes):
    """Link a ticket whose reply waits at an api that holds; return ticket, link and reply."""
    ticket = world.ticket()
    await world.begin(api_mode="hold", **changes)
    link_id = await world.link(ticket)
    await world.sync()
    reply = world.helpdesk.agent_reply(ticket.id, "waits")
    await world.sync()
    return ticket, link_id, reply


def empty(world, ticket) -> None:
    """Take every reply of a ticket away, as a vendor does that erases, or that has lost its index."""
    for reply in list(ticket.replies):
        world.helpdesk.delete_reply(reply.id)


async def sweep_for(world, hours: int) -> None:
    """Sweep every six hours, which pass at one stroke, as on a machine that slept."""
    for _ in range(hours // 6):
        world.clock.loop.move_time(6 * HOUR)
        await world.sweep()


async def test_what_vanished_is_believed_after_a_day_and_a_person_alone(world) -> None:
    """The link is suspended after a day; what waits goes on waiting until it is resumed, and is withdrawn then."""
    ticket, link_id, _ = await held_reply(world)
    empty(world, ticket)
    await world.sweep()
    await sweep_for(world, 18)
    link = await world.get_link(link_id)
    assert (link.state, link.cause) == (LinkState.ACTIVE, None)
    await sweep_for(world, 12)
    link = await world.get_link(link_id)
    assert (link.state, link.cause) == (LinkState.SUSPENDED, Cause.REPLIES_GONE)
    assert "without any of the replies that it had before" in link.reason
    await sweep_for(world, 30)  # over a full sweep
    assert (await world.get_link(link_id)).state is LinkState.SUSPENDED
    assert await world.states() == {"pending": 1}
    now = world.clock.now()
    assert await world.database.write(lambda c: link_changes.resume(c, link_id, now)) is LinkState.ACTIVE
    await world.sync()
    (left,) = await world.deliveries()
    assert (left.state, left.reason) == ("skipped", "withdrawn: it is deleted now")
    world.helpdesk.agent_reply(ticket.id, "anew")
    await world.sync()
    assert (await world.states())["pending"] == 1


async def test_a_ticket_that_is_whole_again_is_forgiven(world) -> None:
    """One good reading begins the row of bad ones anew, and what waited is sent."""
    ticket, link_id, _ = await held_reply(world)
    kept = list(ticket.replies)
    empty(world, ticket)
    await sweep_for(world, 18)
    ticket.replies.extend(kept)
    await sweep_for(world, 6)
    empty(world, ticket)
    await sweep_for(world, 18)
    assert (await world.get_link(link_id)).state is LinkState.ACTIVE
    ticket.replies.extend(kept)
    await sweep_for(world, 6)
    await release(world)
    assert world.sent() == ["waits"]


async def test_the_row_of_such_readings_begins_anew_after_a_good_one(database) -> None:
    """A ticket that was collected since is not held to what was counted before that."""
    ticket = Ticket("t1", "HD-1")
    new = NewLink(Thread("berlin", 7, 500), "desk", TicketRef(number="HD-1"), NOW)
    link_id = (await database.write(lambda c: links.add(c, new, NOW))).link_id
    await database.write(lambda c: link_changes.resolve(c, link_id, ticket, ThreadStatus.ONGOING, NOW))
    for minutes in (1, 2):
        seen = await note(database, link_id, minutes)
    assert seen == Vanished(NOW + timedelta(minutes=1), 2)
    assert await database.read(lambda c: link_changes.count_vanished(c, link_id, NOW)) == Others(0, is_one_well=False)
    good = Collected(link_id, 1, "desk", NOW, ticket=ticket, complete=True)
    await database.write(lambda c: replies.store_collected(c, good, NOW + timedelta(minutes=3)))
    assert await note(database, link_id, 4) == Vanished(NOW + timedelta(minutes=4), 1)


async def note(database, link_id, minutes):
    """Note a reading that held nothing of what was there."""
    at = NOW + timedelta(minutes=minutes)
    return await database.write(lambda c: link_changes.note_vanished(c, link_id, at))


async def test_where_all_tickets_come_empty_no_link_is_suspended(world) -> None:
    """A system that shows no replies at all is at fault itself; its links are left as they are."""
    ticket, _, _ = await held_reply(world)
    other = world.ticket("other")
    await world.link(other)
    await world.sync()
    empty(world, ticket)
    empty(world, other)
    await sweep_for(world, 60)
    assert {link.state for link in [await world.get_link(1), await world.get_link(2)]} == {LinkState.ACTIVE}
    assert await world.states() == {"pending": 1}


async def release(world) -> None:
    """Let the held api send what waits."""
    now = world.clock.now()
    await world.database.write(lambda c: health.release_api(c, "berlin", now))
    await world.pass_time(30)


async def test_an_empty_list_before_sending_withdraws_nothing(world) -> None:
    """What is read again before it is sent, and comes from a list without any reply, waits and is sent later."""
    await held_reply(world)
    world.clock.loop.move_time(11 * 60)
    world.helpdesk.faults.empty_replies(times=2)
    await release(world)
    assert await world.states() == {"pending": 1}
    await world.pass_time(300)
    assert world.sent() == ["waits"]


async def test_an_empty_list_in_the_full_sweep_withdraws_nothing(world) -> None:
    """A full sweep that is handed no replies at all concludes nothing either."""
    await held_reply(world, full_sweep_hours=1)
    world.clock.loop.move_time(HOUR + 60)
    world.helpdesk.faults.empty_replies(times=2)
    await world.sweep()
    assert await world.states() == {"pending": 1}
    await sweep_for(world, 6)
    await release(world)
    assert world.sent() == ["waits"]
