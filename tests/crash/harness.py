"""Kills the worker and the commands beside it at moments that the dice decide, and counts what it came to."""

import asyncio
import random
import signal
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO

from syncd.store import health, links, lists
from syncd.store.database import open_database
from tests.crash.ledger import attempts_of, count_open, find_faults, last_attempt
from tests.crash.report import Report

IN_FLIGHT = 6
TICKETS = 8
BACKLOG = 25
SLOWEST_ANSWER_SECONDS = 0.05
LONGEST_LIFE_SECONDS = 6.0
AIMED = 0.5
"""Of the kills, those that wait until a request is on the wire; the others fall at any moment."""

OTHER_WORKER = "another syncd works on the database"
COMMANDS = ("backfill", "backfill", "links", "resolve", "resolve", "retry", "poll", "pause", "status")


@dataclass
class Command:
    """A command at work; what it says goes to a file."""

    name: str
    process: Process
    log: BinaryIO

    @property
    def ended(self) -> bool:
        return self.process.returncode is not None

    def kill(self) -> None:
        """Kill it, if it has not ended."""
        if not self.ended:
            self.process.kill()


class Harness:
    """Lives of a worker, each ended by a kill, with commands beside them that are killed too."""

    def __init__(self, stage, until, name: str, seed: int) -> None:
        self.stage, self.until = stage, until
        self.dice = random.Random(seed)
        self.report = Report(name, seed, IN_FLIGHT)
        self.database = open_database(stage.url)
        self.commands: list[Command] = []
        self.asked_about: set[int] = set()
        self.number = 0

    async def seed(self) -> None:
        """Open tickets with a backlog; half of them are linked from now on, so that it takes a backfill to send it."""
        stage, begin = self.stage, self.stage.clock.now() - timedelta(hours=3)
        for number in range(TICKETS):
            ticket = stage.helpdesk.create_ticket(f"Ticket {number}", f"first of {number}", at=begin)
            for one in range(BACKLOG):
                at = begin + timedelta(seconds=one + 1, milliseconds=number)
                stage.helpdesk.customer_reply(ticket.id, f"reply {number}.{one}", at=at)
            stage.helpdesk.internal_note(ticket.id, f"note {number}: not for the customer", at=at)
            watched = await stage.link(ticket, start=number % 2 == 0)
            # In the end everything is due: the backfill is asked for the first messages too.
            stage.watched[-1] = type(watched)(ticket, watched.customer_id, watched.thread_id, begin)
        self.churned = stage.watched[-1]
        stage.sandbox.answer_delay = lambda: self.dice.random() * SLOWEST_ANSWER_SECONDS

    async def life(self) -> None:
        """Start a worker, let it work for a while beside commands, and kill it, and some of them."""
        self.asked_about.clear()
        before = await self.database.read(last_attempt)
        worker = await self.stage.start()
        # A pause lasts for one life, so that not all of them are idle.
        await self.command("pause" if await self.paused() else self.dice.choice(COMMANDS))
        if self.commands and self.dice.random() < 0.4:
            await asyncio.sleep(self.dice.random() * 1.5)
            self.commands[-1].kill()
        if self.dice.random() < 0.15:
            await asyncio.sleep(self.dice.random())
        else:
            worker = await self.until_ready(worker)
            await self.work_for_a_while(worker)
        await self.kill(worker)
        self.report.on_the_wire.append(await self.database.read(lambda c: count_open(c, before)))
        await self.end_commands()

    async def kill(self, worker) -> None:
        """Kill a worker, wherever it is."""
        assert not worker.ended or OTHER_WORKER in worker.log.read_text(), worker.log.read_text()
        self.report.before_ready += not worker.hears("READY=1")
        if not worker.ended:
            assert await worker.stop(signal.SIGKILL) == -signal.SIGKILL
        self.report.kills += 1

    async def until_ready(self, worker):
        """Wait for a worker; one that a command keeps from the database is started anew, as systemd does."""
        while True:
            await self.until(lambda: worker.hears("READY=1") or worker.ended, "the worker is ready")  # noqa: B023
            if not worker.ended:
                return worker
            assert OTHER_WORKER in worker.log.read_text(), worker.log.read_text()
            self.report.refused_starts += 1
            worker = await self.stage.start()

    async def work_for_a_while(self, worker) -> None:
        """Let a few requests through, with new replies among them; stop at any moment, or while one is unanswered."""
        for one in self.dice.choices(self.stage.watched, k=self.dice.randint(4, 14)):
            self.stage.helpdesk.customer_reply(
                one.ticket.id, f"written {self.stage.sandbox.requests}.{self.dice.random()}"
            )
        enough = self.stage.sandbox.requests + self.dice.randint(1, 12)
        by = self.stage.clock.monotonic() + LONGEST_LIFE_SECONDS
        aimed, anywhere = self.dice.random() < AIMED, self.dice.random() * 0.03
        while self.stage.sandbox.requests < enough and not worker.ended and self.stage.clock.monotonic() < by:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        if aimed:
            while not self.stage.sandbox.kept_back and not worker.ended and self.stage.clock.monotonic() < by:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        else:
            await asyncio.sleep(anywhere)

    async def command(self, name: str) -> None:
        """Start a command beside the worker; what it is about is decided now."""
        arguments = await getattr(self, f"_{name}")()
        if arguments is not None:
            log = (self.stage.folder / f"command-{self.number}.log").open("w+b")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "syncd", *arguments, env=self.stage.environ(), stdout=log, stderr=log
            )
            self.number += 1
            self.commands.append(Command(" ".join(arguments[:2]).partition(" --")[0], process, log))

    async def end_commands(self) -> None:
        """Kill some commands, most of them at work, and wait for the others; a backfill may outlive its worker."""
        for one in list(self.commands):
            if one.name == "backfill" and self.dice.random() < 0.3:
                continue
            if not one.ended and self.dice.random() < 0.7:
                await asyncio.sleep(self.dice.random() * 0.2)
                one.kill()
            await self.end(one)

    async def end(self, one: Command) -> None:
        """Wait for a command; it was killed, or has ended in an orderly way."""
        if one.name in {"backfill", "poll"}:
            # It does the work itself where no worker runs, and is not to keep the next one waiting.
            one.kill()
        code = await one.process.wait()
        one.log.seek(0)
        said = one.log.read().decode()
        one.log.close()
        assert code in {0, 1, 2, -signal.SIGKILL}, f"{one.name}: {code}\n{said}"
        assert "Traceback" not in said, f"{one.name}\n{said}"
        assert "a bug of syncd" not in said, f"{one.name}\n{said}"
        (self.report.killed if code < 0 else self.report.ended)[one.name] += 1
        self.commands.remove(one)

    async def _backfill(self):
        return ("backfill", "--first-message", "--yes")

    async def _poll(self):
        return ("poll",)

    async def _status(self):
        return ("status", "--json")

    async def _pause(self):
        """Pause the api in one life, and let it go on in a later one."""
        paused = await self.paused()
        return ("apis", "resume", "berlin") if paused else ("apis", "pause", "berlin", "--reason", "crash")

    async def paused(self) -> bool:
        """Return whether the api is paused: a command that was killed may have done it, or not."""
        return (await self.database.read(lambda c: health.get_api(c, "berlin"))).paused_cause is not None

    async def _links(self):
        """Remove the one link that comes and goes, or add it again."""
        one = self.churned
        found = await self.database.read(lambda c: links.listed(c, ticket=one.ticket.number))
        there = [link.id for link in found if link.state.value != "removed"]
        if there:
            return ("links", "remove", str(there[0]), "--yes")
        return self.add_link(one)

    def add_link(self, one):
        """Return the command that adds a link anew."""
        where = ("--api", "berlin", "--customer", str(one.customer_id), "--thread", str(one.thread_id))
        return ("links", "add", *where, "--system", "desk", "--ticket-number", one.ticket.number, "--from", "start")

    async def _resolve(self):
        """Decide a doubt as a person who looks into the thread would; each one at most once in a life."""
        doubtful = [item for item in await self.doubtful() if item.id not in self.asked_about]
        if not doubtful:
            return None
        item = self.dice.choice(doubtful)
        self.asked_about.add(item.id)
        return ("deliveries", "resolve", str(item.id), self.decision(item), "--reason", "looked into the thread")

    async def doubtful(self):
        """Return what is in doubt now."""
        return await self.database.read(lambda c: lists.list_deliveries(c, state="in_doubt"))

    def decision(self, item) -> str:
        """Return what a person decides who looks at what the API has."""
        text = self.stage.helpdesk.get_reply(item.reply_id).text
        sent = {one.body["content"] for one in self.stage.sandbox.communications if one.thread_id == item.thread_id}
        arrived = text in sent
        return "--delivered" if arrived else "--resend"

    async def _retry(self):
        waiting = await self.database.read(lambda c: lists.list_deliveries(c, state="pending", limit=20))
        if not waiting:
            return None
        return ("deliveries", "retry", str(self.dice.choice(waiting).id), "--reason", "now, please")

    async def settle(self) -> None:
        """Let a worker finish everything, backfill what is left, decide what is in doubt, and count both ends."""
        for one in list(self.commands):
            one.kill()
            await self.end(one)
        worker = await self.until_ready(await self.stage.start())
        await self.carry_out("apis", "resume", "berlin")
        await self.carry_out(*self.add_link(self.churned))
        await self.carry_out("backfill", "--first-message", "--yes", "--wait")
        await self.quiet()
        assert await worker.stop() == 0, worker.log.read_text()
        await self.count()
        doubtful = await self.doubtful()
        for decision in ("--delivered", "--resend"):
            ids = [str(item.id) for item in doubtful if self.decision(item) == decision]
            if ids:
                await self.carry_out("deliveries", "resolve", *ids, decision, "--reason", "looked into the threads")
        once = await self.stage.start("--once")
        assert await once.process.wait() == 0, once.log.read_text()
        await self.database.close()

    async def carry_out(self, *arguments: str) -> None:
        """Carry out a command that has to go well, has nothing to do, or ends at what a kill has put in doubt."""
        code, out, beside = await self.stage.command(*arguments)
        in_doubt = code == 1 and "in doubt, for a person to decide" in beside
        assert code == 0 or in_doubt or "is not paused" in beside, (arguments, out, beside)

    async def quiet(self) -> None:
        """Wait until nothing is due or on its way any more."""
        async with asyncio.timeout(60):
            while True:
                counts = (await self.database.read(lists.count_all)).deliveries
                if not counts.get("pending", 0) + counts.get("sending", 0):
                    return
                await asyncio.sleep(0.05)

    def missing(self, listed: set[str | None]) -> Iterator[str]:
        """Yield what is due, is not at the API, and is not listed; by its text, as two may share an instant."""
        there = {(one.thread_id, one.body["content"]) for one in self.stage.sandbox.communications}
        for one in self.stage.watched:
            for reply in one.ticket.replies:
                if one.may_leave(reply) and reply.id not in listed and (one.thread_id, reply.text) not in there:
                    yield reply.id

    async def count(self) -> None:
        """Count both ends, and hold the database against itself, as no worker is there."""
        report, balance = self.report, self.stage.balance()
        sandbox = self.stage.sandbox
        skipped = await self.database.read(lambda c: lists.list_deliveries(c, state="skipped"))
        listed = {item.reply_id for item in [*skipped, *await self.doubtful()]}
        report.due, report.withheld, report.skipped = balance.due, balance.withheld, len(skipped)
        report.lost = tuple(self.missing(listed))
        report.twice = balance.twice + tuple(map(str, balance.strangers))
        report.leaked = balance.leaked
        report.requests = sandbox.requests
        arrived = Counter(one.body["content"] for one in sandbox.communications)
        outcomes = await self.database.read(attempts_of)
        faults = await self.database.read(find_faults)
        for content in {*arrived, *outcomes}:
            counts = Counter(outcomes.get(content, []))
            doubts = arrived[content] - counts["delivered"]
            if not 0 <= doubts <= counts["in_doubt"]:
                faults.append(f"{arrived[content]} requests of a reply with the outcomes {dict(counts)}")
            report.attempts += counts.total()
            report.unsent += counts["not_sent"]
            report.delivered += counts["delivered"]
            report.in_doubt_arrived += doubts
            report.in_doubt_not_arrived += counts["in_doubt"] - doubts
        report.faults = tuple(faults)
