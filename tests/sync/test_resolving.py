"""Tickets that cannot be read, and merges that are noticed late: what they mean for the others, and for the thread."""

import pytest
from sqlalchemy import update

from syncd.model.errors import RetryLater, UnexpectedAnswer
from syncd.model.link import LinkState
from syncd.store import health, link_changes
from syncd.store.tables import link as link_table
from syncd.sync.resolving import read_tickets


def break_adapter(world, *, tickets=None, feed=None):
    """Put an adapter in the place of the lane's: `tickets` are failures by id, `feed` is one of the change feed."""
    adapter = world.lane.system.adapter
    sound = getattr(adapter, "sound", type(adapter))

    class Broken(sound):
        async def tickets(self, ids):
            for key in ids:
                if key in (tickets or {}):
                    raise tickets[key]
            return await super().tickets(ids)

        async def changes(self, start):
            if feed is not None:
                raise feed
            async for page in super().changes(start):
                yield page

    Broken.sound = sound
    world.lane.system.adapter = Broken(adapter.options, adapter.http)


async def linked(world, *subjects, **changes):
    """Begin with a link to a ticket of each of these subjects; return the tickets and the links."""
    made = [world.ticket(subject) for subject in subjects]
    await world.begin(**changes)
    ids = [await world.link(ticket) for ticket in made]
    await world.sync()
    return made, ids


@pytest.mark.parametrize("failure", [UnexpectedAnswer("odd"), KeyError("a bug"), RetryLater("status 500")])
async def test_one_ticket_that_cannot_be_read_costs_no_other_its_state(world, failure) -> None:
    """Whatever one ticket fails with, those that were asked for with it are read."""
    (fine, odd, other), _ = await linked(world, "fine", "odd", "other")
    break_adapter(world, tickets={odd.id: failure})
    assert (await read_tickets(world.lane.system, [odd.id, fine.id, other.id])).keys() == {fine.id, other.id}


async def test_a_wait_that_is_asked_for_is_about_all_tickets(world) -> None:
    """Where the system asks for fewer requests, nothing else is asked."""
    (one, other), _ = await linked(world, "one", "other")
    break_adapter(world, tickets={one.id: RetryLater("too many", 30)})
    sent = world.lane.system.adapter.http.requests_sent
    with pytest.raises(RetryLater, match="too many"):
        await read_tickets(world.lane.system, [one.id, other.id])
    assert world.lane.system.adapter.http.requests_sent == sent


@pytest.mark.parametrize("count", [1, 3, 5])
async def test_tickets_that_make_no_sense_do_not_keep_another_waiting(world, count) -> None:
    """However many odd tickets have been due for longest, alone or in front of others, the others are read."""
    (*odd, fine), _ = await linked(world, *(f"odd {number}" for number in range(count)), "fine")
    break_adapter(world, tickets={one.id: UnexpectedAnswer("odd") for one in odd}, feed=UnexpectedAnswer("odd"))
    for ticket in (*odd, fine):
        world.helpdesk.customer_reply(ticket.id, f"about {ticket.subject}")
    await sweep_on(world, 5)
    assert world.sent() == ["about fine"]
    break_adapter(world)
    await sweep_on(world, 6)
    assert sorted(world.sent()) == ["about fine", *(f"about {one.subject}" for one in odd)]


async def test_tickets_of_which_none_makes_sense_are_put_off(world) -> None:
    """Where none of many can be read the sweep fails, and each comes up again later than what is due by then."""
    odd, ids = await linked(world, "one", "two", "three")
    break_adapter(world, tickets={one.id: UnexpectedAnswer("odd") for one in odd})
    await mark_due(world, *odd)
    assert not await world.sweep()
    assert [(await world.get_link(link_id)).failures for link_id in ids] == [1, 1, 1]


async def test_a_single_odd_ticket_does_not_fail_its_sweep(world) -> None:
    """A ticket that is due alone and makes no sense is put off; the sweep goes well, and so does what follows it."""
    (odd,), (link_id,) = await linked(world, "odd")
    break_adapter(world, tickets={odd.id: UnexpectedAnswer("odd")})
    await mark_due(world, odd)
    assert await world.sweep()
    assert (await world.get_link(link_id)).failures == 1


async def test_a_reply_after_a_merge_that_could_not_be_read_for_long_is_sent(world) -> None:
    """Sweeps that went well meanwhile do not say that the ticket was not merged: it had been named, and not read."""
    (source, target), (link_id, _) = await linked(world, "source", "target", on_merge="follow")
    break_adapter(world, tickets={source.id: UnexpectedAnswer("odd")})
    world.helpdesk.merge(source.id, target.id)
    await sweep_on(world, 3)
    world.helpdesk.customer_reply(target.id, "written after the merge")
    await sweep_on(world, 4)
    break_adapter(world)
    await sweep_on(world, 8)
    link = await world.get_link(link_id)
    assert (link.state, link.ticket.id) == (LinkState.ACTIVE, target.id)
    assert world.sent(link.thread.thread_id) == ["written after the merge"]


async def test_a_merge_brings_nothing_from_before_it_where_the_feed_failed(world) -> None:
    """While tickets are read one by one, a ticket's own reading says that it is not merged, not the last good sweep."""
    (source, target), (link_id, _) = await linked(world, "source", "target", on_merge="follow")
    break_adapter(world, feed=KeyError("a bug"))
    await sweep_on(world, 4)
    world.helpdesk.customer_reply(target.id, "of another conversation")
    await world.pass_time(20)
    await mark_due(world, source)
    await sweep_on(world, 1)
    world.helpdesk.merge(source.id, target.id)
    await mark_due(world, source)
    await sweep_on(world, 3)
    link = await world.get_link(link_id)
    assert (link.state, link.ticket.id) == (LinkState.ACTIVE, target.id)
    assert world.sent(link.thread.thread_id) == []


async def test_a_feed_that_fails_on_leaves_no_ticket_without_a_time(world) -> None:
    """A ticket that lost its time to be read is given one at the next sweep, however long ago the feed failed first."""
    _, (link_id,) = await linked(world, "one")
    break_adapter(world, feed=KeyError("a bug"))
    await sweep_on(world, 4)
    before = (await world.get_link(link_id)).collected_at
    await world.database.write(lambda c: c.execute(update(link_table).values(collect_due_at=None)))
    await sweep_on(world, 1)
    assert (await world.get_link(link_id)).collected_at > before


async def sweep_on(world, times) -> None:
    """Sweep, also where a failure would put that off."""
    for _ in range(times):
        await world.database.write(lambda c: health.resume_system(c, "desk"))
        await world.sync(15)


async def mark_due(world, *tickets) -> None:
    """Make the links to these tickets due."""
    ids, now = [one.id for one in tickets], world.clock.now()
    await world.database.write(lambda c: link_changes.mark_due(c, "desk", ids, now))


@pytest.mark.parametrize("fault", ["answer_html", "answer_error", "fail", "throttle"])
async def test_a_lookup_that_fails_says_nothing_about_the_ticket(world, fault) -> None:
    """A link whose ticket could not be looked up waits unresolved, and is resolved once that is possible."""
    ticket = world.ticket()
    await world.begin()
    link_id = await world.link(ticket)
    faults = world.helpdesk.faults
    faults.throttle(300, times=20) if fault == "throttle" else getattr(faults, fault)(times=20)
    await world.sweep()
    assert (await world.get_link(link_id)).state is LinkState.UNRESOLVED
    faults.clear()
    await world.pass_time(1000)
    await world.sync()
    assert (await world.get_link(link_id)).state is LinkState.ACTIVE
