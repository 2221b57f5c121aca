"""Fixtures for all tests."""

import itertools
import json
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest
import pytest_asyncio

from syncd.delivery.dispatcher import Dispatcher
from syncd.model.communication import Thread
from syncd.model.link import Link, NewLink
from syncd.model.meter import Meter, Unmetered
from syncd.model.ticket import TicketRef
from syncd.service.parts import Parts
from syncd.service.settings import Settings, load_settings
from syncd.service.system_lane import SystemLane
from syncd.store import links, lists, restored, standing
from syncd.store.database import Database, open_database
from syncd.store.high_water import HighWater
from syncd.store.schema import database_id, ensure_schema
from syncd.testing.fixtures import clock, pytest_asyncio_loop_factories
from syncd.testing.helpdesk import DeskTicket, Helpdesk
from syncd.testing.sandbox import Sandbox
from syncd.testing.virtual_clock import VirtualClock
from tests.planted import pytest_configure, pytest_runtest_makereport, pytest_runtest_setup

__all__ = ["clock", "database", "database_url", "postgresql_url", "pytest_asyncio_loop_factories", "sqlite_url"]
__all__ += ["pytest_configure", "pytest_runtest_makereport", "pytest_runtest_setup"]  # hooks, not fixtures

POSTGRESQL = "SYNCD_TEST_POSTGRESQL"

# No test is timed: what is slow stands in the figures of `make bench`, and a busy machine must not fail anything.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once for each reason what was skipped, and how often; and what tests report."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    for reason, times in reasons.most_common():
        terminalreporter.write_line(f"skipped {times}: {reason}")
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, value in report.user_properties:
            if name == "report":
                terminalreporter.write_line(value)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the address of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path}/syncd.db"


@pytest_asyncio.fixture
async def postgresql_url() -> AsyncIterator[str]:
    """Return the address of an empty PostgreSQL database, dropped after the test."""
    server = os.environ.get(POSTGRESQL)
    if server is None:
        if os.environ.get("SYNCD_TEST_SERVERS") == "required":
            pytest.fail(f"{POSTGRESQL} is not set, and servers are required here")
        pytest.skip(
            f"no PostgreSQL: set {POSTGRESQL}=postgresql://user@host/database (tests/servers/postgresql.sh start)"
        )
    name = f"syncd_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(server)
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield f"{server.rpartition('/')[0]}/{name}"
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the address of an empty database, once on SQLite and once on PostgreSQL."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Return a database with the schema, once on SQLite and once on PostgreSQL."""
    opened = open_database(database_url)
    await ensure_schema(opened, migrate=True)
    yield opened
    await opened.close()


class World:
    """A helpdesk, a sandbox of the API, and the parts of the daemon between them, in one process and virtual time."""

    def __init__(self, clock: VirtualClock, folder: Path) -> None:
        self.clock = clock
        self.folder = folder
        self.helpdesk = Helpdesk(clock)
        self.sandbox = Sandbox({"key-berlin": "berlin", "key-hamburg": "hamburg"}, clock=clock)
        self.changes: dict[str, object] = {}
        self.meter: Meter = Unmetered()
        self._threads = itertools.count(500)

    async def open(self) -> None:
        """Start both ends; the daemon's parts come with `begin`."""
        await self.helpdesk.start()
        await self.sandbox.start()

    async def close(self) -> None:
        """Stop everything."""
        await self.end()
        await self.sandbox.stop()
        await self.helpdesk.close()

    def settings(self, **changes: object) -> Settings:
        """Return settings for both ends; `changes` are TOML keys of [systems.desk] or, with api_, of [api.berlin]."""
        system = {"adapter": "in_memory", "poll_seconds": 10} | {
            key: value for key, value in changes.items() if not key.startswith("api_") and key != "apis"
        }
        api = {key.removeprefix("api_"): value for key, value in changes.items() if key.startswith("api_")}
        lines = ['timezone = "Europe/Berlin"', "[database]", f'url = "sqlite:///{self.folder}/syncd.db"']
        for name in ("berlin", "hamburg"):
            values = {"base_url": self.sandbox.base_url, "api_key": f"key-{name}"} | (api if name == "berlin" else {})
            lines += [f"[api.{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
        lines += ["[systems.desk]", *(f"{key} = {_toml(value)}" for key, value in system.items())]
        lines += ["[systems.desk.options]", *(f"{key} = {_toml(value)}" for key, value in self.options().items())]
        file = self.folder / "config.toml"
        file.write_text("\n".join(lines))
        return load_settings(file, {})

    def options(self) -> Mapping[str, object]:
        """Return the options of the adapter."""
        return {"base_url": self.helpdesk.base_url, "token": self.helpdesk.token}

    async def begin(self, **changes: object) -> None:
        """Open the database and run a lane for the system and a dispatcher for each api, as a daemon would."""
        settings = self.settings(**changes)
        self.database = self.open_store(settings)
        self.database.around_commit = self.meter.committing
        await ensure_schema(self.database, migrate=True)
        policies = {name: api.in_doubt for name, api in settings.api.items()}
        now = self.clock.now()
        await self.database.write(lambda c: standing.adopt_orphans(c, policies, now))
        self.high_water = HighWater(self.folder / "high-water")
        name = await self.database.read(database_id)
        self.high_water.open(name, await self.database.read(restored.attempt_counter))
        self.parts = Parts(settings, self.database, self.clock, self.high_water, lambda: None, meter=self.meter)
        self.parts.make()
        self.parts.may_poll.set()
        self.parts.may_send.set()
        self.parts.run()

    def open_store(self, settings: Settings) -> Database:
        """Return the database that the daemon's parts work on."""
        return open_database(settings.database.url.get_secret_value())

    async def end(self) -> None:
        """Stop the daemon's parts cleanly."""
        if hasattr(self, "parts"):
            await self.parts.end_polling()
            await self.parts.drain()
            self.high_water.close()
            await self.database.close()
            del self.parts

    @property
    def lane(self) -> SystemLane:
        """Return the lane of the helpdesk."""
        return self.parts.systems["desk"].lane

    @property
    def dispatcher(self) -> Dispatcher:
        """Return the dispatcher of the first api."""
        return self.parts.apis["berlin"].dispatcher

    def ticket(self, subject: str = "Locker", text: str = "first message") -> DeskTicket:
        """Return a ticket that is an hour old."""
        return self.helpdesk.create_ticket(subject, text, at=self.clock.now() - timedelta(hours=1))

    async def link(self, ticket: DeskTicket, *, thread: int = 0, api: str = "berlin", **more: Any) -> int:
        """Register a link to a ticket; return its id."""
        now = self.clock.now()
        key = Thread(api, more.get("customer", 7), thread or next(self._threads))
        ref = TicketRef(number=ticket.number)
        new = NewLink(key, "desk", ref, more.get("from_at", now))
        return (await self.database.write(lambda c: links.add(c, new, now))).link_id

    async def sweep(self) -> bool:
        """Make one sweep, in as many turns as it takes; return whether it went well."""
        went_well = await self.lane.turn()
        while went_well and self.lane.is_cut:
            went_well = await self.lane.turn()
        return went_well

    async def pass_time(self, seconds: float) -> None:
        """Let that much time pass for whatever waits; dispatchers are woken now and then, as by the schedule."""
        end, step = self.clock.monotonic() + seconds, 0.5
        # What float arithmetic leaves over is too little to move any clock.
        while (left := end - self.clock.monotonic()) > 1e-6:
            if hasattr(self, "parts"):
                self.parts.wake_dispatchers()
            await self.clock.sleep(min(step, left))
            step = min(step * 2, 30.0)

    async def sync(self, seconds: float = 5.0) -> None:
        """Make one sweep and let what is due go out."""
        await self.sweep()
        await self.pass_time(seconds)

    def sent(self, thread: int | None = None) -> list[str]:
        """Return the contents that the API has added, in order."""
        return [one.body["content"] for one in self.sandbox.communications if thread is None or one.thread_id == thread]

    async def states(self) -> dict[str, int]:
        """Return the number of deliveries by state."""
        return (await self.database.read(lists.count_all)).deliveries

    async def get_link(self, link_id: int) -> Link:
        """Return a link as it is stored."""
        link = await self.database.read(lambda c: links.find(c, link_id))
        assert link is not None
        return link

    async def deliveries(self, **wanted: Any) -> list[lists.DeliveryItem]:
        """Return deliveries as they are listed."""
        return await self.database.read(lambda c: lists.list_deliveries(c, **wanted))

    async def only_delivery(self) -> lists.DeliveryInFull:
        """Return the one delivery that there is, in full."""
        (item,) = await self.deliveries()
        found = await self.database.read(lambda c: lists.find_delivery(c, item.id))
        assert found is not None
        return found


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


@pytest_asyncio.fixture
async def world(clock: VirtualClock, tmp_path: Path) -> AsyncIterator[World]:
    """Return both ends, started; `begin` puts the daemon's parts between them."""
    made = World(clock, tmp_path)
    await made.open()
    yield made
    await made.close()
