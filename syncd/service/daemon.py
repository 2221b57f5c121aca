"""The daemon: its parts started, watched, reloaded and stopped. What they do is elsewhere.

The scheduler only says when; the work runs in tasks that belong to the daemon.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from loguru import logger

from syncd.model.clock import Clock
from syncd.model.errors import StoreError, SyncdError
from syncd.model.health import PauseCause
from syncd.service.notify import Notifier
from syncd.service.parts import Parts
from syncd.service.schedule import Schedule
from syncd.service.settings import Settings
from syncd.service.wiring import high_water_path
from syncd.store import due, health, lists, requests, restored, retention, standing
from syncd.store.database import Database, open_database
from syncd.store.high_water import HighWater, is_behind
from syncd.store.lock import WorkerLock, find_lock, take_lock
from syncd.store.requests import RequestKind, RequestState
from syncd.store.schema import database_id, ensure_schema

DRAIN_SECONDS = 60.0
WATCH_SECONDS = 5.0
QUIET_AFTER_JUMP = timedelta(days=1)


@dataclass(slots=True)
class Daemon:
    """Everything that runs. `start` it, then `stop` it; `serve` does both, with signals in between."""

    settings: Settings
    clock: Clock
    notifier: Notifier
    reload_settings: Callable[[], Settings]
    database: Database = field(init=False)
    high_water: HighWater = field(init=False)
    parts: Parts = field(init=False)
    _lock: WorkerLock | None = None
    _schedule: Schedule | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _reload: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: "asyncio.Task[None] | None" = None
    _jumped_at: float | None = None
    _may_send: bool = False

    def __post_init__(self) -> None:
        """Name the parts; nothing is opened yet."""
        self.database = open_database(self.settings.database.url.get_secret_value())
        self.high_water = HighWater(high_water_path(self.settings))
        self.parts = Parts(self.settings, self.database, self.clock, self.high_water, self._stop.set)

    async def start(self) -> None:
        """Open the database, take its lock, put right what a dead worker left, and make the parts.

        Raises:
            StoreError: the database is locked, too new or unreachable.
        """
        url = self.settings.database.url.get_secret_value()
        self._lock = await take_lock(url, self.database.where, self.clock)
        await ensure_schema(self.database, migrate=True)
        restored_backup = await self._is_restored()
        await self._adopt_orphans()
        self.parts.make()
        for problem in await find_missing(self.database, self.settings):
            logger.error("open work without settings: {}", problem)
        self.parts.may_poll.set()
        if not restored_backup:
            self.parts.may_send.set()
            self._may_send = True

    async def _is_restored(self) -> bool:
        """Say whether the database is behind what was sent; nothing leaves from such a one."""
        name = await self.database.read(database_id)
        counter = await self.database.read(restored.attempt_counter)
        mark = self.high_water.read()
        if not is_behind(mark, name, counter):
            self.high_water.open(name, counter)
            return False
        reason = (
            f"this database knows {counter} attempts, {mark.attempts if mark else 0} were made: it was restored from "
            "a backup, and sending from it would send twice. Run `syncd db restored`."
        )
        now = self.clock.now()
        for api in self.settings.api:
            await self.database.write(lambda c: health.pause_api(c, api, PauseCause.RESTORED, reason, now))  # noqa: B023 - awaited at once
        logger.error("restored database: {}", reason)
        return True

    async def _adopt_orphans(self) -> None:
        policies = {name: api.in_doubt for name, api in self.settings.api.items()}
        now = self.clock.now()
        orphans = await self.database.write(lambda c: standing.adopt_orphans(c, policies, now))
        if orphans:
            logger.bind(deliveries=orphans).warning("deliveries were on the wire when syncd ended; they are in doubt")

    async def serve(self) -> None:
        """Run until SIGTERM or SIGINT; SIGHUP reloads."""
        self._heed_signals()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload.set)
        try:
            await self.start()
            self.parts.run()
            self._begin_schedule()
            self.notifier.ready()
            logger.bind(systems=len(self.parts.systems), apis=len(self.parts.apis)).info("syncd runs")
            await self._until_stopped()
        finally:
            self.notifier.stopping()
            await self.stop()

    async def once(self) -> bool:
        """Make one turn of every system, deliver what is due, and stop; return whether every system was read.

        A restored database that nobody has declared counts as not: nothing leaves it.

        SIGTERM and SIGINT end it early, which counts as not.
        """
        self._heed_signals()
        failed: list[str] | None = None
        try:
            await self.start()
            work = asyncio.create_task(self.parts.once())
            stop = asyncio.create_task(self._stop.wait())
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                failed = work.result()
            for task in (work, stop):
                task.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)
        finally:
            await self.stop()
        return failed == [] and self._may_send

    def end(self) -> None:
        """Let `serve` or `once` stop, as SIGTERM does."""
        self._stop.set()

    def _heed_signals(self) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self.end)

    async def _until_stopped(self) -> None:
        stop = asyncio.create_task(self._stop.wait())
        while not self._stop.is_set():
            reload = asyncio.create_task(self._reload.wait())
            await asyncio.wait({stop, reload}, return_when=asyncio.FIRST_COMPLETED)
            if self._reload.is_set():
                self._reload.clear()
                await self.reload()
            reload.cancel()
        stop.cancel()

    def _begin_schedule(self) -> None:
        self._schedule = Schedule(self.clock)
        every = self._schedule.every
        for name, system in self.parts.systems.items():
            every(f"sweep {name}", system.settings.poll_seconds, system.lane.trigger)
        every("drain", 1.0, self.parts.wake_dispatchers)
        every("requests", 1.0, self._look_for_requests)
        every("tidy", 3600.0, self._tidy)
        self._schedule.start()
        self._watching = asyncio.create_task(self._keep_watch(), name="watch")

    async def _keep_watch(self) -> None:
        """Watch by the monotonic clock: the schedule itself stands still when the wall clock is set back."""
        while True:
            try:
                await self._watch()
            except Exception as error:  # noqa: BLE001 - a bug here must not end what guards the others
                logger.opt(exception=error).error("the watch failed")
            await self.clock.sleep(WATCH_SECONDS)

    async def _look_for_requests(self) -> None:
        with contextlib.suppress(StoreError):
            for request in await self.database.read(requests.open_requests):
                # One that runs, such as a long backfill, needs no sweep each second, nor does one that waits for it.
                part = self.parts.systems.get(request.system)
                if part is None or request.state is not RequestState.WAITING:
                    continue
                if request.kind is not RequestKind.BACKFILL or not part.lane.is_backfilling:
                    part.lane.trigger()

    async def _watch(self) -> None:
        """Feed the watchdog while the loop turns and every lane progresses; heed a jump of the wall clock."""
        jump = self._schedule.jumped() if self._schedule is not None else None
        if jump is not None:
            self._jumped_at = self.clock.monotonic()
            logger.bind(seconds=round(jump.total_seconds())).warning("the wall clock jumped; due times are shifted")
            with contextlib.suppress(StoreError):
                await self.database.write(lambda c: due.shift_due(c, jump))
        await self._hold_lock()
        stuck = self.parts.stuck()
        if stuck:
            logger.bind(lanes=stuck).error("lanes make no progress; the watchdog is not fed")
        else:
            self.notifier.feed_watchdog()
        self.notifier.status(self.parts.status_line())

    async def _hold_lock(self) -> None:
        """Send nothing while the lock is not ours: a session of PostgreSQL can be cut."""
        if self._lock is not None and self._lock.held:
            return
        self.parts.may_poll.clear()
        self.parts.may_send.clear()
        try:
            self._lock = await find_lock(self.settings.database.url.get_secret_value())
        except StoreError as error:
            logger.error("the worker lock is lost: {}", error)
            return
        if self._lock is None:
            logger.error("another worker has taken the database; this one waits")
        else:
            logger.warning("the worker lock was lost and is held again")
            self.parts.may_poll.set()
            if self._may_send:
                self.parts.may_send.set()

    async def _tidy(self) -> None:
        """Erase old contents; not within a day of a jump of the clock, when nobody knows what is old."""
        if self._jumped_at is not None and self.clock.monotonic() - self._jumped_at < QUIET_AFTER_JUMP.total_seconds():
            return
        before: datetime = self.clock.now() - timedelta(days=self.settings.retention.contents_days)
        with contextlib.suppress(StoreError):
            erased = await self.database.write(lambda c: retention.erase_contents(c, before))
            while erased:
                logger.bind(deliveries=erased).info("contents erased")
                erased = await self.database.write(lambda c: retention.erase_contents(c, before))

    async def reload(self) -> None:
        """Take in changed settings; keep the old ones if the new ones cannot be used."""
        self.notifier.reloading()
        try:
            new = self.reload_settings()
            await self._refuse_vanished(new)
        except SyncdError as error:
            logger.error("settings not reloaded: {}", error)
        else:
            await self._take_in(new)
            logger.bind(systems=len(new.systems), apis=len(new.api)).info("settings reloaded")
        self.notifier.ready()

    async def _refuse_vanished(self, new: Settings) -> None:
        if new.database != self.settings.database:
            raise SyncdError("database.url changed; that takes a restart (systemctl restart syncd)")
        missing = await find_missing(self.database, new)
        if missing:
            raise SyncdError("; ".join(missing))

    async def _take_in(self, new: Settings) -> None:
        changed = await self.parts.replace(new)
        self.settings = new
        if self._schedule is None:
            return
        for name in changed:
            self._schedule.remove(f"sweep {name}")
            if name in self.parts.systems:
                part = self.parts.systems[name]
                self._schedule.every(f"sweep {name}", part.settings.poll_seconds, part.lane.trigger)

    async def stop(self) -> None:
        """Stop polling, finish the requests on the wire, commit their outcomes, close everything."""
        if self._schedule is not None:
            self._schedule.stop()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self.parts.end_polling()
        # What is on the wire may take as long as its api's timeout says.
        drain_seconds = DRAIN_SECONDS + max((api.timeout_seconds for api in self.settings.api.values()), default=0.0)
        self.notifier.extend_timeout(drain_seconds + DRAIN_SECONDS)
        try:
            async with asyncio.timeout(drain_seconds):
                await self.parts.drain()
        except TimeoutError:
            logger.error("requests on the wire did not end in time; they will be in doubt")
        with contextlib.suppress(OSError):
            self.high_water.close()
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.database.close()
        if self._lock is not None:
            await self._lock.release()
        logger.info("syncd ended")


async def find_missing(database: Database, settings: Settings) -> list[str]:
    """Return what has open work or links in the database and no settings any more."""
    apis, systems = await database.read(lists.count_open_work)
    missing = [
        f"[api.{name}] has {count} open deliveries or links and is not configured; put it back"
        for name, count in sorted(apis.items())
        if name not in settings.api
    ]
    return missing + [
        f"[systems.{name}] has {count} open deliveries or links and is not configured; put it back"
        for name, count in sorted(systems.items())
        if name not in settings.systems
    ]
