"""The backfill of one system, as a task beside its lane: asked for by a command, carried out by the system's owner."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from loguru import logger

from syncd.model.errors import PauseSystem, RetryLater, StoreError
from syncd.store import requests
from syncd.store.requests import Request, RequestState
from syncd.sync.backfill import Ended, Progress, Wanted, run_backfill
from syncd.sync.collect import System

REPORT_EVERY_SECONDS = 0.5
LOG_EVERY_SECONDS = 30.0
LOG_EVERY_LINKS = 1000
COUNTED = ("links", "of", "found", "enqueued", "failed", "requests")


@dataclass(slots=True)
class _Reporter:
    """Says how far a backfill is: in the log now and then, and with its request where that is not stored as it goes."""

    system: System
    request: Request
    stores: bool
    stored_at: float = float("-inf")
    logged_at: float = float("-inf")
    logged_links: int = 0

    async def report(self, progress: Progress) -> None:
        now = self.system.clock.monotonic()
        if self.stores and now - self.stored_at >= REPORT_EVERY_SECONDS:
            self.stored_at = now
            await self.system.database.write(lambda c: requests.report(c, self.request.id, progress.as_dict()))
        if now - self.logged_at >= LOG_EVERY_SECONDS or progress.links - self.logged_links >= LOG_EVERY_LINKS:
            self.log("backfill under way", progress)

    def log(self, words: str, progress: Progress) -> None:
        self.logged_at, self.logged_links = self.system.clock.monotonic(), progress.links
        counts = {name: getattr(progress, name) for name in COUNTED}
        logger.bind(system=self.system.name, request=self.request.id, **counts).info(words)


@dataclass(slots=True)
class BackfillTask:
    """Carries out one backfill at a time."""

    system: System
    _task: "asyncio.Task[None] | None" = field(default=None)

    @property
    def is_running(self) -> bool:
        """Say whether a backfill runs; another one waits for it."""
        return self._task is not None and not self._task.done()

    def begin(self, asked: Sequence[Request]) -> None:
        """Begin the first backfill that is asked for, or go on with it, unless one runs."""
        if asked and not self.is_running:
            self._task = asyncio.create_task(self._carry_out(asked[0]), name=f"backfill {self.system.name}")

    async def wait(self) -> None:
        """Wait for the backfill that runs."""
        if self._task is not None:
            await self._task

    async def end(self) -> None:
        """Stop the backfill that runs; it goes on where it was."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _find_open(self, request_id: int) -> Request | None:
        """Return a request as it is now: since a turn began, an earlier run of it may have gone on, or ended."""
        with contextlib.suppress(StoreError):
            found = await self.system.database.read(lambda c: requests.find(c, request_id))
            if found is not None and found.state in requests.OPEN_STATES:
                return found
        return None

    async def _carry_out(self, asked: Request) -> None:
        system, request = self.system, await self._find_open(asked.id)
        if request is None:
            return
        is_plan = bool(request.arguments.get("dry_run"))
        bound = logger.bind(system=system.name, request=request.id)
        # What is only counted is counted from the start each time, and reported as it goes.
        reporter = _Reporter(system, request, stores=is_plan)
        wanted = Wanted.from_arguments(request.arguments)
        try:
            await system.database.write(lambda c: requests.report(c, request.id, request.progress))
            done = await run_backfill(system, wanted, reporter.report, request_id=request.id, counts_only=is_plan)
            await self._end_request(request, RequestState.FAILED if done.failed else RequestState.DONE, done.as_dict())
        except Ended:
            bound.info("backfill stopped")
        except (RetryLater, PauseSystem, StoreError) as error:
            bound.warning("backfill waits: {}", error)
        except Exception as error:  # noqa: BLE001 - a bug in an adapter fails what was asked, never the daemon
            bound.opt(exception=error).error("backfill failed")
            with contextlib.suppress(StoreError):
                failure = f"{type(error).__name__}; see the log"
                await self._end_request(request, RequestState.FAILED, {"failure": failure})
        else:
            reporter.log("backfill ended", done)

    async def _end_request(self, request: Request, state: RequestState, result: dict[str, object]) -> None:
        now = self.system.clock.now()
        await self.system.database.write(lambda c: requests.end(c, request.id, state, result, now))
