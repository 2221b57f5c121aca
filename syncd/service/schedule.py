"""When things happen: APScheduler as a trigger, guarded against jumps of the wall clock.

Jobs must be quick: they set events or run a query. APScheduler cancels what runs in it at shutdown, and when the wall
clock is set back by an hour its next runs are an hour away; so on a jump every job is scheduled anew.
"""

from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from syncd.model.clock import Clock
from syncd.service.clock_guard import ClockGuard

Job = Callable[[], None] | Callable[[], Awaitable[None]]


class Schedule:
    """Jobs by name, each at its interval, the first run at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = ClockGuard(clock)
        self._seconds: dict[str, float] = {}
        self._scheduler: Any = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def every(self, name: str, seconds: float, job: Job) -> None:
        """Run a job every so many seconds, from now on; the same name replaces."""
        self._seconds[name] = seconds
        self._scheduler.add_job(
            _in_the_loop(job),
            IntervalTrigger(seconds=seconds, timezone=UTC),
            id=name,
            name=name,
            next_run_time=self._clock.now(),
            replace_existing=True,
        )

    def remove(self, name: str) -> None:
        """Run a job no more."""
        if self._seconds.pop(name, None) is not None:
            self._scheduler.remove_job(name)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; what a job started elsewhere goes on."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def jumped(self) -> timedelta | None:
        """Return by how much the wall clock jumped since the last call, with every job scheduled anew if it did."""
        jump = self._guard.check()
        if jump is not None:
            for name in self._seconds:
                self._scheduler.modify_job(name, next_run_time=self._clock.now())
        return jump

    def next_run_at(self, name: str) -> datetime | None:
        """Return when a job runs next."""
        job = self._scheduler.get_job(name)
        return None if job is None else job.next_run_time


def _in_the_loop(job: Job) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return a job that APScheduler runs in the event loop: a plain function it would run in a thread of its own."""

    async def run() -> None:
        under_way = job()
        if under_way is not None:
            await under_way

    return run
