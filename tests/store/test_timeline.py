"""The life of a link, as it is read: every delivery with its attempts, and what was decided, newest first."""

from datetime import timedelta

from syncd.model.delivery import DeliveryState, Outcome
from syncd.store import standing, timeline
from syncd.store.standing import Decision


async def test_a_delivery_comes_with_its_attempts_and_decisions(filled) -> None:
    """What is read of a delivery is its own: its instants, its attempts in order, and what was decided about it."""
    link_id = await filled.link(1)
    other = await filled.link(2)
    await filled.enqueue(1, "first", "second")
    await filled.enqueue(2, "foreign")
    await filled.end(1, Outcome.REFUSED_FOR_NOW, DeliveryState.PENDING, http_status=500, duration_ms=20)
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED, duration_ms=120, communication_id=77)
    by = Decision("ann", filled.now + timedelta(minutes=1), "not needed")
    await filled.do(standing.skip, 2, by)
    second, first = await filled.database.read(lambda c: timeline.read_passages(c, link_id, limit=10))
    assert [(one.outcome, one.http_status, one.duration_ms) for one in first.tries] == [
        ("refused_for_now", 500, 20),
        ("delivered", None, 120),
    ]
    assert (first.id, first.state, first.communication_id, first.written_at) == (1, "delivered", 77, filled.now)
    assert (second.state, second.reason, second.tries) == ("skipped", "skipped: not needed", ())
    assert [(one.who, one.action, one.reason) for one in second.decisions] == [("ann", "skip", "not needed")]
    (foreign,) = await filled.database.read(lambda c: timeline.read_passages(c, other, limit=10))
    assert foreign.reply_id == "foreign"
    assert await filled.database.read(lambda c: timeline.count_passages(c, link_id)) == {"delivered": 1, "skipped": 1}


async def test_the_life_of_a_link_is_read_page_by_page(on_sqlite) -> None:
    """A page begins after the last delivery of the one before it, and holds as many as it was asked for."""
    link_id = await on_sqlite.link(1)
    await on_sqlite.enqueue(1, "a", "b", "c")
    read = on_sqlite.database.read
    page = await read(lambda c: timeline.read_passages(c, link_id, limit=2))
    rest = await read(lambda c: timeline.read_passages(c, link_id, before=page[-1].id, limit=2))
    assert [[one.reply_id for one in some] for some in (page, rest)] == [["c", "b"], ["a"]]


async def test_decisions_about_a_link_are_read_between_two_instants(on_sqlite) -> None:
    """Of two pages that meet at an instant, one has a decision of that instant, not both."""
    at = on_sqlite.now
    for minutes in (0, 1, 2):
        by = Decision("ann", at + timedelta(minutes=minutes), f"reason {minutes}")
        await on_sqlite.do(standing.write_decision, "resume", "link 7", by)
    await on_sqlite.do(standing.write_decision, "resume", "link 70", Decision("bob", at, "another link"))
    middle = at + timedelta(minutes=1)
    read = on_sqlite.database.read
    newer = await read(lambda c: timeline.read_link_decisions(c, 7, since=middle))
    older = await read(lambda c: timeline.read_link_decisions(c, 7, until=middle))
    assert [[one.reason for one in some] for some in (newer, older)] == [["reason 2", "reason 1"], ["reason 0"]]
