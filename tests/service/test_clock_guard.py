"""Jumps of the wall clock."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.service.clock_guard import ClockGuard

START = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)


class TwoClocks:
    """A wall clock and a monotonic one that are set apart by hand."""

    def __init__(self) -> None:
        self.wall = START
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.run(seconds)

    def run(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.mark.parametrize("hours", [-1.0, 1.0, 24 * 365.0])
def test_a_jump_is_told_once_with_its_size(hours: float):
    """The wall clock set forward or back is told with the sign, and the next check starts from there."""
    clock = TwoClocks()
    guard = ClockGuard(clock)
    clock.run(60)
    clock.wall += timedelta(hours=hours)
    assert guard.check() == timedelta(hours=hours)
    clock.run(60)
    assert guard.check() is None


def test_time_that_passes_is_no_jump():
    """However long the checks lie apart, clocks that agree are no jump: also over the change to summer time."""
    clock = TwoClocks()
    guard = ClockGuard(clock)
    for seconds in (0, 1, 3600, 86_400):
        clock.run(seconds)
        assert guard.check() is None


@pytest.mark.parametrize(("seconds", "jump"), [(5, None), (-5, None), (5.001, 5.001), (-5.001, -5.001)])
def test_up_to_five_seconds_are_no_jump(seconds: float, jump: float | None):
    """Five seconds are what time synchronisation may do; more is a jump."""
    clock = TwoClocks()
    guard = ClockGuard(clock)
    clock.wall += timedelta(seconds=seconds)
    assert guard.check() == (None if jump is None else timedelta(seconds=jump))


def test_small_steps_add_up():
    """A clock that is turned in steps of three seconds is a jump at the second one: what is due is off by the sum."""
    clock = TwoClocks()
    guard = ClockGuard(clock)
    clock.wall += timedelta(seconds=3)
    assert guard.check() is None
    clock.wall += timedelta(seconds=3)
    assert guard.check() == timedelta(seconds=6)
