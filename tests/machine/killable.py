"""A worker that dies at any commit and around any send, without a last word, and is begun anew on what it left."""

import asyncio
import contextvars
import shutil
import weakref
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from syncd.service.settings import Settings
from syncd.store import due, restored
from syncd.store.database import Backend, Database, open_database
from syncd.store.high_water import is_behind
from syncd.store.schema import database_id, ensure_schema
from syncd.store.transaction import CommitFailed
from syncd.testing.helpdesk import Helpdesk
from syncd.testing.virtual_clock import VirtualClock
from tests.conftest import World
from tests.machine.audit import Audit, labels, look
from tests.machine.diary import Diary
from tests.machine.wire import WatchedSandbox, Wire

LIFE: contextvars.ContextVar["Life"] = contextvars.ContextVar("life")
KEYS = {"key-berlin": "berlin", "key-hamburg": "hamburg"}
CUSTOMER = 7


class Life:
    """One life of the worker: every task that it made, and whether it is over."""

    def __init__(self) -> None:
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self.killed = asyncio.Event()
        self.context = contextvars.copy_context()
        self.context.run(LIFE.set, self)

    @property
    def is_over(self) -> bool:
        """Say whether it was killed."""
        return self.killed.is_set()


def register_task(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> "asyncio.Task[Any]":
    """Make a task, and let the life that it belongs to know of it. A task factory."""
    task = asyncio.Task(coro, loop=loop, **more)
    life = LIFE.get(None)
    if life is not None:
        life.tasks.add(task)
    return task


@dataclass
class Trap:
    """What goes wrong at a commit of some kind (mark, outcome, intake, backfill, any) or at a request's arrival.

    `after` such commits go well before. `kept`: the database keeps it all the same. `kills`: the worker dies there,
    else it is only not acknowledged.
    """

    point: str
    after: int
    kept: bool
    kills: bool = True


class _NotKept(Exception):
    """Rolls a transaction back."""


class WatchedBackend:
    """A backend whose every commit is audited, where traps go off, and that answers nothing once its life is over."""

    def __init__(self, backend: Backend, world: "KillableWorld", life: Life) -> None:
        self.inner, self.dialect = backend, backend.dialect
        self._world, self._life = world, life

    async def read(self, operation: Any) -> Any:
        """Read, if alive."""
        if self._life.is_over:
            await asyncio.Event().wait()
        return await self.inner.read(operation)

    async def transact(self, operations: list[Any]) -> list[Any]:
        """Commit and audit, or go wrong as a trap says."""
        if self._life.is_over:
            await asyncio.Event().wait()
        world = self._world
        sprung: list[Trap] = []

        def audited(connection: Any) -> Any:
            seen = look(connection)
            trap = world.sprung(labels(world.audit.seen, seen))
            if trap is not None:
                sprung.append(trap)
                if not trap.kept:
                    raise _NotKept
            return seen

        try:
            *results, seen = await self.inner.transact([*operations, audited])
        except _NotKept:
            seen = None
        if seen is not None:
            world.audit.commit(seen)
        if sprung:
            world.traps.remove(sprung[0])
            await self._spring(sprung[0])
        return results

    async def _spring(self, trap: Trap) -> None:
        name = f"{trap.point} {'kept' if trap.kept else 'lost'}"
        if not trap.kills:
            self._world.reached[f"unacknowledged: {name}"] += 1
            raise CommitFailed(OSError("cut off in the commit"))
        self._world.kill(name)
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Close."""
        await self.inner.close()


class KillableWorld(World):
    """Both ends and the worker between them. The vendor and the API have a clock of their own, which never jumps."""

    def __init__(self, clock: VirtualClock, folder: Path, reached: Counter[str], **helpdesk: bool) -> None:
        super().__init__(clock, folder)
        clock.loop.set_task_factory(register_task)
        self.true_clock = VirtualClock(clock.loop)
        self.reached, self.violations = reached, list[str]()
        self.helpdesk = Helpdesk(self.true_clock, **helpdesk)
        self.diary = Diary()
        self.audit = Audit(self.helpdesk, self.violations, reached)
        self.wire = Wire(self.diary, self.elapsed, clock.monotonic, self.violations, reached)
        self.wire.on_read = self._arrived
        self.sandbox = WatchedSandbox(KEYS, clock=self.true_clock, on_communication=self.wire.add)
        self.sandbox.wire = self.wire
        self.life: Life | None = None
        self.traps: list[Trap] = []
        self.slept = 0.0
        self.unread = 0
        self.unheard = set[str]()

    def elapsed(self) -> float:
        """Return the seconds that have truly passed: a clock that went forward had slept."""
        return self.clock.monotonic() + self.slept

    @property
    def is_up(self) -> bool:
        """Say whether a worker runs."""
        return self.life is not None

    def open_store(self, settings: Settings) -> Database:
        """Return the database with an eye on it."""
        database = super().open_store(settings)
        assert self.life is not None
        database.backend = WatchedBackend(database.backend, self, self.life)
        return database

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let the worker do something; return what came of it, None if it died over it."""
        return self.clock.loop.run_until_complete(self._lived(work))

    async def _lived(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self.life is not None
        life, loop = self.life, self.clock.loop
        task = life.context.run(loop.create_task, work)
        killed = loop.create_task(life.killed.wait())
        await asyncio.wait({task, killed}, return_when=asyncio.FIRST_COMPLETED)
        if life.is_over:
            await self._bury(life)
            return None
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        return task.result()

    def sprung(self, kinds: set[str]) -> Trap | None:
        """Return the trap that this commit goes into, if any."""
        for trap in self.traps:
            if trap.point in kinds:
                trap.after -= 1
                if trap.after < 0:
                    return trap
        return None

    def _arrived(self) -> None:
        """Die at the arrival of a request, before its outcome, if a trap says so."""
        trap = self.sprung({"arrival"}) if self.is_up else None
        if trap is not None:
            self.traps.remove(trap)
            self.kill("arrival")

    def kill(self, name: str) -> None:
        """End the worker here and now; nothing of it reaches the database any more."""
        assert self.life is not None
        if not self.life.is_over:
            self.reached[f"killed: {name}"] += 1
            sending = [row.api for row in self.audit.seen.rows.values() if row.state == "sending"]
            self.unread += len(sending)
            self.unheard = set(sending)
            self.life.killed.set()

    async def _bury(self, life: Life) -> None:
        """Take away what the dead worker left in this process: tasks, connections, threads."""
        for _ in range(50):
            left = [task for task in life.tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=1)
        assert all(task.done() for task in life.tasks), [task for task in life.tasks if not task.done()]
        for task in life.tasks:
            if not task.cancelled():
                task.exception()
        if hasattr(self, "parts"):
            for api in self.parts.apis.values():
                await api.api.close()
            for system in self.parts.systems.values():
                await system.opened.close()
            self.high_water.close()
            del self.parts
        inner = self.database.backend.inner
        # A commit that was under way in the writer's thread may have been kept, and nobody has seen it: look behind it.
        (seen,) = await inner.transact([look])
        self.audit.commit(seen)
        await inner.close()
        self.life = None
        self.traps.clear()
        # What the kernel had taken from the dead still arrives.
        await self.clock.sleep(0.05)
        for api in self.unheard:
            # Its answer may have been a 429, of which nobody knows any more.
            self.wire.throttled_at.pop(api, None)

    def start(self, **changes: object) -> None:
        """Begin a life on what the last one left."""
        self.life = Life()
        self.do(self._start(changes))

    async def _start(self, changes: dict[str, object]) -> None:
        await self.begin(**changes)
        name = await self.database.read(database_id)
        counter = await self.database.read(restored.attempt_counter)
        if is_behind(self.high_water.read(), name, counter):
            self.violations.append("a database that was never put back looks like a backup")

    def stop(self) -> None:
        """End the worker as SIGTERM does."""
        self.do(self.end())
        if self.life is not None:
            left = [row.id for row in self.audit.seen.rows.values() if row.state == "sending"]
            if left:
                self.violations.append(f"a clean stop left {left} on the wire")
            self.life = None
            self.traps.clear()

    def jump(self, offset: timedelta) -> None:
        """Set the worker's clock to another offset from the true one; a worker that runs shifts what is due."""
        by = offset - self.clock.wall_offset
        self.clock.jump_wall_clock(by)
        self.slept += max(0.0, by.total_seconds())
        self.reached["clock forward" if by > timedelta() else "clock back"] += 1
        if self.is_up and by:
            self.do(self.database.write(lambda c: due.shift_due(c, by)))


def template(folder: Path, clock: VirtualClock) -> Path:
    """Return a database with the schema and nothing in it, to be copied."""
    file = folder / "template.db"

    async def make() -> None:
        database = open_database(f"sqlite:///{file}")
        await ensure_schema(database, migrate=True)
        await database.close()

    clock.loop.run_until_complete(make())
    return file


def copy_template(file: Path, folder: Path) -> None:
    """Put a copy of the empty database in place."""
    shutil.copy(file, folder / "syncd.db")
