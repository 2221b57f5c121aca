"""The health of an api, as its dispatcher knows it: how many requests at once, and how long to wait. Pure.

All times are monotonic seconds, handed in. What must outlive the process (paused, throttled) is stored elsewhere.
"""

from dataclasses import dataclass, field

from syncd.model.delivery import RETRY_SCHEDULE, Outcome, retry_delay

FIRST_LIMIT = 4
SLOW_ANSWER_SECONDS = 2.0
THROTTLE_SECONDS = 60.0
REFUSED_THREADS = 3

_BAD = frozenset({Outcome.NOT_SENT, Outcome.REFUSED_FOR_NOW, Outcome.IN_DOUBT})
_ANSWERED = frozenset({Outcome.DELIVERED, Outcome.MESSAGE_AT_FAULT, Outcome.THREAD_AT_FAULT})


def throttle_seconds(asked_seconds: float | None) -> float:
    """Return how long nothing is sent after a 429: a minute, or longer if the API asks for it."""
    return max(THROTTLE_SECONDS, asked_seconds or 0.0)


@dataclass(slots=True)
class Health:
    """How well an api does.

    Requests in flight grow by one per answer (but not by a refused thread, as three of those may mean the api), and
    fall to one at the first doubt or failure. From the second bad outcome in a row on, the api as a whole waits by
    the retry schedule: ten thousand waiting deliveries are one timer.
    """

    most: int
    limit: int = FIRST_LIMIT
    bad_in_a_row: int = 0
    wait_until: float = 0.0
    throttled_until: float = 0.0
    refused: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Never begin above what is allowed."""
        self.limit = min(self.limit, self.most)

    def learn(self, outcome: Outcome, thread_key: int, now: float, asked_seconds: float | None = None) -> None:
        """Take in the outcome of an attempt."""
        if outcome in _ANSWERED:
            if outcome is not Outcome.THREAD_AT_FAULT:
                self.limit = min(self.limit + 1, self.most)
            self.bad_in_a_row = 0
            self.wait_until = 0.0
        elif outcome in _BAD:
            self.limit = 1
            if now < self.wait_until and outcome is not Outcome.IN_DOUBT:
                return  # begun before the wait, beside others that failed: nothing was lost, and it is one failure
            self.bad_in_a_row += 1
            if self.bad_in_a_row > 1:
                wait = retry_delay(RETRY_SCHEDULE, self.bad_in_a_row - 1).total_seconds()
                self.wait_until = now + wait
        elif outcome is Outcome.THROTTLED:
            self.throttled_until = max(self.throttled_until, now + throttle_seconds(asked_seconds))
        if outcome is Outcome.DELIVERED:
            self.refused.clear()
        elif outcome is Outcome.THREAD_AT_FAULT and thread_key not in self.refused:
            self.refused.append(thread_key)

    def start_carefully(self) -> None:
        """After a pause: one at a time, until answers come."""
        self.limit = 1
        self.bad_in_a_row = 0
        self.wait_until = 0.0
        self.refused.clear()

    @property
    def refuses_everyone(self) -> bool:
        """Say whether so many threads in a row were refused that it is about the api, not about them."""
        return len(self.refused) >= REFUSED_THREADS

    def wait_seconds(self, now: float) -> float:
        """Return how long nothing may start, because the api denies everything or fails."""
        return max(self.throttled_until - now, self.wait_until - now, 0.0)

    def may_start(self, in_flight: int, oldest_sent_at: float | None, now: float) -> bool:
        """Say whether one more may start: a slot is free, and no answer is overdue."""
        slow = oldest_sent_at is not None and now - oldest_sent_at > SLOW_ANSWER_SECONDS
        return in_flight < self.limit and not slow
