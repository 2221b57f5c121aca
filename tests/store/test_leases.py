"""Leases on PostgreSQL: one owner at a time, fenced by an epoch that every commit of an owner looks at."""

import asyncio

import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from syncd.model.delivery import InDoubtPolicy
from syncd.model.errors import StoreError
from syncd.model.lease import Kind, Lease, Subject
from syncd.store import leases, marking, settling, standing
from syncd.store.database import Database, open_database
from syncd.store.schema import ensure_schema
from syncd.store.tables import lease

pytestmark = pytest.mark.postgresql

BERLIN = Subject(Kind.API, "berlin")
HAMBURG = Subject(Kind.API, "hamburg")
LONG = 60.0


@pytest.fixture
def database_url(postgresql_url: str) -> str:
    """Return the address of an empty PostgreSQL database: SQLite has no leases."""
    return postgresql_url


async def take(database: Database, owner: str, subject: Subject = BERLIN, seconds: float = LONG) -> Lease | None:
    """Take a lease if it is free."""
    return await database.write(lambda c: leases.take(c, subject, owner, seconds))


async def run_out(database: Database) -> None:
    """Let every lease run out, as if its time had passed."""
    await database.write(lambda c: c.execute(update(lease).values(until_at=text("clock_timestamp()"))))


async def is_held(database: Database, held: Lease) -> bool:
    """Say whether a lease is still what it was."""
    return await database.write(lambda c: leases.is_held(c, held))


async def test_a_lease_has_one_owner(database: Database) -> None:
    """While it lasts nobody else takes it; given back it is free at once, and the epoch rises each time."""
    first = await take(database, "a")
    assert first == Lease(BERLIN, "a", 1)
    assert await take(database, "b") is None
    assert await take(database, "a") is None
    await database.write(lambda c: leases.give_back(c, first))
    assert await take(database, "b") == Lease(BERLIN, "b", 2)
    await database.write(lambda c: leases.give_back(c, first))
    assert await take(database, "c") is None, "what is not one's own any more cannot be given back"


async def test_two_that_take_at_once_do_not_both_get_it(postgresql_url: str, database: Database) -> None:
    """Of eight workers that try at the same moment one has the lease."""
    others = [open_database(postgresql_url) for _ in range(8)]
    taken = await asyncio.gather(*(take(other, f"worker {number}") for number, other in enumerate(others)))
    assert sum(one is not None for one in taken) == 1
    for other in others:
        await other.close()


async def test_a_lease_that_ran_out_is_renewed_unless_it_was_taken(database: Database) -> None:
    """Its owner may come late; once another has it, renewing says so and the old epoch is void."""
    old = await take(database, "a")
    assert old is not None
    await run_out(database)
    assert await database.write(lambda c: leases.renew(c, "a", [old], LONG)) == {old}
    assert await take(database, "b") is None
    await run_out(database)
    new = await take(database, "b")
    assert new is not None
    assert await database.write(lambda c: leases.renew(c, "a", [old], LONG)) == frozenset()
    assert (await is_held(database, old), await is_held(database, new)) == (False, True)
    await run_out(database)
    again = await take(database, "a")
    assert again is not None
    assert await database.write(lambda c: leases.renew(c, "a", [old], LONG)) == frozenset()
    assert (await is_held(database, old), await is_held(database, again)) == (False, True)


async def test_what_is_stored_for_a_system_is_fenced(database: Database, filled) -> None:
    """A worker whose system another one has taken stores nothing of it any more, cursor and replies alike."""
    desk = Subject(Kind.SYSTEM, "desk")
    old = await take(database, "a", desk)
    assert old is not None
    fenced = leases.FencedDatabase(database, old)
    await fenced.write(lambda c: c.execute(text("INSERT INTO meta VALUES ('one', '1')")))
    await run_out(database)
    await take(database, "b", desk)
    with pytest.raises(leases.LeaseLost, match="system:desk belongs to another worker"):
        await fenced.write(lambda c: c.execute(text("INSERT INTO meta VALUES ('two', '2')")))
    names = await database.read(lambda c: {row[0] for row in c.execute(text("SELECT name FROM meta"))})
    assert names & {"one", "two"} == {"one"}


async def begin(url: str) -> tuple[AsyncConnection, object]:
    """Return a transaction of another process, open until it is told otherwise."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    return await engine.connect(), engine


async def test_a_mark_that_is_being_committed_keeps_the_lease_from_being_taken(
    postgresql_url: str, database: Database, filled
) -> None:
    """The lease ran out while `sending` is being committed: the next owner has it after that, and sees the mark."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    held = await take(database, "a")
    assert held is not None
    outgoing = await filled.outgoing(1)
    slow, engine = await begin(postgresql_url)

    def mark(connection):
        assert leases.is_held(connection, held)
        assert marking.mark_sending(connection, outgoing, filled.now, "a") is not None

    await slow.run_sync(mark)
    await run_out(database)
    assert await take(database, "b") is None
    await slow.commit()
    assert await take(database, "b") == Lease(BERLIN, "b", 2)
    assert await filled.do(standing.adopt_orphans, {}, filled.now, "berlin") == 1
    await slow.close()
    await engine.dispose()


async def test_a_mark_waits_for_a_take_over_and_is_refused_by_it(postgresql_url: str, database: Database) -> None:
    """While another takes the lease the old owner's look at it waits, and then finds another epoch."""
    held = await take(database, "a")
    assert held is not None
    await run_out(database)
    other, engine = await begin(postgresql_url)
    assert await other.run_sync(lambda c: leases.take(c, BERLIN, "b", LONG)) is not None
    looking = asyncio.create_task(is_held(database, held))
    done, _ = await asyncio.wait([looking], timeout=0.3)
    assert not done, "it must not be answered before the take-over is decided"
    await other.commit()
    assert await looking is False
    await other.close()
    await engine.dispose()


async def test_renewing_does_not_wait_for_marks(postgresql_url: str, database: Database) -> None:
    """A commit that takes long keeps the lease that it relies on from being taken, and not from being renewed."""
    held = await take(database, "a")
    assert held is not None
    slow, engine = await begin(postgresql_url)
    assert await slow.run_sync(lambda c: leases.is_held(c, held))
    async with asyncio.timeout(10):
        assert await database.write(lambda c: leases.renew(c, "a", [held], LONG)) == {held}
    await slow.commit()
    await slow.close()
    await engine.dispose()


async def test_a_frozen_transaction_is_ended_by_the_server(postgresql_url: str, database: Database) -> None:
    """A worker that is frozen between a mark and its commit keeps its lease no longer than a transaction may idle."""
    held = await take(database, "a")
    assert held is not None
    await run_out(database)
    frozen = await open_database(postgresql_url, idle_seconds=0.3).backend._engine.connect()
    await frozen.run_sync(lambda c: leases.is_held(c, held))
    async with asyncio.timeout(20):
        while await take(database, "b") is None:  # noqa: ASYNC110 - it happens in the server
            await asyncio.sleep(0.05)
    await frozen.invalidate()
    await frozen.close()


async def test_only_what_was_on_the_wire_of_a_taken_api_is_in_doubt(filled) -> None:
    """Other workers live: what they have on the wire of other apis is no orphan."""
    await filled.link(1)
    await filled.link(2, api="hamburg")
    for thread in (1, 2):
        await filled.enqueue(thread, f"reply {thread}")
        await filled.mark(thread)
    assert await filled.do(standing.adopt_orphans, {"berlin": InDoubtPolicy.HOLD}, filled.now, "berlin") == 1
    assert await filled.states() == {"reply 1": "in_doubt", "reply 2": "sending"}


async def test_a_muster_tells_who_is_alive_and_who_owns_what(database: Database) -> None:
    """A worker is alive for as long as a lease lasts after it was last seen, by the clock of the database."""
    held = await take(database, "a")
    await take(database, "gone", HAMBURG, 0.0)
    await database.write(lambda c: leases.appear(c, "a", [BERLIN, HAMBURG], LONG))
    await database.write(lambda c: leases.appear(c, "gone", [BERLIN], 0.0))
    muster = await database.read(leases.muster)
    assert [(one.name, one.wants) for one in muster.members] == [("a", frozenset({BERLIN, HAMBURG}))]
    assert [(one.subject, one.owner, one.is_over) for one in muster.claims] == [
        (BERLIN, "a", False),
        (HAMBURG, "gone", True),
    ]
    assert held is not None
    await database.write(lambda c: leases.leave(c, "a"))
    assert (await database.read(leases.muster)).members == ()


async def test_tables_do_not_change_while_a_worker_is_alive(database: Database) -> None:
    """An older schema under a worker that runs is not migrated; the message names the worker and when it is over."""
    await database.write(lambda c: leases.appear(c, "machine-1:77", [BERLIN], LONG))
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '0002'")))
    with pytest.raises(StoreError, match=r"machine-1:77 works on the database .* gone in \d+ s"):
        await ensure_schema(database, migrate=True)


async def test_two_workers_that_wait_for_each_other_both_get_their_way(
    postgresql_url: str, database: Database, filled
) -> None:
    """Of two that lock the same threads in another order PostgreSQL ends one, which is then tried again."""
    await filled.link(1)
    await filled.link(2)
    other = open_database(postgresql_url)

    def lock_both(connection, first, second) -> str:
        settling.lock(connection, first)
        connection.execute(text("SELECT pg_sleep(0.3)"))
        settling.lock(connection, second)
        return "done"

    both = database.write(lambda c: lock_both(c, 1, 2)), other.write(lambda c: lock_both(c, 2, 1))
    assert await asyncio.gather(*both) == ["done", "done"]
    await other.close()
