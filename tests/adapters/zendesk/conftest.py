"""An account of Zendesk for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.zendesk import Zendesk, ZendeskConfig
from syncd.sources.http import VendorHttp
from tests.adapters.zendesk.stand_in import ZendeskStandIn


@pytest.fixture
async def zendesk(clock):
    """A running account."""
    async with ZendeskStandIn(clock) as account:
        yield account


@pytest.fixture
async def connect(zendesk, clock):
    """Makes adapters signed in to the account."""
    opened = []

    def connect_with(link_hosts=(), **credentials):
        options = ZendeskConfig(base_url=zendesk.base_url, **(credentials or {"oauth_token": "oauth-token-1"}))
        opened.append(VendorHttp(Zendesk.connection(options), clock=clock))
        return Zendesk(options, opened[-1], link_hosts)

    yield connect_with
    for http in opened:
        await http.close()


@pytest.fixture
def adapter(connect):
    """An adapter signed in by a ready token."""
    return connect()
