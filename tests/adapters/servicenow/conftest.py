"""A ServiceNow instance for the tests beside this file, and an adapter signed in to it."""

import pytest

from adapters.servicenow import ServiceNow
from tests.adapters.servicenow.stand_in import ServiceNowStandIn


@pytest.fixture
async def servicenow(clock):
    """A running instance with incidents."""
    async with ServiceNowStandIn(clock) as instance:
        yield instance


@pytest.fixture
async def cases(clock):
    """A running instance with cases of a customer service."""
    async with ServiceNowStandIn(clock, "sn_customerservice_case") as instance:
        yield instance


@pytest.fixture
def sign_in(connect):
    """Makes adapters signed in by user name and password, to incidents unless told otherwise."""

    def sign_in_to(instance, **options):
        own = {"base_url": instance.base_url, "username": "syncd", "password": "password-1", "table": instance.table}
        return connect(ServiceNow, **{**own, **options})

    return sign_in_to


@pytest.fixture
def adapter(sign_in, servicenow):
    """An adapter of incidents."""
    return sign_in(servicenow)


@pytest.fixture
def displaying(sign_in, servicenow):
    """An adapter of incidents that reads the texts that tickets display."""
    return sign_in(servicenow, replies_from="display")
