"""A Salesforce organisation for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.salesforce import Salesforce
from tests.adapters.salesforce.stand_in import CLIENT_ID, CLIENT_SECRET, SalesforceStandIn


@pytest.fixture
async def salesforce(clock):
    """A running organisation."""
    async with SalesforceStandIn(clock) as organisation:
        yield organisation


@pytest.fixture
def sign_in(connect, salesforce):
    """Makes adapters signed in to it; other options may be given."""

    def sign_in_with(link_hosts=(), **options):
        app = {"base_url": salesforce.base_url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        return connect(Salesforce, link_hosts, **(app | options))

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter signed in by the app."""
    return sign_in()
