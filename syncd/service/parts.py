"""The parts of a daemon: a lane for each system, a dispatcher for each api, and the tasks that run them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from loguru import logger

from syncd.model.clock import Clock
from syncd.model.errors import StoreError
from syncd.model.lease import Kind, Leave, OwnersLeave, Subject, Tenure
from syncd.model.meter import Meter, Unmetered
from syncd.service.settings import Settings
from syncd.service.wiring import ApiPart, Shared, SystemPart, make_api, make_system, worker_name
from syncd.store.database import Database
from syncd.store.due import Owned
from syncd.store.heads import apis_with_due
from syncd.store.high_water import HighWater
from syncd.store.leases import FencedDatabase
from syncd.sync.collect import System

LANE_LIMIT_SECONDS = 120.0
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 30.0
"""For so long one pass waits where nothing can be stored, or a lease cannot be relied on; then it ends."""


@dataclass(slots=True)
class Parts:
    """Everything that works. `may_poll` and `may_send` are the daemon's leave to do so.

    As the only worker it works on everything that is configured, among several on what it holds a lease of.
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
    worker: str = field(default_factory=worker_name)
    only_worker: bool = True
    meter: Meter = field(default_factory=Unmetered)
    _tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    _tenures: dict[Subject, Tenure] = field(default_factory=dict)
    _locks: "defaultdict[Subject, asyncio.Lock]" = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _runs: bool = False

    def subjects(self) -> frozenset[Subject]:
        """Return every system and api of the settings."""
        systems = {Subject(Kind.SYSTEM, name) for name in self.settings.systems}
        return frozenset(systems | {Subject(Kind.API, name) for name in self.settings.api})

    def owned(self) -> Owned | None:
        """Return whose due instants go by this machine's clock: all of them (None), or those of what it owns."""
        return None if self.only_worker else Owned(frozenset(self.systems), frozenset(self.apis))

    def make(self) -> None:
        """Make a lane for every system and a dispatcher for every api, as the only worker; none runs yet."""
        for subject in self.subjects():
            self._make(subject)

    def begin(self, tenure: Tenure) -> None:
        """Make the part of a lease that was taken; it runs once the others do."""
        subject = tenure.lease.subject
        self._tenures[subject] = tenure
        self._make(subject)
        if self._runs:
            self._run(subject)
            self.trigger(subject.name)

    def has(self, subject: Subject) -> bool:
        """Say whether a system or an api is worked on here, or is just being made anew."""
        is_here = subject.name in (self.systems if subject.kind is Kind.SYSTEM else self.apis)
        return is_here or self._locks[subject].locked()

    async def end(self, subject: Subject) -> None:
        """End a part, with its requests finished and their outcomes committed."""
        async with self._locks[subject]:
            self._tenures.pop(subject, None)
            await self._end(subject)

    def _make(self, subject: Subject) -> None:
        name, tenure = subject.name, self._tenures.get(subject)
        if subject.kind is Kind.SYSTEM:
            leave, database = self._leave(self.may_poll, tenure), self.database
            if tenure is not None:
                database = FencedDatabase(self.database, tenure.lease)
            part = make_system(name, self.settings.systems[name], database, self.clock, leave, self.meter)
            part.lane.on_taken_in = self.wake_due
            self.systems[name] = part
            return
        shared = Shared(self.database, self.clock, self.high_water, self.worker, self.meter)
        leave = self._leave(self.may_send, tenure)
        self.apis[name] = make_api(name, self.settings, shared, leave, self._find_system, tenure)

    def _leave(self, of_all: asyncio.Event, tenure: Tenure | None) -> Leave:
        return of_all if tenure is None else OwnersLeave(of_all, tenure, self.clock)

    def _find_system(self, name: str) -> System | None:
        part = self.systems.get(name)
        return None if part is None else part.lane.system

    def run(self) -> None:
        """Start the tasks of all parts, and of those that begin later."""
        self._runs = True
        for name in self.systems:
            self._run_system(name)
        for name in self.apis:
            self._run_api(name)

    def _run(self, subject: Subject) -> None:
        if subject.kind is Kind.SYSTEM:
            self._run_system(subject.name)
        else:
            self._run_api(subject.name)

    def trigger(self, name: str) -> None:
        """Let the lane of a system sweep, if it is here."""
        part = self.systems.get(name)
        if part is not None:
            part.lane.trigger()

    def hooked(self, name: str) -> None:
        """Let the lane of a system read what webhooks have made due, if it is here."""
        part = self.systems.get(name)
        if part is not None:
            part.lane.hooked()

    async def once(self) -> list[str]:
        """Make one turn of every lane, then deliver until nothing may start; return which systems and apis failed."""
        lanes = {name: part.lane for name, part in self.systems.items()}
        went_well = await asyncio.gather(*(lane.once() for lane in lanes.values()))
        for name in self.apis:
            self._run_api(name)
        stopped = await self._until_idle()
        return [name for name, well in zip(lanes, went_well, strict=True) if not well] + stopped

    async def _until_idle(self) -> list[str]:
        """Wait until nothing may start at any api; return those that could not send for want of a database."""
        free_at = self.clock.monotonic()
        while busy := [name for name, part in self.apis.items() if not part.dispatcher.idle]:
            now = self.clock.monotonic()
            if not any(self.apis[name].dispatcher.is_hindered for name in busy):
                free_at = now
            if self.database.replaced or self.high_water.went_back:
                return busy  # nothing can leave any more; only a new start can tell what that database knows
            if now - free_at > PATIENCE_SECONDS:
                logger.bind(apis=busy).error("one pass ends early: nothing can be stored; the rest is left to the next")
                return busy
            await self.clock.sleep(LOOK_SECONDS)
        return [name for name, part in self.apis.items() if part.dispatcher.is_hindered]

    def _run_system(self, name: str) -> None:
        self._keep(f"system {name}", asyncio.create_task(self.systems[name].lane.run()))

    def _run_api(self, name: str) -> None:
        self._keep(f"api {name}", asyncio.create_task(self.apis[name].dispatcher.run()))

    def _keep(self, name: str, task: "asyncio.Task[None]") -> None:
        task.set_name(name)
        task.add_done_callback(self.note_end)
        self._tasks[name] = task

    def note_end(self, task: "asyncio.Task[None]") -> None:
        """Let syncd stop if a bug has ended a task that everything depends on."""
        if not task.cancelled() and task.exception() is not None:
            logger.bind(task=task.get_name()).opt(exception=task.exception()).critical("a lane ended; syncd stops")
            self.broken = task.get_name()
            self.on_end()

    def wake_dispatchers(self) -> None:
        """Let every dispatcher look for due work."""
        for part in self.apis.values():
            part.dispatcher.wake()

    async def wake_due(self) -> None:
        """Let those dispatchers look that have something due; the others sleep until they have, or somebody looks."""
        now = self.clock.now()
        try:
            due = await self.database.read(lambda c: apis_with_due(c, now))
        except StoreError:
            self.wake_dispatchers()  # each of them finds out, says so, and tries again
            return
        for name in due & self.apis.keys():
            self.apis[name].dispatcher.wake()

    async def replace(self, new: Settings) -> set[str]:
        """Take in changed settings: end what changed or went, make what changed or came; return changed systems."""
        systems = _changed(self.settings.systems, new.systems)
        apis = _changed(self.settings.api, new.api)
        if new.timezone != self.settings.timezone:
            apis |= set(new.api)
        self.settings = new
        changed = [Subject(Kind.SYSTEM, name) for name in sorted(systems)]
        for subject in changed + [Subject(Kind.API, name) for name in sorted(apis)]:
            await self._replace(subject)
        return systems

    async def _replace(self, subject: Subject) -> None:
        async with self._locks[subject]:
            await self._end(subject)
            # Among several workers what is new is owned by nobody yet, and what another owns is not ours to make.
            is_ours = subject in self._tenures or self.only_worker
            if subject in self.subjects() and is_ours:
                self._make(subject)
                self._run(subject)

    async def _end(self, subject: Subject) -> None:
        if subject.kind is Kind.SYSTEM and subject.name in self.systems:
            await self._end_system(subject.name)
        elif subject.kind is Kind.API and subject.name in self.apis:
            await self._end_api(subject.name)

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
        systems, apis = str(len(self.systems)), str(len(self.apis))
        if not self.only_worker:
            systems, apis = f"{systems} of {len(self.settings.systems)}", f"{apis} of {len(self.settings.api)}"
        line = f"{systems} systems, {apis} apis, {sending} on the wire"
        return f"{line}; paused: {', '.join(paused)}" if paused else line


def _changed(old: Mapping[str, object], new: Mapping[str, object]) -> set[str]:
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
