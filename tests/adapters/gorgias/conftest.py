"""A Gorgias account for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.gorgias import Gorgias
from tests.adapters.gorgias.stand_in import GorgiasStandIn


@pytest.fixture
async def gorgias(clock):
    """A running account."""
    async with GorgiasStandIn(clock) as account:
        yield account


@pytest.fixture
def sign_in(connect, gorgias):
    """Makes adapters signed in to the account, with the user's key unless told otherwise."""

    def sign_in_with(*, own_pace=False, **options):
        way = options or {"email": gorgias.email, "api_key": gorgias.api_key}
        return connect(Gorgias, **{"base_url": gorgias.base_url, **way}, own_pace=own_pace)

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter signed in by the user's key."""
    return sign_in()
