"""The adapter of Zammad passes the suite that every adapter passes."""

import pytest

from adapters.zammad import Zammad
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor
from tests.adapters.zammad.stand_in import TOKEN


class ZammadVendor(ServedVendor):
    """The stand-in as the suite asks for it. It gives 50 tickets a page, as no Zammad gives fewer."""

    page_size, feed_page_size = 3, 50
    resolution_seconds = 0.001

    def __init__(self, account):
        super().__init__(account)
        account.largest_page = self.feed_page_size

    def options(self):
        return {"base_url": self.account.base_url, "token": TOKEN}

    def bad_options(self):
        return {**self.options(), "token": "wrong-token-1"}

    async def seed_ticket(self, reply_times):
        first, *others = reply_times
        ticket_id, article = self.account.open_ticket(first)
        ids = [article]
        for turn, at in enumerate(others):
            ids.append(self.account.write(ticket_id, "message", at, sender=("Agent", "Customer")[turn % 2]))
            self.account.mail_out(ids[-1])
        number = self.account.tickets[ticket_id]["number"]
        return SeededTicket(str(ticket_id), number, self.account.link(ticket_id), tuple(map(str, ids)))

    async def add_customer_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, sender="Customer"))

    async def add_agent_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text))

    async def add_internal_note(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, kind="note", internal=True))

    async def close_ticket(self, ticket_id):
        self.account.set_state(int(ticket_id), "closed")

    async def delete_ticket(self, ticket_id):
        self.account.delete_ticket(int(ticket_id))

    async def repeat_page_token(self):
        self.account.stuck = True


class TestZammad(AdapterContract, MainJob):
    """The suite."""

    adapter = Zammad

    @pytest.fixture
    def vendor(self, zammad):
        """The stand-in as a vendor."""
        return ZammadVendor(zammad)
