"""A company at Front for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.front import Front
from tests.adapters.front.stand_in import TOKEN, FrontStandIn


@pytest.fixture
async def front(clock):
    """A running company."""
    async with FrontStandIn(clock) as company:
        yield company


@pytest.fixture
def sign_in(connect, front):
    """Makes adapters signed in to the company, by its token unless told otherwise."""

    def sign_in_with(link_hosts=(), **options):
        return connect(Front, link_hosts, **({"base_url": front.base_url, "api_token": TOKEN} | options))

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter signed in by a good token."""
    return sign_in()
