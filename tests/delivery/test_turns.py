"""Whose turn it is among the systems at one api."""

from datetime import UTC, datetime

from syncd.delivery.turns import Turns
from syncd.model.delivery import Lane
from syncd.store.heads import Head

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def heads(system: str, *numbers: int, lane: Lane = Lane.LIVE) -> list[Head]:
    """Return due heads of a system, named by their deliveries."""
    return [Head(number, number, lane, system, NOON) for number in numbers]


def order(turns: Turns, *some: Head) -> list[int]:
    """Return the deliveries in the order in which they are to start."""
    return [head.delivery_id for head in turns.order(some)]


def test_systems_take_turns() -> None:
    """One with many heads takes no more of them than one with few, and each keeps its own order."""
    assert order(Turns(), *heads("wild", 1, 2, 3, 4), *heads("calm", 7, 8)) == [1, 7, 2, 8, 3, 4]


def test_whoever_had_its_turn_longest_ago_is_next() -> None:
    """Though the heads are looked up anew each time, no system begins twice in a row while another waits."""
    turns = Turns()
    wild, calm = heads("wild", 1, 2, 3), heads("calm", 7)
    turns.take(wild[0])
    assert order(turns, *wild[1:], *calm) == [7, 2, 3]
    turns.take(calm[0])
    assert order(turns, *wild[1:], *heads("calm", 8)) == [2, 8, 3]


def test_a_live_head_goes_before_backfilled_ones_of_any_system() -> None:
    """Turns are taken within a lane alone."""
    backfilled = heads("calm", 7, 8, lane=Lane.BACKFILL)
    assert order(Turns(), *heads("wild", 1, 2), *backfilled) == [1, 2, 7, 8]
