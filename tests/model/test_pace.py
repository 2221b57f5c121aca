"""The pace: how many requests may go out, by arithmetic alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.model.pace import API_LIMIT_PER_MINUTE, Pace, burst_for


def test_a_bucket_starts_empty() -> None:
    """A restart adds no burst to what went out before it."""
    pace = Pace.starting_at(100.0, 900)
    assert pace.available(100.0) == 0
    assert pace.wait_seconds(100.0) == pytest.approx(1 / 15)
    assert pace.wait_seconds(101.0) == 0


@pytest.mark.parametrize(("rate", "burst"), [(900, 25), (6, 1), (90, 2), (975, 25), (990, 10), (1000, 1), (2000, 25)])
def test_the_burst_keeps_within_the_limit(rate, burst) -> None:
    """Up to the API's limit, rate and burst together never pass it, but for the one request there must be."""
    assert burst_for(rate) == burst
    assert rate > API_LIMIT_PER_MINUTE or rate + burst <= API_LIMIT_PER_MINUTE + 1


@given(
    rate=st.floats(min_value=6, max_value=2000),
    gaps=st.lists(st.floats(min_value=0, max_value=20), min_size=1, max_size=300),
)
def test_no_minute_holds_more_than_rate_and_burst(rate, gaps) -> None:
    """Whoever waits as told sends at most rate + burst in any sixty seconds, however uneven the work comes."""
    now, sent = 0.0, []
    pace = Pace.starting_at(now, rate)
    for gap in gaps:
        now += gap
        now += pace.wait_seconds(now)
        pace.take(now)
        sent.append(now)
    for index, begin in enumerate(sent):
        inside = [at for at in sent[index:] if at < begin + 60]
        assert len(inside) <= rate + burst_for(rate) + 1e-3


def test_waiting_for_several_is_longer_than_for_one() -> None:
    """Those that are starting are counted before they take their turn."""
    pace = Pace.starting_at(0.0, 60)
    assert pace.wait_seconds(0.0, 1) == pytest.approx(1.0)
    assert Pace.starting_at(0.0, 900).wait_seconds(0.0, 3) == pytest.approx(0.2)


def test_a_clock_that_stands_still_gives_nothing_away() -> None:
    """Taking twice at the same instant leaves a debt."""
    pace = Pace.starting_at(0.0, 60)
    pace.take(1.0)
    assert pace.wait_seconds(1.0) == pytest.approx(1.0)
