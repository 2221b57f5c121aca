"""Alerts as they arrive: told once, all clear, told again by whoever is there, and never held up."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from loguru import logger

from syncd.console.alert_ways import Ways, send
from syncd.console.alerting import _tell_of_the_loop
from syncd.model.clock import SystemClock
from syncd.model.health import PauseCause
from syncd.model.meter import Unmetered
from syncd.service.alerts import CHECK_SECONDS, AlertWatch
from syncd.service.deadman import DeadMan
from syncd.service.settings import Settings
from syncd.service.settings_models import AlertSettings
from syncd.store import health
from syncd.store.database import Database, open_database
from syncd.store.schema import ensure_schema
from tests.planted import notes

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
INTERVAL = 60


@dataclass
class SetClock(SystemClock):
    """A machine's clock that shows what it is told to."""

    passed: timedelta = timedelta()

    def now(self) -> datetime:
        """Return the instant that it was set to."""
        return NOW + self.passed

    def monotonic(self) -> float:
        """Return seconds that pass together with the wall clock."""
        return self.passed.total_seconds()


@dataclass
class Room:
    """A chat room with a webhook: what arrived there, and what it answers."""

    said: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    address: str = ""

    async def post(self, request: web.Request) -> web.Response:
        """Take a message."""
        notes.look_at("an alert", await request.read())
        self.paths.append(request.path)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.said.append(await request.json())
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    def news(self) -> list[tuple[str, str]]:
        """Return subject and state of everything that arrived."""
        return [(one["subject"], one["state"]) for said in self.said for one in said["alerts"]]


@pytest_asyncio.fixture
async def room() -> AsyncIterator[Room]:
    """Return a room that listens."""
    made = Room()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.address = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/the-secret-of-the-room"
    yield made
    await runner.cleanup()


@pytest_asyncio.fixture
async def kept(sqlite_url) -> AsyncIterator[Database]:
    """Return a database on this machine."""
    opened = open_database(sqlite_url)
    await ensure_schema(opened, migrate=True)
    yield opened
    await opened.close()


@pytest.fixture
def settings(load, room) -> Settings:
    """Return settings with one system and one api, that tell the room."""
    return load(
        f"""
        [alerts]
        webhook = "{room.address}"
        [api.berlin]
        base_url = "https://api.test"
        api_key = "key of the api of berlin"
        [systems.support]
        adapter = "desk"
        poll_seconds = {INTERVAL}
        options = {{base_url = "https://desk.test", client_id = "us", client_secret = "a secret of the desk"}}
        """.replace("key of the api of berlin", "key-of-the-api-of-berlin")
    )


def watch(settings: Settings, database: Database, clock: SystemClock, stuck: tuple[str, ...] = ()) -> AlertWatch:
    """Return the watch of a worker that has just been started."""
    return AlertWatch(lambda: settings, database, clock, lambda: stuck, Ways(Unmetered(), 5).tell, "host-1")


async def turns(watching: AlertWatch, clock: SetClock, minutes: float) -> None:
    """Let a watch look as often as it would in that time, and send what it has to."""
    end = clock.passed + timedelta(minutes=minutes)
    while clock.passed < end:
        clock.passed = min(end, clock.passed + timedelta(seconds=CHECK_SECONDS))
        await watching.turn()
        await asyncio.gather(*watching._sending)


async def pause(database: Database, clock: SetClock) -> None:
    """Pause the api, as syncd does after a 401."""
    now = clock.now()
    await database.write(lambda c: health.pause_api(c, "berlin", PauseCause.KEY, "the vendor's words", now))


async def note_sweep(database: Database, clock: SetClock) -> None:
    """Have a sweep go well."""
    now = clock.now()
    await database.write(lambda c: health.note_sweep(c, "support", now))


async def test_a_silent_system_is_told_once_and_cleared(kept, settings, room) -> None:
    """After five intervals and not before; nothing more while it lasts; and once when it is read again."""
    clock = SetClock()
    await note_sweep(kept, clock)
    watching = watch(settings, kept, clock)
    await turns(watching, clock, 4.9)
    assert room.news() == []
    await turns(watching, clock, 0.1)
    assert room.news() == [("system support", "firing")]
    await turns(watching, clock, 5)
    assert len(room.said) == 1
    await note_sweep(kept, clock)
    await turns(watching, clock, 2)
    assert room.news() == [("system support", "firing"), ("system support", "cleared")]


async def test_a_system_that_goes_on_after_a_pause_has_its_time_to_be_read(kept, settings, room) -> None:
    """Nothing is told at its end of the hour in which a person had it paused; if it then stays silent, that is."""
    clock = SetClock()
    await note_sweep(kept, clock)
    watching = watch(settings, kept, clock)
    await kept.write(lambda c: health.pause_system(c, "support", "person", "its holidays", NOW))
    await turns(watching, clock, 60)
    await kept.write(lambda c: health.resume_system(c, "support"))
    await turns(watching, clock, 5)
    assert room.news() == []
    await turns(watching, clock, 0.25)
    assert room.news() == [("system support", "firing")]


async def test_a_restart_tells_nothing_again_and_still_clears(kept, settings, room) -> None:
    """What was told is stored: the next worker neither repeats nor forgets it."""
    clock = SetClock()
    await note_sweep(kept, clock)
    await pause(kept, clock)
    await turns(watch(settings, kept, clock), clock, 1)
    assert room.news() == [("api berlin", "firing")]
    again = watch(settings, kept, clock)
    await turns(again, clock, 1)
    assert len(room.said) == 1
    await kept.write(lambda c: health.resume_api(c, "berlin"))
    await turns(again, clock, 1)
    assert room.news() == [("api berlin", "firing"), ("api berlin", "cleared")]


async def test_a_vendor_s_words_stay_here(kept, settings, room) -> None:
    """Why something is paused may hold a vendor's text; an alert has names and numbers."""
    clock = SetClock()
    await pause(kept, clock)
    await turns(watch(settings, kept, clock), clock, 1)
    assert room.said
    assert "vendor" not in str(room.said)


async def test_a_webhook_that_fails_is_tried_again(kept, settings, room) -> None:
    """After a minute, then after five: what was not taken is not forgotten, and taken once."""
    clock = SetClock()
    await pause(kept, clock)
    await note_sweep(kept, clock)
    room.statuses = [500, 302]
    watching = watch(settings, kept, clock)
    await turns(watching, clock, 0.5)
    assert (len(room.paths), room.news()) == (1, [])
    await turns(watching, clock, 1)
    assert (len(room.paths), room.news()) == (2, [])  # a redirect is not followed
    await note_sweep(kept, clock)
    await turns(watching, clock, 4)
    assert len(room.paths) == 2
    await turns(watching, clock, 10)
    assert room.news()[0] == ("api berlin", "firing")
    assert room.news().count(("api berlin", "firing")) == 1
    assert set(room.paths) == {"/hooks/the-secret-of-the-room"}


@pytest.mark.postgresql
async def test_several_workers_tell_once(postgresql_url, settings, room) -> None:
    """Five that look at the same instant send one alert, and one all-clear."""
    clock = SetClock()
    databases = [open_database(postgresql_url) for _ in range(5)]
    await ensure_schema(databases[0], migrate=True)
    watches = [watch(settings, database, clock) for database in databases]
    for happens in (
        lambda: pause(databases[0], clock),
        lambda: databases[0].write(lambda c: health.resume_api(c, "berlin")),
    ):
        await happens()
        await note_sweep(databases[0], clock)
        await asyncio.gather(*(one.turn() for one in watches))
        await asyncio.gather(*(task for one in watches for task in one._sending))
        clock.passed += timedelta(minutes=2)
    assert room.news() == [("api berlin", "firing"), ("api berlin", "cleared")]
    for database in databases:
        await database.close()


async def test_a_database_that_is_away_is_told_without_it(tmp_path, settings, room) -> None:
    """A minute after it could last be read; and when it is back. The lanes that are stuck are told too."""
    clock, file = SetClock(), tmp_path / "syncd.db"
    database = open_database(f"sqlite:///{file}")
    file.write_bytes(b"no database at all, and long enough to be read as if it were one" * 20)
    watching = watch(settings, database, clock)
    await turns(watching, clock, 1)
    assert room.news() == []
    await turns(watching, clock, 0.5)
    assert room.news() == [("database of host-1", "firing")]
    await database.close()
    watching.database = open_database(f"sqlite:///{tmp_path}/other.db")
    await ensure_schema(watching.database, migrate=True)
    await note_sweep(watching.database, clock)
    await turns(watching, clock, 0.5)
    assert room.news()[1:] == [("database of host-1", "cleared")]
    await watching.database.close()


async def test_a_command_that_hangs_delays_nobody_and_is_killed(tmp_path, kept, settings, room) -> None:
    """While a command hangs the webhook has its alert, the watch looks on, and nothing of the command is left."""
    clock, pid = SetClock(), tmp_path / "pid"
    hangs = ("/bin/sh", "-c", f"echo $$ > {pid}; sleep 1000 & sleep 1000")
    slow = settings.model_copy(update={"alerts": settings.alerts.model_copy(update={"command": hangs})})
    watching = replace_ways(watch(slow, kept, clock), longest_seconds=1.5)
    await pause(kept, clock)
    clock.passed += timedelta(seconds=CHECK_SECONDS)
    await watching.turn()
    sending = list(watching._sending)
    await watching.turn()
    assert not any(task.done() for task in sending)
    await asyncio.gather(*sending)
    assert ("api berlin", "firing") in room.news()
    assert session_of(int(pid.read_text())) == []


def replace_ways(watching: AlertWatch, longest_seconds: float) -> AlertWatch:
    """Give each way so much time."""
    watching.tell = Ways(Unmetered(), longest_seconds).tell
    return watching


def session_of(leader: int) -> list[str]:
    """Return which processes of a session are alive."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                alive.append(stat.parent.name)
    return alive


async def test_a_command_gets_the_alert_and_no_secrets(tmp_path, monkeypatch) -> None:
    """JSON on its stdin, its words as they are written, and an environment without ours."""
    monkeypatch.setenv("SYNCD_API__BERLIN__API_KEY", "a-key-in-a-variable")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    script = f'cat > "{tmp_path}/said"; env > "{tmp_path}/env"; echo "$1" > "{tmp_path}/word"'
    settings = AlertSettings(command=("/bin/sh", "-c", script, "sh", "$(touch oops); `id`"))
    (came,) = await send(settings, b'{"text": "hello"}')
    assert (came.way, came.failure) == ("command", None)
    assert (tmp_path / "said").read_text() == '{"text": "hello"}'
    assert (tmp_path / "word").read_text() == "$(touch oops); `id`\n"
    environ = (tmp_path / "env").read_text()
    assert "SYNCD" not in environ
    assert "CREDENTIALS" not in environ
    assert "PATH=" in environ


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        (("/bin/false",), "/bin/false ended with exit code 1"),
        (("/nowhere/tell",), "/nowhere/tell cannot be run: No such file or directory"),
    ],
)
async def test_a_command_that_fails_says_how(command, failure) -> None:
    """Its exit code, or why it could not be run."""
    assert [one.failure for one in await send(AlertSettings(command=command), b"{}")] == [failure]


async def test_a_loop_that_stands_still_is_told_by_the_thread(tmp_path) -> None:
    """The loop is blocked until the alert about that has arrived, so nothing else can have sent it."""
    arrived, changes = threading.Event(), []

    def on_change(stands_still: bool) -> bool:
        changes.append(stands_still)
        settings = AlertSettings(command=("/bin/sh", "-c", f"cat >> {tmp_path}/said"))
        assert asyncio.run(Ways(Unmetered()).tell(settings, b"still" if stands_still else b", turns"))
        arrived.set()
        return True

    watched = DeadMan(SystemClock(), on_change, limit_seconds=0.2)
    saying = asyncio.create_task(watched.keep_saying())
    await asyncio.sleep(0)
    watched.start()
    assert arrived.wait(20)
    arrived.clear()
    await asyncio.to_thread(arrived.wait, 20)
    assert changes == [True, False]
    assert (tmp_path / "said").read_text() == "still, turns"
    watched.end()
    saying.cancel()


async def test_a_loop_that_stands_still_is_told_until_somebody_takes_it() -> None:
    """Neither a failure nor a refusal ends the thread or is taken for a success."""
    came, arrived = [True, False], threading.Event()

    def on_change(stands_still: bool) -> bool:
        assert stands_still
        if came:
            if came.pop(0):
                raise OSError("no thread can be started")
            return False
        arrived.set()
        return True

    watched = DeadMan(SystemClock(), on_change, limit_seconds=0.1)
    watched.start()
    assert arrived.wait(20)
    watched.end()


async def test_a_log_that_takes_no_line_does_not_hold_up_what_tells_of_it(kept, settings, room) -> None:
    """What the loop stands still for may be the log itself: the alert leaves before a line is written."""
    takes_lines, ways = threading.Event(), Ways(Unmetered())
    daemon = SimpleNamespace(settings=settings, clock=SystemClock())
    sink = logger.add(lambda _: takes_lines.wait(20))
    telling = asyncio.create_task(asyncio.to_thread(_tell_of_the_loop, daemon, ways, True))
    try:
        async with asyncio.timeout(10):
            while not room.said:  # noqa: ASYNC110 - the room has no event
                await asyncio.sleep(0.01)
    finally:
        takes_lines.set()
        assert await telling
        logger.remove(sink)
    assert room.said[0]["alerts"][0]["kind"] == "loop"


async def test_stuck_lanes_are_told_at_once(kept, settings, room) -> None:
    """By the worker that has them: nobody else can see that."""
    clock = SetClock()
    await note_sweep(kept, clock)
    await turns(watch(settings, kept, clock, stuck=("api berlin",)), clock, 0.25)
    assert room.news() == [("lane api berlin of host-1", "firing")]


async def test_a_clock_that_jumps_raises_no_alarm(kept, settings, room) -> None:
    """An hour forward is no hour without a sweep."""
    clock = JumpingClock()
    await note_sweep(kept, clock)
    watching = watch(settings, kept, clock)
    clock.jumped = timedelta(hours=1)
    await turns(watching, clock, 4)
    assert room.news() == []


@dataclass
class JumpingClock(SetClock):
    """One whose wall clock jumps."""

    jumped: timedelta = timedelta()

    def now(self) -> datetime:
        """Return the wall clock as it was set."""
        return super().now() + self.jumped
