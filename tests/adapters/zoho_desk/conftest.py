"""A Zoho Desk for the tests beside this file, and adapters signed in to it."""

import pytest

from adapters.zoho_desk import ZohoDesk
from tests.adapters.zoho_desk.stand_in import ZohoDeskStandIn


@pytest.fixture
async def zoho_desk(clock):
    """A running organisation."""
    async with ZohoDeskStandIn(clock) as organization:
        yield organization


@pytest.fixture
def options(zoho_desk):
    """Options that sign in to it."""
    client = {"client_id": zoho_desk.client_id, "client_secret": zoho_desk.client_secret}
    place = {"base_url": zoho_desk.base_url, "accounts_url": zoho_desk.accounts_url, "org_id": zoho_desk.org_id}
    return {**client, **place, "refresh_token": zoho_desk.refresh_token}


@pytest.fixture
def sign_in(connect, options):
    """Makes adapters signed in to it, with other options if there are any."""

    def sign_in_with(link_hosts=(), **others):
        return connect(ZohoDesk, link_hosts, **(options | others))

    return sign_in_with


@pytest.fixture
def adapter(sign_in):
    """An adapter signed in."""
    return sign_in()


@pytest.fixture
def read(adapter):
    """Reads the replies of a ticket, from an instant on if one is given."""

    async def read_ticket(ticket_id, since=None):
        (ticket,) = await adapter.tickets([ticket_id])
        return [reply async for reply in adapter.replies(ticket, since)]

    return read_ticket
