"""One system at work: what all that reads it is handed."""

from dataclasses import dataclass, field
from typing import Any

from syncd.model.clock import Clock
from syncd.model.policy import SystemPolicy
from syncd.sources.adapter import Adapter
from syncd.store.database import Database

FEED_FAILURES = 3


@dataclass(slots=True)
class System:
    """One system at work: its policy, its adapter, and whether a change feed stands for its tickets.

    `may_hold`: late replies may be held until the sweep has ended, perhaps by the process before this one.
    `feed_failures` counts how often in a row the feed made no sense; after FEED_FAILURES it stands for nothing, and
    tickets are asked for one by one until it does again.
    """

    policy: SystemPolicy
    adapter: Adapter[Any]
    database: Database
    clock: Clock
    has_feed: bool
    unmapped: set[str] = field(default_factory=set)
    feed_failures: int = 0
    may_hold: bool = True

    @property
    def name(self) -> str:
        """Return the system's name."""
        return self.policy.name

    @property
    def feed_stands(self) -> bool:
        """Say whether the feed tells of every change of a ticket, so that the ticket itself need not be asked."""
        return self.has_feed and self.feed_failures < FEED_FAILURES
