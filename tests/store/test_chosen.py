"""Many deliveries that wait for one decision: which they are, and that what changed meanwhile is left alone."""

from datetime import timedelta

from syncd.model.delivery import DeliveryState
from syncd.store import standing
from syncd.store.chosen import Choice, Decided, decide_chosen, find_chosen
from syncd.store.standing import Decision, Resolution


def skip(connection, delivery_id: int, by: Decision) -> None:
    """Leave one in doubt."""
    standing.resolve(connection, delivery_id, Resolution.SKIP, by)


async def chosen(filled, **wanted) -> list[int]:
    """Return the ids of those in doubt that were chosen."""
    choice = Choice(DeliveryState.IN_DOUBT, **wanted)
    return [one.id for one in await filled.database.read(lambda c: find_chosen(c, choice))]


async def test_api_system_time_and_reason_choose(filled) -> None:
    """Each narrows it; both ends of the time count, and the beginning of a reason is taken letter by letter."""
    await filled.link(1)
    await filled.link(2, api="hamburg")
    await filled.enqueue(1, "a", state=DeliveryState.IN_DOUBT, reason="no answer")
    await filled.enqueue(2, "b", state=DeliveryState.IN_DOUBT, reason="restored")
    await filled.enqueue(1, "waits")
    at, second = filled.now, timedelta(seconds=1)
    assert await chosen(filled) == [1, 2]
    assert await chosen(filled, api="berlin") == [1]
    assert await chosen(filled, system="other") == []
    assert await chosen(filled, since=at, until=at) == [1, 2]
    assert await chosen(filled, since=at + second) == await chosen(filled, until=at - second) == []
    assert await chosen(filled, because="rest") == [2]
    assert await chosen(filled, because="REST") == await chosen(filled, because="r%") == []


async def test_what_changed_meanwhile_is_left_alone_and_counted(filled) -> None:
    """A delivery that somebody decided between the look and the decision keeps that decision."""
    await filled.link(1)
    await filled.link(2)
    for thread in (1, 2):
        await filled.enqueue(thread, f"a{thread}", f"b{thread}", state=DeliveryState.IN_DOUBT)
    found = await filled.database.read(lambda c: find_chosen(c, Choice(DeliveryState.IN_DOUBT, api="berlin")))
    by = Decision("anna", filled.now, "seen")
    await filled.do(standing.resolve, 2, Resolution.DELIVERED, by)
    await filled.do(standing.resolve, 3, Resolution.RESEND, by)
    assert await filled.do(decide_chosen, found, skip, by) == Decided((1, 4), 2)
    assert await filled.states() == {"a1": "skipped", "b1": "delivered", "a2": "pending", "b2": "skipped"}
