"""An account of Freshdesk for the tests beside this file, and an adapter signed in to it."""

import pytest

from adapters.freshdesk import Freshdesk
from tests.adapters.freshdesk.stand_in import FreshdeskStandIn


@pytest.fixture
async def freshdesk(clock):
    """A running account."""
    async with FreshdeskStandIn(clock) as account:
        yield account


@pytest.fixture
def adapter(connect, freshdesk):
    """An adapter signed in to the account."""
    return connect(Freshdesk, base_url=freshdesk.base_url, api_key=freshdesk.api_key)
