"""The program called as people call it, on a database of its own, and what stands in that database."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from syncd.console.main import main
from syncd.model.clock import SystemClock
from syncd.model.collected import Collected, Disposition, Entry, NewDelivery
from syncd.model.communication import Channel, Direction, Message, Thread, ThreadStatus
from syncd.model.delivery import DeliveryState
from syncd.model.link import NewLink
from syncd.model.ticket import Ticket, TicketRef
from syncd.store import link_changes, links, lists, replies
from syncd.store.database import Connection, open_database
from syncd.store.schema import ensure_schema
from syncd.testing.helpdesk import DeskTicket, Helpdesk
from syncd.testing.sandbox import Sandbox
from tests.planted import notes

T = TypeVar("T")
REGISTERED_AT = datetime(2026, 5, 1, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Ran:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return its answer as JSON."""
        return json.loads(self.out)


@dataclass
class Syncd:
    """The program with its settings and its database. Calls happen in this process unless they say otherwise."""

    directory: Path
    url: str
    capsys: pytest.CaptureFixture[str]
    systems: dict[str, str] = field(default_factory=dict)
    apis: dict[str, str] = field(default_factory=lambda: {"berlin": "", "hamburg": 'mode = "hold"'})

    @property
    def config(self) -> Path:
        """Return where the settings are."""
        return self.directory / "config.toml"

    def configure(self) -> None:
        """Write the settings."""
        lines = [f'state_directory = "{self.directory}"', "[database]", f'url = "{self.url}"']
        for name, more in self.apis.items():
            lines += [f"[api.{name}]", 'base_url = "http://127.0.0.1:1"', f'api_key = "key-{name}"', more]
        for name, base_url in self.systems.items():
            lines += [f"[systems.{name}]", 'adapter = "in_memory"', "poll_seconds = 1", f"[systems.{name}.options]"]
            lines += [f'base_url = "{base_url}"', 'token = "helpdesk-token"']
        self.config.write_text("\n".join(lines))
        self.config.chmod(0o600)

    def __call__(self, *arguments: object) -> Ran:
        """Call a command with the settings."""
        self.capsys.readouterr()
        with _own_log():
            code = main(["--config", str(self.config), *map(str, arguments)])
        captured = self.capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    async def call(self, *arguments: object) -> Ran:
        """Call a command while the test's own loop goes on."""
        return await asyncio.to_thread(self, *arguments)

    def process(self, *arguments: object, stdin: bytes = b"", **environ: str) -> Ran:
        """Call a command in a process of its own."""
        ran = subprocess.run(
            [sys.executable, "-m", "syncd", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env={**os.environ, "SYNCD_CONFIG": str(self.config), **environ},
            timeout=60,
            check=False,
        )
        notes.look_at("stdout of a process", ran.stdout)
        notes.look_at("stderr of a process", ran.stderr)
        return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())

    def stored(self, operation: Callable[[Connection], T]) -> T:
        """Run an operation on the database and commit it."""

        async def run() -> T:
            database = open_database(self.url)
            try:
                await ensure_schema(database, migrate=True)
                return await database.write(operation)
            finally:
                await database.close()

        return asyncio.run(run())

    def link(self, thread_id: int = 500, *, system: str = "desk", number: str = "HD-1", api: str = "berlin") -> int:
        """Register a link whose ticket was found; return its id."""
        new = NewLink(Thread(api, 7, thread_id), system, TicketRef(number=number), REGISTERED_AT)

        def write(connection: Connection) -> int:
            link_id = links.add(connection, new, REGISTERED_AT).link_id
            ticket = Ticket(id=f"id-{number}", number=number, subject="Locker")
            link_changes.resolve(connection, link_id, ticket, ThreadStatus.ONGOING, REGISTERED_AT)
            return link_id

        return self.stored(write)

    def deliver(self, link_id: int, reply_id: str, state: DeliveryState = DeliveryState.PENDING, **more: Any) -> int:
        """Put a delivery for a reply of a link in the outbox; return its id."""
        message = Message(
            subject=more.get("subject", "Locker"),
            content=more.get("content", f"content of {reply_id}"),
            direction=Direction.INCOMING,
            channel=Channel.EMAIL,
            occurred_at=REGISTERED_AT,
            ticket_number="HD-1",
        )
        new = NewDelivery(
            reply_id=reply_id,
            message=None if more.get("unmapped") else message,
            fingerprint="f",
            occurred_at=REGISTERED_AT,
            state=state,
            reason=more.get("reason"),
        )

        def write(connection: Connection) -> int:
            link = links.find(connection, link_id)
            assert link is not None
            entry = Entry(reply_id, Disposition.DELIVERY, new)
            collected = Collected(
                link.id, link.thread_key, link.system, REGISTERED_AT, entries=(entry,), ticket=link.ticket
            )
            replies.store_collected(connection, collected, REGISTERED_AT)
            return max(item.id for item in lists.list_deliveries(connection))

        return self.stored(write)

    def state_of(self, delivery_id: int) -> str:
        """Return the state of a delivery."""
        return self.in_full(delivery_id).item.state

    def in_full(self, delivery_id: int) -> lists.DeliveryInFull:
        """Return a delivery in full."""
        found = self.stored(lambda c: lists.find_delivery(c, delivery_id))
        assert found is not None
        return found


@contextmanager
def _own_log() -> Iterator[None]:
    """Put the logging of the process back as it was: a command sets it up for itself."""
    handlers, level = list(logging.root.handlers), logging.root.level
    try:
        yield
    finally:
        logging.root.handlers, logging.root.level = handlers, level


@pytest.fixture
def syncd(tmp_path: Path, sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> Syncd:
    """Return the program on a SQLite file that is not there yet, with a system that nobody answers for."""
    return _configured(tmp_path, sqlite_url, capsys)


@pytest.fixture
def syncd_on_both(tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]) -> Syncd:
    """Return the program on an empty database, once on SQLite and once on PostgreSQL."""
    return _configured(tmp_path, database_url, capsys)


@pytest.fixture
def syncd_on_postgresql(tmp_path: Path, postgresql_url: str, capsys: pytest.CaptureFixture[str]) -> Syncd:
    """Return the program on an empty PostgreSQL."""
    return _configured(tmp_path, postgresql_url, capsys)


def _configured(directory: Path, url: str, capsys: pytest.CaptureFixture[str]) -> Syncd:
    made = Syncd(directory, url, capsys, systems={"desk": "http://127.0.0.1:1", "other": "http://127.0.0.1:1"})
    made.configure()
    return made


@pytest.fixture
def lines() -> Callable[..., Sequence[str]]:
    """Return a text's lines that hold all of some words."""

    def pick(text: str, *words: str) -> Sequence[str]:
        return [line for line in text.splitlines() if all(word in line for word in words)]

    return pick


class Ends:
    """A helpdesk and a sandbox of the API in the test's own loop, for commands that ask them."""

    def __init__(self, program: Syncd) -> None:
        self.program = program
        self.clock = SystemClock()
        self.helpdesk = Helpdesk(self.clock, page_size=50)
        self.sandbox = Sandbox({"key-berlin": "berlin", "key-hamburg": "hamburg"}, clock=self.clock)

    def configure(self, *, api: str = "", system: str = "", options: str = "", more: str = "") -> None:
        """Write settings for both; what is given are lines for [api.berlin], [systems.desk], its options, or beside."""
        self.program.config.write_text(
            f"""{more}
[database]
url = "{self.program.url}"
[api.berlin]
base_url = "{self.sandbox.base_url}"
api_key = "key-berlin"
{api}
[systems.desk]
adapter = "in_memory"
poll_seconds = 1
{system}
[systems.desk.options]
base_url = "{self.helpdesk.base_url}"
{options or f'token = "{self.helpdesk.token}"'}
"""
        )

    def ticket(self, *texts: str, days: int = 2) -> DeskTicket:
        """Open a ticket some days ago, with a first message and these replies an hour apart."""
        begin = self.clock.now() - timedelta(days=days)
        ticket = self.helpdesk.create_ticket("Locker", "the first message", at=begin)
        for hour, text in enumerate(texts, 1):
            self.helpdesk.customer_reply(ticket.id, text, at=begin + timedelta(hours=hour))
        return ticket

    async def link(self, ticket: DeskTicket, thread_id: int = 500, *, api: str = "berlin") -> int:
        """Tie a ticket to a thread from now on; return the link's id."""
        now = self.clock.now()
        new = NewLink(Thread(api, 7, thread_id), "desk", TicketRef(number=ticket.number), now)
        return await asyncio.to_thread(self.program.stored, lambda c: links.add(c, new, now).link_id)

    async def states(self) -> dict[str, int]:
        """Return the number of deliveries by state."""
        return (await asyncio.to_thread(self.program.stored, lists.count_all)).deliveries


@pytest_asyncio.fixture
async def ends(syncd: Syncd) -> AsyncIterator[Ends]:
    """Return both ends, started, with settings for a system `desk` and an api `berlin`."""
    made = Ends(syncd)
    await made.helpdesk.start()
    await made.sandbox.start()
    made.configure()
    yield made
    await made.sandbox.stop()
    await made.helpdesk.close()
