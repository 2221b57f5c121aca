"""Erasing one customer: everything that could be read goes, everything that prevents a second send stays."""

import sqlite3
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select, text, update
from sqlalchemy.engine import make_url

from syncd.model.clock import SystemClock
from syncd.model.collected import Collected, Disposition, Entry, NewDelivery
from syncd.model.communication import Channel, Direction, Message, Thread, ThreadStatus
from syncd.model.delivery import DeliveryState, Outcome
from syncd.model.errors import UsageError
from syncd.model.health import PauseCause
from syncd.model.link import NewLink
from syncd.model.ticket import TicketRef
from syncd.store import health, link_changes, links, replies, requests, scrub, standing
from syncd.store.erase import (
    ErasedThread,
    erase_requests,
    erase_thread,
    find_customer,
    record_erasure,
)
from syncd.store.requests import RequestKind, RequestState
from syncd.store.standing import Decision, Resolution
from syncd.store.tables import api_state, attempt, decision, delivery, ledger, link, metadata, request

from .raw import files_with

PLANTED = "PLANTED"
CUSTOMER = 7


def by(filled, reason: str = "asked to be forgotten") -> Decision:
    """Return who decides."""
    return Decision("anna", filled.now, reason)


def reply(filled, reply_id: str, **more) -> Entry:
    """Return a reply with a text, a subject, a name and an address that were planted."""
    message = Message(
        f"{PLANTED} subject",
        f"{PLANTED} text " * 40,
        Direction.INCOMING,
        Channel.EMAIL,
        filled.now,
        agent=f"{PLANTED} agent",
        ticket_number="T1",
        ticket_link=f"https://desk.example/{PLANTED}",
    )
    new = NewDelivery(reply_id, message, f"mark of {reply_id}", filled.now, **more)
    return Entry(reply_id, Disposition.DELIVERY, new)


async def collected(filled, *entries: Entry, link_id: int | None = None) -> Collected:
    """Return what a reading of the ticket says now, with names and addresses that were planted."""
    found = await filled.database.read(lambda c: links.find(c, link_id or filled.links[1]))
    ticket = replace(
        found.ticket,
        subject=f"{PLANTED} subject",
        assignee=f"{PLANTED} assignee",
        link=f"https://desk.example/{PLANTED}",
    )
    return Collected(found.id, found.thread_key, "desk", filled.now, entries, ticket=ticket)


async def store(filled, *entries: Entry, **more) -> Any:
    """Store a reading."""
    return await filled.do(replies.store_collected, await collected(filled, *entries, **more), filled.now)


async def erase(filled, customer_id: int = CUSTOMER) -> list[ErasedThread]:
    """Erase a customer as the command does; the files are left."""
    found = await filled.database.read(lambda c: find_customer(c, customer_id))
    await filled.do(record_erasure, customer_id, "berlin", by(filled))
    await filled.do(erase_requests, found)
    return [await filled.do(erase_thread, one.thread_key, filled.now) for one in found]


async def tables_with(filled, words: str) -> list[str]:
    """Return the tables and columns that hold some words."""

    def look(connection) -> list[str]:
        found = set()
        for table in metadata.sorted_tables:
            for row in connection.execute(table.select()):
                found |= {f"{table.name}.{name}" for name, value in row._mapping.items() if words in str(value)}
        return sorted(found)

    return await filled.database.read(look)


@pytest_asyncio.fixture
async def planted(on_sqlite):
    """Return a SQLite database as `plant` fills it."""
    return await plant(on_sqlite)


@pytest_asyncio.fixture
async def planted_on_both(filled):
    """Return a database as `plant` fills it, once on SQLite and once on PostgreSQL."""
    return await plant(filled)


async def plant(filled):
    """Fill a database so that a customer's words stand in every place where they can come to stand.

    Its deliveries 1 to 6 are delivered, in doubt, parked, skipped by a person, pending and on the wire.
    """
    new = NewLink(Thread("berlin", CUSTOMER, 1), "desk", TicketRef(link=f"https://desk.example/{PLANTED}"), filled.now)
    filled.links[1] = (await filled.do(links.add, new, filled.now)).link_id
    ticket_id = await filled.link(2)  # another thread of the same customer
    assert ticket_id == 2
    ticket = (await filled.get_link(2)).ticket
    await filled.do(link_changes.resolve, 1, replace(ticket, id="id-T1", number="T1"), ThreadStatus.ONGOING, filled.now)
    await store(filled, *(reply(filled, f"r{number}") for number in range(1, 7)))
    quoted = {"error_text": f"500: cannot read '{PLANTED}'", "http_status": 500, "error_code": "E-1"}
    await filled.end(1, Outcome.REFUSED_FOR_NOW, DeliveryState.PENDING, **quoted, due_at=filled.now)
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED, communication_id=71)
    await filled.end(2, Outcome.IN_DOUBT, DeliveryState.IN_DOUBT, reason=f"502: {PLANTED}")
    await filled.end(3, Outcome.MESSAGE_AT_FAULT, DeliveryState.PARKED, reason=f"400: {PLANTED}")
    await filled.do(standing.skip, 4, by(filled, f"it only says {PLANTED}"))
    await filled.do(health.pause_api, "berlin", PauseCause.THREADS, quoted["error_text"], filled.now)
    await filled.do(health.resume_api, "berlin")
    await filled.mark(5)
    await filled.do(health.pause_api, "berlin", PauseCause.THREADS, quoted["error_text"], filled.now)
    await filled.do(lambda c: c.execute(update(link).where(link.c.id == 1).values(reason=f"404: {PLANTED}")))
    await filled.do(standing.write_decision, "remove", "link 1", by(filled, f"about {PLANTED}"))
    for kind in (RequestKind.POLL, RequestKind.BACKFILL):
        asked = {"tickets": [f"https://desk.example/{PLANTED}"]}
        request_id = await filled.do(requests.ask, kind, "desk", asked, "anna", filled.now)
        await filled.do(requests.end, request_id, RequestState.DONE, {}, filled.now)
    return filled


async def test_nothing_that_could_be_read_is_left(planted_on_both) -> None:
    """No table has a word of it, once what was on the wire was answered and erased too; ids and numbers stay."""
    filled = planted_on_both
    assert len(await tables_with(filled, PLANTED)) > 10
    (first, second) = await erase(filled)
    assert (first.links, first.skipped, first.texts, first.in_doubt, first.on_the_wire) == (1, 2, 5, 1, 1)
    assert (second.links, second.texts) == (1, 0)
    left = await tables_with(filled, PLANTED)
    assert left == ["delivery.agent", "delivery.content", "delivery.subject", "delivery.ticket_link"]
    await filled.do(lambda c: c.execute(update(delivery).where(delivery.c.id == 5).values(state="delivered")))
    await erase(filled)
    assert await tables_with(filled, PLANTED) == []
    rows = await filled.database.read(lambda c: c.execute(select(delivery).order_by(delivery.c.id)).all())
    assert [row.reply_id for row in rows] == ["r1", "r2", "r3", "r4", "r5", "r6"]
    assert (rows[0].ticket_number, rows[0].communication_id, rows[0].fingerprint) == ("T1", 71, "mark of r1")
    assert (await filled.get_link(1)).ref == TicketRef(number="T1")
    codes = await filled.database.read(lambda c: c.execute(select(attempt.c.error_code, attempt.c.http_status)).all())
    assert ("E-1", 500) in codes


async def test_what_is_open_is_skipped_and_a_doubt_stays_one(planted) -> None:
    """Pending and parked are skipped as erased; in doubt is resolved as delivered or skipped, and not resent."""
    filled = planted
    await erase(filled)
    assert await filled.states() == {
        "r1": "delivered",
        "r2": "in_doubt",
        "r3": "skipped",
        "r4": "skipped",
        "r5": "sending",
        "r6": "skipped",
    }
    reasons = {item.reply_id: item.reason for item in await filled.items()}
    assert (reasons["r2"], reasons["r3"], reasons["r4"], reasons["r6"]) == (
        "erased",
        "erased",
        "skipped: erased",
        "erased",
    )
    with pytest.raises(UsageError, match="has no text any more"):
        await filled.do(standing.resolve, 2, Resolution.RESEND, by(filled))
    await filled.do(standing.resolve, 2, Resolution.DELIVERED, by(filled))
    assert (await filled.states())["r2"] == "delivered"
    assert await filled.heads() == []


async def test_words_of_syncd_itself_stay(on_sqlite) -> None:
    """Why it is in doubt can still be told: these reasons are fixed words, and quote nothing."""
    filled = on_sqlite
    await filled.link(1)
    await filled.enqueue(1, "sent", "restored", "assumed")
    await filled.mark(1)
    await filled.do(standing.adopt_orphans, {}, filled.now)
    await filled.do(
        lambda c: c.execute(
            update(delivery).where(delivery.c.id == 2).values(state="in_doubt", reason=standing.RESTORED_REASON)
        )
    )
    await filled.do(
        lambda c: c.execute(update(delivery).where(delivery.c.id == 3).values(state="delivered", reason="assumed"))
    )
    await erase(filled)
    assert [item.reason for item in await filled.items()] == [standing.DIED_REASON, "restored", "assumed"]
    errors = await filled.database.read(lambda c: c.execute(select(attempt.c.error_text)).scalars().all())
    assert errors == [standing.DIED_REASON]


async def test_who_erased_when_and_why_is_kept_without_the_words(planted) -> None:
    """The erasure is a decision of its own; of those before, why is gone, and who, what and when stay."""
    filled = planted
    await erase(filled)
    rows = await filled.database.read(lambda c: c.execute(select(decision).order_by(decision.c.id)).all())
    assert [(row.who, row.action, row.subject, row.reason) for row in rows] == [
        ("anna", "skip", "delivery 4", "erased"),
        ("anna", "remove", "link 1", "erased"),
        ("anna", "erase", "customer 7 at berlin", "asked to be forgotten"),
    ]


async def test_of_others_nothing_is_touched(planted) -> None:
    """Another customer in the same api, the same id at another api, and what was asked about other tickets stay."""
    filled = planted
    for number, (api, customer) in enumerate((("berlin", 8), ("hamburg", CUSTOMER)), 3):
        new = NewLink(Thread(api, customer, 1), "desk", TicketRef(number="T9"), filled.now)
        assert (await filled.do(links.add, new, filled.now)).link_id == number
        ticket = replace((await filled.get_link(2)).ticket, id="id-T9", number="T9", subject="KEPT")
        await filled.do(link_changes.resolve, number, ticket, ThreadStatus.ONGOING, filled.now)
        filled.links[1] = number
        await filled.enqueue(1, f"KEPT {api}")
    asked = await filled.do(requests.ask, RequestKind.POLL, "desk", {"tickets": ["KEPT"]}, "anna", filled.now)
    await filled.do(requests.end, asked, RequestState.DONE, {"failure": "KEPT"}, filled.now)
    before = await tables_with(filled, "KEPT")
    found = await filled.database.read(lambda c: find_customer(c, CUSTOMER, "berlin"))
    assert {one.api for one in found} == {"berlin"}
    await filled.do(erase_requests, found)
    for one in found:
        await filled.do(erase_thread, one.thread_key, filled.now)
    assert await tables_with(filled, "KEPT") == before
    assert (await filled.states())["KEPT berlin"] == "pending"
    rows = await filled.database.read(lambda c: c.execute(select(request.c.arguments)).scalars().all())
    assert rows == ["{}", "{}", '{"tickets": ["KEPT"]}']


async def test_a_reading_that_began_before_brings_nothing_back(planted) -> None:
    """It finds its link removed: neither the ticket's names nor the replies, new or changed, are stored."""
    filled = planted
    late = await collected(filled, reply(filled, "r1"), reply(filled, "new"))
    await erase(filled)
    await filled.do(lambda c: c.execute(update(delivery).where(delivery.c.id == 5).values(state="delivered")))
    await erase(filled)
    stored = await filled.do(replies.store_collected, late, filled.now + timedelta(seconds=1))
    assert (stored.new, stored.changed) == (0, 0)
    assert await tables_with(filled, PLANTED) == []


async def test_linked_again_nothing_is_sent_twice(planted) -> None:
    """The ledger stays: what was delivered, in doubt or skipped is not new to another link of the same thread."""
    filled = planted
    before = await filled.database.read(lambda c: c.execute(select(ledger)).all())
    await erase(filled)
    assert await filled.database.read(lambda c: c.execute(select(ledger)).all()) == before
    new = NewLink(Thread("berlin", CUSTOMER, 1), "desk", TicketRef(number="T1"), filled.now)
    again = (await filled.do(links.add, new, filled.now)).link_id
    ticket = (await filled.get_link(1)).ticket
    await filled.do(link_changes.resolve, again, ticket, ThreadStatus.ONGOING, filled.now)
    stored = await store(filled, *(reply(filled, f"r{number}") for number in range(1, 7)), link_id=again)
    assert stored.new == 0


async def leave_a_piece(filled, url: str) -> None:
    """Leave a piece of a text in an unused part of the file, as SQLite seldom does even if it overwrites."""
    connection = sqlite3.connect(str(make_url(url).database), isolation_level=None)
    connection.execute("PRAGMA secure_delete=OFF")
    for content in (PLANTED, None):
        connection.execute("UPDATE delivery SET content = ? WHERE id = 1", (content,))
    connection.close()
    assert await scrub.empty_log(url)
    assert await tables_with(filled, PLANTED) == []
    assert await files_with(url, PLANTED) == ["syncd.db"]


async def test_no_file_has_a_byte_of_it(planted_on_both, database_url) -> None:
    """Nor a page of a table, an index or SQLite's log, while the database is in use."""
    filled = planted_on_both
    assert await files_with(database_url, PLANTED)
    await filled.do(lambda c: c.execute(update(delivery).where(delivery.c.id == 5).values(state="delivered")))
    if filled.database.dialect == "sqlite":
        await erase(filled)
        await leave_a_piece(filled, database_url)
    else:
        await erase_beside_readers(filled, database_url)
    assert await scrub.rewrite(database_url, SystemClock()) is None
    assert not await sampled(filled)
    assert await files_with(database_url, PLANTED) == []
    assert len(await filled.items()) == 6


async def sampled(filled) -> bool:
    """Say whether PostgreSQL's planner holds samples of the texts."""
    if filled.database.dialect == "sqlite":
        return False
    samples = text("SELECT count(*) FROM pg_stats WHERE most_common_vals::text LIKE '%PLANTED%'")
    return bool(await filled.database.read(lambda c: c.execute(samples).scalar_one()))


async def erase_beside_readers(filled, url: str) -> None:
    """Erase while one transaction still sees what was there before, and then while another one holds a table."""
    reading = filled.database.backend._reading
    async with reading.connect() as reader:
        await reader.execute(text("SELECT count(*) FROM meta"))
        await filled.do(lambda c: c.execute(text("ANALYZE delivery")))
        assert await sampled(filled)
        await erase(filled)
        assert "still sees" in str(await scrub.rewrite(url, SystemClock(), 1))
        assert await files_with(url, PLANTED)
    async with reading.connect() as reader:
        await reader.execute(text("SELECT count(*) FROM delivery"))
        assert "lock timeout" in str(await scrub.rewrite(url, SystemClock(), 0.05))


async def test_erased_twice_is_erased(planted) -> None:
    """A second time there is nothing left to do, and nothing changes."""
    filled = planted
    await erase(filled)
    states = await filled.states()
    first, second = await erase(filled)
    assert (first.links, first.skipped, first.texts) == (second.links, second.skipped, second.texts) == (0, 0, 0)
    assert await filled.states() == states
    paused = await filled.database.read(lambda c: c.execute(select(api_state.c.reason)).scalar_one())
    assert paused == "erased"
