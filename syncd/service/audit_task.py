"""The audit of one system, as a task beside its lane: asked for by a command, carried out by the system's owner."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loguru import logger

from syncd.model.errors import PauseSystem, RetryLater, StoreError
from syncd.store import requests
from syncd.store.database import Connection
from syncd.store.requests import Request, RequestState
from syncd.sync.audit_findings import Progress, Wanted
from syncd.sync.audit_run import run_audit
from syncd.sync.collect import System

SAVE_EVERY_SECONDS = 0.5


@dataclass(slots=True)
class _Keeper:
    """Keeps an audit's progress with its request: now and then, and with each repair."""

    system: System
    request_id: int
    saved_at: float

    async def save(self, done: Progress) -> None:
        now = self.system.clock.monotonic()
        if now - self.saved_at >= SAVE_EVERY_SECONDS:
            self.saved_at = now
            await self.system.database.write(lambda c: self.record(c, done))

    def record(self, connection: Connection, done: Progress) -> None:
        requests.report(connection, self.request_id, done.as_dict())


@dataclass(slots=True)
class AuditTask:
    """Carries out one audit at a time; `is_busy` says whether the lane sweeps, for which an audit steps aside."""

    system: System
    is_busy: Callable[[], bool]
    _task: "asyncio.Task[None] | None" = field(default=None)

    @property
    def is_running(self) -> bool:
        """Say whether an audit runs; another one waits for it."""
        return self._task is not None and not self._task.done()

    def begin(self, asked: Sequence[Request]) -> None:
        """Begin the first audit that is asked for, or go on with it, unless one runs."""
        if asked and not self.is_running:
            self._task = asyncio.create_task(self._carry_out(asked[0]), name=f"audit {self.system.name}")

    async def wait(self) -> None:
        """Wait for the audit that runs."""
        if self._task is not None:
            await self._task

    async def end(self) -> None:
        """Stop the audit that runs; it goes on where it was."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _find_open(self, request_id: int) -> Request | None:
        """Return a request as it is now: since a turn began, an earlier run of it may have gone on, or ended."""
        with contextlib.suppress(StoreError):
            found = await self.system.database.read(lambda c: requests.find(c, request_id))
            if found is not None and found.state in {RequestState.WAITING, RequestState.RUNNING}:
                return found
        return None

    async def _carry_out(self, asked: Request) -> None:
        system, request = self.system, await self._find_open(asked.id)
        if request is None:
            return
        keeper = _Keeper(system, request.id, system.clock.monotonic())
        done = Progress.from_dict(request.progress)
        bound = logger.bind(system=system.name, request=request.id)
        try:
            await system.database.write(lambda c: requests.report(c, request.id, done.as_dict()))
            await run_audit(system, Wanted.from_arguments(request.arguments, request.who), done, keeper, self.is_busy)
            await self._end_request(request, RequestState.DONE, done.as_dict())
        except StoreError as error:
            # Nothing is reported: a repair may have been kept all the same, and with it a report that is further on.
            bound.warning("audit waits: {}", error)
            return
        except (RetryLater, PauseSystem) as error:
            bound.warning("audit waits: {}", error)
            with contextlib.suppress(StoreError):
                await system.database.write(lambda c: requests.report(c, request.id, done.as_dict()))
            return
        except Exception as error:  # noqa: BLE001 - a bug in an adapter fails what was asked, never the daemon
            bound.opt(exception=error).error("audit failed")
            with contextlib.suppress(StoreError):
                failure = f"{type(error).__name__}; see the log"
                await self._end_request(request, RequestState.FAILED, {"failure": failure})
            return
        fates = {name: number for name, number in done.fates.items() if number}
        bound.bind(tickets=done.tickets, replies=done.replies, **fates).info("audit ended")

    async def _end_request(self, request: Request, state: RequestState, result: dict[str, object]) -> None:
        now = self.system.clock.now()
        await self.system.database.write(lambda c: requests.end(c, request.id, state, result, now))
