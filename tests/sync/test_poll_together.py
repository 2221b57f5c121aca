"""Polling where two things meet: merges and pauses, links of two generations, bugs in adapters, a great many links."""

import asyncio

from syncd.model.health import PauseCause
from syncd.model.link import THE_START, Cause
from syncd.store import health, link_changes, links, requests, standing
from syncd.store.requests import RequestKind, RequestState
from syncd.store.standing import Decision, Resolution
from syncd.sync import backfill
from syncd.testing.sandbox_faults import Break, refusal


def by(world, reason: str = "looked it up") -> Decision:
    """Return who decides, now."""
    return Decision("tester", world.clock.now(), reason)


async def do(world, operation, *arguments, **more):
    """Run an operation of the store and commit it."""
    return await world.database.write(lambda c: operation(c, *arguments, **more))


async def pause(world) -> None:
    """Pause the api by hand."""
    await do(world, health.pause_api, "berlin", PauseCause.PERSON, "maintenance", world.clock.now())


async def unpause(world, seconds: float = 10) -> None:
    """Resume the api and let what waits go out."""
    await do(world, health.resume_api, "berlin")
    await world.pass_time(seconds)


async def test_what_waits_when_its_ticket_is_merged_is_still_sent(world) -> None:
    """A link that follows a merge keeps what its first ticket still had to send: the other ticket never held it."""
    source, target = world.ticket("source"), world.ticket("target")
    await world.begin(on_merge="follow")
    await world.link(source)
    await world.sync()
    await pause(world)
    world.helpdesk.customer_reply(source.id, "before the merge")
    await world.sync()
    world.helpdesk.merge(source.id, target.id)
    await world.sync()
    await world.pass_time(2)
    world.helpdesk.agent_reply(target.id, "after the merge")
    await world.sync()
    await unpause(world)
    assert world.sent() == ["before the merge", "after the merge"]


async def test_a_late_delivery_of_a_merged_ticket_is_still_sent(world) -> None:
    """So it is when it has waited over ten minutes and its link's ticket is read again before it leaves."""
    source, target = world.ticket("source"), world.ticket("target")
    await world.begin(on_merge="follow")
    await world.link(source)
    await world.sync()
    await pause(world)
    world.helpdesk.customer_reply(source.id, "before the merge")
    await world.sync()
    world.helpdesk.merge(source.id, target.id)
    await world.sync()
    await world.pass_time(700)
    await unpause(world)
    assert world.sent() == ["before the merge"]


async def doubt_then_other_ticket(world):
    """Leave a delivery in doubt, remove its link, tie its thread to another ticket; return reply and delivery id."""
    first, second = world.ticket("first"), world.ticket("second")
    await world.begin()
    link_id = await world.link(first, thread=9)
    await world.sync()
    reply = world.helpdesk.customer_reply(first.id, "perhaps sent")
    world.sandbox.plan(Break.CLOSE_AFTER_READING)
    await world.sync(30)
    await do(world, link_changes.remove, link_id, world.clock.now())
    await world.link(second, thread=9, from_at=THE_START)
    await world.sync()
    (doubt,) = await world.deliveries(state="in_doubt")
    return reply, doubt.id, second


async def test_a_resend_is_not_taken_for_deleted_because_the_thread_has_another_ticket_now(world) -> None:
    """What a person resends goes out, though the ticket that the thread is tied to now never had it."""
    _, delivery_id, second = await doubt_then_other_ticket(world)
    await pause(world)
    await do(world, standing.resolve, delivery_id, Resolution.RESEND, by(world))
    world.helpdesk.customer_reply(second.id, "of the second")
    link = (await world.database.read(links.listed))[-1]
    await do(world, link_changes.mark_links_due, [link.id], world.clock.now())
    await world.sync()
    await unpause(world)
    assert sorted(world.sent(9)) == ["first message", "of the second", "perhaps sent"]


async def test_a_resend_of_a_removed_link_stays_here_if_it_is_internal_now(world) -> None:
    """What was made internal since is not sent, whatever became of its link."""
    reply, delivery_id, _ = await doubt_then_other_ticket(world)
    world.helpdesk.publish(reply.id, public=False)
    await world.pass_time(700)
    await do(world, standing.resolve, delivery_id, Resolution.RESEND, by(world))
    await world.pass_time(30)
    assert world.sent(9) == ["first message"]
    assert [one.reason for one in await world.deliveries(state="skipped")] == ["withdrawn: it is internal now"]


async def test_a_note_that_is_refused_is_not_made_again(world) -> None:
    """A status note that the API refuses for what it says is parked once; the level it told of makes no other."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    world.sandbox.plan(refusal(400), times=5)
    world.helpdesk.set_status(ticket.id, "closed")
    for _ in range(4):
        await world.sync(20)
    assert await world.states() == {"parked": 1}
    assert world.sandbox.requests == 1


async def test_a_note_that_a_person_skips_is_not_made_again(world) -> None:
    """Skipped while it waits or when it is in doubt, a note is left for good."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    await pause(world)
    world.helpdesk.set_status(ticket.id, "closed")
    await world.sync()
    (note,) = await world.deliveries(state="pending")
    await do(world, standing.skip, note.id, by(world))
    await world.sync()
    await unpause(world)
    await world.sync()
    assert await world.states() == {"skipped": 1}
    world.sandbox.plan(Break.CLOSE_AFTER_READING)
    world.helpdesk.set_status(ticket.id, "open")
    await world.sync(30)
    for doubt in await world.deliveries(state="in_doubt"):
        await do(world, standing.resolve, doubt.id, Resolution.SKIP, by(world))
    await world.sync()
    await world.sync()
    assert world.sandbox.communications == []


async def test_a_note_that_waits_is_not_sent_when_the_status_is_another_by_then(world) -> None:
    """Closed and opened again while the api was paused: nobody is told that the ticket was closed."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    await pause(world)
    world.helpdesk.set_status(ticket.id, "closed")
    await world.sync()
    world.helpdesk.set_status(ticket.id, "open")
    await world.sync()
    await unpause(world)
    await world.sync()
    assert world.sent() == []
    world.helpdesk.set_status(ticket.id, "closed")
    await world.sync()
    assert world.sent() == ["The ticket was closed."]


async def test_asking_for_a_ticket_that_there_never_was_ends(world) -> None:
    """A link that is suspended because its number is unknown is not read when it is asked for, and holds up nobody."""
    good = world.ticket("good")
    await world.begin()
    bad_id = await world.link(type(good)("9", "HD-99999", "bad", good.created_at, good.created_at))
    await world.link(good)
    await world.sync()
    assert (await world.get_link(bad_id)).cause is Cause.TICKET_GONE
    now = world.clock.now()
    asked = await do(world, requests.ask, RequestKind.POLL, "desk", {"tickets": ["HD-99999"]}, "tester", now)
    world.helpdesk.customer_reply(good.id, "hello")
    turn = asyncio.create_task(world.sweep())
    for _ in range(400):
        await asyncio.sleep(0)
        await world.database.read(links.listed)
        if turn.done():
            break
    else:
        turn.cancel()
    assert await asyncio.gather(turn, return_exceptions=True) == [True]
    assert (await world.database.read(lambda c: requests.find(c, asked))).state is RequestState.DONE


async def test_a_bug_of_an_adapter_in_the_full_sweep_stops_nothing(world) -> None:
    """What an adapter throws while the full sweep reads tickets costs that slice, not the daemon."""
    ticket = world.ticket()
    await world.begin(full_sweep_hours=1)
    await world.link(ticket)
    await world.sync()
    await world.pass_time(3700)
    adapter = world.lane.system.adapter

    class Broken(type(adapter)):
        async def tickets(self, ids):
            raise KeyError("a bug")

    world.lane.system.adapter = Broken(adapter.options, adapter.http)
    assert await world.sweep() is True
    world.lane.system.adapter = adapter
    world.helpdesk.customer_reply(ticket.id, "later")
    await world.sync()
    assert world.sent() == ["later"]


async def test_a_bug_of_an_adapter_in_a_backfill_fails_the_backfill(world) -> None:
    """The command that waits for it is told; it is not begun again for ever."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    adapter = world.lane.system.adapter

    class Broken(type(adapter)):
        async def tickets(self, ids):
            raise KeyError("a bug")

    world.lane.system.adapter = Broken(adapter.options, adapter.http)
    arguments = backfill.Wanted().as_arguments()
    asked = await do(world, requests.ask, RequestKind.BACKFILL, "desk", arguments, "tester", world.clock.now())
    await world.sync()
    assert (await world.database.read(lambda c: requests.find(c, asked))).state is RequestState.FAILED


async def test_a_merge_that_cannot_be_followed_fails_its_link_alone(world) -> None:
    """A bug in reading the ticket that another was merged into suspends that link; the others go on."""
    source, target, other = (world.ticket(name) for name in ("source", "target", "other"))
    await world.begin(on_merge="follow")
    link_id = await world.link(source)
    await world.link(other)
    await world.sync()
    adapter = world.lane.system.adapter

    class Broken(type(adapter)):
        async def tickets(self, ids):
            if list(ids) == [target.id]:
                raise KeyError("a bug")
            return await super().tickets(ids)

    world.lane.system.adapter = Broken(adapter.options, adapter.http)
    world.helpdesk.merge(source.id, target.id)
    world.helpdesk.customer_reply(other.id, "hello")
    await world.sync()
    link = await world.get_link(link_id)
    assert (link.state, link.cause) == ("suspended", "ticket_merged")
    assert world.sent() == ["hello"]


async def test_a_great_many_new_links_do_not_keep_live_replies_waiting(world) -> None:
    """While thousands of links are looked up for the first time, at the vendor's pace, replies go on arriving."""
    world.helpdesk.page_size = 200
    old = world.ticket("old")
    await world.begin(requests_per_minute=30, sweep_deadline_seconds=120)
    await world.link(old)
    await world.sync()
    for number in range(200):
        await world.link(world.ticket(f"new {number}"))
    work = asyncio.create_task(keep_sweeping(world))
    await world.pass_time(30)
    world.helpdesk.customer_reply(old.id, "quickly please")
    await world.pass_time(120)
    assert world.sent() == ["quickly please"]
    await world.pass_time(1500)
    work.cancel()
    states = {link.state for link in await world.database.read(links.listed)}
    assert states == {"active"}


async def keep_sweeping(world) -> None:
    """Trigger the lane as the schedule does."""
    while True:
        world.lane.trigger()
        await world.pass_time(10)


async def test_a_reply_after_a_merge_that_was_noticed_late_is_sent(world) -> None:
    """What is written on the other ticket between the merge and its being followed belongs to the thread."""
    source, target = world.ticket("source"), world.ticket("target")
    await world.begin()
    link_id = await world.link(source)
    await world.sync()
    await world.pass_time(60)
    world.helpdesk.merge(source.id, target.id)
    await world.sync()
    await world.pass_time(120)
    world.helpdesk.customer_reply(target.id, "written after the merge")
    await world.pass_time(120)
    now = world.clock.now()
    asked = await do(world, requests.ask, RequestKind.FOLLOW, "desk", {"link": link_id}, "tester", now)
    await world.sync()
    assert (await world.database.read(lambda c: requests.find(c, asked))).state is RequestState.DONE
    await world.sync()
    assert world.sent() == ["written after the merge"]
