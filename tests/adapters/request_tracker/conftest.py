"""A Request Tracker for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.request_tracker import RequestTracker, RequestTrackerConfig
from syncd.sources.http import VendorHttp
from tests.adapters.request_tracker.stand_in import RequestTrackerStandIn


@pytest.fixture
async def server(clock):
    """A running server."""
    async with RequestTrackerStandIn(clock) as stand_in:
        yield stand_in


@pytest.fixture
async def connect(server, clock):
    """Makes adapters signed in to the server, as the reader unless told otherwise."""
    opened = []

    def connect_as(token="1-37-reader", link_hosts=(), **options):
        config = RequestTrackerConfig(**({"base_url": server.base_url, "token": token} | options))
        opened.append(VendorHttp(RequestTracker.connection(config), clock=clock))
        return RequestTracker(config, opened[-1], link_hosts)

    yield connect_as
    for http in opened:
        await http.close()


@pytest.fixture
def adapter(connect):
    """An adapter with the least permissions that it needs."""
    return connect()
