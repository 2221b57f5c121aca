"""Time that jumps: an asyncio event loop which goes to its next timer at once when nothing else is left to do.

It works with the real aiohttp client and servers on loopback sockets, and with threads: an hour of waiting takes
milliseconds, and nothing is patched. In tests ask for the fixture `clock` (see `syncd.testing.fixtures`); elsewhere
use `run_virtual`. What the loop cannot see (another process, a thread of your own) needs `VirtualLoop.held()`.
"""

import array
import asyncio
import fcntl
import os
import selectors
import socket
import termios
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
        self._own_pipe: int | None = None
        self._changed = True
        self._closed_circle: tuple[int, ...] | None = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a socket. The first one is the pipe with which threads wake the loop."""
        key = super().register(fileobj, events, data)
        if self._own_pipe is None:
            self._own_pipe = key.fd
        self._changed = True
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Watch a socket no more."""
        self._changed = True
        return super().unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a socket for something else."""
        self._changed = True
        return super().modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the ready sockets; when none is and a timer is next, move the time to it."""
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        if timeout is None or self._loop.is_held:
            return self._wait_for_others()
        quiet = self._is_quiet()
        ready = super().select(0 if quiet else _LOOK_SECONDS)
        if not ready:
            if not quiet:
                self._closed_circle, self._changed = self._find_closed_circle(), False
            self._loop.move_time(timeout)
        return ready

    def _is_quiet(self) -> bool:
        """Tell whether nothing can be on its way, so that a look without waiting sees all that there is.

        That is so if the same sockets as at the last look all talk to each other, and every byte that was written
        has been taken in by the other end. Of another process, or another machine, nobody could say so.
        """
        return (
            not self._changed and self._closed_circle is not None and not any(map(_is_on_its_way, self._closed_circle))
        )

    def _find_closed_circle(self) -> tuple[int, ...] | None:
        """Return the connected sockets if each of them is the other end of another; None if not, or not known."""
        own, others = set[Any](), dict[int, Any]()
        for key in self.get_map().values():
            if key.fd == self._own_pipe:
                continue
            ends = _ends_of(key.fd) if key.events == selectors.EVENT_READ else None
            if ends is None:
                return None
            own.add(ends[0])
            if ends[1] is not None:
                others[key.fd] = ends[1]
        return tuple(others) if own.issuperset(others.values()) else None

    def _wait_for_others(self) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(_PATIENCE_SECONDS)
        if not ready:
            raise NothingWillHappen(f"no socket, thread or timer did anything for {_PATIENCE_SECONDS:g} real seconds")
        return ready


def _ends_of(descriptor: int) -> tuple[Any, Any] | None:
    """Return the own and the other address of a TCP socket; the other is None if it listens. None: it is none."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as looked_at:
            if looked_at.family not in {socket.AF_INET, socket.AF_INET6} or looked_at.type != socket.SOCK_STREAM:
                return None
            if looked_at.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return looked_at.getsockname(), None
            return looked_at.getsockname(), looked_at.getpeername()
    except (OSError, AttributeError):  # no socket, not connected, or a system that does not tell
        return None


def _is_on_its_way(descriptor: int) -> bool:
    """Tell whether something written to a socket has not arrived at its other end."""
    waiting = array.array("i", [0])
    try:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, waiting)
    except OSError:
        return True
    return waiting[0] != 0


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
