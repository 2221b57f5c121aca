"""A running Znuny, and adapters opened at it."""

import pytest

from adapters.znuny import Znuny
from tests.adapters.znuny.stand_in import ZnunyStandIn


@pytest.fixture
async def znuny(clock):
    """A running Znuny without tickets."""
    async with ZnunyStandIn(clock) as system:
        yield system


@pytest.fixture
def open_adapter(connect, znuny):
    """Makes adapters signed in to it."""

    def open_with(**options):
        signed = {"base_url": znuny.base_url, "user": znuny.user, "password": znuny.password}
        return connect(Znuny, link_hosts=["tickets.acme.test"], **(signed | options))

    return open_with


@pytest.fixture
def adapter(open_adapter):
    """An adapter signed in by headers."""
    return open_adapter()
