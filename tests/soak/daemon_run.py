"""One run of the daemon in virtual time, from its start to a clean end or an abrupt one."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

from syncd.model.clock import Clock
from syncd.service.daemon import Daemon
from syncd.service.notify import Notifier
from syncd.service.settings import Settings

WATCH_SECONDS = 60.0
"""How often the watch looks. The daemon's own five seconds would take a third of the time of a long run."""


class Manager:
    """The service manager's end of the line: it counts how often the watchdog is fed, and how long it was not."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.path = folder / "notify"
        self.fed = 0
        self.longest_gap = 0.0
        self._clock = clock
        self._fed_at: float | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self.path))

    @property
    def environ(self) -> Mapping[str, str]:
        """Return what the service is started with."""
        return {"NOTIFY_SOCKET": str(self.path)}

    def restarted(self) -> None:
        """Begin a new gap: a service that starts has not been fed yet."""
        self._fed_at = self._clock.monotonic()

    def read(self) -> None:
        """Take in what was sent."""
        while True:
            try:
                message = self._socket.recv(4096)
            except BlockingIOError:
                break
            if message == b"WATCHDOG=1":
                self._feed()
        if self._fed_at is not None:
            self.longest_gap = max(self.longest_gap, self._clock.monotonic() - self._fed_at)

    def _feed(self) -> None:
        now = self._clock.monotonic()
        if self._fed_at is not None:
            self.longest_gap = max(self.longest_gap, now - self._fed_at)
        self._fed_at = now
        self.fed += 1

    def close(self) -> None:
        """Leave."""
        self._socket.close()


class DaemonRun:
    """A daemon that was started. The scheduler goes by the machine's clock, so its jobs are done here.

    The dispatchers are woken after each sweep, and not each second: what they do by themselves has to be enough.
    """

    def __init__(self, settings: Settings, clock: Clock, manager: Manager) -> None:
        self.daemon = Daemon(settings, clock, Notifier(manager.environ, clock), lambda: settings)
        self.stuck: set[str] = set()
        self._clock = clock
        self._manager = manager
        self._poll_seconds = min(system.poll_seconds for system in settings.systems.values())
        self._jobs: list[asyncio.Task[None]] = []
        self._started_at = 0.0

    async def start(self) -> None:
        """Start it as `serve` does, without its signals."""
        self._manager.restarted()
        self._started_at = self._clock.monotonic()
        await self.daemon.start()
        self.daemon.parts.run()
        self._jobs = [
            asyncio.create_task(self._sweep(), name="soak: sweep"),
            asyncio.create_task(self._watch(), name="soak: watch"),
            asyncio.create_task(self._tidy(), name="soak: tidy"),
        ]

    async def reach_quiet(self) -> None:
        """Wait for the middle between two sweeps, when no connection is in use."""
        since = (self._clock.monotonic() - self._started_at) % self._poll_seconds
        await self._clock.sleep((1.5 * self._poll_seconds - since) % self._poll_seconds)

    def sweep_now(self) -> None:
        """Let every system be read at once."""
        for part in self.daemon.parts.systems.values():
            part.lane.trigger()

    async def _sweep(self) -> None:
        while True:
            self.sweep_now()
            await self._clock.sleep(2)
            self.daemon.parts.wake_dispatchers()
            await self._clock.sleep(self._poll_seconds - 2)

    async def _watch(self) -> None:
        while True:
            self.stuck |= set(self.daemon.parts.stuck())
            await self.daemon._watch()
            self._manager.read()
            await self._clock.sleep(WATCH_SECONDS)

    async def _tidy(self) -> None:
        while True:
            await self.daemon._tidy()
            await self._clock.sleep(3600)

    async def _end_jobs(self) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        await self._end_jobs()
        await self.daemon.stop()

    async def kill(self) -> None:
        """End it as a power cut does: nothing is drained, and nothing more is stored."""
        await self._end_jobs()
        parts = self.daemon.parts
        attempts = [task for part in parts.apis.values() for _, task in part.dispatcher._running.values()]
        await self.daemon.database.close()
        left = {*parts._tasks.values(), *attempts}
        while left:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=1)
        for api in parts.apis.values():
            await api.api.close()
        for system in parts.systems.values():
            await system.opened.close()
        self.daemon.high_water.close()
        if self.daemon._lock is not None:
            await self.daemon._lock.release()
