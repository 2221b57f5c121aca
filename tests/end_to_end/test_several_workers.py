"""Three workers on one PostgreSQL: one killed, one frozen past its lease, one cut off, while replies keep coming."""

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator, Callable
from itertools import combinations

import pytest
import pytest_asyncio
from sqlalchemy import text

from syncd.model.lease import Kind, Subject
from syncd.store import health, leases, lists
from syncd.store.database import Database, open_database
from syncd.testing.sandbox import Sandbox
from tests.end_to_end.conftest import Stage, Worker
from tests.end_to_end.outages import Line

pytestmark = [pytest.mark.xdist_group("several workers"), pytest.mark.postgresql]

SYSTEMS = ("desk", "mail", "shop")
APIS = ("berlin", "hamburg", "munich", "vienna")
TICKETS = 12
LEASE_SECONDS = 3.0
TAKE_OVER_SECONDS = LEASE_SECONDS + 2.0
IN_FLIGHT = 2
PER_MINUTE = 300.0
BURST = 8
BACKLOG = 16
SEED = 20261124


class Town:
    """Both ends, and the workers between them; who owns what is asked of the database."""

    def __init__(self, stage: Stage, url: str, line: Line, until: Callable[..., object]) -> None:
        self.stage = stage
        self.url = url
        self.line = line
        self.until = until
        self.dice = random.Random(SEED)
        self.database: Database = open_database(url)
        self.owners: dict[Subject, str] = {}
        self.settled = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Link tickets of each system to threads of each api, and begin to look who owns what."""
        stage = self.stage
        stage.url = self.url
        await stage.sandbox.stop()
        keys = {f"key-{api}": api for api in APIS}
        stage.sandbox = Sandbox(keys, clock=stage.clock, requests_per_minute=10**9)
        await stage.sandbox.start()
        stage.sandbox.answer_delay = lambda: 0.05 + self.dice.random() * 0.2
        more = f"in_flight = {IN_FLIGHT}\nrequests_per_minute = {PER_MINUTE}\ntimeout_seconds = 20"
        stage.write_settings(apis=APIS, systems=SYSTEMS, more=more)
        stage.more_environ["SYNCD_DATABASE__LEASE_SECONDS"] = str(LEASE_SECONDS)
        for number in range(TICKETS):
            ticket = stage.helpdesk.create_ticket("Locker", "first", at=stage.clock.now().replace(year=2025))
            await stage.link(ticket, system=SYSTEMS[number % 3], api=APIS[number % 4])
        self._tasks.append(asyncio.create_task(self._look()))

    async def close(self) -> None:
        """Stop looking and writing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.database.close()
        await self.line.cut()

    async def _look(self) -> None:
        while True:
            muster = await self.database.read(leases.muster)
            self.owners = {one.subject: one.owner for one in muster.claims if one.owner is not None and not one.is_over}
            # In doubt is settled too: it may never arrive, and must not keep the writer waiting for it.
            settled = text("SELECT count(*) FROM delivery WHERE state NOT IN ('pending', 'sending')")
            self.settled = await self.database.read(lambda c: c.execute(settled).scalar_one())  # noqa: B023
            await asyncio.sleep(0.02)

    def write_replies(self) -> None:
        """Write a reply to some ticket every now and then, until `close`."""
        self._tasks.append(asyncio.create_task(self._write()))

    async def _write(self) -> None:
        for number in range(10_000):
            while number - self.settled > BACKLOG:  # noqa: ASYNC110 - it is settled in other processes
                await asyncio.sleep(0.05)
            self.stage.helpdesk.customer_reply(self.dice.choice(self.stage.watched).ticket.id, f"reply {number}")
            await asyncio.sleep(0.05)

    def end_of_replies(self) -> None:
        """Write no more."""
        self._tasks.pop().cancel()

    async def start(self, url: str | None = None) -> Worker:
        """Start a worker on this address of the database."""
        self.stage.more_environ["SYNCD_DATABASE__URL"] = url or self.url
        return await self.stage.start()

    def owned_by(self, worker: Worker, kind: Kind | None = None) -> set[Subject]:
        """Return what a worker owns."""
        pid = f":{worker.process.pid}:"
        return {one for one, name in self.owners.items() if pid in name and kind in {None, one.kind}}

    async def until_spread(self, *workers: Worker) -> None:
        """Wait until these workers share everything, each with a part of both kinds."""

        def is_spread() -> bool:
            shares = [(len(self.owned_by(one, Kind.SYSTEM)), len(self.owned_by(one, Kind.API))) for one in workers]
            apis = [share[1] for share in shares]
            return all(share[0] == 1 for share in shares) and sum(apis) == len(APIS) and max(apis) - min(apis) <= 1

        await self.until(is_spread, "everything is spread over the workers")

    async def until_on_the_wire(self) -> None:
        """Wait until some more requests have arrived, so that it does not stand still."""
        enough = self.stage.sandbox.requests + 6
        try:
            await self.until(lambda: self.stage.sandbox.requests >= enough, "requests go on arriving")
        except pytest.fail.Exception as failure:
            apis = await self.database.read(health.list_apis)
            pytest.fail(f"{failure}; left: {await self.left()}, settled: {self.settled}, {self.owners}, {apis}")

    async def until_taken_over(self, gone: Worker) -> float:
        """Wait until all that a worker owned is owned by others; return how long that took."""
        its = self.owned_by(gone)
        assert its, "it must own something for that to mean anything"
        began = self.stage.clock.monotonic()
        await self.until(lambda: its <= self.owners.keys() and not self.owned_by(gone), "others have taken over")
        return self.stage.clock.monotonic() - began

    async def left(self) -> list[object]:
        """Return some deliveries that wait or are on their way, with why."""
        found = []
        for state in ("pending", "sending"):
            found += await self.database.read(lambda c: lists.list_deliveries(c, state=state, limit=3))  # noqa: B023
        return [(one.id, one.state, one.api, one.attempts, one.reason) for one in found]

    async def attempts(self) -> int:
        """Return how many attempts may have put a request on the wire."""
        sent = text("SELECT count(*) FROM attempt WHERE outcome <> 'not_sent'")
        return await self.database.read(lambda c: c.execute(sent).scalar_one())

    def longest_haste(self) -> float:
        """Return by how many requests at most the pace of a key was passed, in any stretch of time."""
        arrivals: dict[str, list[float]] = {}
        for one in self.stage.sandbox.communications:
            arrivals.setdefault(one.studio, []).append(one.received_at.timestamp())
        return max(
            later - earlier + 1 - BURST - (times[later] - times[earlier]) * PER_MINUTE / 60
            for times in arrivals.values()
            for earlier, later in combinations(range(len(times)), 2)
        )


@pytest_asyncio.fixture
async def town(stage, postgresql_url: str, until_true) -> AsyncIterator[Town]:
    """Return both ends with an empty PostgreSQL, and a line to it that can be cut."""
    made = Town(stage, postgresql_url, Line(postgresql_url), until_true)
    await made.open()
    yield made
    await made.close()


async def test_a_killed_a_frozen_and_a_cut_worker_lose_nothing_and_repeat_nothing(town: Town) -> None:
    """Each time the others go on within the lease; at the end every reply is at the API once, or listed in doubt."""
    stage = town.stage
    cut_url = await town.line.mend()
    first, second = await town.start(), await town.start()
    third = await town.start(cut_url)
    await town.until_spread(first, second, third)
    town.write_replies()
    await town.until_on_the_wire()

    first.process.send_signal(signal.SIGKILL)
    took = {"killed": await town.until_taken_over(first)}
    await town.until_on_the_wire()
    fourth = await town.start()
    await town.until_spread(second, third, fourth)

    second.process.send_signal(signal.SIGSTOP)
    took["frozen"] = await town.until_taken_over(second)
    await town.until_on_the_wire()
    second.process.send_signal(signal.SIGCONT)
    await town.until(lambda: "lease lost" in second.log.read_text(), "the frozen one notices")
    await town.until_spread(second, third, fourth)

    await town.line.cut()
    took["cut"] = await town.until_taken_over(third)
    await town.until_on_the_wire()
    await town.line.mend()
    await town.until_spread(second, third, fourth)
    await town.until_on_the_wire()

    town.end_of_replies()
    await stage.until_swept()
    await until_quiet(town)
    await check_what_is_told(town, second, third, fourth)
    stopped = await stop(town, second, third, fourth)
    await check_the_books(town)
    assert max(took.values()) <= TAKE_OVER_SECONDS, took
    assert stopped < LEASE_SECONDS, "a clean stop gives everything back at once"
    assert town.longest_haste() <= IN_FLIGHT + 2


async def check_what_is_told(town: Town, *workers: Worker) -> None:
    """Hold `status` to who owns what, and `db restored` to letting workers be."""
    code, out, _ = await town.stage.command("status", "--json")
    told = json.loads(out)["workers"]
    assert code in {0, 1}
    assert {name.split(":")[1] for name in (one["name"] for one in told)} >= {str(one.process.pid) for one in workers}
    assert sorted(name for one in told for name in one["apis"]) == list(APIS)
    assert sorted(name for one in told for name in one["systems"]) == list(SYSTEMS)
    code, _, beside = await town.stage.command("db", "restored", "--yes", "--reason", "a drill")
    assert (code, "Stop every worker first" in beside) == (1, True)


async def stop(town: Town, *workers: Worker) -> float:
    """Stop the workers one by one; return how long the others needed to have what the first one gave back."""
    stopping = asyncio.create_task(workers[0].stop())
    took = await town.until_taken_over(workers[0])
    codes = [await stopping, *[await worker.stop() for worker in workers[1:]]]
    for worker, code in zip(workers, codes, strict=True):
        assert code == 0, worker.log.read_text()
        assert "Traceback" not in worker.log.read_text()
    return took


async def until_quiet(town: Town) -> None:
    """Wait until nothing is due or on its way any more."""
    try:
        async with asyncio.timeout(60):
            while await town.left():  # noqa: ASYNC110 - it happens in other processes
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"still waiting: {await town.left()}")


async def check_the_books(town: Town) -> None:
    """Hold both ends against each other: nothing lost, nothing twice, and as many requests as attempts."""
    stage = town.stage
    balance = stage.balance()
    doubtful = {str(item["reply_id"]) for item in await stage.listed("in_doubt")}
    assert balance.twice == balance.leaked == balance.strangers == ()
    assert set(balance.lost) <= doubtful
    attempts = await town.attempts()
    assert stage.sandbox.requests <= attempts <= stage.sandbox.requests + len(doubtful)
    assert len(stage.sandbox.communications) == stage.sandbox.requests
