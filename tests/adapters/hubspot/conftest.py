"""A HubSpot account for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.hubspot import Hubspot
from syncd.model.ticket import Ticket
from tests.adapters.hubspot.stand_in import TOKEN, WEB_HOST, HubspotStandIn


@pytest.fixture
async def hubspot(clock):
    """A running account."""
    async with HubspotStandIn(clock) as account:
        yield account


@pytest.fixture
def sign_in(connect, hubspot):
    """Makes adapters signed in to the account, by a private app unless told otherwise."""

    def sign_in_with(link_hosts=(), **options):
        address = {"base_url": hubspot.base_url, "web_url": f"https://{WEB_HOST}"}
        return connect(Hubspot, link_hosts, **(address | ({"access_token": TOKEN} | options)))

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter signed in by a private app."""
    return sign_in()


@pytest.fixture
def read(adapter):
    """Reads the replies of a ticket."""

    async def read_replies(ticket_id, since=None, by=adapter):
        return [reply async for reply in by.replies(Ticket(ticket_id, ticket_id), since)]

    return read_replies
