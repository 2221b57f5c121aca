"""An account of Freshservice for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.freshservice import Freshservice
from tests.adapters.freshservice.stand_in import FreshserviceStandIn


@pytest.fixture
async def freshservice(clock):
    """A running account."""
    async with FreshserviceStandIn(clock) as account:
        yield account


@pytest.fixture
def sign_in(connect, freshservice):
    """Makes adapters signed in to the account, with options."""

    def sign_in_with(**options):
        return connect(Freshservice, base_url=freshservice.base_url, api_key=freshservice.api_key, **options)

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter with the options that nobody has to set."""
    return sign_in()
