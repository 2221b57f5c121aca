"""A budget of requests: pure arithmetic about how long to wait. It reads no clock and does not sleep."""

from dataclasses import dataclass

# The Open API denies every request of the minute after one that went past its limit, so no window of
# 60 seconds may hold more than the limit. A bucket lets at most rate + burst through in such a window.
API_LIMIT_PER_MINUTE = 1000
LARGEST_BURST = 25


def burst_for(requests_per_minute: float) -> float:
    """Return how many requests may go out at once at this rate: 25 at most, one at least.

    Between 975 and 1000 a minute the burst shrinks, so that rate + burst stays at the API's limit.
    """
    burst = min(LARGEST_BURST, requests_per_minute / 36)
    if requests_per_minute <= API_LIMIT_PER_MINUTE:
        burst = min(burst, API_LIMIT_PER_MINUTE - requests_per_minute)
    return max(1.0, float(int(burst)))


@dataclass(slots=True)
class Pace:
    """A token bucket that starts empty, so that a restart never adds a burst to what went before it.

    All times are monotonic seconds, handed in by the caller.
    """

    requests_per_minute: float
    burst: float
    started_at: float
    tokens: float = 0.0

    @classmethod
    def starting_at(cls, now: float, requests_per_minute: float, burst: float | None = None) -> "Pace":
        """Return an empty bucket that begins to fill now."""
        return cls(requests_per_minute, burst_for(requests_per_minute) if burst is None else burst, now)

    def available(self, now: float) -> float:
        """Return how many requests may go out now; a fraction is the way to the next one."""
        elapsed = max(0.0, now - self.started_at)
        return min(self.burst, self.tokens + elapsed * self.requests_per_minute / 60)

    def wait_seconds(self, now: float, requests: float = 1.0) -> float:
        """Return how long until that many requests may go out at once (0 if now)."""
        missing = min(requests, self.burst) - self.available(now)
        # A hair of float error must not make the caller spin: what is within a millionth counts as there.
        return missing * 60 / self.requests_per_minute if missing > 1e-6 else 0.0

    def take(self, now: float) -> None:
        """Count one request that goes out now; the caller has waited."""
        self.tokens = self.available(now) - 1.0
        self.started_at = max(self.started_at, now)
