"""Late replies in the store: held, then released in order or left to a person, and counted over restarts."""

from datetime import timedelta

from syncd.model.delivery import DeliveryState
from syncd.store import floods, standing
from syncd.store.floods import HELD_REASON, Told

HELD = {"state": DeliveryState.PARKED, "reason": HELD_REASON}


async def test_what_is_held_is_released_to_its_threads(filled) -> None:
    """Released deliveries are due at once, the oldest of each thread first; those of other reasons stay parked."""
    await filled.link(1)
    await filled.link(2)
    await filled.enqueue(1, "a", "b", **HELD)
    await filled.enqueue(2, "c", **HELD)
    await filled.enqueue(2, "odd", state=DeliveryState.PARKED, reason="cannot be mapped: ValueError")
    held = await filled.do(floods.held, "desk")
    assert len(held) == 3
    assert await filled.do(floods.held, "other") == []
    assert await filled.heads() == []
    await filled.do(floods.release, held, filled.now)
    assert sorted(await filled.heads()) == ["a", "c"]
    assert (await filled.states())["odd"] == "parked"
    assert await filled.do(floods.held, "desk") == []


async def test_what_is_kept_is_counted_and_stays_parked(filled) -> None:
    """A flood is counted by system, without what is only held, and without what a person has decided meanwhile."""
    await filled.link(1)
    await filled.enqueue(1, "a", "b", **HELD)
    held = await filled.do(floods.held, "desk")
    assert await filled.do(floods.count_flooded) == {}
    by = standing.Decision("me", filled.now, "it is right")
    await filled.do(standing.skip, held[1], by)
    await filled.do(floods.keep, held, "flood: one of 2")
    await filled.do(floods.release, held, filled.now)
    assert await filled.states() == {"a": "parked", "b": "skipped"}
    assert await filled.do(floods.count_flooded) == {"desk": 1}


async def test_the_count_is_stored(filled) -> None:
    """Each system has its own, and the newest one counts."""
    assert await filled.do(floods.find_told, "desk") is None
    await filled.do(floods.store_told, "desk", Told(filled.now, 3))
    later = Told(filled.now + timedelta(hours=1), 5)
    await filled.do(floods.store_told, "desk", later)
    assert await filled.do(floods.find_told, "desk") == later
    assert await filled.do(floods.find_told, "other") is None
