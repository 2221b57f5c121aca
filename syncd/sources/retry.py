"""When a read is tried again, and how long a vendor asks to be left alone. Pure."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_WAITS_SECONDS: tuple[float, ...] = (1.0, 4.0)
"""How long to wait before the second and the third try; there is no fourth."""

RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})

LONGEST_WAIT_SECONDS = 60.0
"""A longer wait that the vendor asks for is not waited out inside a request; the caller comes back later."""

_WAITS = ("Retry-After", "X-RateLimit-Retry-After")
_RESETS = ("RateLimit-Reset", "X-RateLimit-Reset")
_LONGEST_BELIEVED_SECONDS = 24 * 3600.0
_SMALLEST_EPOCH = 1_000_000_000  # a bare number this large is an instant of the years after 2001, not a wait


def asked_wait_seconds(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how long the vendor asks to wait (0 or more, a day at most), or None if it does not say.

    Read are `Retry-After` (seconds or a date, RFC 9110 section 10.2.3) and its namesakes, and on 429 the instant or
    the seconds at which a limit begins anew, which some vendors send with every answer.
    """
    for name in (*_WAITS, *(_RESETS if status == 429 else ())):
        text = headers.get(name, "").strip()
        seconds = _seconds_from(text, now) if text else None
        if seconds is not None:
            return min(max(seconds, 0.0), _LONGEST_BELIEVED_SECONDS)
    return None


def _seconds_from(text: str, now: datetime) -> float | None:
    """Return the seconds of a wait, or until an instant: in Unix seconds, as HTTP or as ISO 8601 writes it."""
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        number = float(text)
        return number - now.timestamp() if number >= _SMALLEST_EPOCH else number
    # OverflowError: a year or an offset that no instant has.
    instant = None
    with suppress(ValueError, OverflowError):
        instant = datetime.fromisoformat(text)
    if instant is None:
        with suppress(ValueError, OverflowError):
            instant = parsedate_to_datetime(text)
    if instant is None:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - now).total_seconds()
