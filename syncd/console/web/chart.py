"""Bars of the last hours: how high and where, pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from syncd.store.activity import HOUR

HOURS = 24
WIDTH, HEIGHT = 288, 48
_STEP = WIDTH / HOURS
_GAP = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour: when it begins, how much that was, and its rectangle."""

    at: datetime
    number: int
    x: float
    y: float
    height: float
    width: float = _STEP - _GAP


@dataclass(frozen=True, slots=True)
class Chart:
    """The last 24 hours, the current one included, oldest first."""

    bars: tuple[Bar, ...]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def total(self) -> int:
        """Return how much that was in all."""
        return sum(bar.number for bar in self.bars)

    @property
    def most(self) -> int:
        """Return how much that was in the hour with the most."""
        return max((bar.number for bar in self.bars), default=0)


def hours_until(now: datetime) -> list[datetime]:
    """Return when the last 24 hours began, the current one included, oldest first."""
    current = now.replace(minute=0, second=0, microsecond=0)
    return [current - HOUR * back for back in range(HOURS - 1, -1, -1)]


def draw(hours: Sequence[datetime], numbers: Mapping[datetime, int]) -> Chart:
    """Return the bars; what is not nothing can be seen."""
    most = max(numbers.values(), default=0) or 1
    bars = []
    for place, hour in enumerate(hours):
        number = numbers.get(hour, 0)
        height = max(2.0, round(number / most * (HEIGHT - 4), 1)) if number else 0.0
        bars.append(Bar(hour, number, round(place * _STEP + _GAP / 2, 1), round(HEIGHT - height, 1), height))
    return Chart(tuple(bars))
