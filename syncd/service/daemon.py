"""The daemon: its parts started, watched, reloaded and stopped. What they do is elsewhere.

The scheduler only says when; the work runs in tasks that belong to the daemon.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from loguru import logger

from syncd.model.clock import Clock
from syncd.model.errors import StoreError, SyncdError
from syncd.model.meter import Meter, Unmetered
from syncd.service.notify import Notifier
from syncd.service.ownership import Ownership
from syncd.service.parts import Parts
from syncd.service.schedule import Schedule
from syncd.service.settings import Settings
from syncd.service.start import adopt_orphans, find_missing, is_restored
from syncd.service.wiring import high_water_path
from syncd.store import due, requests, restored, retention, scrub
from syncd.store.database import Database, open_database
from syncd.store.high_water import HighWater
from syncd.store.lock import PATIENCE_SECONDS, WorkerLock, take_lock
from syncd.store.lost import refuse_lost
from syncd.store.requests import RequestKind, RequestState
from syncd.store.schema import ensure_schema

DRAIN_SECONDS = 60.0
START_SECONDS = 30.0  # others that start on the same PostgreSQL at the same time may have tables to make first
WATCH_SECONDS = 5.0
QUIET_AFTER_JUMP = timedelta(days=1)


Beside = Callable[["Daemon"], AbstractAsyncContextManager[None]]
"""What runs beside a daemon from its start to its end, such as the status page."""


@dataclass(slots=True)
class Daemon:
    """Everything that runs. `start` it, then `stop` it; `serve` does both, with signals in between."""

    settings: Settings
    clock: Clock
    notifier: Notifier
    reload_settings: Callable[[], Settings]
    beside: Beside = lambda _: contextlib.nullcontext()
    meter: Meter = field(default_factory=Unmetered)
    database: Database = field(init=False)
    high_water: HighWater = field(init=False)
    parts: Parts = field(init=False)
    ownership: Ownership | None = None
    _lock: WorkerLock | None = None
    _schedule: Schedule | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _reload: asyncio.Event = field(default_factory=asyncio.Event)
    _watching: "asyncio.Task[None] | None" = None
    _jumped_at: float | None = None
    _may_send: bool = False

    def __post_init__(self) -> None:
        """Name the parts; nothing is opened yet."""
        url, seconds = self.settings.database.url.get_secret_value(), self.settings.database.lease_seconds
        # What is frozen within a transaction loses it before its lease ends, so that it keeps nobody waiting.
        self.database = open_database(url, idle_seconds=seconds * 2 / 3)
        self.database.around_commit = self.meter.committing
        self.high_water = HighWater(high_water_path(self.settings))
        self.parts = Parts(self.settings, self.database, self.clock, self.high_water, self._stop.set, meter=self.meter)
        if self.database.dialect == "postgresql":
            self.parts.only_worker = False
            own = open_database(url, command_seconds=seconds / 2, idle_seconds=seconds / 2)
            self.ownership = Ownership(seconds, own, self.parts, self.clock, self.high_water)

    async def start(self) -> None:
        """Open the database, put right what a dead worker left, and make the parts, or begin to own some.

        Raises:
            StoreError: the database is locked, too new or unreachable.
        """
        url = self.settings.database.url.get_secret_value()
        patience = START_SECONDS if self.ownership is not None else PATIENCE_SECONDS
        self._lock = await take_lock(url, self.database.where, self.clock, patience)
        await refuse_lost(self.database, self.settings.database.sqlite_path, self.high_water)
        await ensure_schema(self.database, migrate=True)
        is_restored_backup = await is_restored(self.database, self.settings, self.high_water, self.clock.now())
        if self.ownership is None:
            await adopt_orphans(self.database, self.settings, self.clock.now())
            self.parts.make()
        else:
            # From here on its row says that it is here, so the lock need not.
            await self.ownership.enter()
            await self._release_lock()
        for problem in await find_missing(self.database, self.settings):
            logger.error("open work without settings: {}", problem)
        self.parts.may_poll.set()
        if not is_restored_backup:
            self.parts.may_send.set()
            self._may_send = True

    async def _release_lock(self) -> None:
        if self._lock is not None:
            await self._lock.release()
            self._lock = None

    async def serve(self) -> None:
        """Run until SIGTERM or SIGINT; SIGHUP reloads."""
        self._heed_signals()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload.set)
        try:
            await self.start()
            self.parts.run()
            if self.ownership is not None:
                self.ownership.start()
            self._begin_schedule()
            async with self.beside(self):
                self.notifier.ready()
                logger.bind(systems=len(self.parts.systems), apis=len(self.parts.apis)).info("syncd runs")
                await self._until_stopped()
                self.notifier.stopping()
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
            self._watching = asyncio.create_task(self._keep_watch(self._watch_database), name="watch")
            part = self.parts if self.ownership is None else self.ownership
            work = asyncio.create_task(part.once())
            stop = asyncio.create_task(self._stop.wait())
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                failed = work.result()
            for task in (work, stop):
                task.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)
        finally:
            await self.stop()
        return failed == [] and self._may_send and self.parts.broken is None

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
        for name, system in self.settings.systems.items():
            every(f"sweep {name}", system.poll_seconds, partial(self.parts.trigger, name))
        every("drain", 1.0, self.parts.wake_due)
        every("requests", 1.0, self._look_for_requests)
        every("tidy", 3600.0, self._tidy)
        self._schedule.start()
        self._watching = asyncio.create_task(self._keep_watch(self._watch), name="watch")

    async def _keep_watch(self, watch: Callable[[], Awaitable[None]]) -> None:
        """Watch by the monotonic clock: the schedule itself stands still when the wall clock is set back."""
        while True:
            try:
                await watch()
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
                if request.kind is RequestKind.HOOK:
                    part.lane.hooked()
                elif not part.lane.is_at_work_on(request.kind):
                    part.lane.trigger()

    async def _watch(self) -> None:
        """Feed the watchdog while the loop turns and every lane progresses; heed a jump of the wall clock."""
        jump = self._schedule.jumped() if self._schedule is not None else None
        if jump is not None:
            self._jumped_at = self.clock.monotonic()
            logger.bind(seconds=round(jump.total_seconds())).warning("the wall clock jumped; due times are shifted")
            with contextlib.suppress(StoreError):
                await self.database.write(lambda c: due.shift_due(c, jump, self.parts.owned()))
        await self._watch_database()
        stuck = self.parts.stuck()
        if stuck:
            logger.bind(lanes=stuck).error("lanes make no progress; the watchdog is not fed")
        else:
            self.notifier.feed_watchdog()
            self.meter.watchdog_fed()
        self.notifier.status(self.parts.status_line())

    async def _watch_database(self) -> None:
        """Look whether the database is still the one that was sent from."""
        await self._look_whether_it_went_back()
        self._heed_the_database()

    async def _look_whether_it_went_back(self) -> None:
        """Look also while nothing is sent: what is written meanwhile would hide it."""
        reached = self.high_water.highest
        # The watchdog waits for this: a server that does not answer must not keep it hungry.
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(WATCH_SECONDS):
                self.high_water.refuse_behind(await self.database.read(restored.attempt_counter), reached)

    def _heed_the_database(self) -> None:
        """End when the database is another one than the one that was sent from: a new start tells what it knows."""
        if self.database.replaced:
            logger.critical("another database was put in the place of the one in use; syncd ends as if it were killed")
            # Closed in order, SQLite would take away the log of the file that is there now. The exit loses nothing.
            os._exit(1)
        if self.high_water.went_back and self.parts.broken is None:
            logger.critical("the database has gone back behind what was sent; syncd ends, and looks at it anew")
            self.parts.broken = "database"
            self.end()

    async def _tidy(self) -> None:
        """Erase old contents; not within a day of a jump of the clock, when nobody knows what is old."""
        if self._jumped_at is not None and self.clock.monotonic() - self._jumped_at < QUIET_AFTER_JUMP.total_seconds():
            return
        before: datetime = self.clock.now() - timedelta(days=self.settings.retention.contents_days)
        with contextlib.suppress(StoreError):
            while erased := await self.database.write(lambda c: retention.erase_contents(c, before)):
                logger.bind(deliveries=erased).info("contents erased")
            # What was erased stands in SQLite's log until that is emptied.
            if not await scrub.empty_log(self.settings.database.url.get_secret_value()):
                logger.warning("the write-ahead log is in use; it is emptied in an hour")

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
            raise SyncdError("[database] changed; that takes a restart (systemctl restart syncd)")
        if new.console.listen != self.settings.console.listen:
            raise SyncdError("[console] listen changed; that takes a restart (systemctl restart syncd)")
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
            if name in new.systems:
                seconds = new.systems[name].poll_seconds
                self._schedule.every(f"sweep {name}", seconds, partial(self.parts.trigger, name))

    async def stop(self) -> None:
        """Stop polling, finish the requests on the wire, commit their outcomes, close everything."""
        if self._schedule is not None:
            self._schedule.stop()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._may_send:
            await self._watch_database()  # into another one no outcome is stored, and that is closed by nobody
        # What is on the wire may take as long as its api's timeout says.
        drain_seconds = DRAIN_SECONDS + max((api.timeout_seconds for api in self.settings.api.values()), default=0.0)
        self.notifier.extend_timeout(drain_seconds + DRAIN_SECONDS)
        try:
            async with asyncio.timeout(drain_seconds):
                await self._end_parts()
        except TimeoutError:
            logger.error("requests on the wire did not end in time; they will be in doubt")
        self._heed_the_database()
        with contextlib.suppress(OSError):
            self.high_water.close()
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.database.close()
        await self._release_lock()
        logger.info("syncd ended")

    async def _end_parts(self) -> None:
        if self.ownership is not None:
            await self.ownership.close()
        else:
            await self.parts.end_polling()
            await self.parts.drain()
