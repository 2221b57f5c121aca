"""The power goes: what was not synced is lost. Nothing is sent twice, nothing is lost, and the database is whole."""

import random
import shutil
import signal
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.crash.disk import images_at_start, put_down, rebuild
from tests.crash.report import fresh_seed

pytestmark = pytest.mark.xdist_group("crash")

ROOT = Path(__file__).parents[2]
TICKETS = 6
REPLIES = 8
CUTS = 3


class PowerCut:
    """A run of syncd that is written down, so that the power can be cut at any point of it afterwards."""

    def __init__(self, stage, disk, until) -> None:
        self.stage, self.disk, self.until = stage, disk, until
        self.dice = random.Random(fresh_seed())
        self.seen_at: list[int] = []

    async def run(self, **environ: str) -> None:
        """Let syncd deliver, and kill it; each request is seen with how much had been written by then."""
        stage = self.stage
        begin = stage.clock.now() - timedelta(hours=1)
        for number in range(TICKETS):
            ticket = stage.helpdesk.create_ticket(f"Ticket {number}", f"first of {number}", at=begin)
            for one in range(REPLIES):
                stage.helpdesk.customer_reply(ticket.id, f"reply {number}.{one}", at=begin + timedelta(seconds=one + 1))
            await stage.link(ticket, start=True)
        self.start = images_at_start(stage.file)
        stage.sandbox.answer_delay = lambda: self.dice.random() * 0.05
        stage.sandbox.on_communication = lambda _: self.seen_at.append(self.disk.written)
        stage.more_environ = self.disk.environ | environ
        worker = await stage.start()
        due = TICKETS * (REPLIES + 1)
        await self.until(lambda: len(self.seen_at) >= due - 6 or worker.ended, "most of it was delivered")
        assert not worker.ended, worker.log.read_text()
        await worker.stop(signal.SIGKILL)
        self.writes = self.disk.writes()
        self.arrived = list(stage.sandbox.communications)
        stage.sandbox.on_communication, stage.more_environ = None, {}

    def cut(self, point: int, dice: random.Random | None = None) -> Path:
        """Cut the power once so much had been written; return the database as it is found after that."""
        folder = self.stage.folder / f"cut-{point}-{dice is not None}"
        put_down(rebuild(self.start, [write for write in self.writes if write.end <= point], dice), folder / "syncd.db")
        return folder / "syncd.db"

    def unmarked(self) -> list[str]:
        """Return what the API had read and a power cut at that moment would have made syncd forget."""
        forgotten = []
        for number, point in enumerate(self.seen_at):
            file = self.cut(point)
            with closing(sqlite3.connect(file)) as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                marked = "SELECT content FROM delivery JOIN attempt ON attempt.delivery_id = delivery.id"
                known = {row[0] for row in database.execute(marked)}
            shutil.rmtree(file.parent)
            texts = [one.body["content"] for one in self.arrived[: number + 1]]
            forgotten += [text for text in texts if text not in known]
        return forgotten

    async def go_on_after(self, point: int, dice: random.Random | None) -> None:
        """Start syncd on what a power cut has left, against the API as it was then, and count both ends."""
        stage = self.stage
        file = self.cut(point, dice)
        stage.sandbox.communications[:] = self.arrived[: sum(1 for seen in self.seen_at if seen <= point)]
        stage.url = f"sqlite:///{file}"
        stage.write_settings()
        once = await stage.start("--once")
        said = f"cut at {point}\n{once.log.read_text()}"
        assert await once.process.wait() == 0, said
        with closing(sqlite3.connect(file)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            in_doubt = {row[0] for row in database.execute("SELECT reply_id FROM delivery WHERE state = 'in_doubt'")}
        balance = stage.balance()
        assert balance.twice == balance.leaked == balance.strangers == (), said
        assert set(balance.lost) <= in_doubt, said


async def test_the_power_may_go_at_any_moment(stage, disk, until_true):
    """What the API had read is known to the synced files, and from them nothing is sent twice and nothing is lost.

    Of what was not synced nothing has reached the disk, or an arbitrary part. The high-water mark is one of the files.
    """
    power = PowerCut(stage, disk, until_true)
    await power.run()
    assert power.unmarked() == []
    stage.sandbox.answer_delay = None
    first = next(place for place, write in enumerate(power.writes) if write.kind == 2)
    for number in range(CUTS):
        point = power.dice.choice(power.writes[first:]).end
        await power.go_on_after(point, power.dice if number % 2 else None)


async def test_a_database_that_syncs_less_is_found_out(stage, disk, until_true):
    """With synchronous NORMAL planted in a copy of it, syncd forgets in a power cut what it sent: this can fail."""
    copy = stage.folder / "copy"
    shutil.copytree(ROOT / "syncd", copy / "syncd", ignore=shutil.ignore_patterns("__pycache__"))
    planted = copy / "syncd" / "store" / "sqlite.py"
    text = planted.read_text()
    assert "synchronous=FULL" in text
    planted.write_text(text.replace("synchronous=FULL", "synchronous=NORMAL"))
    power = PowerCut(stage, disk, until_true)
    await power.run(PYTHONPATH=str(copy), PYTHONSAFEPATH="1")
    assert power.unmarked() != []
