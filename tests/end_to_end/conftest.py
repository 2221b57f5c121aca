"""Both ends in the test's process, and syncd between them as a process of its own, watched as systemd watches it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from syncd.model.clock import SystemClock
from syncd.model.communication import Thread
from syncd.model.link import THE_START, NewLink
from syncd.model.ticket import TicketRef
from syncd.store import links, lists
from syncd.store.database import Database, open_database
from syncd.store.schema import ensure_schema
from syncd.testing.balance import Balance, Watched, count_both_ends
from syncd.testing.helpdesk import DeskTicket, Helpdesk
from syncd.testing.sandbox import Sandbox
from tests.end_to_end.outages import Line, SmallDisk
from tests.planted import notes

LONGEST_WAIT_SECONDS = 120.0
LOOK_SECONDS = 0.005


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; looked at so often that nothing is slept over."""
    try:
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            while not condition():  # noqa: ASYNC110 - what is waited for happens in other processes
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        pytest.fail(f"did not come true within {LONGEST_WAIT_SECONDS:g} s: {what}")


@dataclass
class Worker:
    """One process of syncd, with what it told the service manager and what it logged."""

    process: asyncio.subprocess.Process
    manager: socket.socket
    log: Path
    told: list[str] = field(default_factory=list)

    def hears(self, word: str) -> bool:
        """Say whether the process has told the service manager this, so far."""
        while True:
            try:
                self.told += self.manager.recv(4096).decode().split("\n")
            except BlockingIOError:
                return any(line.startswith(word) for line in self.told)

    @property
    def ended(self) -> bool:
        """Say whether the process has ended."""
        return self.process.returncode is not None

    async def until_ready(self) -> None:
        """Wait until it is ready; fail at once if it ends instead."""
        await until(lambda: self.hears("READY=1") or self.ended, "the worker is ready")
        assert not self.ended, self.log.read_text()

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(how)
        return await self.process.wait()


class Stage:
    """A helpdesk, a sandbox of the API, and syncd as processes between them."""

    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        self.folder = folder
        self.config = folder / "config.toml"
        self.file = folder / "syncd.db"
        self.url = f"sqlite:///{self.file}"
        self.helpdesk = Helpdesk(self.clock, page_size=50)
        self.keys = {"key-berlin": "berlin", "key-hamburg": "hamburg"}
        self.sandbox = Sandbox(self.keys, clock=self.clock, requests_per_minute=10**9)
        self.watched: list[Watched] = []
        self.workers: list[Worker] = []
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.database: Database | None = None
        self.more_environ: dict[str, str] = {}

    async def open(self) -> None:
        """Start both ends, and write the settings."""
        await self.helpdesk.start()
        await self.sandbox.start()
        self.manager.setblocking(False)
        self.manager.bind(str(self.folder / "notify"))
        self.write_settings()

    async def close(self) -> None:
        """End everything, a process that still runs too."""
        for worker in self.workers:
            if not worker.ended:
                await worker.stop(signal.SIGKILL)
        await self.sandbox.stop()
        await self.helpdesk.close()
        self.manager.close()

    def write_settings(
        self, *, apis: tuple[str, ...] = ("berlin",), systems: tuple[str, ...] = ("desk",), more: str = ""
    ) -> None:
        """Write the settings; `more` are lines of every [api.NAME]."""
        lines = ['timezone = "Europe/Berlin"', "[database]", f'url = "{self.url}"']
        if not self.url.startswith("sqlite"):
            lines += ["lease_seconds = 2"]
            lines.insert(0, f'state_directory = "{self.folder}"')
        for api in apis:
            lines += [f"[api.{api}]", f'base_url = "{self.sandbox.base_url}"', f'api_key = "key-{api}"', more]
        for system in systems:
            lines += [f"[systems.{system}]", 'adapter = "in_memory"', "poll_seconds = 1"]
            lines += [f"[systems.{system}.options]", f'base_url = "{self.helpdesk.base_url}"']
            lines += [f'token = "{self.helpdesk.token}"']
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join(lines))

    def environ(self) -> dict[str, str]:
        """Return the environment of a process: nothing of the test's own settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
        mine = {"SYNCD_CONFIG": str(self.config), "NOTIFY_SOCKET": str(self.folder / "notify")}
        return kept | mine | self.more_environ

    async def start(self, *arguments: str) -> Worker:
        """Start `syncd run`; its log goes to a file."""
        while True:  # what earlier processes told is over
            try:
                self.manager.recv(4096)
            except BlockingIOError:
                break
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as stream:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "syncd", "run", *arguments, env=self.environ(), stdout=stream, stderr=stream
            )
        worker = Worker(process, self.manager, log)
        self.workers.append(worker)
        return worker

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """Carry out a command; return its exit code, what it wrote, and what it wrote beside that."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "syncd",
            *arguments,
            env=self.environ(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, beside = await process.communicate()
        notes.look_at("stdout of a process", out)
        notes.look_at("stderr of a process", beside)
        assert process.returncode is not None
        return process.returncode, out.decode(), beside.decode()

    async def listed(self, state: str) -> list[dict[str, object]]:
        """Return deliveries in a state, as the command lists them."""
        code, out, beside = await self.command("deliveries", "list", "--state", state, "--json")
        assert code == 0, beside
        items: list[dict[str, object]] = json.loads(out)
        return items

    async def link(
        self, ticket: DeskTicket, *, api: str = "berlin", system: str = "desk", start: bool = False
    ) -> Watched:
        """Tie a ticket to a thread of its own, from now on or from its start."""
        number = len(self.watched) + 1
        now = self.clock.now()
        new = NewLink(
            Thread(api, 100 + number, 500 + number),
            system,
            TicketRef(number=ticket.number),
            THE_START if start else now,
        )
        database = open_database(self.url)
        await ensure_schema(database, migrate=True)
        await database.write(lambda connection: links.add(connection, new, now))
        await database.close()
        one = Watched(ticket, new.thread.customer_id, new.thread.thread_id, new.from_at)
        self.watched.append(one)
        return one

    async def states(self) -> dict[str, int]:
        """Return the number of deliveries by state, from the database itself."""
        database = open_database(self.url)
        counts = await database.read(lists.count_all)
        await database.close()
        return counts.deliveries

    def balance(self) -> Balance:
        """Count both ends."""
        return count_both_ends(self.watched, self.sandbox.communications, ["The ticket was closed."])

    async def until_delivered(self) -> None:
        """Wait until everything that is due has arrived."""
        await until(lambda: not self.balance().lost, "everything has arrived")

    async def until_swept(self) -> None:
        """Wait for two more sweeps: the second one began after the first had stored what it found."""
        before = self.sweeps
        await until(lambda: self.sweeps >= before + 2, "two more sweeps")

    @property
    def sweeps(self) -> int:
        """Return how often the helpdesk's list of changes was asked for."""
        return sum(1 for request in self.helpdesk.requests if request.startswith("GET /api/changes"))


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Return both ends, started, with settings for one system and one api."""
    made = Stage(tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def until_true() -> Callable[[Callable[[], bool], str], object]:
    """Return the way to wait for a condition."""
    return until


@pytest_asyncio.fixture
async def line(postgresql_url: str) -> AsyncIterator[Line]:
    """Return a line to an empty PostgreSQL database."""
    made = Line(postgresql_url)
    yield made
    await made.cut()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Return a small disk of its own; that takes root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        assert os.environ.get("SYNCD_TEST_SERVERS") != "required", mounted.stderr
        pytest.skip("no disk of its own to fill: mounting one takes root")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
