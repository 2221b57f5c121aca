"""`syncd run` in this process: one pass, what ends it, and what its log says. Real processes: tests/end_to_end."""

import asyncio
import logging
import os
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest

from syncd.console.context import Invocation
from syncd.console.run import load_with_log
from syncd.model.clock import SystemClock
from syncd.service.daemon import Daemon
from syncd.service.notify import Notifier
from syncd.store import health, lists
from syncd.testing.sandbox_faults import Break, refusal


@pytest.fixture
def own_log():
    """Put the logging of the process back as it was."""
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers, logging.root.level = handlers, level


@pytest.fixture
def new_daemon(syncd, own_log):
    """Return what makes a daemon from the settings as they are then."""

    def make() -> Daemon:
        invocation = Invocation(syncd.config, {})
        clock = SystemClock()
        return Daemon(load_with_log(invocation), clock, Notifier({}, clock), lambda: load_with_log(invocation))

    return make


async def test_once_reads_and_delivers(ends, new_daemon):
    """One pass looks up a new link, reads it, and delivers what is due before it ends."""
    ticket = ends.ticket("old")
    await ends.link(ticket)
    ends.helpdesk.customer_reply(ticket.id, "new")
    assert await new_daemon().once()
    assert [one.body["content"] for one in ends.sandbox.communications] == ["new"]
    assert await ends.states() == {"delivered": 1}


async def test_once_does_not_wait_for_an_api_that_waits(ends, new_daemon):
    """An api that denies everything for a minute does not keep one pass from ending; the rest stays pending."""
    for thread_id in (500, 501):
        ticket = ends.ticket()
        await ends.link(ticket, thread_id)
        ends.helpdesk.customer_reply(ticket.id, "new")
    ends.sandbox.plan(Break.THROTTLE)
    async with asyncio.timeout(30):
        assert await new_daemon().once()
    assert await ends.states() == {"pending": 2}


async def test_once_does_not_wait_for_retries(ends, new_daemon):
    """What has failed and is due later is left to the next pass."""
    ticket = ends.ticket()
    await ends.link(ticket)
    ends.helpdesk.customer_reply(ticket.id, "new")
    ends.sandbox.plan(refusal(503))
    assert await new_daemon().once()
    assert await ends.states() == {"pending": 1}
    assert ends.sandbox.requests == 1


async def test_once_with_a_held_api(ends, new_daemon):
    """With mode hold everything is read and queued, nothing is sent, and that is good."""
    ends.configure(api='mode = "hold"')
    ticket = ends.ticket()
    await ends.link(ticket)
    ends.helpdesk.customer_reply(ticket.id, "new")
    assert await new_daemon().once()
    assert await ends.states() == {"pending": 1}


async def test_once_with_a_paused_system(syncd, ends, new_daemon):
    """A system that a person has paused is not read, which is no failure."""
    now = ends.clock.now()
    await asyncio.to_thread(syncd.stored, lambda c: health.pause_system(c, "desk", health.PERSON, "holidays", now))
    assert await new_daemon().once()
    assert ends.helpdesk.requests == []


async def test_once_with_a_system_that_cannot_be_read(ends, new_daemon):
    """A system that refuses the credentials makes it a failure."""
    ends.configure(options='token = "wrong"')
    assert not await new_daemon().once()


async def test_sigterm_ends_one_pass_early(ends, new_daemon):
    """SIGTERM during one pass ends it, and it counts as not gone well."""
    ends.helpdesk.faults.hang(times=5)
    running = asyncio.create_task(new_daemon().once())
    while not ends.helpdesk.requests:  # noqa: ASYNC110 - the helpdesk has no event for it, and this one runs beside it
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(30):
        assert not await running


async def test_once_on_a_database_that_goes_back_meanwhile(syncd, ends, new_daemon, capsys):
    """A backup that is written into the file in use is said and makes it a failure, though nothing is to send there."""
    await asyncio.to_thread(syncd.stored, lists.count_all)
    live, older = syncd.directory / "syncd.db", syncd.directory / "older.db"
    shutil.copy(live, older)
    ticket = ends.ticket()
    await ends.link(ticket)
    ends.helpdesk.customer_reply(ticket.id, "new")
    ends.sandbox.answer_delay = lambda: 0.3
    running = asyncio.create_task(new_daemon().once())
    while not ends.sandbox.requests:  # noqa: ASYNC110 - the sandbox has no event for it
        await asyncio.sleep(0.01)
    with closing(sqlite3.connect(older)) as old, closing(sqlite3.connect(live)) as new:
        old.backup(new)
    async with asyncio.timeout(30):
        assert not await running
    assert "the database has gone back behind what was sent" in capsys.readouterr().err
    assert ends.sandbox.requests == 1


async def test_a_bug_that_ends_a_lane_stops_the_service(ends, new_daemon):
    """When a task of the daemon dies of a bug, syncd stops and has failed, so that systemd starts it anew."""
    daemon = new_daemon()
    daemon.database.backend = FailingReads(daemon.database.backend)
    async with asyncio.timeout(30):
        await daemon.serve()
    assert daemon.parts.broken == "api berlin"


class FailingReads:
    """A database of which a bug makes every read of an api's health fail."""

    def __init__(self, backend) -> None:
        self.backend = backend
        self.dialect = backend.dialect
        self.transact = backend.transact
        self.close = backend.close

    async def read(self, operation):
        """Fail as a bug does, once the dispatcher asks."""
        if "Dispatcher" in operation.__qualname__:
            raise ZeroDivisionError
        return await self.backend.read(operation)


async def test_warnings_of_the_settings_are_logged(ends, new_daemon, capsys):
    """What is worth a look in the settings is in the log from the start."""
    ends.configure(api="requests_per_minute = 2000")
    assert await new_daemon().once()
    assert "api.berlin.requests_per_minute" in capsys.readouterr().err


async def test_settings_that_cannot_be_used(syncd, ends):
    """Every mistake is named, and the exit code is 2; nothing was begun."""
    ends.configure(api='mode = "snd"', system="poll_secs = 3")
    ran = await syncd.call("run")
    assert ran.code == 2
    assert "api.berlin.mode" in ran.err
    assert "systems.desk.poll_secs" in ran.err
    assert not (syncd.directory / "syncd.db").exists()
