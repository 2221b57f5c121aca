"""Time that jumps: an asyncio event loop which goes to its next timer at once when nothing else is left to do.

It works with the real aiohttp client and servers on loopback sockets, and with threads: an hour of waiting takes
milliseconds, and nothing is patched. In tests ask for the fixture `clock` (see `syncd.testing.fixtures`); elsewhere
use `run_virtual`. What the loop cannot see (another process, a thread of your own) needs `VirtualLoop.held()`.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DEFAULT_START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

# What one of our sockets wrote may need a moment to be readable at the other: this long the loop really looks at
# its sockets before each jump.
_LOOK_SECONDS = 0.001

# Nothing ready, no timer, and no news for this long: the test would hang for ever, so it is told.
_PATIENCE_SECONDS = 60.0


class NothingWillHappen(RuntimeError):
    """The loop waits for something that does not come: every task waits, and no timer would wake one."""


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that moves the loop's time where another one would wait."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the ready sockets; when none is and a timer is next, move the time to it."""
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        if timeout is None or self._loop.is_held:
            return self._wait_for_others()
        ready = super().select(_LOOK_SECONDS)
        if not ready:
            self._loop.move_time(timeout)
        return ready

    def _wait_for_others(self) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(_PATIENCE_SECONDS)
        if not ready:
            raise NothingWillHappen(f"no socket, thread or timer did anything for {_PATIENCE_SECONDS:g} real seconds")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time starts at 0 and stands still while anything is left to do.

    Time does not move while a job of `run_in_executor` (and so of `asyncio.to_thread` or `getaddrinfo`) is under
    way, nor inside `held()`.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._holds = 0
        super().__init__(_JumpingSelector(self))
        self._jobs = ThreadPoolExecutor(thread_name_prefix="virtual-loop")
        self.set_default_executor(self._jobs)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._now

    @property
    def is_held(self) -> bool:
        """Tell whether something outside the loop is under way, so that time may not move."""
        return self._holds > 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the time where it is, for work that the loop cannot see. Call it in the loop's thread."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def move_time(self, seconds: float) -> None:
        """Let that many virtual seconds pass."""
        self._now += seconds

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a function in a thread; until it has ended (cancelled or not) no virtual time passes."""
        job = (executor or self._jobs).submit(func, *args)
        self._holds += 1
        future = asyncio.wrap_future(job, loop=self)
        # Added after wrap_future's own callback: the result is in the loop before the hold is given up.
        job.add_done_callback(self._job_ended)
        return future

    def _job_ended(self, job: "Future[Any]") -> None:  # noqa: ARG002 - the signature of a done callback
        if not self.is_closed():
            self.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._holds -= 1

    async def shutdown_default_executor(self, *timeout: Any) -> None:
        """Wait for the threads in real time. Newer versions of Python hand in a timeout."""
        with self.held():
            await super().shutdown_default_executor(*timeout)


class VirtualClock:
    """A `Clock` on the time of an event loop; its wall clock can be made to jump like a machine's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime = DEFAULT_START) -> None:
        if start.tzinfo is None:
            raise ValueError("the start of a clock needs a time zone")
        self.loop = loop
        self.start = start
        self.wall_offset = timedelta()

    def now(self) -> datetime:
        """Return the virtual wall clock as an aware instant in UTC."""
        passed = timedelta(seconds=self.loop.time())
        return self.start.astimezone(UTC) + passed + self.wall_offset

    def monotonic(self) -> float:
        """Return the loop's seconds, which never jump back."""
        return self.loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait that many virtual seconds, which takes no real time."""
        await asyncio.sleep(max(0.0, seconds))

    def jump_wall_clock(self, by: timedelta) -> None:
        """Set the wall clock forward or back, as an operator or NTP does; the monotonic time goes on undisturbed."""
        self.wall_offset += by


def run_virtual(main: Callable[[VirtualClock], Coroutine[Any, Any, T]], *, start: datetime = DEFAULT_START) -> T:
    """Run a coroutine function under virtual time and return its result; it is handed the clock."""

    async def with_clock() -> T:
        return await main(VirtualClock(asyncio.get_running_loop(), start))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(with_clock())
