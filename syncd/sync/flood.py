"""The flood guard: old replies that come as new in great numbers wait for a person. Pure.

A vendor's migration that gives every message a new id, or a bug of an adapter, would otherwise write years of messages
into customers' threads. Why late is measured so, and what was refused: docs/adr/0011.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from syncd.model.collected import Collected, NewDelivery
from syncd.model.delivery import DeliveryState
from syncd.model.link import Link
from syncd.model.policy import SystemPolicy
from syncd.store.floods import HELD_REASON, Told

WINDOW = timedelta(days=1)
"""How long late replies are counted together, over sweeps and restarts."""

STRANGE_REASON = "flood: old replies of a ticket of which no reply was known any more"


def late_before(policy: SystemPolicy, last_success_at: datetime | None) -> datetime | None:
    """Return before which instant a reply must have been made to count as late; None if none does.

    It is measured from the last sweep that went well, not from now: after an outage of whatever length the replies
    made in it lie behind that instant.
    """
    if policy.flood_replies == 0 or last_success_at is None:
        return None
    return last_success_at - timedelta(hours=policy.flood_older_hours)


def is_late(link: Link, created_at: datetime, before: datetime | None) -> bool:
    """Say whether a reply should have been known long ago: something newer of its ticket was.

    At the first reading of a link nothing is late: its `from` says what it wants.
    """
    if before is None or link.collected_at is None or created_at >= before:
        return False
    known_until = link.collected_at if link.newest_reply_at is None else link.newest_reply_at
    return created_at <= max(known_until, link.from_at)


def held(link: Link, delivery: NewDelivery) -> NewDelivery:
    """Return the delivery of a late reply as it waits for the end of the sweep, or for a person.

    Where no reply of a link is known any more, nobody can tell how many are late: a person decides at once.
    """
    if delivery.state is not DeliveryState.PENDING:
        return delivery
    reason = STRANGE_REASON if link.newest_reply_at is None else HELD_REASON
    return replace(delivery, state=DeliveryState.PARKED, reason=reason)


def holds(collected: Sequence[Collected]) -> bool:
    """Say whether anything of these readings is held until the end of the sweep."""
    return any(
        delivery.reason == HELD_REASON
        for one in collected
        for delivery in [*(entry.delivery for entry in one.entries if entry.delivery is not None), *one.corrections]
    )


def count_on(told: Told | None, replies: int, now: datetime) -> Told:
    """Return how many late replies a system has told within the window, with those of the sweep that ends now."""
    if told is None or not timedelta(0) <= now - told.since_at < WINDOW:
        return Told(now, replies)
    return Told(told.since_at, told.replies + replies)


def is_flood(policy: SystemPolicy, told: Told) -> bool:
    """Say whether so many late replies are no chance any more."""
    return 0 < policy.flood_replies < told.replies


def flood_reason(replies: int) -> str:
    """Return the reason of those that wait for a person."""
    return f"flood: one of {replies} old replies that came as new"
