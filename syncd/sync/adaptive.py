"""When a ticket is due again where no feed names the changed ones: at each poll while it is active, then ever later."""

from datetime import datetime, timedelta

from syncd.model.policy import SystemPolicy

QUIET_SHARE = 0.1
"""Past its active hours a ticket waits a tenth of the time that has gone by since: the delay stays in proportion."""

EARLY_SHARE = 0.5
"""How much of a poll before its time a ticket is due. Tickets are asked at sweeps, one poll after the other: one that
was asked a moment after a sweep began would else not be due yet as the next one begins, and be left out each time."""


def next_due_at(
    policy: SystemPolicy, now: datetime, active_at: datetime | None, closed_at: datetime | None
) -> datetime | None:
    """Return when a ticket is to be asked again; None for one that has been closed for long."""
    if closed_at is not None and now - closed_at > timedelta(days=policy.closed_watch_days):
        return None
    quiet = (now - active_at).total_seconds() if active_at is not None else 0.0
    since_active = quiet - policy.active_hours * 3600
    longest = max(policy.quiet_poll_seconds, policy.poll_seconds)
    wait = min(max(since_active * QUIET_SHARE, policy.poll_seconds), longest)
    return now + timedelta(seconds=wait - policy.poll_seconds * EARLY_SHARE)


def failed_due_at(policy: SystemPolicy, now: datetime, failures: int, wait_seconds: float | None) -> datetime:
    """Return when a ticket that could not be read is tried again: later with each failure, an hour at most."""
    wait = min(policy.poll_seconds * 2 ** min(failures, 10), 3600.0)
    return now + timedelta(seconds=max(wait, wait_seconds or 0.0))
