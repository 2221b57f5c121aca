"""What tests ask pytest for: the fixture `clock`, and the virtual event loop for tests that use it.

In a conftest.py: `from syncd.testing.fixtures import clock, pytest_asyncio_loop_factories`. A test that asks for
`clock`, itself or through another fixture, runs under virtual time; every other test runs in real time.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping

import pytest
import pytest_asyncio

from syncd.testing.virtual_clock import VirtualClock, VirtualLoop

# So that a failing test of the suite tells both sides of its comparison, as tests in test files do.
for _module in ("contract_base", "contract_tickets", "contract_replies", "contract_failures", "contract_bad_input"):
    if f"syncd.testing.{_module}" not in sys.modules:
        pytest.register_assert_rewrite(f"syncd.testing.{_module}")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Give tests that use the clock a virtual event loop (a hook of pytest-asyncio 1.4 or newer)."""
    if "clock" in getattr(item, "fixturenames", ()):
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}


@pytest_asyncio.fixture
async def clock() -> VirtualClock:
    """Return the clock of the test's virtual event loop."""
    return VirtualClock(asyncio.get_running_loop())
