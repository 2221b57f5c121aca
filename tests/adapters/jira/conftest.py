"""Jira sites for the tests beside this file, and adapters signed in to them."""

import pytest

from adapters.jira import Jira
from tests.adapters.jira.stand_in import API_TOKEN, EMAIL, TOKEN, JiraDataCenterStandIn, JiraStandIn


@pytest.fixture
async def jira(clock):
    """A running site of Cloud."""
    async with JiraStandIn(clock) as account:
        yield account


@pytest.fixture
async def data_center(clock):
    """A running Data Center."""
    async with JiraDataCenterStandIn(clock) as account:
        yield account


@pytest.fixture
def connect_cloud(connect, jira):
    """Makes adapters signed in to the site of Cloud."""
    sign_in = {"email": EMAIL, "api_token": API_TOKEN}
    return lambda link_hosts=(), **options: connect(Jira, link_hosts, base_url=jira.base_url, **(sign_in | options))


@pytest.fixture
def connect_data_center(connect, data_center):
    """Makes adapters signed in to the Data Center."""
    sign_in = {"deployment": "data_center", "token": TOKEN}
    address = data_center.base_url
    return lambda link_hosts=(), **options: connect(Jira, link_hosts, base_url=address, **(sign_in | options))


@pytest.fixture
def cloud(connect_cloud):
    """An adapter signed in to the site of Cloud."""
    return connect_cloud()


@pytest.fixture
def dc(connect_data_center):
    """An adapter signed in to the Data Center."""
    return connect_data_center()
