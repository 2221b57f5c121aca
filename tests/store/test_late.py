"""The 2xx that comes after a take-over has put its delivery in doubt: it settles the doubt, and nothing else does."""

import pytest

from syncd.model.delivery import DeliveryState, InDoubtPolicy, Outcome, Reached
from syncd.store import late, lists, outbox, recording, standing
from syncd.store.standing import Decision, Resolution


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Return the address of a SQLite file: these are plain statements, and a database is made sooner there."""
    return sqlite_url


async def doubted(filled, policy: InDoubtPolicy = InDoubtPolicy.HOLD) -> outbox.Record:
    """Put one delivery in doubt as a take-over does; return the record of the 2xx that comes after that."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    outgoing = await filled.outgoing(1)
    attempt_id = await filled.mark(1)
    assert await filled.do(standing.adopt_orphans, {"berlin": policy}, filled.now, "berlin") == 1
    state = DeliveryState.DELIVERED
    return outbox.Record(
        attempt_id,
        1,
        outgoing.thread_key,
        Reached.ANSWERED,
        Outcome.DELIVERED,
        state,
        http_status=200,
        communication_id=9,
    )


async def come_late(filled, record) -> bool:
    """Record an outcome as an attempt does."""
    return await filled.do(lambda c: recording.record(c, record, filled.now) or late.settle_late(c, record, filled.now))


@pytest.mark.parametrize("policy", list(InDoubtPolicy))
async def test_a_late_2xx_settles_what_nobody_decided(filled, policy) -> None:
    """The delivery is delivered with its communication's id, whatever the policy had made of it; nothing is sent."""
    record = await doubted(filled, policy)
    assert await come_late(filled, record)
    (item,) = await filled.items()
    assert (item.state, item.reason, item.communication_id) == ("delivered", None, 9)
    assert await filled.heads() == []
    found = await filled.database.read(lambda c: lists.find_delivery(c, 1))
    assert [(one.outcome, one.http_status) for one in found.attempts] == [("delivered", 200)]


async def test_a_late_answer_that_is_no_2xx_settles_nothing(filled) -> None:
    """What was doubted stays in doubt, whatever else the API said."""
    record = await doubted(filled)
    for outcome, state in (
        (Outcome.THROTTLED, DeliveryState.PENDING),
        (Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED),
    ):
        changed = outbox.Record(record.attempt_id, 1, record.thread_key, Reached.ANSWERED, outcome, state)
        assert not await come_late(filled, changed)
    assert await filled.states() == {"first": "in_doubt"}


@pytest.mark.parametrize(
    ("resolution", "state"),
    [(Resolution.SKIP, "skipped"), (Resolution.RESEND, "pending"), (Resolution.DELIVERED, "delivered")],
)
async def test_a_late_2xx_touches_no_decision(filled, resolution, state) -> None:
    """What a person decided meanwhile stays decided."""
    record = await doubted(filled)
    await filled.do(standing.resolve, 1, resolution, Decision("tester", filled.now, "looked"))
    assert not await come_late(filled, record)
    (item,) = await filled.items()
    assert (item.state, item.reason) == (state, "resolved: looked")


async def test_an_outcome_that_comes_before_the_take_over_stands(filled) -> None:
    """What the former owner recorded in time is no orphan."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    assert await filled.do(standing.adopt_orphans, {}, filled.now, "berlin") == 0
    assert await filled.states() == {"first": "delivered"}
