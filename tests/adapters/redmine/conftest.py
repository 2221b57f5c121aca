"""A Redmine for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.redmine import Redmine
from tests.adapters.redmine.stand_in import RedmineStandIn


@pytest.fixture
async def redmine(clock):
    """A running Redmine."""
    async with RedmineStandIn(clock) as stand_in:
        yield stand_in


@pytest.fixture
def sign_in(redmine, connect):
    """Makes adapters signed in as the reader, with options."""

    def sign_in_with(**options):
        return connect(Redmine, **({"base_url": redmine.base_url, "api_key": redmine.api_key} | options))

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter with the options that nobody has to set."""
    return sign_in()
