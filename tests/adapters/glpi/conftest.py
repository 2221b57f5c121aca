"""A GLPI for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.glpi import Glpi
from tests.adapters.glpi.stand_in import GlpiStandIn


@pytest.fixture
async def glpi(clock):
    """A running GLPI."""
    async with GlpiStandIn(clock) as stand_in:
        yield stand_in


@pytest.fixture
def sign_in(glpi, connect):
    """Makes adapters signed in as the reader, with options."""

    def sign_in_with(link_hosts=(), **options):
        return connect(Glpi, link_hosts, **({"base_url": glpi.base_url, "user_token": glpi.user_token} | options))

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter with the options that nobody has to set."""
    return sign_in()
