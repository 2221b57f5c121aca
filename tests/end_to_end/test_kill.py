"""kill -9 at random moments, thirty times: nothing is lost, nothing is sent twice, and every doubt is listed."""

import asyncio
import random
import signal
import sqlite3
from collections import Counter
from datetime import timedelta

import pytest

from syncd.store import lists, standing
from syncd.store.database import open_database
from syncd.store.standing import Decision, Resolution
from syncd.testing.balance import key_of

KILLS = 30
SEED = 20261123
IN_FLIGHT = 6
TICKETS = 12
BACKLOG = 50
SLOWEST_ANSWER_SECONDS = 0.03


class Chaos:
    """Kills the worker at moments that the seed decides, most of them while requests are on the wire."""

    def __init__(self, stage, until) -> None:
        self.stage = stage
        self.until = until
        self.dice = random.Random(SEED)
        self.database = open_database(f"sqlite:///{stage.file}")
        self.doubted: list[int] = []
        self.before_ready = 0

    async def seed(self) -> None:
        """Open tickets with a backlog, all of it for their threads."""
        begin = self.stage.clock.now() - timedelta(hours=3)
        for number in range(TICKETS):
            ticket = self.stage.helpdesk.create_ticket(f"Ticket {number}", f"first of {number}", at=begin)
            for one in range(BACKLOG):
                at = begin + timedelta(seconds=one + 1, milliseconds=number)
                self.stage.helpdesk.customer_reply(ticket.id, f"reply {number}.{one}", at=at)
            self.stage.helpdesk.internal_note(ticket.id, f"note {number}: not for the customer", at=at)
            await self.stage.link(ticket, start=True)
        self.stage.sandbox.answer_delay = lambda: self.dice.random() * SLOWEST_ANSWER_SECONDS

    async def in_doubt(self) -> int:
        """Return how many are in doubt now."""
        return (await self.database.read(lists.count_all)).deliveries.get("in_doubt", 0)

    async def open_states(self) -> dict[str, int]:
        """Return how many deliveries are still to be sent."""
        counts = (await self.database.read(lists.count_all)).deliveries
        return {state: counts.get(state, 0) for state in ("pending", "sending")}

    async def life(self) -> None:
        """Start a worker, let it work for a while, and kill it."""
        before = await self.in_doubt()
        worker = await self.stage.start()
        if self.dice.random() < 0.1:
            await asyncio.sleep(self.dice.random())
            self.before_ready += not worker.hears("READY=1")
        else:
            await worker.until_ready()
            self.doubted.append(await self.in_doubt() - before)
            await self.work_for_a_while(worker)
        assert not worker.ended, worker.log.read_text()
        assert await worker.stop(signal.SIGKILL) == -signal.SIGKILL

    async def work_for_a_while(self, worker) -> None:
        """Let a few requests through, with new replies among them, and stop at no moment in particular."""
        for one in self.dice.sample(self.stage.watched, 3):
            self.stage.helpdesk.customer_reply(one.ticket.id, f"written in life {len(self.stage.workers)}")
        enough = self.stage.sandbox.requests + self.dice.randint(1, 12)
        await self.until(lambda: self.stage.sandbox.requests >= enough or worker.ended, "requests arrive")
        await asyncio.sleep(self.dice.random() * 0.02)

    async def resolve(self, items) -> None:
        """Decide every doubt by what the API has: what arrived is delivered, the rest is sent again."""
        there = Counter(key_of(one) for one in self.stage.sandbox.communications)
        watched = {one.thread_id: one for one in self.stage.watched}
        by = Decision("tester", self.stage.clock.now(), "looked at what the API holds")
        for item in items:
            reply = self.stage.helpdesk.get_reply(item["reply_id"])
            arrived = there[watched[item["thread_id"]].key(reply)]
            decision = Resolution.DELIVERED if arrived else Resolution.RESEND
            await self.decide(item["id"], decision, by)

    async def decide(self, delivery_id, decision, by) -> None:
        """Decide one doubt."""
        await self.database.write(lambda c: standing.resolve(c, delivery_id, decision, by))


@pytest.mark.xdist_group("kill")
async def test_thirty_kills_lose_nothing_and_repeat_nothing(stage, until_true):
    """After 30 kills every public reply is at the API once, or listed in doubt; resolved, it all adds up."""
    stage.write_settings(more=f"in_flight = {IN_FLIGHT}\nrequests_per_minute = 60000\ntimeout_seconds = 5")
    chaos = Chaos(stage, until_true)
    await chaos.seed()
    for _ in range(KILLS):
        await chaos.life()

    last = await stage.start()
    await last.until_ready()
    await until_quiet(chaos)
    await stage.until_swept()
    await until_quiet(chaos)
    assert await last.stop() == 0
    with sqlite3.connect(stage.file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()

    balance = stage.balance()
    items = await stage.listed("in_doubt")
    doubtful = {str(item["reply_id"]) for item in items}
    assert balance.twice == balance.leaked == balance.strangers == ()
    assert set(balance.lost) <= doubtful
    # Each kill put no more in doubt than were on the wire, and some did: the kills hit what they were meant to hit.
    assert max(chaos.doubted) <= IN_FLIGHT
    assert sum(1 for number in chaos.doubted if number) >= KILLS / 3

    await chaos.resolve(items)
    await chaos.database.close()
    once = await stage.start("--once")
    assert await once.process.wait() == 0, once.log.read_text()
    assert stage.balance().adds_up
    assert await stage.listed("in_doubt") == []


async def until_quiet(chaos) -> None:
    """Wait until nothing is due or on its way any more."""
    async with asyncio.timeout(60):
        while any((await chaos.open_states()).values()):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.05)
