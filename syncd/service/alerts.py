"""Tells people when something does not go on. Deciding is in alerts_decide.py, sending is handed in; this one acts.

It is a task of its own, beside the lanes, that waits for nobody longer than a moment: a database that does not answer
is itself what it tells, and what is sent is sent by tasks of their own. If the whole loop stands still, the thread of
deadman.py tells.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
from loguru import logger

from syncd.model.alert import Alert, AlertKind, News
from syncd.model.clock import Clock
from syncd.model.errors import StoreError
from syncd.service import alerts_decide
from syncd.service.alerts_decide import View
from syncd.service.clock_guard import ClockGuard
from syncd.service.settings import Settings
from syncd.service.settings_models import AlertSettings
from syncd.store import alerts, gauges, health
from syncd.store.database import Connection, Database

CHECK_SECONDS = 15.0
PATIENCE_SECONDS = 10.0
TRY_AGAIN_SECONDS = 0.5

Tell = Callable[[AlertSettings, bytes], Awaitable[bool]]
"""Sends an alert by every way that is configured; says whether somebody has taken it. It ends by itself."""


def read_view(connection: Connection) -> View:
    """Return what is looked at."""
    return View(health.list_systems(connection), health.list_apis(connection), gauges.read_standing(connection))


@dataclass(slots=True)
class AlertWatch:
    """Looks now and then, and tells. What it has told is stored, save what only this worker can see."""

    current: Callable[[], Settings]
    database: Database
    clock: Clock
    stuck: Callable[[], Sequence[str]]
    tell: Tell
    host: str = field(default_factory=socket.gethostname)
    _own: dict[str, Alert] = field(default_factory=dict)
    _sending: set["asyncio.Task[None]"] = field(default_factory=set)
    _guard: ClockGuard = field(init=False)
    _started_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Count absences from now."""
        self._guard = ClockGuard(self.clock)
        self._started_at = self.clock.now()

    async def run(self) -> None:
        """Look and tell until cancelled."""
        try:
            while True:
                try:
                    await self.turn()
                except Exception as error:  # noqa: BLE001 - a bug here must not end what tells of all others
                    logger.opt(exception=error).error("alerts are not looked after")
                await self.clock.sleep(CHECK_SECONDS)
        finally:
            for task in self._sending:
                task.cancel()

    async def turn(self) -> None:
        """Look once, and begin to send what is to be told."""
        settings, now = self.current(), self.clock.now()
        if self._guard.check() is not None:
            self._started_at = now  # nobody knows how long anything has lasted
        if not settings.alerts.is_configured:
            return
        is_database_there = await self._look_into_the_database(settings, now)
        own = alerts_decide.find_own_conditions(self.host, self.stuck(), is_database_there=is_database_there)
        self._own, claimed = alerts_decide.step(self._own, own, now, _repeat(settings))
        self._send(claimed, self._taken_here)

    async def _look_into_the_database(self, settings: Settings, now: datetime) -> bool:
        """Tell what all workers can see, once among them; return whether the database could be used."""

        def decide(connection: Connection) -> list[Alert]:
            claimed: list[Alert] = []

            def change(known: Mapping[str, Alert]) -> Mapping[str, Alert]:
                stood, due = alerts_decide.step(known, conditions, now, _repeat(settings))
                claimed[:] = due
                return stood

            alerts.change(connection, change)
            return claimed

        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                view = await self.database.read(read_view)
                conditions = alerts_decide.find_conditions(view, settings, now, self._started_at)
                claimed = await self.database.write(decide)
        except (StoreError, TimeoutError):
            return False
        self._send(claimed, self._taken)
        return True

    def _send(self, claimed: list[Alert], taken: Callable[[list[Alert]], Awaitable[None]]) -> None:
        """Send in a task of its own, so that whoever hangs delays nobody."""
        if claimed:
            task = asyncio.create_task(self._send_all(claimed, taken), name="send alerts")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send_all(self, claimed: list[Alert], taken: Callable[[list[Alert]], Awaitable[None]]) -> None:
        subjects = [one.subject for one in claimed]
        said = orjson.dumps(alerts_decide.message(claimed, self.clock.now(), self.host))
        if await self.tell(self.current().alerts, said):
            logger.bind(subjects=subjects).info("alerts sent")
            await taken(claimed)
        else:
            logger.bind(subjects=subjects).error("alerts were taken by nobody; they are sent again")

    async def _taken(self, sent: list[Alert]) -> None:
        now = self.clock.now()
        # If that cannot be stored they are told again later: twice is better than never.
        with contextlib.suppress(StoreError):
            while not await self.database.write(
                lambda c: alerts.change(c, lambda known: alerts_decide.taken(known, sent, now))
            ):
                await self.clock.sleep(TRY_AGAIN_SECONDS)

    async def _taken_here(self, sent: list[Alert]) -> None:
        self._own = alerts_decide.taken(self._own, sent, self.clock.now())


def _repeat(settings: Settings) -> timedelta:
    return timedelta(hours=settings.alerts.repeat_hours)


def single(host: str, now: datetime, kind: AlertKind, text: str, news: News = News.FIRING) -> bytes:
    """Return the message of one alert that is stored nowhere."""
    alert = Alert(f"syncd on {host}", kind.value, text, now, news=news)
    return orjson.dumps(alerts_decide.message([alert], now, host))
