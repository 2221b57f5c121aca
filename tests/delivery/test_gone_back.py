"""A database that loses what it had acknowledged while syncd runs: a failover to a copy that lags, a backup put in."""

import os
import sqlite3
from contextlib import closing

import pytest
from loguru import logger


def copy(source, target) -> None:
    """Make the second database what the first one is, in use or not."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


async def with_a_backup(world):
    """Return a ticket, the database, and a copy of it that does not know of the last reply that was sent."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket, thread=5)
    world.helpdesk.customer_reply(ticket.id, "before")
    await world.sync()
    live, older = world.folder / "syncd.db", world.folder / "older.db"
    copy(live, older)
    world.helpdesk.customer_reply(ticket.id, "forgotten")
    await world.sync()
    return ticket, live, older


@pytest.mark.parametrize("again", [1, 2])
async def test_nothing_leaves_from_a_database_that_has_gone_back(world, again) -> None:
    """What it acknowledged and forgot is not sent again, however often it is tried, and that is known."""
    ticket, live, older = await with_a_backup(world)
    assert world.sent() == ["before", "forgotten"]
    assert not world.high_water.went_back

    copy(older, live)
    for _ in range(again):
        world.helpdesk.customer_reply(ticket.id, "after it went back")
        await world.sync(60)
    assert world.sent() == ["before", "forgotten"]
    assert world.sandbox.requests == 2
    assert world.high_water.went_back


async def test_a_mark_that_cannot_be_kept_is_said_and_tried_at_leisure(world) -> None:
    """With no room in the state directory nothing leaves, the log says so, and no try follows another at once."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket, thread=5)
    await world.sync()
    said: list[str] = []
    sink = logger.add(said.append, level="ERROR", format="{message}")
    descriptor = world.high_water._descriptor
    kept, full = os.dup(descriptor), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    world.helpdesk.customer_reply(ticket.id, "hello?")
    await world.sync(60)
    assert world.sent() == []
    assert 2 <= len((await world.only_delivery()).attempts) <= 20
    assert "No space left on device" in said[0]
    os.dup2(kept, descriptor)
    for one in (kept, full):
        os.close(one)
    await world.sync(20)
    logger.remove(sink)
    assert world.sent() == ["hello?"]


async def test_tries_that_never_left_do_not_hide_that_it_has_gone_back(world) -> None:
    """An API that cannot be reached meanwhile makes attempts too; they do not make up for those that were forgotten."""
    ticket, live, older = await with_a_backup(world)
    await world.pass_time(10)
    port = int(world.sandbox.base_url.rpartition(":")[2])
    await world.sandbox.stop()
    copy(older, live)
    world.helpdesk.customer_reply(ticket.id, "after it went back")
    await world.sync(60)
    assert world.high_water.went_back
    await world.sandbox.start(port=port)
    await world.sync(900)
    assert world.sent() == ["before", "forgotten"]
