"""What is counted for metrics and alerts: what is open, by api and system, without a look through the outbox."""

from datetime import timedelta

from syncd.model.delivery import DeliveryState, Outcome
from syncd.model.link import LinkState
from syncd.store import gauges
from syncd.store.tables import metadata


async def test_what_waits_and_stands_is_counted(filled) -> None:
    """What is pending, parked and in doubt by api; when its first head is due; links; and of what is done nothing."""
    for thread, api in ((1, "berlin"), (2, "berlin"), (3, "hamburg")):
        await filled.link(thread, api)
    await filled.enqueue(1, "done", "doubtful", "waits", "waits too")
    await filled.enqueue(2, "bad")
    await filled.enqueue(3, "waits", minutes=5)
    ids = {item.thread_id * 100 + index: item.id for index, item in enumerate(await filled.items())}
    done, doubtful, bad = ids[100], ids[101], ids[204]
    await filled.end(done, Outcome.DELIVERED, DeliveryState.DELIVERED)
    await filled.end(doubtful, Outcome.IN_DOUBT, DeliveryState.IN_DOUBT)
    await filled.end(bad, Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED)
    assert await filled.do(gauges.count_pending) == {"berlin": 2, "hamburg": 1}
    assert await filled.do(gauges.count_standing) == {
        ("berlin", DeliveryState.IN_DOUBT): 1,
        ("berlin", DeliveryState.PARKED): 1,
    }
    assert await filled.do(gauges.count_links) == {("desk", LinkState.ACTIVE): 3}
    assert set(await filled.do(gauges.find_oldest_due)) == {"berlin", "hamburg"}
    standing = await filled.do(gauges.read_standing)
    assert (standing.in_doubt, standing.parked, standing.suspended) == (1, 1, 0)


async def test_a_refused_thread_does_not_wait_for_its_api(filled) -> None:
    """It is a suspended link, tried hours apart: that none of it is taken is no sign of an api that stands still."""
    await filled.link(1, "berlin")
    await filled.enqueue(1, "refused")
    assert set((await filled.do(gauges.read_standing)).waiting) == {"berlin"}
    later = filled.now + timedelta(minutes=30)
    await filled.end(1, Outcome.THREAD_AT_FAULT, DeliveryState.PENDING, due_at=later, thread_retry_at=later)
    standing = await filled.do(gauges.read_standing)
    assert (set(standing.waiting), standing.suspended) == (set(), 1)


async def test_none_of_it_looks_through_the_outbox(on_sqlite) -> None:
    """Each question is answered from an index of what is open: a million delivered ones cost nothing."""
    asked: list[str] = []

    def watched(connection) -> None:
        connection.connection.driver_connection.set_trace_callback(asked.append)
        gauges.count_pending(connection)
        gauges.read_standing(connection)
        connection.connection.driver_connection.set_trace_callback(None)

    await on_sqlite.do(watched)
    questions = [text for text in asked if text.startswith("SELECT")]
    assert len(questions) == 4

    def plans(connection) -> list[str]:
        return [row[3] for text in questions for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]

    tables = {f"SCAN {name}" for name in metadata.tables}
    scans = [step for step in await on_sqlite.do(plans) if step in tables]
    assert scans == []
