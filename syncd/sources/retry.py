"""When a read is tried again, and how long a vendor asks to be left alone. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_WAITS_SECONDS: tuple[float, ...] = (1.0, 4.0)
"""How long to wait before the second and the third try; there is no fourth."""

RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})

LONGEST_WAIT_SECONDS = 60.0
"""A longer wait that the vendor asks for is not waited out inside a request; the caller comes back later."""

_LONGEST_BELIEVED_SECONDS = 24 * 3600.0
_SMALLEST_EPOCH = 1_000_000_000  # a bare number this large is an instant of the years after 2001, not a wait


def asked_wait_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how long the vendor asks to wait (0 or more, a day at most), or None if it does not say.

    Read are `Retry-After` (seconds or a date, RFC 9110 section 10.2.3) and `RateLimit-Reset` (seconds, or an instant
    in Unix seconds, as vendors send either).
    """
    for name in ("Retry-After", "RateLimit-Reset"):
        text = headers.get(name, "").strip()
        seconds = _seconds_from(text, now) if text else None
        if seconds is not None:
            return min(max(seconds, 0.0), _LONGEST_BELIEVED_SECONDS)
    return None


def _seconds_from(text: str, now: datetime) -> float | None:
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        number = float(text)
        return number - now.timestamp() if number >= _SMALLEST_EPOCH else number
    try:
        instant = parsedate_to_datetime(text)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - now).total_seconds()
