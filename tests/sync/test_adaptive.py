"""When a ticket is asked again where no feed names the changed ones."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.policy import SystemPolicy
from syncd.sync.adaptive import failed_due_at, next_due_at

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
POLICY = SystemPolicy("desk", poll_seconds=60)


@pytest.mark.parametrize(
    ("quiet_hours", "wait_seconds"),
    [(0, 60), (0.1, 60), (4, 60), (4.15, 60), (5, 360), (6, 720), (28, 8640), (24 * 30, 21_600)],
)
def test_at_each_poll_while_active_then_the_quieter_the_later(quiet_hours, wait_seconds) -> None:
    """While it is active at each poll, then never sooner than one nor later than the longest; half a poll early."""
    due_at = next_due_at(POLICY, NOON, NOON - timedelta(hours=quiet_hours), None)
    assert (due_at - NOON).total_seconds() == pytest.approx(wait_seconds - 30)


def test_how_long_a_ticket_is_active_can_be_set() -> None:
    """With no active hours the delay is in proportion from the first moment on."""
    policy = SystemPolicy("desk", poll_seconds=60, active_hours=0)
    due_at = next_due_at(policy, NOON, NOON - timedelta(hours=2), None)
    assert (due_at - NOON).total_seconds() == pytest.approx(720 - 30)


@pytest.mark.parametrize("lag_seconds", [0, 1, 20])
def test_an_active_ticket_misses_no_sweep(lag_seconds) -> None:
    """Asked some time after a sweep has begun, it is due as the next one begins, not only at the one after that."""
    due_at = next_due_at(POLICY, NOON + timedelta(seconds=lag_seconds), NOON, None)
    assert NOON < due_at <= NOON + timedelta(seconds=60)


def test_a_ticket_closed_for_long_is_asked_no_more() -> None:
    """It is watched for a while, as it may be opened again."""
    active_at = NOON - timedelta(days=20)
    assert next_due_at(POLICY, NOON, active_at, NOON - timedelta(days=13)) is not None
    assert next_due_at(POLICY, NOON, active_at, NOON - timedelta(days=15)) is None


def test_a_ticket_that_fails_is_tried_later_each_time() -> None:
    """Twice as late with each failure, an hour at most, and never before what the vendor asked for."""
    waits = [(failed_due_at(POLICY, NOON, failures, None) - NOON).total_seconds() for failures in (0, 1, 2, 9, 99)]
    assert waits == [60, 120, 240, 3600, 3600]
    assert (failed_due_at(POLICY, NOON, 0, 900) - NOON).total_seconds() == 900
