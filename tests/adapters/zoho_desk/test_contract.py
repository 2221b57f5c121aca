"""The adapter of Zoho Desk passes the suite that every adapter passes."""

import pytest

from adapters.zoho_desk import ZohoDesk
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor

FILES = [{"id": "1", "name": "a.pdf", "size": "12", "href": "https://desk.zoho.com/api/v1/x"}]


class ZohoDeskVendor(ServedVendor):
    """The stand-in as the suite asks for it. Tickets have whole seconds, threads milliseconds."""

    page_size, feed_page_size = 3, 3
    feed_lag_seconds = 120
    resolution_seconds = 0.001

    def __init__(self, account, options):
        super().__init__(account)
        self.good = options
        account.list_page, account.search_page = self.page_size, self.feed_page_size
        account.lag_seconds = self.feed_lag_seconds - 1

    def options(self):
        return self.good

    def bad_options(self):
        return {**self.good, "refresh_token": "1000.wrong-hush"}

    async def seed_ticket(self, reply_times):
        first, *others = reply_times
        ticket_id, thread = self.account.open_ticket(first)
        ids = [thread]
        for turn, at in enumerate(others):
            direction = ("out", "in")[turn % 2]
            ids.append(self.account.write(ticket_id, "message", at, direction=direction, attachments=FILES))
        number = self.account.tickets[ticket_id]["ticketNumber"]
        return SeededTicket(ticket_id, number, self.account.link(ticket_id), tuple(ids))

    async def add_customer_reply(self, ticket_id, text):
        return self.account.write(ticket_id, text, direction="in")

    async def add_agent_reply(self, ticket_id, text):
        return self.account.write(ticket_id, text)

    async def add_internal_note(self, ticket_id, text):
        return f"comment-{self.account.comment(ticket_id, text)}"

    async def close_ticket(self, ticket_id):
        self.account.touch(ticket_id, status="Geschlossen", statusType="Closed")

    async def delete_ticket(self, ticket_id):
        self.account.touch(ticket_id, isTrashed=True)

    async def repeat_page_token(self):
        self.account.stuck = True


class TestZohoDesk(AdapterContract, MainJob):
    """The suite."""

    adapter = ZohoDesk

    @pytest.fixture
    def vendor(self, zoho_desk, options):
        """The stand-in as a vendor."""
        return ZohoDeskVendor(zoho_desk, options)
