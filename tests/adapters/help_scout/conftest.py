"""A Help Scout account for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.help_scout import HelpScout
from tests.adapters.help_scout.stand_in import HelpScoutStandIn


@pytest.fixture
async def help_scout(clock):
    """A running account."""
    async with HelpScoutStandIn(clock) as account:
        yield account


@pytest.fixture
def sign_in(connect, help_scout):
    """Makes adapters signed in to the account, with the options of its app unless told otherwise."""

    def sign_in_with(**options):
        app = {"client_id": help_scout.client_id, "client_secret": help_scout.client_secret}
        return connect(HelpScout, **({"base_url": help_scout.base_url} | app | options))

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter signed in by the app."""
    return sign_in()
