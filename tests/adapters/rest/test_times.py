"""Times as systems write them, read and asked for."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from adapters._rest_expressions import Times, Unfit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "zone", "written"),
    [
        ("iso", "UTC", "2026-11-24T12:00:00Z"),
        ("iso", "Europe/Berlin", "2026-11-24T13:00:00"),
        ("iso", "Europe/Berlin", "2026-11-24 13:00:00.000"),
        ("iso", "UTC", "2026-11-24T17:30:00+05:30"),
        ("%Y-%m-%d.%H:%M:%S", "UTC", "2026-11-24.12:00:00"),
        ("%d.%m.%Y %H:%M", "America/New_York", "24.11.2026 07:00"),
        ("%Y-%m-%dT%H:%M:%S%z", "UTC", "2026-11-24T14:00:00+0200"),
        ("epoch", "UTC", 1795521600),
        ("epoch", "UTC", "1795521600"),
        ("epoch", "UTC", 1795521600.0),
        ("epoch_ms", "UTC", 1795521600000),
    ],
)
def test_a_time_is_read(form, zone, written):
    """Each way of writing a time gives the instant, aware."""
    assert Times(form, zone).parse(written) == NOON


@pytest.mark.parametrize("form", ["iso", "epoch", "epoch_ms", "%Y-%m-%d"])
@pytest.mark.parametrize("written", [None, True, "soon", "", [], {}, "9" * 40, float("inf")])
def test_what_is_no_time_is_unfit(form, written):
    """What cannot be read is told without its contents."""
    with pytest.raises(Unfit) as caught:
        Times(form, "UTC").parse(written)
    assert "soon" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "zone", "text"),
    [
        ("iso", "UTC", "2026-11-24T12:00:00Z"),
        ("iso", "Europe/Berlin", "2026-11-24T13:00:00+01:00"),
        ("%Y-%m-%d.%H:%M:%S", "UTC", "2026-11-24.12:00:00"),
        ("%Y-%m-%d", "Pacific/Auckland", "2026-11-25"),
        ("epoch", "UTC", "1795521600"),
        ("epoch_ms", "UTC", "1795521600900"),
    ],
)
def test_a_time_is_asked_for(form, zone, text):
    """What has no room in the format is cut off, so that no question begins too late."""
    assert Times(form, zone).render(NOON + timedelta(milliseconds=900)) == text


@pytest.mark.parametrize("minutes", range(0, 240, 15))
def test_an_hour_that_comes_twice_is_never_asked_for_too_late(minutes):
    """However the other side takes a local time of the night when clocks go back, nothing is left out."""
    instant = datetime(2026, 10, 24, 23, 0, tzinfo=UTC) + timedelta(minutes=minutes)
    times = Times("%Y-%m-%d %H:%M:%S", "Europe/Berlin")
    text = times.render(instant)
    later = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    assert later.astimezone(UTC) <= instant
