"""`syncd backfill` queues what is older than the links: planned, bounded, harmless to repeat, and resumable."""

import asyncio
import contextlib
import os
import signal
import sys
from datetime import timedelta

import pytest
from sqlalchemy import select

from syncd.console.backfill import choose_tickets
from syncd.console.context import CommandContext
from syncd.model.errors import Conflict
from syncd.store import lists, requests
from syncd.store.database import open_database
from syncd.store.requests import RequestKind, RequestState
from syncd.store.schema import ensure_schema
from syncd.store.tables import decision
from syncd.sync.backfill import Wanted
from syncd.testing.sandbox_faults import Break


async def linked(syncd, ends, *texts, thread_id=500, days=2):
    """Link a ticket with old replies, and have it read."""
    ticket = ends.ticket(*texts, days=days)
    await ends.link(ticket, thread_id)
    await syncd.call("poll")
    return ticket


async def waiting(syncd):
    """Return the ids of the replies that wait, in order."""
    items = await asyncio.to_thread(syncd.stored, lambda c: lists.list_deliveries(c, state="pending"))
    return [item.reply_id for item in items]


async def test_what_is_older_is_queued_once(syncd, ends):
    """Replies older than the link are queued, the first message and internal notes are not; again changes nothing."""
    ticket = await linked(syncd, ends, "one", "two")
    ends.helpdesk.internal_note(ticket.id, "between us", at=ends.clock.now() - timedelta(days=1))
    ran = await syncd.call("backfill", "--yes")
    assert ran.code == 0
    assert "desk: 1 active link, replies from their start, without first messages" in ran.out
    assert "desk: 1 link, 3 replies found, 2 queued" in ran.out
    assert "No worker runs" in ran.out
    assert await waiting(syncd) == [reply.id for reply in ticket.replies[1:3]]
    again = await syncd.call("backfill", "--yes")
    assert "0 queued" in again.out
    assert len(await waiting(syncd)) == 2


async def test_a_dry_run_counts_and_does_nothing(syncd, ends):
    """--dry-run tells links, replies, what was sent before, what would be, and how long that takes; nothing changes."""
    await linked(syncd, ends, "one", "two", "three")
    ran = await syncd.call("backfill", "--dry-run")
    assert ran.code == 0
    assert "desk: reading them takes 2 requests or more: 1 s or more at 600 a minute" in ran.out
    assert row(ran, "desk", "1") == ["desk", "1", "0", "berlin", "3", "0", "0", "0", "0", "0", "0", "3"]
    assert row(ran, "vendor") == ["vendor", "desk", "2", "600", "1", "s"]
    assert row(ran, "api") == ["api", "berlin", "3", "900", "1", "s"]
    assert "berlin: 3 communications, about 1 s (sending is the slower side); live replies go first" in ran.out
    assert await waiting(syncd) == []
    await syncd.call("backfill", "--yes")
    after = await syncd.call("backfill", "--dry-run")
    assert row(after, "desk", "1") == ["desk", "1", "0", "berlin", "3", "0", "3", "0", "0", "0", "0", "0"]


def row(ran, *begin):
    """Return the cells of the one line that begins with these."""
    (found,) = [cells for line in ran.out.splitlines() if (cells := line.split())[: len(begin)] == list(begin)]
    return found


async def test_without_a_terminal_it_needs_a_yes(syncd, ends):
    """Where nobody can be asked the plan is said, nothing is queued, and the exit code is 2."""
    await linked(syncd, ends, "one", "two")
    ran = await syncd.call("backfill")
    assert ran.code == 2
    assert row(ran, "api")[:3] == ["api", "berlin", "2"]
    assert "nothing was queued: nobody can be asked here; say --yes" in ran.err
    assert await waiting(syncd) == []


async def test_a_span_and_the_first_message(syncd, ends):
    """--since and --until bound it, both inclusive; --first-message takes the first one too."""
    ticket = await linked(syncd, ends, "one", "two", "three")
    first, second = ticket.replies[2], ticket.replies[3]
    span = ("--since", first.created_at.isoformat(), "--until", second.created_at.isoformat())
    await syncd.call("backfill", "--yes", *span)
    assert await waiting(syncd) == [first.id, second.id]
    await syncd.call("backfill", "--yes", "--first-message", "--until", ticket.created_at.isoformat())
    assert set(await waiting(syncd)) == {first.id, second.id, ticket.replies[0].id}


async def test_one_ticket_alone(syncd, ends):
    """--ticket, by number or web address, leaves the others as they are."""
    await linked(syncd, ends, "not this", thread_id=500)
    ticket = await linked(syncd, ends, "this", thread_id=501)
    ran = await syncd.call("backfill", "--yes", "--ticket", ends.helpdesk.link(ticket))
    assert ran.code == 0, ran.err
    assert await waiting(syncd) == [ticket.replies[1].id]


async def test_mistakes_change_nothing(syncd, ends):
    """A ticket without a link, an empty span and words that are no instant are refused with 2."""
    for arguments in (
        ("--ticket", "HD-9"),
        ("--since", "2026-05-02", "--until", "2026-05-01"),
        ("--since", "yesterday"),
        ("--system", "nobody"),
    ):
        ran = await syncd.call("backfill", *arguments)
        assert ran.code == 2, arguments
    assert await asyncio.to_thread(syncd.stored, requests.open_requests) == []


async def test_one_ticket_that_fails_stops_no_other(syncd, ends):
    """A ticket that cannot be read fails alone, is told, and the exit code is 1."""
    bad = await linked(syncd, ends, "bad", thread_id=500)
    good = await linked(syncd, ends, "good", thread_id=501)
    bad.replies[1].format = "a form that the adapter does not know"
    ran = await syncd.call("backfill", "--yes")
    assert ran.code == 1
    assert "1 link failed" in ran.out
    assert await waiting(syncd) == [good.replies[1].id]


async def test_what_is_killed_goes_on_where_it_was(syncd, ends):
    """A backfill that is killed half way is joined by the same command; each ticket's replies are queued once."""
    tickets = [ends.ticket("one", "two") for _ in range(12)]
    for number, ticket in enumerate(tickets):
        await ends.link(ticket, 500 + number)
    await syncd.call("poll")
    ends.configure(system="requests_per_minute = 120")  # slow enough to be killed in the middle
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "syncd", "--config", str(syncd.config), "backfill", "--yes"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    while len(await waiting(syncd)) < 4:  # two tickets: one of them is dealt with for certain
        assert process.returncode is None
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert len(await waiting(syncd)) < 2 * len(tickets)
    (left,) = await asyncio.to_thread(syncd.stored, requests.open_requests)
    assert (left.kind, left.state) == (RequestKind.BACKFILL, RequestState.RUNNING)

    ends.configure()
    ends.helpdesk.requests.clear()
    ran = await syncd.call("backfill", "--yes")
    assert ran.code == 0
    assert "the same backfill was begun before; it goes on where it was" in ran.out
    assert sorted(map(int, await waiting(syncd))) == sorted(
        int(reply.id) for ticket in tickets for reply in ticket.replies[1:]
    )
    read = [text for text in ends.helpdesk.requests if text.endswith("/replies")]
    assert 0 < len(read) < len(tickets)


@pytest.mark.parametrize(("answer", "queued"), [("n", 0), ("y", 2)])
async def test_on_a_terminal_it_asks_first(syncd, ends, answer, queued):
    """On a terminal the plan is shown and asked for; without a yes nothing is queued."""
    await linked(syncd, ends, "one", "two")
    code, shown = await on_terminal(syncd, answer)
    assert "berlin: 2 communications" in shown
    assert "vendor" in shown
    assert "Go on? [y/N]" in shown
    assert code == (0 if queued else 1)
    assert len(await waiting(syncd)) == queued


async def on_terminal(syncd, answer):
    """Run a backfill on a terminal, answer its question, and return its exit code and what the terminal shows."""
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "syncd", "--config", str(syncd.config), "backfill"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other side is closed: the process has ended
        while True:
            shown += await asyncio.to_thread(os.read, ours, 4096)
            if b"[y/N]" in shown and answer:
                os.write(ours, f"{answer}\n".encode())
                answer = ""
    os.close(ours)
    return await process.wait(), shown.decode()


async def test_waiting_until_it_is_delivered(syncd, ends):
    """--wait beside a running worker ends when all of it is delivered."""
    await linked(syncd, ends, "one", "two", "three")
    async with running(syncd):
        ran = await syncd.call("backfill", "--yes", "--wait")
    assert ran.code == 0
    assert "3 of 3 delivered" in ran.out
    assert [one.body["content"] for one in ends.sandbox.communications] == ["one", "two", "three"]


async def test_waiting_without_a_worker(syncd, ends):
    """--wait ends with 1 where nobody delivers, instead of waiting for ever."""
    await linked(syncd, ends, "one")
    ran = await syncd.call("backfill", "--yes", "--wait")
    assert ran.code == 1
    assert "No worker runs, so nothing is delivered" in ran.err


async def test_a_backfill_is_listed_and_stopped(syncd, ends):
    """The list tells how far each is; stop ends one, and with --drop what it queued is skipped; both are decisions."""
    await linked(syncd, ends, "one", "two")
    await syncd.call("backfill", "--yes", "--since", "2026-01-01T00:00:00+00:00")
    ran = await syncd.call("backfill", "list", "--json")
    (one,) = ran.json
    assert (one["state"], one["links"], one["enqueued"], one["deliveries"]) == ("done", 1, 2, {"pending": 2})
    assert "1 of 1" in (await syncd.call("backfill", "list")).out
    refused = await syncd.call("backfill", "stop", one["id"])
    assert (refused.code, "is done, so there is nothing to stop" in refused.err) == (2, True)
    assert (await syncd.call("backfill", "stop", one["id"], "--drop")).code == 2  # nobody can be asked
    dropped = await syncd.call("backfill", "stop", one["id"], "--drop", "--yes", "--reason", "wrong dates")
    assert (dropped.code, dropped.out) == (0, "2 deliveries skipped\n")
    assert await waiting(syncd) == []
    assert (await syncd.call("backfill", "stop", 99)).code == 2
    ask = (RequestKind.BACKFILL, "desk", {"tickets": []}, "anna", ends.clock.now())
    asked = await asyncio.to_thread(syncd.stored, lambda c: requests.ask(c, *ask))
    stopped = await syncd.call("backfill", "stop", asked, "--reason", "not now")
    assert (stopped.code, stopped.out) == (0, f"backfill {asked} of desk is stopped\n")
    decisions = await asyncio.to_thread(syncd.stored, lambda c: c.execute(select(decision)).all())
    assert [(one.action, one.subject, one.reason) for one in decisions] == [
        ("drop backfill, 2 skipped", f"request {one['id']}", "wrong dates"),
        ("stop backfill", f"request {asked}", "not now"),
    ]


async def test_waiting_says_what_needs_a_person(syncd, ends):
    """--wait ends with 1, and says what to do, where something is in doubt, and where what is left cannot go."""
    await linked(syncd, ends, "one", thread_id=500)
    ticket = await linked(syncd, ends, "two", thread_id=501)
    ends.sandbox.plan(Break.APPLY_THEN_CLOSE)
    async with running(syncd):
        ran = await syncd.call("backfill", "--yes", "--wait", "--ticket", "HD-1")
        assert (ran.code, "0 of 1 delivered" in ran.out) == (1, True)
        assert "1 delivery in doubt, for a person to decide: `syncd deliveries list --state in_doubt`" in ran.err
        await syncd.call("apis", "pause", "berlin", "--reason", "a test")
        ran = await syncd.call("backfill", "--yes", "--wait", "--ticket", ticket.number)
        assert ran.code == 1
        assert "1 still wait: berlin is paused" in ran.err


async def test_interrupted_the_worker_goes_on(syncd, ends):
    """Ctrl-C ends the command, which says that the worker goes on, and how to stop that."""
    for number in range(20):
        await ends.link(ends.ticket("one", "two"), 500 + number)
    await syncd.call("poll")
    ends.configure(system="requests_per_minute = 120")
    async with running(syncd):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "syncd", "--config", str(syncd.config), "backfill", "--yes", "--wait"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        while b" of 20, " not in await process.stderr.readline():
            assert process.returncode is None
        process.send_signal(signal.SIGINT)
        _, beside = await process.communicate()
        assert process.returncode == 130
        assert b"The worker goes on with backfill" in beside
        (left,) = await asyncio.to_thread(syncd.stored, requests.open_requests)
        assert f"`syncd backfill stop {left.id}`".encode() in beside
        await syncd.call("backfill", "stop", left.id)
    assert await asyncio.to_thread(syncd.stored, requests.open_requests) == []


@contextlib.asynccontextmanager
async def running(syncd):
    """Run a worker beside the test."""
    log = syncd.directory / "worker.log"
    with log.open("wb") as stream:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "syncd", "--config", str(syncd.config), "run"), stderr=stream
        )
    while "syncd runs" not in await asyncio.to_thread(log.read_text):
        assert worker.returncode is None
    yield
    worker.terminate()
    assert await worker.wait() == 0


async def test_a_ticket_that_is_linked_no_more_is_not_all_tickets(clock, sqlite_url) -> None:
    """A backfill of a ticket whose link was removed at this moment is refused, rather than be one of them all."""
    database = open_database(sqlite_url)
    await ensure_schema(database, migrate=True)
    context = CommandContext(None, database, clock, "anna")
    with pytest.raises(Conflict, match="no link of desk has one of these tickets any more"):
        await choose_tickets(context, "desk", Wanted(), ["HD-1"])
    assert await choose_tickets(context, "desk", Wanted(), []) == Wanted()
    await database.close()
