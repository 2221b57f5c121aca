"""A budget of requests at work: it lets them through at its pace, and none while the vendor asked for quiet.

Those of an errand give way: they take what the others leave, or one now and then where these leave nothing.
"""

import asyncio

from syncd.model.clock import Clock
from syncd.model.errors import RetryLater
from syncd.model.pace import Pace
from syncd.sources.errand import errand_now
from syncd.sources.retry import LONGEST_WAIT_SECONDS

LONGEST_ASIDE_SECONDS = 10.0
"""So long a request of an errand gives way to others; some systems are never done with sweeping."""
LOOK_SECONDS = 0.1


class Budget:
    """The requests of one system, or those to one part of it that the vendor limits more narrowly."""

    def __init__(self, name: str, requests_per_minute: float, clock: Clock) -> None:
        if requests_per_minute <= 0:
            raise ValueError(f"requests_per_minute of {name} must be more than 0")
        self.name = name
        self._clock = clock
        self._per_minute = requests_per_minute
        self._pace = Pace.starting_at(clock.monotonic(), requests_per_minute)
        self._quiet_until = 0.0
        self._turn = asyncio.Lock()  # first come, first served
        self._in_a_hurry = 0

    def be_quiet(self, seconds: float) -> None:
        """Let nothing through for that long: the vendor asked for it."""
        self._quiet_until = max(self._quiet_until, self._clock.monotonic() + seconds)

    def left(self) -> float:
        """Return how many requests may go out now."""
        now = self._clock.monotonic()
        return 0.0 if self._quiet_until > now else self._pace.available(now)

    async def take(self) -> None:
        """Wait for this request's turn and count it.

        Raises:
            RetryLater: the vendor asked for so long a wait that it is not waited out here.
        """
        errand = errand_now()
        self._in_a_hurry += errand is None
        try:
            async with self._turn:
                while (wait := self._wait_seconds()) > 0:
                    await self._clock.sleep(wait)
                self._pace.take(self._clock.monotonic())
        finally:
            self._in_a_hurry -= errand is None
        if errand is not None:
            errand.count(self.name, self._per_minute)

    async def give_way(self) -> None:
        """Wait until a request of an errand keeps nobody waiting; it is then to be taken at once.

        Raises:
            RetryLater: the vendor asked for so long a wait that it is not waited out here.
        """
        aside = 0.0
        while self._in_a_hurry or self._wait_seconds() > 0:
            if aside >= LONGEST_ASIDE_SECONDS:
                return
            wait = LOOK_SECONDS if self._in_a_hurry else self._wait_seconds()
            aside += wait if self._in_a_hurry else 0.0
            await self._clock.sleep(wait)

    def _wait_seconds(self) -> float:
        now = self._clock.monotonic()
        quiet = self._quiet_until - now
        if quiet > LONGEST_WAIT_SECONDS:
            raise RetryLater(f"{self.name} asked to be left alone for another {quiet:.0f} s", quiet)
        return max(quiet, self._pace.wait_seconds(now))
