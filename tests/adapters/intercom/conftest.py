"""An Intercom workspace for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.intercom import Intercom
from tests.adapters.intercom.stand_in import IntercomStandIn


@pytest.fixture
async def intercom(clock):
    """A running workspace."""
    async with IntercomStandIn(clock) as workspace:
        yield workspace


@pytest.fixture
def sign_in(connect, intercom):
    """Makes adapters signed in to the workspace, with options."""

    def sign_in_with(**options):
        return connect(Intercom, **({"base_url": intercom.base_url, "access_token": intercom.token} | options))

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter with the options that nobody has to set."""
    return sign_in()
