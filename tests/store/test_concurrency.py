"""The store where two write at the same time, where a reading comes late, and where PostgreSQL is away."""

import asyncio
import sqlite3
import time
from dataclasses import replace

import asyncpg
import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import create_async_engine

from syncd.model.collected import Change, Collected, Disposition, Entry, NewDelivery
from syncd.model.communication import ThreadStatus
from syncd.model.delivery import DeliveryKind, DeliveryState, Outcome
from syncd.model.errors import StoreError
from syncd.model.health import PauseCause
from syncd.model.link import Cause
from syncd.model.ticket import Ticket
from syncd.store import floods, health, holding, link_changes, links, marking, replies, standing
from syncd.store.database import Database, open_database
from syncd.store.heads import due_heads
from syncd.store.high_water import HighWater
from syncd.store.schema import ensure_schema
from syncd.store.standing import Decision, Resolution
from syncd.store.tables import delivery

from .raw import until_one_waits


@pytest.mark.postgresql
async def test_a_postgresql_that_lets_nobody_in_is_an_error_of_the_store(postgresql_url: str) -> None:
    """What the driver says of a server that starts, stops or is full is told as any failure of the database is."""
    database = open_database(postgresql_url)
    await ensure_schema(database, migrate=True)
    await database.close()
    server, _, name = postgresql_url.rpartition("/")
    admin = await asyncpg.connect(f"{server}/postgres")
    await admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
    with pytest.raises(StoreError):
        await database.read(lambda c: c.execute(text("SELECT 1")))
    with pytest.raises(StoreError):
        await database.write(lambda c: c.execute(text("SELECT 1")))
    await admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
    await admin.close()
    await database.close()


@pytest.mark.postgresql
async def test_two_that_settle_a_thread_at_once_miss_nothing(filled, database_url: str) -> None:
    """While a new delivery is being stored a command skips another one: the new one is the thread's head."""
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer at a time")
    await filled.link(1)
    await filled.enqueue(1, "first")
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as slow:
        link = await filled.get_link(1)
        at = filled.now
        new = NewDelivery("second", None, "mark", at, state=DeliveryState.PENDING)
        collected = Collected(link.id, link.thread_key, "desk", at, (Entry("second", Disposition.DELIVERY, new),))
        await slow.run_sync(lambda c: replies.store_collected(c, collected, at))
        skipping = asyncio.create_task(filled.do(standing.skip, 1, Decision("tester", at, "said by phone")))
        await asyncio.wait([skipping], timeout=0.5)
        await slow.commit()
        await skipping
    await engine.dispose()
    heads = await filled.database.read(lambda c: due_heads(c, "berlin", filled.now, 9))
    assert [head.delivery_id for head in heads] == [2]


@pytest.mark.postgresql
async def test_nothing_is_stored_for_a_link_that_is_being_removed(filled, database_url: str) -> None:
    """A reading that ends while a command removes its link queues nothing."""
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer at a time")
    link_id = await filled.link(1)
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as slow:
        await slow.run_sync(lambda c: link_changes.remove(c, link_id, filled.now))
        storing = asyncio.create_task(filled.enqueue(1, "late"))
        await asyncio.wait([storing], timeout=0.5)
        await slow.commit()
        await storing
    await engine.dispose()
    assert await filled.items() == []


async def held_back(filled) -> tuple[int, int, int]:
    """Return a thread whose older reply the flood guard holds and whose newer one waits, and both deliveries."""
    await filled.link(1)
    await filled.enqueue(1, "older", minutes=-2, state=DeliveryState.PARKED, reason=floods.HELD_REASON)
    await filled.enqueue(1, "newer", minutes=-1)
    assert await filled.heads() == ["newer"]
    return (await filled.get_link(1)).thread_key, 1, 2


async def test_of_two_workers_neither_sends_what_is_held_back(filled, database_url: str) -> None:
    """Both look at once, and one had read the newer reply before: nobody marks it until the older one is free."""
    thread_key, older, newer = await held_back(filled)
    outgoing = await filled.outgoing(newer)
    other = open_database(database_url)
    both = [database.write(lambda c: holding.hold_back(c, thread_key)) for database in (filled.database, other)]
    assert await asyncio.gather(*both) == [True, True]
    assert await filled.do(marking.mark_sending, outgoing, filled.now, "worker") is None
    assert await filled.heads() == []
    await filled.do(floods.release, [older], filled.now)
    assert await other.write(lambda c: holding.hold_back(c, thread_key)) is False
    assert await filled.heads() == ["older"]
    await other.close()


@pytest.mark.postgresql
async def test_a_decision_while_a_worker_looks_is_not_undone_by_it(filled, database_url: str) -> None:
    """A thread that is let go just when a worker finds it held back stays in the queue."""
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer at a time")
    thread_key, older, _ = await held_back(filled)
    by = Decision("tester", filled.now, "said by phone")
    engine = create_async_engine(database_url.replace("postgresql://", "postgresql+asyncpg://"))

    async def look_while(decide) -> bool:
        async with engine.connect() as slow:
            await slow.run_sync(decide)
            looking = asyncio.create_task(filled.do(holding.hold_back, thread_key))
            await until_one_waits(database_url)
            await slow.commit()
            return await looking

    assert await look_while(lambda c: floods.release(c, [older], filled.now)) is False
    assert await filled.heads() == ["older"]
    await filled.end(older, Outcome.IN_DOUBT, DeliveryState.IN_DOUBT)
    assert await look_while(lambda c: standing.resolve(c, older, Resolution.SKIP, by)) is False
    assert await filled.heads() == ["newer"]
    await engine.dispose()


async def test_a_database_that_is_locked_fails_all_who_wait_at_once(sqlite_url: str) -> None:
    """A group of writes waits once for a lock, not each of them in turn."""
    database = open_database(sqlite_url)
    await ensure_schema(database, migrate=True)
    other = sqlite3.connect(database.where, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    outcomes = await asyncio.gather(
        *(database.write(lambda c: c.execute(text("SELECT 1"))) for _ in range(4)), return_exceptions=True
    )
    assert all(isinstance(one, StoreError) for one in outcomes)
    assert time.monotonic() - began < 9
    other.close()
    await database.close()


@pytest.mark.postgresql
async def test_the_driver_quotes_no_argument(postgresql_url: str) -> None:
    """A text that the driver cannot send is not in what is said of it."""
    database = open_database(postgresql_url)
    await ensure_schema(database, migrate=True)
    with pytest.raises(StoreError) as caught:
        await database.write(lambda c: c.execute(update(delivery).values(content="very private \ud800")))
    assert "private" not in str(caught.value)
    await database.close()


def reading(link, ticket: Ticket, **more) -> Collected:
    """Return a reading of a ticket for a link."""
    return Collected(link.id, link.thread_key, "desk", more.pop("started_at"), ticket=ticket, **more)


async def test_a_late_reading_does_not_pull_a_link_back_to_its_old_ticket(filled) -> None:
    """A link that follows a merge stays there, though a reading of the ticket before ends after it."""
    link_id = await filled.link(1)
    link = await filled.get_link(1)
    other = Ticket(id="other", number="T9", vendor_status="open")
    await filled.do(link_changes.follow, link_id, other, filled.now, filled.now)
    at = filled.now
    entry = Entry("r", Disposition.DELIVERY, NewDelivery("r", None, "mark", at, state=DeliveryState.PARKED))
    late = reading(link, link.ticket, started_at=at, entries=(entry,), status=ThreadStatus.CLOSED, complete=True)
    await filled.do(replies.store_collected, late, at)
    link = await filled.get_link(1)
    assert (link.ticket.id, link.known_status, link.collected_at) == ("other", "ONGOING", None)
    assert await filled.items() == []


async def test_following_twice_is_following_once(filled) -> None:
    """Two that notice a merge at the same time retarget its link once; a removed link stays removed."""
    link_id = await filled.link(1)
    other = Ticket(id="other", number="T9", vendor_status="open")
    await filled.do(link_changes.follow, link_id, other, filled.now, filled.now)
    await filled.do(link_changes.follow, link_id, other, filled.now, filled.now)
    assert (await filled.get_link(1)).merged_from == ("id-T1",)
    await filled.do(link_changes.remove, link_id, filled.now)
    await filled.do(link_changes.follow, link_id, other, filled.now, filled.now)
    assert (await filled.get_link(1)).state == "removed"


async def test_a_correction_is_queued_once_by_two_readings(filled) -> None:
    """Two readings at the same time that see the same edit make one correction of it."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    link = await filled.get_link(1)
    correction = NewDelivery("first", None, "new mark", filled.now, DeliveryKind.CORRECTION, state=DeliveryState.PARKED)
    for _ in range(2):
        collected = reading(link, link.ticket, started_at=filled.now, corrections=(correction,))
        await filled.do(replies.store_collected, collected, filled.now)
    assert [item.kind for item in await filled.items()] == ["reply", "correction"]


async def test_a_withdrawn_correction_leaves_its_reply_delivered(filled) -> None:
    """A reply that was delivered is not new again because its correction was withdrawn."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    link = await filled.get_link(1)
    correction = NewDelivery("first", None, "new mark", filled.now, DeliveryKind.CORRECTION)
    await filled.do(
        replies.store_collected,
        reading(link, link.ticket, started_at=filled.now, corrections=(correction,)),
        filled.now,
    )
    gone = Change(2, 1, skip_reason="withdrawn: it is internal now")
    await filled.do(
        replies.store_collected, reading(link, link.ticket, started_at=filled.now, changes=(gone,)), filled.now
    )
    known = await filled.database.read(lambda c: replies.find_known(c, link.thread_key, "desk", ["first"]))
    assert known["first"].disposition is Disposition.DELIVERY
    assert await filled.states() == {"first": "skipped"}


async def test_a_reading_does_not_withdraw_what_came_in_after_it_began(filled) -> None:
    """Only what was known when a reading began can be missing from it; and only of its own ticket and system."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    link = await filled.get_link(1)
    await filled.do(lambda c: c.execute(update(delivery).values(ticket_number=link.ticket.number)))

    async def missing(**more) -> set[str]:
        of = more.get("system", "desk"), more.get("ticket", link.ticket)
        found = await filled.database.read(
            lambda c: replies.waiting_replies(c, link.thread_key, of, more.get("read_by", filled.now))
        )
        return set(found)

    assert await missing() == {"first"}
    assert await missing(read_by=filled.now.replace(year=2025)) == set()
    assert await missing(system="other") == set()
    assert await missing(ticket=replace(link.ticket, number="T9")) == set()


async def test_a_trial_goes_out_in_no_other_pause(filled) -> None:
    """A trial is marked while the api waits for one, and not once a person has paused it."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    await filled.do(health.pause_api, "berlin", PauseCause.PERSON, "maintenance", filled.now)
    assert await filled.mark(1, trial=True) is None
    await filled.do(health.resume_api, "berlin")
    await filled.do(health.pause_api, "berlin", PauseCause.THREADS, "refused", filled.now)
    assert await filled.mark(1) is None
    assert await filled.mark(1, trial=True) is not None


async def test_what_is_not_followed_is_not_due(filled) -> None:
    """A suspended link is not made due by being asked for, nor collected if it is."""
    link_id = await filled.link(1)
    await filled.do(link_changes.suspend, link_id, Cause.TICKET_GONE, "gone")
    await filled.do(link_changes.mark_links_due, [link_id], filled.now)
    assert (await filled.get_link(1)).collect_due_at is None
    assert await filled.database.read(lambda c: links.due(c, "desk", filled.now, 9)) == []


async def test_new_links_get_a_quarter_of_what_is_collected(database: Database, filled) -> None:
    """Neither many new links nor many that are due again keep the others waiting."""
    for number in range(1, 13):
        link_id = await filled.link(number)
        if number > 6:
            link = await filled.get_link(number)
            later = filled.now.replace(hour=13)
            await filled.do(
                replies.store_collected,
                reading(link, link.ticket, started_at=filled.now, complete=True, next_due_at=later),
                filled.now,
            )
            assert link_id == number
    filled.now = filled.now.replace(hour=14)
    due = await database.read(lambda c: links.due(c, "desk", filled.now, 4))
    assert [link.collected_at is None for link in due] == [False, False, False, True]
    assert len(await database.read(lambda c: links.due(c, "desk", filled.now, 99))) == 12


def test_a_mark_is_never_empty(tmp_path) -> None:
    """A longer text of before is cut, and what is there at any time is a mark."""
    path = tmp_path / "mark"
    path.write_text("a" * 32 + " " + "1" * 40 + "\n")
    mark = HighWater(path)
    mark.open("b" * 32, 7)
    mark.close()
    assert path.read_text() == "b" * 32 + " " + "7".zfill(20) + "\n"
