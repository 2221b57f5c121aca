"""The only reader of the time. Everything else is handed a clock."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol


def ahead_by(date: str | None, now: datetime) -> timedelta | None:
    """Return how far the clock of a server is ahead of ours, by the Date of its answer; None if it told none."""
    try:
        told = parsedate_to_datetime(date or "")
        # It is cut to seconds. In the middle of its second the error is least.
        return None if told.tzinfo is None else told + timedelta(seconds=0.5) - now
    except (ValueError, TypeError, OverflowError):
        return None


class Clock(Protocol):
    """Two times that must not be mixed: the wall clock may jump, the monotonic one may not."""

    def now(self) -> datetime:
        """Return the wall clock as an aware instant in UTC: for what is stored and shown."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some start: for waits and deadlines inside the process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many monotonic seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall clock as an aware instant in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the seconds of the monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds on the event loop."""
        await asyncio.sleep(max(0.0, seconds))
