"""The long run: days in virtual time over the real parts, with all that days bring, and a report about them.

Each day has the same hours: people write, the helpdesk is away, its token ends, the API is away, its key ends, the
service is restarted, and killed. On one of the days the API is away from the morning to the next one, while as many
replies pile up as the plan says. Its token and its key are fixed ones; OAuth tokens that end are in test_tokens.py.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from syncd.model.communication import Thread
from syncd.model.delivery import DeliveryState
from syncd.model.link import NewLink
from syncd.model.ticket import TicketRef
from syncd.service.settings import Settings, load_settings
from syncd.store import links, lists
from syncd.store.database import open_database
from syncd.store.schema import ensure_schema
from syncd.testing.virtual_clock import VirtualClock
from tests.soak.daemon_run import DaemonRun, Manager
from tests.soak.ends import KEY, Ends
from tests.soak.measuring import Measured, measure

HOUR = 3600.0
PACE = 900
POLL_SECONDS = 300
WRITING_HOURS = 8
LONGEST_RECOVERY_HOURS = 48


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how much: ordinary days, then one outage of a day with `waiting` replies, then one day more.

    An ordinary day has `day_hours`, of which what happens in it takes 12.
    """

    days: int
    day_hours: int
    threads: int
    replies_a_day: int
    waiting: int


@dataclass(slots=True)
class Report:
    """What was seen. `days` are looks at the end of each day; the first one has warmed up and counts for nothing."""

    plan: Plan
    days: list[Measured] = field(default_factory=list)
    delivered_by_day: list[int] = field(default_factory=list)
    at_full_queue: Measured | None = None
    waited: int = 0
    outage_hours: float = 0.0
    first_after_seconds: float = 0.0
    recovery_minutes: float = 0.0
    vendor_requests_in_recovery: int = 0
    written: int = 0
    delivered: int = 0
    status_notes: int = 0
    twice: int = 0
    strangers: int = 0
    leaked: int = 0
    lost: int = 0
    in_doubt: int = 0
    restarts: int = 0
    kills: int = 0
    stuck: list[str] = field(default_factory=list)
    watchdog_fed: int = 0
    watchdog_gap_seconds: float = 0.0


class Soak:
    """One long run."""

    def __init__(self, clock: VirtualClock, folder: Path, plan: Plan, tell: Callable[[str], None]) -> None:
        self.clock = clock
        self._tell = tell
        self.plan = plan
        self.report = Report(plan)
        self.ends = Ends(clock, plan.threads)
        self.manager = Manager(folder, clock)
        self._folder = folder
        self._run: DaemonRun | None = None

    async def run(self) -> Report:
        """Live through all the days."""
        await self.ends.open()
        settings = self._settings()
        await self._register(settings)
        await self._start()
        for _ in range(self.plan.days):
            await self._day()
        await self._long_outage()
        await self._day()
        await self._account()
        await self._end_run()
        await self.ends.close()
        self.manager.close()
        return self._reported()

    def _settings(self) -> Settings:
        file = self._folder / "config.toml"
        file.write_text(
            f"""
            timezone = "Europe/Berlin"
            [database]
            url = "sqlite:///{self._folder}/syncd.db"
            [retention]
            contents_days = 1
            [api.berlin]
            base_url = "{self.ends.sandbox.base_url}"
            api_key = "{KEY}"
            requests_per_minute = {PACE}
            [systems.desk]
            adapter = "in_memory"
            poll_seconds = {POLL_SECONDS}
            [systems.desk.options]
            base_url = "{self.ends.helpdesk.base_url}"
            token = "{self.ends.helpdesk.token}"
            """,
            encoding="utf-8",
        )
        file.chmod(0o600)
        return load_settings(file, {})

    async def _register(self, settings: Settings) -> None:
        database = open_database(settings.database.url.get_secret_value())
        await ensure_schema(database, migrate=True)
        now = self.clock.now()
        for watched in self.ends.watched:
            key, ref = Thread("berlin", watched.customer_id, watched.thread_id), TicketRef(number=watched.ticket.number)
            new = NewLink(key, "desk", ref, watched.from_at)
            await database.write(lambda c: links.add(c, new, now))  # noqa: B023 - awaited at once
        await database.close()

    async def _start(self) -> None:
        self._run = DaemonRun(load_settings(self._folder / "config.toml", {}), self.clock, self.manager)
        await self._run.start()

    @property
    def _running(self) -> DaemonRun:
        assert self._run is not None
        return self._run

    async def _end_run(self, *, abruptly: bool = False) -> None:
        run = self._running
        await (run.kill() if abruptly else run.stop())
        self.report.stuck += sorted(run.stuck)

    async def _restart(self, *, abruptly: bool) -> None:
        """Restart while something is on the wire."""
        self.ends.sandbox.answer_delay = lambda: 20.0
        self.ends.write(20)
        self._running.sweep_now()
        await self.clock.sleep(2)
        self._running.daemon.parts.wake_dispatchers()
        await self.clock.sleep(1)
        await self._end_run(abruptly=abruptly)
        self.ends.sandbox.answer_delay = None
        self.report.kills += abruptly
        self.report.restarts += not abruptly
        await self._start()

    @asynccontextmanager
    async def _until_midnight(self, began: float) -> AsyncIterator[None]:
        yield
        await self.clock.sleep(began + self.plan.day_hours * HOUR - self.clock.monotonic())

    async def _day(self) -> None:
        """Live through a day, and look at its end."""
        delivered = self.ends.delivered
        async with self._until_midnight(self.clock.monotonic()):
            await self._write_for(2)
            await self._without_helpdesk(hours=3)
            await self._without_token(hours=1)
            await self._without_api(hours=2)
            await self._without_key(hours=1)
            await self._restart(abruptly=False)
            await self._write_for(2)
            await self._restart(abruptly=True)
            self.ends.close_tickets(10)
        self.ends.settle()
        await self._running.reach_quiet()
        self.report.delivered_by_day.append(self.ends.delivered - delivered)
        self.report.days.append(measure())
        self._tell(f"day {len(self.report.days) - 1} is over: {self.report.days[-1]}")

    async def _write_for(self, hours: int) -> None:
        for _ in range(hours):
            self._write_an_hour()
            await self.clock.sleep(HOUR)

    def _write_an_hour(self) -> None:
        self.ends.write(self.plan.replies_a_day // WRITING_HOURS, notes=2)

    async def _without_helpdesk(self, hours: int) -> None:
        await self.ends.take_helpdesk_away()
        self._write_an_hour()
        await self.clock.sleep(hours * HOUR)
        await self.ends.bring_helpdesk_back()

    async def _without_token(self, hours: int) -> None:
        self.ends.let_token_expire(expired=True)
        self._write_an_hour()
        await self.clock.sleep(hours * HOUR)
        self.ends.let_token_expire(expired=False)

    async def _without_api(self, hours: int) -> None:
        await self.ends.take_api_away()
        self._write_an_hour()
        await self.clock.sleep(hours * HOUR)
        await self.ends.bring_api_back()

    async def _without_key(self, hours: int) -> None:
        self.ends.let_key_expire(expired=True)
        self._write_an_hour()
        await self.clock.sleep(hours * HOUR)
        self.ends.let_key_expire(expired=False)

    async def _long_outage(self) -> None:
        """Let replies pile up for a day without the API; then let it come back, and count until all are through."""
        await self.ends.take_api_away()
        for _ in range(20):
            self.ends.write(self.plan.waiting // 20)
            await self.clock.sleep(HOUR)
        await self.clock.sleep(4 * HOUR)
        self.report.outage_hours = 24.0
        self.report.waited = await self._waiting()
        self.report.at_full_queue = measure()
        self._tell(f"{self.report.waited} wait for the API, which is back")
        await self.ends.bring_api_back()
        await self._recover()
        self.ends.settle()
        self._tell("nothing waits any more")
        await self._sleep_off()

    async def _recover(self) -> None:
        began, asked = self.clock.now(), len(self.ends.helpdesk.requests)
        self.ends.first_at = None
        for _ in range(LONGEST_RECOVERY_HOURS * 60):
            if not await self._waiting():
                break
            await self.clock.sleep(60)
        if self.ends.first_at is not None and self.ends.last_at is not None:
            self.report.first_after_seconds = (self.ends.first_at - began).total_seconds()
            self.report.recovery_minutes = (self.ends.last_at - self.ends.first_at).total_seconds() / 60
        self.report.vendor_requests_in_recovery = len(self.ends.helpdesk.requests) - asked

    async def _waiting(self) -> int:
        counts = await self._running.daemon.database.read(lists.count_all)
        return counts.deliveries.get("pending", 0)

    async def _sleep_off(self) -> None:
        """Let the retention come to what was delivered, so that the next day is like the others."""
        await self.clock.sleep(2 * HOUR)

    async def _account(self) -> None:
        """Say of each reply that the API was not told whether it is in doubt; what is not, and waits not, is lost."""
        database = self._running.daemon.database
        in_doubt = await database.read(lambda c: lists.list_deliveries(c, state=DeliveryState.IN_DOUBT))
        waiting = await database.read(lambda c: lists.list_deliveries(c, state=DeliveryState.PENDING))
        self.report.in_doubt = len(in_doubt)
        self.report.lost = len(self.ends.missing - {one.reply_id for one in (*in_doubt, *waiting)})

    def _reported(self) -> Report:
        report, ends = self.report, self.ends
        report.written, report.delivered, report.status_notes = ends.written, ends.delivered, ends.status_notes
        report.twice, report.strangers, report.leaked = ends.twice, ends.strangers, ends.leaked
        report.watchdog_fed, report.watchdog_gap_seconds = self.manager.fed, self.manager.longest_gap
        return report
