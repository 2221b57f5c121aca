"""What waits at the same time is marked, recorded and written together, and comes to what each by itself would."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from sqlalchemy import event, select, update

from syncd.model.delivery import DeliveryState, Outcome
from syncd.model.health import PauseCause
from syncd.model.link import Cause
from syncd.store import health, link_changes
from syncd.store.database import open_database
from syncd.store.marking import Mark, mark_all
from syncd.store.recording import Recording, record_all
from syncd.store.schema import ensure_schema
from syncd.store.tables import api_state, attempt, delivery, link, thread

THREADS = 9

ENDS = (
    (Outcome.DELIVERED, DeliveryState.DELIVERED, {"communication_id": 5}),
    (Outcome.DELIVERED, DeliveryState.DELIVERED, {"communication_id": 6, "flags": ("odd", "strange")}),
    (Outcome.IN_DOUBT, DeliveryState.IN_DOUBT, {"reason": "cut off", "error_text": "cut off"}),
    (Outcome.IN_DOUBT, DeliveryState.PENDING, {"reason": "resend", "due_at": "now", "counts_as_failure": True}),
    (Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED, {"reason": "too long", "http_status": 400}),
    (Outcome.THREAD_AT_FAULT, DeliveryState.PENDING, {"thread_retry_at": "now", "error_text": "gone"}),
    (Outcome.THROTTLED, DeliveryState.PENDING, {"due_at": "now"}),
    (Outcome.NOT_SENT, DeliveryState.PENDING, {"due_at": "now", "counts_as_failure": True}),
    (Outcome.DELIVERED, DeliveryState.DELIVERED, {"reason": "assumed"}),
)


@pytest_asyncio.fixture
async def other(filled, tmp_path) -> AsyncIterator:
    """Return a second empty database, a SQLite file."""
    database = open_database(f"sqlite:///{tmp_path}/other.db")
    await ensure_schema(database, migrate=True)
    yield type(filled)(database)
    await database.close()


async def full(filled, threads: int = THREADS) -> list:
    """Fill threads with two replies each; return what is to be sent of them."""
    for number in range(1, threads + 1):
        await filled.link(number)
        await filled.enqueue(number, f"{number}-first", f"{number}-second")
    return [await filled.outgoing(2 * number + 1) for number in range(threads)]


def marks(filled, outgoing, **more) -> list[Mark]:
    """Return the marks of what is to be sent."""
    return [Mark(one, filled.now, "worker", **more) for one in outgoing]


def recordings(filled, outgoing, attempt_ids: list[int], ended: Callable) -> list[Recording]:
    """Return an end of every kind, one for each attempt."""
    found = []
    for one, attempt_id, (outcome, state, more) in zip(outgoing, attempt_ids, ENDS, strict=True):
        values = {name: filled.now if value == "now" else value for name, value in more.items()}
        result = ended(attempt_id, one, outcome, state, **values)
        until = filled.now if outcome is Outcome.THROTTLED else None
        found.append(Recording(result, filled.now, "berlin", outcome is Outcome.DELIVERED, until))
    return found


async def everything(filled) -> list:
    """Return all rows that an attempt touches."""
    tables = (thread, link, delivery, attempt, api_state)
    return await filled.database.read(
        lambda c: [[tuple(row) for row in c.execute(select(table).order_by(*table.primary_key))] for table in tables]
    )


async def test_together_comes_to_what_one_by_one_does(filled, ended, other) -> None:
    """Attempts of every outcome leave the same rows, marked and recorded at once or one after the other."""
    outgoing = await full(filled)
    assert outgoing == await full(other)
    marked = await filled.do(mark_all, marks(filled, outgoing))
    ids = [one.attempt_id for one in marked]
    assert len(set(ids)) == THREADS
    assert {one.counter for one in marked} == {max(ids)}
    assert await filled.do(record_all, recordings(filled, outgoing, ids, ended)) == [True] * THREADS
    again = [await other.do(mark_all, [mark]) for mark in marks(other, outgoing)]
    assert [one.attempt_id for (one,) in again] == ids
    for one in recordings(other, outgoing, ids, ended):
        assert await other.do(record_all, [one]) == [True]
    assert await everything(filled) == await everything(other)


async def test_what_must_not_be_sent_is_left_out_of_the_others(filled) -> None:
    """A changed text, a changed status, a suspended link and a paused api refuse their own mark alone."""
    await filled.link(20, api="hamburg")
    await filled.enqueue(20, "of another api")
    outgoing = [await filled.outgoing(1)]
    for number in range(1, 6):
        await filled.link(number)
        await filled.enqueue(number, f"reply {number}")
        outgoing.append(await filled.outgoing(number + 1))
    await filled.do(health.pause_api, "hamburg", PauseCause.KEY, "refused", filled.now)
    await filled.do(lambda c: c.execute(update(delivery).where(delivery.c.id == 2).values(version=2)))
    await filled.do(lambda c: c.execute(update(thread).where(thread.c.thread_id == 2).values(known_status="CLOSED")))
    await filled.do(link_changes.suspend, filled.links[3], Cause.TICKET_GONE, "gone")
    marked = await filled.do(mark_all, marks(filled, outgoing))
    assert [one is not None for one in marked] == [False, False, False, False, True, True]
    states = await filled.states()
    assert [one for one, state in states.items() if state == "sending"] == ["reply 4", "reply 5"]


async def test_a_thread_is_marked_once_however_often_it_is_asked_for(filled) -> None:
    """Two marks of the same delivery in one commit are one attempt; the second is told to send nothing."""
    (one, *_) = await full(filled, threads=1)
    first, second = await filled.do(mark_all, marks(filled, [one, one]))
    assert first is not None
    assert second is None
    rows = await filled.database.read(lambda c: c.execute(select(attempt.c.id)).all())
    assert len(rows) == 1


async def test_strict_order_is_asked_of_each_thread(filled, ended) -> None:
    """What stands in one thread holds that thread back, and no other."""
    outgoing = await full(filled, threads=2)
    (parked, _) = await filled.do(mark_all, marks(filled, outgoing))
    end = ended(parked.attempt_id, outgoing[0], Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED)
    await filled.do(record_all, [Recording(end, filled.now)])
    await filled.link(3)
    await filled.enqueue(3, "free")
    behind = [await filled.outgoing(2), await filled.outgoing(5)]
    held, free = await filled.do(mark_all, marks(filled, behind, strict=True))
    assert held is None
    assert free is not None


@pytest.mark.parametrize("step", [mark_all, record_all])
async def test_the_number_of_statements_does_not_grow(on_sqlite, ended, step) -> None:
    """Ninety attempts take as many statements as three."""
    counts = []
    outgoing = await full(on_sqlite, threads=93)
    for some in (outgoing[:3], outgoing[3:]):
        asked: list[str] = []
        marked = await on_sqlite.do(counted, mark_all, marks(on_sqlite, some), asked)
        if step is record_all:
            asked.clear()
            done = [
                Recording(ended(mark.attempt_id, one, Outcome.DELIVERED, DeliveryState.DELIVERED), on_sqlite.now)
                for one, mark in zip(some, marked, strict=True)
            ]
            await on_sqlite.do(counted, record_all, done, asked)
        counts.append(len(asked))
    assert counts[0] == counts[1]
    assert counts[0] <= 8


def counted(connection, operation: Callable, items: list, asked: list[str]):
    """Run a batch operation, and write down its statements."""

    def write_down(_connection, _cursor, statement, *_more) -> None:
        asked.append(statement)

    event.listen(connection, "before_cursor_execute", write_down)
    try:
        return operation(connection, items)
    finally:
        event.remove(connection, "before_cursor_execute", write_down)


async def test_items_that_wait_together_are_dealt_with_together(database) -> None:
    """A batch operation is called once for all that wait, beside what takes none; each has its result."""
    calls: list[list[int]] = []

    def double(_connection, items: list[int]) -> list[int]:
        calls.append(items)
        return [2 * item for item in items]

    futures = [database.write_item(double, number) for number in range(5)]
    assert await database.write(lambda _: "beside") == "beside"
    assert [await future for future in futures] == [0, 2, 4, 6, 8]
    assert calls == [[0, 1, 2, 3, 4]]


async def test_an_item_that_fails_takes_no_other_with_it(database) -> None:
    """When the items of a commit fail, each is dealt with by itself, and the good ones are kept."""

    def refuse(_connection, items: list[int]) -> list[int]:
        if 3 in items:
            raise ValueError("three")
        return items

    futures = [database.write_item(refuse, number) for number in (1, 3, 4)]
    assert await futures[0] == 1
    with pytest.raises(ValueError, match="three"):
        await futures[1]
    assert await futures[2] == 4
