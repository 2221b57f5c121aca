"""How long a reply took from hop to hop, reckoned when it was delivered."""

from datetime import timedelta

from syncd.model.clock import Clock
from syncd.model.delivery import DeliveryKind, Lane
from syncd.model.meter import Hops
from syncd.store.outbox import Outgoing


def find_hops(outgoing: Outgoing, sent_at: float | None, answered_at: float, clock: Clock) -> Hops | None:
    """Return how long a reply took; None of what says nothing about that: backfilled, or decided by a person.

    `sent_at` and `answered_at` are monotonic seconds.
    """
    is_live = outgoing.kind is DeliveryKind.REPLY and outgoing.lane is Lane.LIVE and not outgoing.manual
    if not is_live or sent_at is None:
        return None
    sent = clock.now() - timedelta(seconds=clock.monotonic() - sent_at)
    # Another clock has told the first instant, and ours may have been set since the second.
    return Hops(
        outgoing.system,
        max(0.0, (outgoing.created_at - outgoing.message.occurred_at).total_seconds()),
        max(0.0, (sent - outgoing.created_at).total_seconds()),
        answered_at - sent_at,
    )
