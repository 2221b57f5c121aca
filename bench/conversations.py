"""What happens on ten thousand tickets, as seeded numbers, and what asking them by a policy would come to. Pure.

Of the tickets 1 % are active: a conversation goes on in them, whose replies follow each other after minutes (three of
four gaps: log-normal, median 6 minutes, sigma 1) or hours (the fourth: median 90 minutes, sigma 0.9). All others have
been quiet for a day to two months. Some of those wake up: one reply each, spread over the day that is measured.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from syncd.model.policy import SystemPolicy
from syncd.sync.adaptive import next_due_at
from syncd.testing.virtual_clock import DEFAULT_START

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
WARM_UP = 2 * DAY
"""For how long the tickets were asked by the same policy before what is measured begins."""

LAG_SECONDS = 1.0
"""How long after the beginning of a sweep the turn of a ticket comes: what the vendor's answers take."""


@dataclass(frozen=True, slots=True)
class Population:
    """How many tickets there are, and how many of them are active and wake up, from DEFAULT_START on for a time."""

    tickets: int = 10_000
    active: int = 100
    waking: int = 200
    seconds: float = DAY
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Arrived:
    """When a reply was written and seen, and for how long its ticket had been quiet by then."""

    written_at: datetime
    seen_at: datetime
    quiet_seconds: float

    @property
    def late_seconds(self) -> float:
        """Return how late it was seen."""
        return (self.seen_at - self.written_at).total_seconds()


@dataclass(slots=True)
class Asked:
    """What asking one ticket came to from DEFAULT_START on; `before` that it was asked last, and was `due_at`."""

    times: list[datetime] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    before: datetime | None = None
    due_at: datetime | None = None


def written(population: Population) -> dict[str, list[datetime]]:
    """Return when the replies of each ticket were written, by its id, the oldest first."""
    chance = random.Random(population.seed)
    found = {}
    for number in range(population.tickets):
        if number < population.active:
            seconds = list(_conversation(chance, -WARM_UP, population.seconds))
        else:
            seconds = [-WARM_UP - chance.uniform(DAY, 60 * DAY)]
            if number < population.active + population.waking:
                seconds.append(chance.uniform(0, population.seconds))
        found[str(number)] = [DEFAULT_START + timedelta(seconds=round(at, 3)) for at in seconds]
    return found


def _conversation(chance: random.Random, begin: float, end: float) -> Iterator[float]:
    at = begin + chance.uniform(0, HOUR)
    while at < end:
        yield at
        soon = chance.random() < 0.75
        at += chance.lognormvariate(math.log(6 * MINUTE if soon else 90 * MINUTE), 1.0 if soon else 0.9)


def reckoned(policy: SystemPolicy, replies: Sequence[datetime], phase: float, end: datetime) -> Asked:
    """Return what asking a ticket by a policy comes to, with a sweep at each poll; the warm-up is not counted.

    `phase`, 0 to 1, says where between two times it is when the warm-up begins.
    """
    asked, seen, active_at = Asked(), 0, replies[0]
    begin = DEFAULT_START - timedelta(seconds=WARM_UP)
    first = next_due_at(policy, begin, active_at, None)
    due_at = None if first is None else begin + max(first - begin, timedelta(0)) * phase
    while due_at is not None and (at := _next_sweep(policy, due_at)) < end:
        while seen < len(replies) and replies[seen] <= at:
            if replies[seen] >= DEFAULT_START:
                asked.arrived.append(Arrived(replies[seen], at, quiet_seconds(replies, seen)))
            active_at, seen = replies[seen], seen + 1
        due_at = next_due_at(policy, at, active_at, None)
        if at < DEFAULT_START:
            asked.before, asked.due_at = at, due_at
        else:
            asked.times.append(at)
    return asked


def _next_sweep(policy: SystemPolicy, due_at: datetime) -> datetime:
    """Return when the first sweep that begins at this instant or later comes to a ticket."""
    poll = timedelta(seconds=policy.poll_seconds)
    return DEFAULT_START - (DEFAULT_START - due_at) // poll * poll + timedelta(seconds=LAG_SECONDS)


def quiet_seconds(replies: Sequence[datetime], number: int) -> float:
    """Return for how long a ticket had been quiet when one of its replies was written."""
    return (replies[number] - replies[number - 1]).total_seconds() if number else math.inf


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
