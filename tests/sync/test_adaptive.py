"""When a ticket is asked again where no feed names the changed ones."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.policy import SystemPolicy
from syncd.sync.adaptive import failed_due_at, next_due_at

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
POLICY = SystemPolicy("desk", poll_seconds=60)


@pytest.mark.parametrize(
    ("quiet_seconds", "wait_seconds"), [(0, 60), (300, 60), (3600, 360), (86_400, 8640), (86_400 * 30, 21_600)]
)
def test_the_quieter_the_later_within_the_bounds(quiet_seconds, wait_seconds) -> None:
    """Soon after activity, later the longer it is quiet, never sooner than a poll nor later than the longest."""
    due_at = next_due_at(POLICY, NOON, NOON - timedelta(seconds=quiet_seconds), None)
    assert (due_at - NOON).total_seconds() == pytest.approx(wait_seconds)


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
