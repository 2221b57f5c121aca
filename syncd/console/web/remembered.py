"""What pages show of the database, kept for a moment: ten open pages ask it once, and a large one is asked seldom."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from syncd.model.clock import Clock

T = TypeVar("T")
SHORTEST_SECONDS = 1.0
LARGEST_SHARE = 1 / 20
"""So much of the time may go into reading one thing: what takes long to read is read less often."""


@dataclass(slots=True)
class Remembered(Generic[T]):
    """One value, read when it is asked for and no longer fresh. Who asks while it is read waits for that reading."""

    clock: Clock
    read: Callable[[], Awaitable[T]]
    shortest_seconds: float = SHORTEST_SECONDS
    _value: tuple[T] | None = None
    _fresh_until: float = 0.0
    _changes: int = 0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self) -> T:
        """Return the value.

        Raises:
            Exception: whatever kept it from being read; it is read again when asked for the next time.
        """
        async with self._reading:
            if self._value is None or self.clock.monotonic() >= self._fresh_until:
                began, changes = self.clock.monotonic(), self._changes
                self._value = (await self.read(),)
                if changes == self._changes:
                    ended = self.clock.monotonic()
                    self._fresh_until = ended + max(self.shortest_seconds, (ended - began) / LARGEST_SHARE)
            return self._value[0]

    def forget(self) -> None:
        """Have it read again: something was changed here."""
        self._fresh_until = 0.0
        self._changes += 1
