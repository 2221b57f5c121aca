"""Fixtures of the tests about isolation."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from syncd.testing.virtual_clock import VirtualClock
from tests.isolation.town import Town


@pytest_asyncio.fixture
async def town(clock: VirtualClock, tmp_path: Path) -> AsyncIterator[Town]:
    """Return two systems and one api."""
    made = Town(clock, tmp_path, ["calm", "wild"], ["berlin"])
    await made.open()
    yield made
    await made.close()
