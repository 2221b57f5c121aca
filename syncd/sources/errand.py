"""What requests to a vendor are made for: whether they give way to others, and how many they came to.

It follows whoever asks, through the adapter and the tasks that this begins, so no adapter has to know of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Errand:
    """Work that is in no hurry: its requests give way to those of everybody else.

    `requests` counts them. `seconds` is how long they take at the vendor's pace, of which nothing else takes any.
    """

    requests: int = 0
    _seconds_by_budget: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Return how long its requests take at the narrowest of the paces that they count against."""
        return max(self._seconds_by_budget.values(), default=0.0)

    def count(self, budget: str, requests_per_minute: float) -> None:
        """Count one request against a pace."""
        self._seconds_by_budget[budget] = self._seconds_by_budget.get(budget, 0.0) + 60 / requests_per_minute

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Make whatever is asked of a vendor inside part of this errand."""
        token = _now.set(self)
        try:
            yield
        finally:
            _now.reset(token)


_now: ContextVar[Errand | None] = ContextVar("errand", default=None)


def errand_now() -> Errand | None:
    """Return what the request that is being made is part of, None if that gives way to nobody."""
    return _now.get()
