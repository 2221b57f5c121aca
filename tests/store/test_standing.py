"""What a person decides, what a dead worker leaves, and what a restored backup becomes, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from syncd.model.delivery import DeliveryState, InDoubtPolicy, Outcome
from syncd.model.errors import UsageError
from syncd.model.health import PauseCause
from syncd.store import floods, health, lists, restored, standing
from syncd.store.heads import find_next_due
from syncd.store.high_water import HighWater, Mark, is_behind
from syncd.store.standing import Decision, Resolution
from syncd.store.tables import delivery, thread


def by(filled, reason: str = "asked the studio") -> Decision:
    """Return who decides."""
    return Decision("tester", filled.now, reason)


@pytest.mark.parametrize(
    ("resolution", "state"),
    [(Resolution.DELIVERED, "delivered"), (Resolution.RESEND, "pending"), (Resolution.SKIP, "skipped")],
)
async def test_a_doubt_is_resolved_by_a_person(filled, resolution, state) -> None:
    """Delivered, sent again or left; who, when and why are written down."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    await filled.end(1, Outcome.IN_DOUBT, DeliveryState.IN_DOUBT)
    await filled.do(standing.resolve, 1, resolution, by(filled))
    assert await filled.states() == {"first": state}
    full = await filled.database.read(lambda c: lists.find_delivery(c, 1))
    assert full.decisions == ((filled.now, "tester", f"resolve {resolution}", "asked the studio"),)
    assert await filled.heads() == (["first"] if resolution is Resolution.RESEND else [])


async def test_only_what_is_in_doubt_is_resolved(filled) -> None:
    """A delivery in another state, or none, is refused with a clear word, and nothing changes."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    with pytest.raises(UsageError, match="is pending, not in doubt"):
        await filled.do(standing.resolve, 1, Resolution.SKIP, by(filled))
    with pytest.raises(UsageError, match="no delivery 99"):
        await filled.do(standing.resolve, 99, Resolution.SKIP, by(filled))
    assert await filled.states() == {"first": "pending"}


async def test_parked_is_edited_retried_or_skipped(filled) -> None:
    """A parked delivery takes a new text and goes on, or is left; a delivered one is touched by neither."""
    await filled.link(1)
    await filled.enqueue(1, "first", "second")
    await filled.end(1, Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED, reason="too long")
    message = (await filled.database.read(lambda c: lists.find_delivery(c, 1))).message

    await filled.do(standing.edit, 1, replace(message, content="shorter"), by(filled))
    assert await filled.heads() == ["first"]
    assert (await filled.outgoing(1)).message.content == "shorter"
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    for change in (standing.retry, standing.skip):
        with pytest.raises(UsageError, match="is delivered"):
            await filled.do(change, 1, by(filled))
    await filled.do(standing.skip, 2, by(filled))
    assert await filled.states() == {"first": "delivered", "second": "skipped"}


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        (InDoubtPolicy.HOLD, "in_doubt"),
        (InDoubtPolicy.RESEND, "pending"),
        (InDoubtPolicy.ASSUME_DELIVERED, "delivered"),
    ],
)
async def test_what_a_dead_worker_left_is_in_doubt(filled, policy, state) -> None:
    """Every row still `sending` at start gets its outcome, by the policy of its api; what waits is untouched."""
    await filled.link(1)
    await filled.enqueue(1, "sent", "waiting")
    await filled.mark(1)
    assert await filled.do(standing.adopt_orphans, {"berlin": policy}, filled.now) == 1
    assert await filled.states() == {"sent": state, "waiting": "pending"}
    full = await filled.database.read(lambda c: lists.find_delivery(c, 1))
    assert [one.outcome for one in full.attempts] == ["in_doubt"]
    assert await filled.do(standing.adopt_orphans, {}, filled.now) == 0


async def test_a_doubt_about_the_status_is_settled_with_its_delivery(filled) -> None:
    """Resolved as delivered, the status that it carried is the thread's; resolved otherwise, the one before stands."""

    await filled.link(1)
    await filled.enqueue(1, "first")
    await filled.do(lambda c: c.execute(update(thread).values(known_status="CLOSED")))
    await filled.end(1, Outcome.IN_DOUBT, DeliveryState.IN_DOUBT)
    link = await filled.get_link(1)
    assert (link.sent_status, link.doubt_status) == ("ONGOING", "CLOSED")
    await filled.do(standing.resolve, 1, Resolution.DELIVERED, by(filled))
    link = await filled.get_link(1)
    assert (link.sent_status, link.doubt_status) == ("CLOSED", None)


async def test_a_database_behind_its_mark_is_noticed(filled, tmp_path) -> None:
    """The mark outside tells a restored database from the one that sent; another database's mark tells nothing."""
    mark = HighWater(tmp_path / "mark")
    assert mark.read() is None
    mark.open("this", 5)
    mark.note(9)
    mark.note(3)
    mark.close()
    assert mark.read() == Mark("this", 9)
    assert is_behind(mark.read(), "this", 8)
    assert not is_behind(mark.read(), "this", 9)
    assert not is_behind(mark.read(), "other", 0)


async def test_declaring_a_restore_doubts_what_was_open_and_goes_on_above_the_mark(filled) -> None:
    """What was open may have been sent since: in doubt. Attempts go on above the mark, and the apis are free again."""
    await filled.link(1)
    await filled.enqueue(1, "delivered before", "open then")
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    await filled.do(health.pause_api, "berlin", PauseCause.RESTORED, "restored", filled.now)
    with pytest.raises(UsageError, match="db restored"):
        await filled.do(health.resume_api, "berlin")
    assert await filled.do(restored.declare_restored, 41, by(filled)) == 1
    assert await filled.states() == {"delivered before": "delivered", "open then": "in_doubt"}
    assert await filled.database.read(restored.attempt_counter) == 41
    gap = await filled.database.read(restored.find_gap)
    assert gap.holds(filled.now - timedelta(minutes=1))
    assert not gap.holds(filled.now + timedelta(minutes=1))
    await filled.enqueue(1, "afterwards", minutes=5)
    filled.now += timedelta(minutes=6)
    assert await filled.heads() == ["afterwards"]
    delivery_id = next(item.id for item in await filled.items() if item.reply_id == "afterwards")
    assert await filled.mark(delivery_id) == 42


async def test_what_was_parked_then_is_in_doubt_after_a_restore(filled) -> None:
    """It may have been released and sent since. Neither a sweep nor `retry` sends it; what has no text stays parked."""
    await filled.link(1)
    await filled.enqueue(1, "held", state=DeliveryState.PARKED, reason=floods.HELD_REASON)
    await filled.enqueue(1, "refused", state=DeliveryState.PARKED, reason="400: too long")
    await filled.enqueue(1, "unmapped", state=DeliveryState.PARKED, reason="cannot be mapped: ValueError")
    await filled.do(lambda c: c.execute(update(delivery).where(delivery.c.id == 3).values(subject=None, content=None)))
    assert await filled.do(restored.declare_restored, 41, by(filled)) == 2
    after = {"held": "in_doubt", "refused": "in_doubt", "unmapped": "parked"}
    assert await filled.states() == after
    assert {item.reason for item in await filled.items(state="in_doubt")} == {standing.RESTORED_REASON}
    assert await filled.do(floods.held, "desk") == []
    await filled.do(floods.release, [1], filled.now)
    with pytest.raises(UsageError, match="resolve"):
        await filled.do(standing.retry, 2, by(filled))
    assert await filled.states() == after
    assert await filled.heads() == []
    await filled.do(standing.resolve, 1, Resolution.RESEND, by(filled))
    assert await filled.heads() == ["held"]


async def test_a_trial_of_a_restored_database_is_refused_too(filled) -> None:
    """A pause by a person does not hide that the database was restored."""
    await filled.do(health.pause_api, "berlin", PauseCause.PERSON, "maintenance", filled.now)
    await filled.do(health.pause_api, "berlin", PauseCause.RESTORED, "restored", filled.now)
    state = await filled.database.read(lambda c: health.get_api(c, "berlin"))
    assert state.paused_cause is PauseCause.RESTORED
    await filled.do(health.pause_api, "berlin", PauseCause.KEY, "401", filled.now)
    assert await filled.database.read(lambda c: find_next_due(c, "berlin")) is None
