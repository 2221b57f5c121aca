"""The adapter of HubSpot passes the suite that every adapter passes."""

import pytest

from adapters.hubspot import Hubspot
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.hubspot.stand_in import AGENT, CUSTOMER, TOKEN, WEB_HOST
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor


class HubspotVendor(ServedVendor):
    """The stand-in as the suite asks for it."""

    page_size, feed_page_size = 3, 3
    feed_lag_seconds = 30
    resolution_seconds = 0.001

    def __init__(self, account):
        super().__init__(account)
        account.largest_page = account.largest_search = self.page_size

    def options(self):
        return {"base_url": self.account.base_url, "web_url": f"https://{WEB_HOST}", "access_token": TOKEN}

    def bad_options(self):
        return {**self.options(), "access_token": "pat-eu1-wrong-1"}

    async def seed_ticket(self, reply_times):
        ticket_id = self.account.open_ticket(reply_times[0])
        thread_id = self.account.open_thread(ticket_id, reply_times[0])
        people = (CUSTOMER, AGENT)
        ids = [self.account.write(thread_id, "message", at, by=people[turn % 2]) for turn, at in enumerate(reply_times)]
        return SeededTicket(ticket_id, ticket_id, self.account.link(ticket_id), tuple(ids))

    async def add_customer_reply(self, ticket_id, text):
        return self.account.write(self._thread(ticket_id), text, by=CUSTOMER)

    async def add_agent_reply(self, ticket_id, text):
        return self.account.write(self._thread(ticket_id), text)

    async def add_internal_note(self, ticket_id, text):
        return self.account.write(self._thread(ticket_id), text, kind="COMMENT")

    async def close_ticket(self, ticket_id):
        self.account.touch(ticket_id, hs_pipeline_stage="4")

    async def delete_ticket(self, ticket_id):
        self.account.delete_ticket(ticket_id)

    async def repeat_page_token(self):
        self.account.stuck = True

    def _thread(self, ticket_id):
        return next(key for key, thread in self.account.threads.items() if thread["ticket"] == ticket_id)


class TestHubspot(AdapterContract, MainJob):
    """The suite."""

    adapter = Hubspot

    @pytest.fixture
    def vendor(self, hubspot):
        """The stand-in as a vendor."""
        return HubspotVendor(hubspot)
