"""The backfill of one system, as a task beside its lane: asked for by a command, carried out by the system's owner."""

from dataclasses import dataclass

from loguru import logger

from syncd.model.errors import PauseSystem, RetryLater, StoreError
from syncd.service.asked_task import AskedTask
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


class BackfillTask(AskedTask):
    """Carries out one backfill at a time."""

    word = "backfill"

    async def carry_out(self, request: Request) -> None:
        """Read what it asks for and queue it, or only count it."""
        system = self.system
        is_plan = bool(request.arguments.get("dry_run"))
        bound = logger.bind(system=system.name, request=request.id)
        # What is only counted is counted from the start each time, and reported as it goes.
        reporter = _Reporter(system, request, stores=is_plan)
        wanted = Wanted.from_arguments(request.arguments)
        try:
            await system.database.write(lambda c: requests.report(c, request.id, request.progress))
            done = await run_backfill(system, wanted, reporter.report, request_id=request.id, counts_only=is_plan)
            await self.end_request(request, RequestState.FAILED if done.failed else RequestState.DONE, done.as_dict())
        except Ended:
            bound.info("backfill stopped")
        except (RetryLater, PauseSystem, StoreError) as error:
            bound.warning("backfill waits: {}", error)
        except Exception as error:  # noqa: BLE001 - a bug in an adapter fails what was asked, never the daemon
            bound.opt(exception=error).error("backfill failed")
            await self.fail_request(request, error)
        else:
            reporter.log("backfill ended", done)
