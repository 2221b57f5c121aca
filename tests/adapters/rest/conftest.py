"""Stand-ins in a flavour, and adapters for them."""

import pytest

from adapters.rest import Rest
from tests.adapters.rest.flavours import put, settings
from tests.adapters.rest.stand_in import RestStandIn


@pytest.fixture
async def serve(clock):
    """Return what starts a stand-in of a flavour."""
    running = []

    async def start(**flavour):
        running.append(await RestStandIn(clock, **flavour).__aenter__())
        return running[-1]

    yield start
    for desk in running:
        await desk.__aexit__()


@pytest.fixture
def describe(connect):
    """Return what opens an adapter for a stand-in; `changed` puts values at dotted places first."""

    def build(desk, changed=None, **where):
        options = settings(desk, **where)
        for place, value in (changed or {}).items():
            put(options, place, value)
        return connect(Rest, **options)

    return build


@pytest.fixture
async def desk(serve):
    """A stand-in with lists that go on by a Link header."""
    return await serve(paging="link_header")
