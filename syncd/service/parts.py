"""The parts of a daemon: a lane for each system, a dispatcher for each api, and the tasks that run them."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loguru import logger

from syncd.model.clock import Clock
from syncd.service.settings import Settings
from syncd.service.wiring import ApiPart, SystemPart, make_api, make_system
from syncd.store.database import Database
from syncd.store.high_water import HighWater
from syncd.sync.collect import System

LANE_LIMIT_SECONDS = 120.0
LOOK_SECONDS = 0.05


@dataclass(slots=True)
class Parts:
    """Everything that works. `may_poll` and `may_send` are the daemon's leave to do so.

    `broken` names the task that a bug has ended; syncd then stops, and has failed.
    """

    settings: Settings
    database: Database
    clock: Clock
    high_water: HighWater
    on_end: Callable[[], None]
    may_poll: asyncio.Event = field(default_factory=asyncio.Event)
    may_send: asyncio.Event = field(default_factory=asyncio.Event)
    systems: dict[str, SystemPart] = field(default_factory=dict)
    apis: dict[str, ApiPart] = field(default_factory=dict)
    broken: str | None = None
    _tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)

    def make(self) -> None:
        """Make a lane for every system and a dispatcher for every api; none runs yet."""
        for name in self.settings.systems:
            self._make_system(name)
        for name in self.settings.api:
            self._make_api(name)

    def _make_system(self, name: str) -> None:
        settings = self.settings.systems[name]
        self.systems[name] = make_system(name, settings, self.database, self.clock, self.may_poll)

    def _make_api(self, name: str) -> None:
        self.apis[name] = make_api(
            name, self.settings, self.database, self.clock, self.may_send, self.high_water, self._find_system
        )

    def _find_system(self, name: str) -> System | None:
        part = self.systems.get(name)
        return None if part is None else part.lane.system

    def run(self) -> None:
        """Start the tasks of all parts."""
        for name in self.systems:
            self._run_system(name)
        for name in self.apis:
            self._run_api(name)

    async def once(self) -> list[str]:
        """Make one turn of every lane, then deliver until nothing may start; return the systems that failed."""
        lanes = {name: part.lane for name, part in self.systems.items()}
        went_well = await asyncio.gather(*(lane.once() for lane in lanes.values()))
        for name in self.apis:
            self._run_api(name)
        while not all(part.dispatcher.idle for part in self.apis.values()):
            await self.clock.sleep(LOOK_SECONDS)
        return [name for name, well in zip(lanes, went_well, strict=True) if not well]

    def _run_system(self, name: str) -> None:
        self._keep(f"system {name}", asyncio.create_task(self.systems[name].lane.run()))

    def _run_api(self, name: str) -> None:
        self._keep(f"api {name}", asyncio.create_task(self.apis[name].dispatcher.run()))

    def _keep(self, name: str, task: "asyncio.Task[None]") -> None:
        task.set_name(name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.bind(task=task.get_name()).opt(exception=task.exception()).critical("a lane ended; syncd stops")
            self.broken = task.get_name()
            self.on_end()

    def wake_dispatchers(self) -> None:
        """Let every dispatcher look for due work."""
        for part in self.apis.values():
            part.dispatcher.wake()

    async def replace(self, new: Settings) -> set[str]:
        """Take in changed settings: end what changed or went, make what changed or came; return changed systems."""
        systems = _changed(self.settings.systems, new.systems)
        apis = _changed(self.settings.api, new.api)
        if new.timezone != self.settings.timezone:
            apis |= set(new.api)
        for name in systems & self.systems.keys():
            await self._end_system(name)
        for name in apis & self.apis.keys():
            await self._end_api(name)
        self.settings = new
        for name in systems & new.systems.keys():
            self._make_system(name)
            self._run_system(name)
        for name in apis & new.api.keys():
            self._make_api(name)
            self._run_api(name)
        return systems

    async def _end_system(self, name: str) -> None:
        part = self.systems.pop(name)
        await self._end_task(f"system {name}")
        await part.opened.close()

    async def _end_api(self, name: str) -> None:
        part = self.apis.pop(name)
        await part.dispatcher.stop()
        await self._end_task(f"api {name}")
        await part.api.close()

    async def _end_task(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def end_polling(self) -> None:
        """End every lane of a system; what it stored stays."""
        for name in list(self.systems):
            await self._end_system(name)

    async def drain(self) -> None:
        """Start no more deliveries; finish those on the wire and commit their outcomes."""
        drains = [self._end_api(name) for name in list(self.apis)]
        await asyncio.gather(*drains, return_exceptions=True)

    def stuck(self) -> list[str]:
        """Return the lanes that are neither idle nor progressing."""
        now = self.clock.monotonic()
        stuck = [
            f"system {name}"
            for name, part in self.systems.items()
            if part.lane.busy
            and now - part.lane.progressed_at > part.settings.sweep_deadline_seconds + LANE_LIMIT_SECONDS
        ]
        return stuck + [
            f"api {name}"
            for name, part in self.apis.items()
            if now - part.dispatcher.progressed_at > part.settings.timeout_seconds + LANE_LIMIT_SECONDS
        ]

    def status_line(self) -> str:
        """Return one line for `systemctl status`."""
        paused = [name for name, part in self.apis.items() if part.dispatcher.state.paused_cause is not None]
        sending = sum(part.dispatcher.in_flight for part in self.apis.values())
        line = f"{len(self.systems)} systems, {len(self.apis)} apis, {sending} on the wire"
        return f"{line}; paused: {', '.join(paused)}" if paused else line


def _changed(old: Mapping[str, object], new: Mapping[str, object]) -> set[str]:
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
