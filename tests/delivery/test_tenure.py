"""The last look before the first byte: a lease that is about to end lets nothing leave, however late it was noticed."""

from syncd.model.lease import Kind, Lease, Subject, Tenure
from syncd.store import lists
from syncd.store.tables import lease


async def owned_by_another(world):
    """Return a linked ticket, with a dispatcher that goes by a lease which another worker has taken meanwhile."""
    await world.begin()
    ticket = world.ticket()
    await world.link(ticket)
    await world.sweep()
    row = {"subject": "api:berlin", "owner": "another", "epoch": 4, "until_at": world.clock.now()}
    await world.database.write(lambda c: c.execute(lease.insert().values(row)))
    old = Lease(Subject(Kind.API, "berlin"), "this one", 3)
    world.dispatcher.sender.tenure = Tenure(old, float("inf"), margin_seconds=5.0)
    return ticket


async def test_a_mark_that_took_longer_than_the_lease_is_taken_back(world) -> None:
    """`sending` was committed, and the end of the lease came meanwhile: not a byte leaves, and it waits again."""
    await world.begin()
    ticket = world.ticket()
    await world.link(ticket)
    await world.sweep()
    held = Lease(Subject(Kind.API, "berlin"), "this one", 3)
    row = {"subject": str(held.subject), "owner": held.owner, "epoch": held.epoch, "until_at": world.clock.now()}
    await world.database.write(lambda c: c.execute(lease.insert().values(row)))
    tenure = Tenure(held, world.clock.monotonic() + 1.0, margin_seconds=5.0)
    world.dispatcher.sender.tenure = tenure
    world.helpdesk.customer_reply(ticket.id, "not now")
    await world.sync(1.0)
    assert world.sandbox.requests == 0
    assert await world.states() == {"pending": 1}
    (item,) = await world.deliveries()
    full = await world.database.read(lambda c: lists.find_delivery(c, item.id))
    assert {attempt.outcome for attempt in full.attempts} == {"not_sent"}
    tenure.ends_at = world.clock.monotonic() + 60.0
    await world.sync(8.0)
    assert world.sent() == ["not now"]


async def test_a_mark_of_a_lease_that_another_has_is_refused(world) -> None:
    """With the epoch of before nothing is marked, so there is nothing to take back."""
    ticket = await owned_by_another(world)
    world.helpdesk.customer_reply(ticket.id, "not mine")
    await world.sync(1.0)
    assert world.sandbox.requests == 0
    (item,) = await world.deliveries()
    assert (item.state, item.attempts) == ("pending", 0)


async def test_a_try_that_never_left_changes_nothing_of_what_another_owns(world) -> None:
    """A worker that could not connect, and lost its lease meanwhile, leaves alone what another may be sending."""
    ticket = await owned_by_another(world)
    await world.sandbox.stop()
    world.helpdesk.customer_reply(ticket.id, "not mine")
    await world.sync(2.0)
    (item,) = await world.deliveries()
    assert (item.state, item.attempts) == ("pending", 0)
