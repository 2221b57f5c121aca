"""How SQLite finds its way: what is asked for each delivery is found by key, whatever waits and whatever there was."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from syncd.model.delivery import DeliveryState, Outcome
from syncd.store import heads, lists, restored
from syncd.store.marking import mark_sending
from syncd.store.outbox import find_all_outgoing
from syncd.store.recording import record
from syncd.store.settling import settle, settle_all
from syncd.store.standing import adopt_orphans
from syncd.store.tables import metadata

BY_STATE = ("delivery_state", "link_state")
"""Indexes of what has a state: of any thread, and so without end where one is asked for."""


def plan_of(connection: Connection, work: Callable[[Connection], Any]) -> list[str]:
    """Return the steps of every statement that some work runs."""
    asked: list[str] = []
    driver: Any = connection.connection.driver_connection
    driver.set_trace_callback(asked.append)
    work(connection)
    driver.set_trace_callback(None)
    told = [text for text in asked if not text.startswith(("BEGIN", "INSERT", "--"))]
    assert told
    return [row[3] for text in told for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]


async def test_the_way_of_a_delivery_is_looks_by_key(on_sqlite, ended) -> None:
    """Nothing on the way of a delivery looks through a table, nor at all that has its state: a million rows and a
    thread of a hundred thousand cost what ten cost."""
    for thread in (1, 2, 3):
        await on_sqlite.link(thread)
        await on_sqlite.enqueue(thread, "first", "second")

    def work(connection: Connection) -> None:
        due = heads.due_heads(connection, "berlin", on_sqlite.now, 50)
        assert len(due) == 3
        heads.find_next_due(connection, "berlin")
        assert heads.apis_with_due(connection, on_sqlite.now) == {"berlin"}
        found = find_all_outgoing(connection, [head.delivery_id for head in due])
        first = found[due[0].delivery_id]
        attempt_id = mark_sending(connection, first, on_sqlite.now, "worker")
        assert attempt_id is not None
        assert record(connection, ended(attempt_id, first, Outcome.DELIVERED, DeliveryState.DELIVERED), on_sqlite.now)
        settle_all(connection, [head.thread_key for head in due])
        settle(connection, due[0].thread_key)

    steps = await on_sqlite.do(lambda c: plan_of(c, work))
    scans = [step for step in steps if step.split()[:2] in [["SCAN", name] for name in metadata.tables]]
    assert scans == []
    assert [step for step in steps if any(index in step for index in BY_STATE)] == []


async def test_a_start_asks_what_indexes_know(on_sqlite) -> None:
    """What a start looks at is found by key, so that it takes no longer with a million rows."""
    await on_sqlite.link(1)
    await on_sqlite.enqueue(1, "first")

    def work(connection: Connection) -> None:
        assert lists.known_names(connection) == lists.Names(frozenset({"berlin"}), frozenset({"desk"}))
        restored.attempt_counter(connection)
        adopt_orphans(connection, {}, on_sqlite.now)

    steps = await on_sqlite.do(lambda c: plan_of(c, work))
    assert [step for step in steps if step.split()[:2] in [["SCAN", name] for name in metadata.tables]] == []


async def test_every_index_of_what_grows_has_statistics(on_sqlite) -> None:
    """SQLite is told how large each index of a table that grows becomes: without that it takes the wrong one."""

    def read(connection: Connection) -> tuple[set[str], set[str]]:
        indexes = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%' "
            "AND tbl_name IN ('thread', 'link', 'ledger', 'delivery', 'attempt')"
        )
        return set(indexes.scalars()), set(connection.exec_driver_sql("SELECT idx FROM sqlite_stat1").scalars())

    there, told = await on_sqlite.do(read)
    assert there <= told


async def test_what_has_ended_is_counted_as_the_rest(filled) -> None:
    """Delivered are all that are in no other state, and the longest waiting is the one that came first."""
    await filled.link(1)
    await filled.link(2)
    await filled.enqueue(1, "done", "bad", "waits")
    await filled.enqueue(2, "waits too", minutes=5)
    done, bad = (item.id for item in (await filled.items())[:2])
    await filled.end(done, Outcome.DELIVERED, DeliveryState.DELIVERED)
    await filled.end(bad, Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED)
    counts = await filled.do(lists.count_all)
    assert counts.deliveries == {"delivered": 1, "parked": 1, "pending": 2}
    assert counts.links == {"active": 2}
    assert counts.oldest_pending_at == min(
        item.created_at for item in (await filled.items()) if item.state == "pending"
    )
