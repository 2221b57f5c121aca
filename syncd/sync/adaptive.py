"""When a ticket is due again where no feed names the changed ones: later, the longer it has been quiet."""

from datetime import datetime, timedelta

from syncd.model.policy import SystemPolicy

QUIET_SHARE = 0.1
"""A ticket that has been quiet for a day is asked again after a tenth of a day: the delay stays in proportion."""


def next_due_at(
    policy: SystemPolicy, now: datetime, active_at: datetime | None, closed_at: datetime | None
) -> datetime | None:
    """Return when a ticket is to be asked again; None for one that has been closed for long."""
    if closed_at is not None and now - closed_at > timedelta(days=policy.closed_watch_days):
        return None
    quiet = (now - active_at).total_seconds() if active_at is not None else 0.0
    wait = min(max(quiet * QUIET_SHARE, policy.poll_seconds), max(policy.quiet_poll_seconds, policy.poll_seconds))
    return now + timedelta(seconds=wait)


def failed_due_at(policy: SystemPolicy, now: datetime, failures: int, wait_seconds: float | None) -> datetime:
    """Return when a ticket that could not be read is tried again: later with each failure, an hour at most."""
    wait = min(policy.poll_seconds * 2 ** min(failures, 10), 3600.0)
    return now + timedelta(seconds=max(wait, wait_seconds or 0.0))
