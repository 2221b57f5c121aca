"""Notices when the wall clock jumps: what is due by the wall clock must then be reckoned anew.

APScheduler waits for a wall clock instant. Set the clock back by an hour, and the next run is silently in an hour.
"""

from datetime import timedelta

from syncd.model.clock import Clock

NOTICED = timedelta(seconds=5)
"""Smaller steps are what time synchronisation does all day."""


class ClockGuard:
    """Compares the wall clock with the monotonic one, from one check to the next."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall = clock.now()
        self._monotonic = clock.monotonic()

    def check(self) -> timedelta | None:
        """Return by how much the wall clock jumped since the last check (negative: back), or None if by 5 s or less.

        A jump is told once. Smaller steps add up until they are a jump: a clock that is turned slowly is noticed too.
        A machine that slept has jumped forward, for Linux's monotonic clock stands still meanwhile.
        """
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        jump = (wall - self._wall) - timedelta(seconds=monotonic - self._monotonic)
        if abs(jump) <= NOTICED:
            return None
        self._wall, self._monotonic = wall, monotonic
        return jump
