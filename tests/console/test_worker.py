"""Asking the worker, or doing it oneself: `links add` and `links resume --follow` against a real helpdesk."""

import asyncio
import contextlib
import os
import signal
import sys

import pytest
from sqlalchemy import text

from syncd.console.context import Invocation, opened
from syncd.console.worker import carry_out, failure_of, has_ended
from syncd.model.clock import SystemClock
from syncd.model.errors import UsageError
from syncd.model.link import LinkState
from syncd.store import health, leases, links, lists, requests
from syncd.store.lock import find_lock
from syncd.store.requests import RequestKind, RequestState
from syncd.testing.helpdesk import Helpdesk


@pytest.fixture
async def helpdesk(syncd_on_both):
    """Return a helpdesk that the settings name as `desk`."""
    async with Helpdesk(SystemClock()) as made:
        syncd_on_both.systems["desk"] = made.base_url
        syncd_on_both.configure()
        yield made


@contextlib.asynccontextmanager
async def _worker(syncd):
    """Run `syncd run` in a process of its own, and end it cleanly."""
    arguments = ("-m", "syncd", "--config", str(syncd.config), "run")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stderr=asyncio.subprocess.PIPE, env={**os.environ}
    )
    while b"syncd runs" not in await asyncio.wait_for(process.stderr.readline(), 30):
        assert process.returncode is None
    drained = asyncio.create_task(process.stderr.read())
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await drained
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def stored(syncd, operation):
    """Run an operation on the database beside the test's loop."""
    return await asyncio.to_thread(syncd.stored, operation)


def add(number, *more):
    """Return the arguments of `links add` for a ticket."""
    where = ("--api", "berlin", "--customer", 7, "--thread", 500, "--system", "desk")
    return ("links", "add", *where, "--ticket-number", number, *more)


async def test_without_a_worker_the_command_looks_the_ticket_up_itself(syncd_on_both, helpdesk):
    """`links add` ends with an active link whose replies since `--from` are collected, and lets the lock go."""
    syncd = syncd_on_both
    ticket = helpdesk.create_ticket("Locker", "My locker does not open.")
    ran = await syncd.call(*add(ticket.number, "--from", "start"))
    assert (ran.code, "link 1 is active: ticket HD-1, CREATED" in ran.out) == (0, True)
    (item,) = await stored(syncd, lists.list_deliveries)
    assert (item.state, item.ticket_number) == ("pending", "HD-1")
    lock = await find_lock(syncd.url)
    assert lock is not None
    await lock.release()


async def test_with_a_worker_the_worker_does_it(syncd_on_both, helpdesk):
    """The request is carried out by the process that holds the lock, while the command waits."""
    syncd = syncd_on_both
    ticket = helpdesk.create_ticket("Locker", "My locker does not open.")
    async with _worker(syncd):
        # Its own sweep may be quicker than the request; then the link is shown as active at once.
        ran = await syncd.call(*add(ticket.number))
        assert (ran.code, "active" in ran.out) == (0, True)
        await syncd.call("poll", "--ticket", ticket.number)
    request = await stored(syncd, lambda c: requests.find(c, 1))
    assert (request.state, request.kind, request.arguments) == ("done", "poll", {"tickets": [ticket.number]})


async def test_a_worker_that_does_not_answer_leaves_the_request_for_later(syncd_on_both, helpdesk):
    """After the wait the request stands as it is; the next one to own the system carries it out."""
    syncd = syncd_on_both
    lock = await find_lock(syncd.url)
    invocation = Invocation(config=syncd.config)
    async with opened(invocation) as context:
        waiting = await carry_out(context, RequestKind.POLL, "desk", {"tickets": []}, wait_seconds=0.3)
        assert (waiting.state, has_ended(waiting), failure_of(waiting)) == (RequestState.WAITING, False, None)
        await lock.release()
        seen = []
        done = await carry_out(context, RequestKind.POLL, "desk", {"tickets": []}, seen.append)
    assert (done.id, done.state) == (waiting.id, RequestState.DONE)
    assert [request.state for request in seen][-1] is RequestState.DONE


async def test_a_worker_that_goes_away_is_replaced(syncd_on_both, helpdesk):
    """When the lock comes free while the command waits, the command does the work."""
    syncd = syncd_on_both
    ticket = helpdesk.create_ticket("Locker", "My locker does not open.")
    lock = await find_lock(syncd.url)
    command = asyncio.create_task(syncd.call(*add(ticket.number)))
    while not await stored(syncd, requests.open_requests):
        assert not command.done()
    await lock.release()
    assert "link 1 is active" in (await command).out


async def test_a_vendor_that_cannot_be_reached_leaves_the_link_registered(syncd):
    """The command succeeds, says why the ticket was not looked up, and keeps the link unresolved."""
    ran = await syncd.call(*add("HD-1"))
    assert ran.code == 0
    assert "link 1 added" in ran.out
    assert "link 1 stays unresolved and is tried again by every sweep; now: " in ran.err
    link = await stored(syncd, lambda c: links.find(c, 1))
    assert link.state is LinkState.UNRESOLVED


async def test_a_ticket_that_is_not_there_fails_the_command(syncd_on_both, helpdesk):
    """The link is suspended, and the message says why and what to do."""
    ran = await syncd_on_both.call(*add("HD-99"))
    assert ran.code == 1
    assert "link 1 is suspended (ticket_gone): ticket HD-99 is gone" in ran.err
    assert "syncd links resume 1" in ran.err


async def test_a_link_to_a_foreign_host_is_refused_and_nobody_is_asked(syncd_on_both, helpdesk):
    """The message names both hosts and the cure; neither host is asked about the ticket."""
    where = ("--api", "berlin", "--customer", 9, "--thread", 9, "--system", "desk")
    ran = await syncd_on_both.call("links", "add", *where, "--ticket-link", "https://elsewhere.example/tickets/HD-1")
    assert ran.code == 1
    assert "the ticket link points to elsewhere.example, but this system is 127.0.0.1" in ran.err
    assert "link_hosts" in ran.err
    assert [asked for asked in helpdesk.requests if "HD-1" in asked] == []


async def test_a_refused_credential_is_told_while_it_waits(syncd_on_both, helpdesk):
    """The reason of the pause reaches the one who waits."""
    helpdesk.token = "another"
    helpdesk.create_ticket("Locker", "My locker does not open.")
    ran = await syncd_on_both.call(*add("HD-1"))
    assert (ran.code, "401" in ran.err) == (0, True)


async def test_a_system_that_a_person_paused_is_not_asked(syncd):
    """The request is refused before it is made, with how to go on."""
    now = SystemClock().now()
    await stored(syncd, lambda c: health.pause_system(c, "desk", health.PERSON, "maintenance", now))
    async with opened(Invocation(config=syncd.config)) as context:
        with pytest.raises(UsageError, match="syncd systems resume desk"):
            await carry_out(context, RequestKind.POLL, "desk", {"tickets": []})
    assert await stored(syncd, requests.open_requests) == []
    ran = await syncd.call(*add("HD-1"))
    assert (ran.code, "its ticket was not looked up: desk is paused (maintenance)" in ran.err) == (0, True)


async def test_a_merge_is_followed(syncd_on_both, helpdesk):
    """`links resume --follow` retargets the link through the vendor, and keeps the decision."""
    syncd = syncd_on_both
    old, new = helpdesk.create_ticket("Locker", "one"), helpdesk.create_ticket("Key", "two")
    await syncd.call(*add(old.number))
    helpdesk.merge(old.id, new.id)
    assert (await syncd.call("links", "show", 1, "--json")).json["state"] == "active"
    async with opened(Invocation(config=syncd.config)) as context:
        await carry_out(context, RequestKind.POLL, "desk", {"tickets": [old.number]})
    assert (await syncd.call("links", "show", 1, "--json")).json["merged_into"] == new.id
    ran = await syncd.call("links", "resume", 1, "--follow")
    assert (ran.code, ran.out) == (0, f"link 1 is active and follows ticket {new.number} from the merge on\n")


async def test_a_merge_into_a_ticket_that_is_gone_is_not_followed(syncd_on_both, helpdesk):
    """The link stays suspended and the command fails with the reason."""
    syncd = syncd_on_both
    old, new = helpdesk.create_ticket("Locker", "one"), helpdesk.create_ticket("Key", "two")
    await syncd.call(*add(old.number))
    helpdesk.merge(old.id, new.id)
    async with opened(Invocation(config=syncd.config)) as context:
        await carry_out(context, RequestKind.POLL, "desk", {"tickets": [old.number]})
    helpdesk.delete(new.id)
    ran = await syncd.call("links", "resume", 1, "--follow")
    assert (ran.code, f"link 1 stays suspended: ticket {new.id} is gone" in ran.err) == (1, True)
    assert (await syncd.call("links", "show", 1, "--json")).json["state"] == "suspended"


@pytest.mark.postgresql
async def test_a_command_that_lost_its_lease_takes_it_again_once_nobody_has_it(syncd_on_postgresql):
    """Stopped for longer than its lease, as by Ctrl-Z, it says so and does not wait for a worker that never comes."""
    syncd = syncd_on_postgresql
    async with Helpdesk(SystemClock()) as helpdesk:
        syncd.systems["desk"] = helpdesk.base_url
        syncd.configure()
        syncd.config.write_text(syncd.config.read_text().replace("[database]", "[database]\nlease_seconds = 1"))
        helpdesk.faults.hang()
        command = asyncio.create_task(syncd.call("poll", "--system", "desk"))
        while not helpdesk.requests:  # noqa: ASYNC110 - the helpdesk has no event for it, and this one runs beside it
            await asyncio.sleep(0.01)
        # Another command had it meanwhile, and was killed.
        lost = "UPDATE lease SET owner = 'another', epoch = epoch + 1, until_at = clock_timestamp()"
        await stored(syncd, lambda c: c.execute(text(lost)))
        async with asyncio.timeout(30):
            ran = await command
    assert (ran.code, ran.out) == (0, "desk: nothing new\n")
    assert "the lease of desk ran out" in ran.err
    (claim,) = (await stored(syncd, leases.muster)).claims
    assert (claim.owner, claim.epoch) == (None, 3)
