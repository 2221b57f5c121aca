"""A budget of requests at work: it lets them through at its pace, and none while the vendor asked for quiet."""

import asyncio

from syncd.model.clock import Clock
from syncd.model.errors import RetryLater
from syncd.model.pace import Pace
from syncd.sources.retry import LONGEST_WAIT_SECONDS


class Budget:
    """The requests of one system, or those to one part of it that the vendor limits more narrowly."""

    def __init__(self, name: str, requests_per_minute: float, clock: Clock) -> None:
        if requests_per_minute <= 0:
            raise ValueError(f"requests_per_minute of {name} must be more than 0")
        self.name = name
        self._clock = clock
        self._pace = Pace.starting_at(clock.monotonic(), requests_per_minute)
        self._quiet_until = 0.0
        self._turn = asyncio.Lock()  # first come, first served

    def be_quiet(self, seconds: float) -> None:
        """Let nothing through for that long: the vendor asked for it."""
        self._quiet_until = max(self._quiet_until, self._clock.monotonic() + seconds)

    async def take(self) -> None:
        """Wait for this request's turn and count it.

        Raises:
            RetryLater: the vendor asked for so long a wait that it is not waited out here.
        """
        async with self._turn:
            while (wait := self._wait_seconds()) > 0:
                await self._clock.sleep(wait)
            self._pace.take(self._clock.monotonic())

    def _wait_seconds(self) -> float:
        now = self._clock.monotonic()
        quiet = self._quiet_until - now
        if quiet > LONGEST_WAIT_SECONDS:
            raise RetryLater(f"{self.name} asked to be left alone for another {quiet:.0f} s", quiet)
        return max(quiet, self._pace.wait_seconds(now))
