"""The health of an api: how many requests at once and how long to wait, on values alone."""

import pytest

from syncd.delivery.health import FIRST_LIMIT, Health
from syncd.model.delivery import Outcome


def learned(*outcomes: Outcome, most: int = 64, now: float = 0.0) -> Health:
    """Return the health after these outcomes, each of a thread of its own."""
    health = Health(most)
    for number, outcome in enumerate(outcomes):
        health.learn(outcome, number, now)
    return health


def test_requests_in_flight_grow_by_one_per_answer_up_to_the_most() -> None:
    """It begins at four and grows with the answers."""
    assert learned().limit == FIRST_LIMIT
    assert learned(*[Outcome.DELIVERED] * 3).limit == FIRST_LIMIT + 3
    assert learned(*[Outcome.DELIVERED] * 30, most=10).limit == 10
    assert learned(most=2).limit == 2


@pytest.mark.parametrize("bad", [Outcome.NOT_SENT, Outcome.REFUSED_FOR_NOW, Outcome.IN_DOUBT])
def test_one_bad_outcome_makes_it_one_at_a_time(bad) -> None:
    """A doubt or a failure brings the limit down to one at once; the next good answer raises it again."""
    health = learned(*[Outcome.DELIVERED] * 20, bad)
    assert health.limit == 1
    assert health.wait_seconds(0.0) == 0
    health.learn(Outcome.DELIVERED, 1, 1.0)
    assert health.limit == 2


def test_failures_in_a_row_wait_longer_and_longer() -> None:
    """From the second on the api as a whole waits, by the retry schedule; an answer ends it."""
    health = Health(64)
    waits, now = [], 0.0
    for _ in range(6):
        health.learn(Outcome.NOT_SENT, 1, now)
        waits.append(health.wait_seconds(now))
        now += waits[-1]
    assert waits == [0, 5, 30, 120, 300, 300]
    health.learn(Outcome.DELIVERED, 1, now)
    assert health.wait_seconds(now) == 0


@pytest.mark.parametrize("bad", [Outcome.NOT_SENT, Outcome.REFUSED_FOR_NOW])
def test_what_fails_at_once_is_one_failure(bad) -> None:
    """A moment without a connection fails all that begin in it; the api waits for that as for one, not for minutes."""
    health = learned(*[bad] * 25)
    assert health.wait_seconds(0.0) == 5


def test_each_doubt_counts() -> None:
    """Also those that were on the wire together: each further try may put one more in doubt."""
    assert learned(*[Outcome.IN_DOUBT] * 4).wait_seconds(0.0) == 120


def test_throttled_waits_a_minute_or_what_was_asked_if_longer() -> None:
    """The wait counts from the last 429, and a shorter wish of the API does not shorten it."""
    health = Health(64)
    health.learn(Outcome.THROTTLED, 1, 100.0, asked_seconds=5)
    assert health.wait_seconds(100.0) == 60
    health.learn(Outcome.THROTTLED, 1, 130.0, asked_seconds=90)
    assert health.wait_seconds(130.0) == 90
    assert health.limit == FIRST_LIMIT


def test_three_refused_threads_in_a_row_are_about_the_api() -> None:
    """A success between them, or the same thread again, does not count."""
    fault = Outcome.THREAD_AT_FAULT
    assert learned(fault, fault, fault).refuses_everyone
    assert not learned(fault, fault, Outcome.DELIVERED, fault).refuses_everyone
    health = Health(64)
    for _ in range(5):
        health.learn(fault, 1, 0.0)
    assert not health.refuses_everyone


def test_nothing_starts_while_an_answer_is_overdue() -> None:
    """With a request out for over two seconds, no other begins, however many slots are free."""
    health = Health(64)
    assert health.may_start(3, 10.0, 11.0)
    assert not health.may_start(4, 10.0, 11.0)
    assert not health.may_start(1, 10.0, 12.1)
    assert health.may_start(1, None, 12.1)
