"""A Zammad for the tests beside this file, and an adapter signed in to it."""

import pytest

from adapters.zammad import Zammad
from tests.adapters.zammad.stand_in import TOKEN, ZammadStandIn


@pytest.fixture
async def zammad(clock):
    """A running Zammad."""
    async with ZammadStandIn(clock) as stand_in:
        yield stand_in


@pytest.fixture
def open_adapter(connect, zammad):
    """Makes adapters signed in to it; other options may be given."""

    def open_with(link_hosts=(), **options):
        return connect(Zammad, link_hosts, **({"base_url": zammad.base_url, "token": TOKEN} | options))

    return open_with


@pytest.fixture
def adapter(open_adapter):
    """An adapter signed in by a good token."""
    return open_adapter()
