"""What is known around one attempt: how its api fared, and what was sent in the same thread."""

from datetime import timedelta

from syncd.model.delivery import DeliveryState, Outcome
from syncd.store import evidence
from syncd.store.tables import attempt, delivery


async def around(filled, delivery_id: int, **more) -> evidence.Surroundings:
    """Return what is known around a delivery now."""
    found = await filled.database.read(lambda c: evidence.find_surroundings(c, delivery_id, filled.now, **more))
    assert found is not None
    return found


async def test_the_attempts_of_two_minutes_are_counted_among_very_many(filled) -> None:
    """Bounded by ids that are found by halving, the count is exact at its borders, and of this api alone."""
    await filled.link(1)
    await filled.link(2, api="hamburg")
    await filled.enqueue(1, "ours")
    await filled.enqueue(2, "theirs")
    begin = filled.now - timedelta(seconds=300)
    rows = [
        {
            "delivery_id": 1 if number % 2 else 2,
            "number": number,
            "reason": "schedule",
            "worker": "w",
            "status_carried": "ONGOING",
            "started_at": begin + timedelta(seconds=number),
            "outcome": None if number == 301 else "delivered",
        }
        for number in range(1, 601)
    ]
    await filled.do(lambda c: c.execute(attempt.insert(), rows))
    assert (await around(filled, 1)).outcomes == {"delivered": 59, "on_the_wire": 1}
    assert (await around(filled, 1, attempt_id=301)).outcomes == {"delivered": 59}
    assert (await around(filled, 2)).outcomes == {"delivered": 61}


async def test_the_neighbours_are_those_that_were_sent_by_the_times_of_the_replies(filled) -> None:
    """Three before and three after, as the CRM orders them; what was never sent is not there to be found."""
    await filled.link(1)
    await filled.link(2)
    names = ("a", "b", "c", "d", "this", "e", "f", "g", "h")
    for thread in (1, 2):
        await filled.enqueue(thread, *names)
    ids = {item.reply_id: item.id for item in await filled.items() if item.thread_id == 1}
    await filled.do(lambda c: c.execute(delivery.update().values(state="delivered")))
    await filled.do(lambda c: c.execute(delivery.update().where(delivery.c.id == ids["e"]).values(state="skipped")))
    found = await around(filled, ids["this"])
    assert [one.id for one in found.before] == [ids[name] for name in ("b", "c", "d")]
    assert [one.id for one in found.after] == [ids[name] for name in ("f", "g", "h")]
    assert found.before[0].sent_at is None


async def test_a_neighbour_tells_when_it_was_sent(filled) -> None:
    """The instant of its last attempt, and the communication that it became."""
    await filled.link(1)
    await filled.enqueue(1, "sent", "this")
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED, communication_id=71)
    (before,) = (await around(filled, 2)).before
    assert (before.sent_at, before.communication_id) == (filled.now, 71)


async def test_of_no_delivery_nothing_is_known(filled) -> None:
    """An id that is not there has no surroundings."""
    assert await filled.database.read(lambda c: evidence.find_surroundings(c, 9, filled.now)) is None
