"""How long a vendor asks to wait."""

from datetime import UTC, datetime

import pytest

from syncd.sources.retry import asked_wait_seconds

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "12"}, 12),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "Mon, 02 Mar 2026 09:01:00 GMT"}, 60),
        ({"Retry-After": "Mon, 02 Mar 2026 08:00:00 GMT"}, 0),
        ({"Retry-After": "Mon, 02 Mar 2026 09:01:00 -0000"}, 60),
        ({"RateLimit-Reset": "33"}, 33),
        ({"RateLimit-Reset": str(int(NOW.timestamp()) + 40)}, 40),
        ({"Retry-After": "5", "RateLimit-Reset": "33"}, 5),
        ({"Retry-After": "soon", "RateLimit-Reset": "33"}, 33),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "999999999"}, 86_400),
        ({"Retry-After": ""}, None),
    ],
)
def test_the_wait_that_is_asked_for(headers, seconds):
    """Seconds, dates and Unix seconds are read; nonsense is no wait; nobody silences us for more than a day."""
    assert asked_wait_seconds(429, headers, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Retry-After": "9"}, 9),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}, 20),
        ({"X-RateLimit-Reset": "2026-03-02T09:05Z"}, 300),
        ({"X-RateLimit-Retry-After": "9", "X-RateLimit-Reset": "2026-03-02T09:05Z"}, 9),
    ],
)
def test_the_words_of_single_vendors(headers, seconds):
    """Help Scout names the wait in its own header; Front, Intercom and Jira name the instant at which a limit ends."""
    assert asked_wait_seconds(429, headers, NOW) == seconds


def test_a_limit_that_ends_is_no_wait_of_another_failure():
    """Vendors send the end of their limit with every answer, so only 429 makes it a wait; Retry-After always is one."""
    assert asked_wait_seconds(503, {"X-RateLimit-Reset": "2026-03-02T10:00Z"}, NOW) is None
    assert asked_wait_seconds(503, {"Retry-After": "30", "X-RateLimit-Reset": "2026-03-02T10:00Z"}, NOW) == 30
