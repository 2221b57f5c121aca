"""The audit of one system, as a task beside its lane: asked for by a command, carried out by the system's owner."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from syncd.model.errors import PauseSystem, RetryLater, StoreError
from syncd.service.asked_task import AskedTask
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


class AuditTask(AskedTask):
    """Carries out one audit at a time; `is_busy` says whether the lane sweeps, for which an audit steps aside."""

    word = "audit"

    def __init__(self, system: System, is_busy: Callable[[], bool]) -> None:
        super().__init__(system)
        self.is_busy = is_busy

    async def carry_out(self, request: Request) -> None:
        """Read every ticket that it asks for, and account for its replies."""
        system = self.system
        keeper = _Keeper(system, request.id, system.clock.monotonic())
        done = Progress.from_dict(request.progress)
        bound = logger.bind(system=system.name, request=request.id)
        try:
            await system.database.write(lambda c: requests.report(c, request.id, done.as_dict()))
            await run_audit(system, Wanted.from_arguments(request.arguments, request.who), done, keeper, self.is_busy)
            await self.end_request(request, RequestState.DONE, done.as_dict())
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
            await self.fail_request(request, error)
            return
        fates = {name: number for name, number in done.fates.items() if number}
        bound.bind(tickets=done.tickets, replies=done.replies, **fates).info("audit ended")
