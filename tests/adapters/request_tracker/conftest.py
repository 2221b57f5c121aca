"""A Request Tracker for the tests beside this file, and adapters signed in to it."""

import importlib.util
import sys
from pathlib import Path

import pytest

from adapters.request_tracker import RequestTracker, RequestTrackerConfig
from syncd.sources.http import VendorHttp


def _load(name):
    """Load a module beside this file by its path: tests are no package here."""
    if f"request_tracker_{name}" not in sys.modules:
        path = Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(f"request_tracker_{name}", path)
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[f"request_tracker_{name}"]


_load("query")
RequestTrackerStandIn = _load("stand_in").RequestTrackerStandIn


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
