"""The adapter of GLPI passes the suite that every adapter passes."""

import pytest

from adapters.glpi import Glpi
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.glpi.stand_in import AGENT, APP_TOKEN, CUSTOMER
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor


class GlpiVendor(ServedVendor):
    """The stand-in as the suite asks for it, with an application token, and tickets in a child entity."""

    page_size = feed_page_size = 3

    def __init__(self, glpi):
        super().__init__(glpi)
        glpi.longest_page = self.page_size
        glpi.app_token = APP_TOKEN

    def options(self):
        return {"base_url": self.account.base_url, "user_token": self.account.user_token, "app_token": APP_TOKEN}

    def bad_options(self):
        return {**self.options(), "user_token": "wrong-user-token"}

    async def seed_ticket(self, reply_times):
        first, *later = reply_times
        key = self.account.open_ticket(first, entity=1)
        authors = (AGENT, CUSTOMER)
        rows = [self.account.follow_up(key, "text", authors[turn % 2], at) for turn, at in enumerate(later)]
        ids = (f"ticket-{key}", *(f"followup-{row}" for row in rows))
        return SeededTicket(str(key), str(key), self.account.link(key), ids)

    async def add_customer_reply(self, ticket_id, text):
        return f"followup-{self.account.follow_up(int(ticket_id), text, CUSTOMER)}"

    async def add_agent_reply(self, ticket_id, text):
        return f"followup-{self.account.follow_up(int(ticket_id), text, AGENT)}"

    async def add_internal_note(self, ticket_id, text):
        return f"followup-{self.account.follow_up(int(ticket_id), text, AGENT, private=1)}"

    async def close_ticket(self, ticket_id):
        self.account.set_status(int(ticket_id), "closed")

    async def delete_ticket(self, ticket_id):
        self.account.delete(int(ticket_id))

    async def repeat_page_token(self):
        self.account.stuck = True


class TestGlpi(AdapterContract, MainJob):
    """The suite."""

    adapter = Glpi

    @pytest.fixture
    def vendor(self, glpi):
        """The GLPI as a vendor."""
        return GlpiVendor(glpi)
