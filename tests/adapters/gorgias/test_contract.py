"""The adapter of Gorgias passes the suite that every adapter passes."""

import pytest

from adapters.gorgias import Gorgias
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor


class GorgiasVendor(ServedVendor):
    """The stand-in as the suite asks for it."""

    page_size, feed_page_size, resolution_seconds = 3, 3, 0.001

    def __init__(self, account):
        super().__init__(account)
        account.page_size = self.page_size

    def options(self):
        return {"base_url": self.account.base_url, "email": self.account.email, "api_key": self.account.api_key}

    def bad_options(self):
        return {**self.options(), "api_key": "wrong"}

    async def seed_ticket(self, reply_times):
        first, *others = reply_times
        ticket_id, message = self.account.open_ticket(first)
        ids = [message]
        file = {"url": "https://uploads.test/a.pdf", "name": "a.pdf", "size": 12, "content_type": "application/pdf"}
        for turn, at in enumerate(others):
            files = [file] if turn == 0 else None
            more = {"attachments": files, "stripped_text": "answer"}
            ids.append(self.account.add(ticket_id, "answer", at, from_agent=turn % 2 == 0, **more))
        number = str(ticket_id)
        return SeededTicket(number, number, self.account.link(ticket_id), tuple(map(str, ids)))

    async def add_customer_reply(self, ticket_id, text):
        return str(self.account.add(int(ticket_id), text))

    async def add_agent_reply(self, ticket_id, text):
        return str(self.account.add(int(ticket_id), text, from_agent=True))

    async def add_internal_note(self, ticket_id, text):
        return str(self.account.note(int(ticket_id), text))

    async def close_ticket(self, ticket_id):
        self.account.touch(int(ticket_id), status="closed")

    async def delete_ticket(self, ticket_id):
        self.account.delete(int(ticket_id))

    async def repeat_page_token(self):
        self.account.stuck = True


class TestGorgias(AdapterContract, MainJob):
    """The suite."""

    adapter = Gorgias

    @pytest.fixture
    def vendor(self, gorgias):
        """The account as a vendor."""
        return GorgiasVendor(gorgias)

    def _readings(self, seeded, beginning):
        """Read the feed once more where the ticket was read before: then its replies come with the feed."""
        one_ticket, feed = super()._readings(seeded, beginning)

        async def warm_feed(adapter):
            return await one_ticket(adapter) + await feed(adapter)

        return [one_ticket, feed, warm_feed]
