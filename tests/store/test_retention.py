"""Retention: what is erased after its time, what never is, and that the files forget it too."""

from datetime import timedelta

from sqlalchemy import select, text

from syncd.model.clock import SystemClock
from syncd.model.collected import Collected, Disposition, Entry, NewDelivery
from syncd.model.delivery import DeliveryState, Outcome
from syncd.store import replies, retention, scrub
from syncd.store.tables import attempt, delivery

from .conftest import Filled, message
from .raw import files_with

LATER = timedelta(days=9999)


async def plant(filled: Filled, reply_id: str, content: str) -> None:
    """Store a reply with this content."""
    link = await filled.get_link(1)
    new = NewDelivery(reply_id, message(content, filled.now), "mark", filled.now)
    entry = Entry(reply_id, Disposition.DELIVERY, new)
    collected = Collected(link.id, link.thread_key, "desk", filled.now, (entry,), ticket=link.ticket)
    await filled.do(replies.store_collected, collected, filled.now)


async def test_what_waits_for_its_turn_or_a_person_keeps_its_text(filled) -> None:
    """However long ago: in doubt, parked, pending and on the wire need it; delivered and skipped do not."""
    await filled.link(1)
    await filled.enqueue(1, "in_doubt", state=DeliveryState.IN_DOUBT)
    await filled.enqueue(1, "parked", state=DeliveryState.PARKED)
    await filled.enqueue(1, "delivered", "skipped", "sending", "pending")
    await filled.end(3, Outcome.DELIVERED, DeliveryState.DELIVERED)
    await filled.end(4, Outcome.DELIVERED, DeliveryState.SKIPPED)
    await filled.mark(5)
    assert await filled.do(retention.erase_contents, filled.now + LATER) == 2
    rows = await filled.database.read(lambda c: c.execute(select(delivery).order_by(delivery.c.id)).all())
    assert {row.state: (row.subject, row.content) for row in rows} == {
        state: ("subject", state) for state in ("in_doubt", "parked", "sending", "pending")
    } | {"delivered": (None, None), "skipped": (None, None)}
    assert [row.reply_id for row in rows] == ["in_doubt", "parked", "delivered", "skipped", "sending", "pending"]


async def test_nothing_is_erased_before_its_time(on_sqlite) -> None:
    """The instant itself is not before itself."""
    filled = on_sqlite
    await filled.link(1)
    await filled.enqueue(1, "a")
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    assert await filled.do(retention.erase_contents, filled.now) == 0
    assert await filled.do(retention.erase_contents, filled.now + timedelta(seconds=1)) == 1


async def test_what_the_api_said_of_a_text_goes_with_it(filled) -> None:
    """It may quote the text. What syncd itself said of the wire stays, as do codes and numbers."""
    await filled.link(1)
    await filled.enqueue(1, "a")
    unsent = "not sent: no connection within the time allowed"
    await filled.end(1, Outcome.NOT_SENT, DeliveryState.PENDING, error_text=unsent, due_at=filled.now)
    quoted = {"error_text": "500: the reader of 'a' failed", "http_status": 500, "error_code": "E-1", "trace_id": "t"}
    await filled.end(1, Outcome.REFUSED_FOR_NOW, DeliveryState.PENDING, **quoted, due_at=filled.now)
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED, http_status=200)
    await filled.do(retention.erase_contents, filled.now + LATER)
    rows = await filled.database.read(lambda c: c.execute(select(attempt).order_by(attempt.c.id)).all())
    told = [(row.error_text, row.http_status, row.error_code, row.trace_id) for row in rows]
    assert told == [(unsent, None, None, None), ("erased", 500, "E-1", "t"), (None, 200, None, None)]


async def test_only_so_many_are_erased_in_one_transaction(on_sqlite) -> None:
    """The worker shares the database: a first look after years erases piece by piece."""
    filled = on_sqlite
    await filled.link(1)
    await filled.enqueue(1, *(f"r{number}" for number in range(retention.ROWS_AT_ONCE + 1)))
    ended = {"state": "delivered", "ended_at": filled.now}
    await filled.do(lambda c: c.execute(delivery.update().values(ended)))
    erased = [await filled.do(retention.erase_contents, filled.now + LATER) for _ in range(3)]
    assert erased == [retention.ROWS_AT_ONCE, 1, 0]


async def test_the_files_of_sqlite_forget_it_too(sqlite_url, on_sqlite) -> None:
    """Neither the file nor its log has a byte of it after the hourly tidy, long texts and short ones."""
    filled = on_sqlite
    await filled.link(1)
    for number in range(20):
        await plant(filled, f"r{number}", "PLANTED " * (1 + number**2))
    for number in range(20):
        await filled.end(number + 1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    await filled.database.read(lambda c: c.execute(text("PRAGMA wal_checkpoint")).all())
    assert set(await files_with(sqlite_url, "PLANTED")) == {"syncd.db", "syncd.db-wal"}
    await filled.do(retention.erase_contents, filled.now + LATER)
    assert "syncd.db-wal" in await files_with(sqlite_url, "PLANTED")
    assert await scrub.empty_log(sqlite_url)
    assert await files_with(sqlite_url, "PLANTED") == []


async def test_a_log_that_is_being_read_is_emptied_another_time(sqlite_url, on_sqlite) -> None:
    """A reader of the old state keeps the log; that is said, and once it has gone the log is emptied."""
    filled = on_sqlite
    await filled.link(1)
    await plant(filled, "r1", "PLANTED")

    async def empty(wait_seconds: float) -> bool:
        return await scrub.empty_log(sqlite_url, wait_seconds)

    with filled.database.backend._engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM delivery")).all()
        assert not await empty(0.05)
        assert await scrub.rewrite(sqlite_url, SystemClock(), 0.05) == "another process is reading"
    assert await empty(5)
