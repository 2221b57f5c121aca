"""What the life of a link tells: how long each hop of a delivery took, and what one waits for. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from syncd.model.delivery import DeliveryKind, DeliveryState, Lane, Outcome
from syncd.store.timeline import Decided, Passage

TAKEN_IN, SENT, SENT_AGAIN, ANSWERED, WHOLE = "taken in", "marked as sending", "sent at last", "answered", "whole way"


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a delivery's way: what was done, when, and how long after the step before."""

    name: str
    at: datetime
    took: timedelta | None = None


def hops_of(passage: Passage) -> list[Hop]:
    """Return the steps of a delivery's way so far, from its vendor on."""
    hops = [Hop("written", passage.written_at), _after(TAKEN_IN, passage.taken_in_at, passage.written_at)]
    if not passage.tries:
        return hops
    first, last = passage.tries[0], passage.tries[-1]
    hops.append(_after(SENT, first.started_at, passage.taken_in_at))
    if last is not first:
        hops.append(_after(SENT_AGAIN, last.started_at, first.started_at))
    if last.duration_ms is not None:
        took = timedelta(milliseconds=last.duration_ms)
        hops.append(Hop(_answer(last.outcome), last.started_at + took, took))
    return hops


def _after(name: str, at: datetime, before: datetime) -> Hop:
    # The clock of a vendor may be ahead of ours.
    return Hop(name, at, max(timedelta(), at - before))


def _answer(outcome: str | None) -> str:
    return ANSWERED if outcome == Outcome.DELIVERED.value else (outcome or ANSWERED).replace("_", " ")


def whole_way(passage: Passage) -> timedelta | None:
    """Return how long a delivery took from its vendor to the API's answer; None if it was not answered with success."""
    hops = hops_of(passage)
    is_there = passage.state == DeliveryState.DELIVERED.value and hops[-1].name == ANSWERED
    return max(timedelta(), hops[-1].at - passage.written_at) if is_there else None


@dataclass(frozen=True, slots=True)
class Delay:
    """How long one hop took over many deliveries."""

    name: str
    median: timedelta
    worst: timedelta
    worst_id: int
    of: int


def delays_of(passages: Sequence[Passage], registered_at: datetime) -> list[Delay]:
    """Return the usual and the worst delay of each hop.

    What was written before the link was there, or was backfilled, could not be taken in at once: it is left out.
    """
    measured: dict[str, list[tuple[timedelta, int]]] = {}
    for passage in passages:
        if passage.lane == Lane.LIVE.value and passage.written_at >= registered_at:
            for name, took in _measured(passage):
                measured.setdefault(name, []).append((took, passage.id))
    return [
        Delay(name, timedelta(seconds=median(took.total_seconds() for took, _ in some)), *max(some), of=len(some))
        for name in (TAKEN_IN, SENT, SENT_AGAIN, ANSWERED, WHOLE)
        if (some := measured.get(name))
    ]


def _measured(passage: Passage) -> Iterator[tuple[str, timedelta]]:
    way = whole_way(passage)
    for hop in hops_of(passage):
        if hop.took is not None and (hop.name != TAKEN_IN or passage.kind != DeliveryKind.STATUS_NOTE.value):
            yield hop.name, hop.took
    if way is not None:
        yield WHOLE, way


@dataclass(frozen=True, slots=True)
class Wait:
    """What a waiting delivery waits for: another one of its thread, or an instant; neither if it is the thread's first.

    What keeps the first one is a question of its own, and answered for the whole link.
    """

    behind: int | None = None
    until: datetime | None = None


def wait_of(passage: Passage, head_id: int | None, now: datetime) -> Wait:
    """Say what a waiting delivery waits for."""
    if head_id is not None and head_id != passage.id:
        return Wait(behind=head_id)
    return Wait(until=passage.due_at if passage.due_at > now else None)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the timeline: a delivery, or what was decided about the link itself."""

    at: datetime
    passage: Passage | None = None
    decided: Decided | None = None


def merged(passages: Iterable[Passage], decisions: Iterable[Decided]) -> list[Entry]:
    """Return both in one line, newest first."""
    entries = [Entry(one.taken_in_at, passage=one) for one in passages]
    entries += [Entry(one.at, decided=one) for one in decisions]
    return sorted(entries, key=lambda one: one.at, reverse=True)
