"""The adapter of Front passes the suite that every adapter passes."""

import pytest

from adapters.front import Front
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.front.stand_in import TOKEN
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor


class FrontVendor(ServedVendor):
    """The stand-in as the suite asks for it."""

    page_size, feed_page_size = 3, 3
    feed_lag_seconds = 122  # two minutes behind a clock of whole seconds
    resolution_seconds = 0.001

    def __init__(self, account):
        super().__init__(account)
        account.largest_page, account.events_page = self.page_size, self.feed_page_size

    def options(self):
        return {"base_url": self.account.base_url, "web_url": self.account.origin, "api_token": TOKEN}

    def bad_options(self):
        return {**self.options(), "api_token": "wrong-token-1"}

    def unknown_number(self):
        return "TICKET-987654"

    async def seed_ticket(self, reply_times):
        first, *others = reply_times
        conversation_id, message_id = self.account.open_conversation(first)
        ids = [message_id]
        for turn, at in enumerate(others):
            file = {"id": "fil_1", "filename": "a.pdf", "content_type": "application/pdf", "size": 12, "metadata": {}}
            files = [file] if turn == 0 else []
            ids.append(self.account.write(conversation_id, "hello", at, inbound=bool(turn % 2), attachments=files))
        link = f"{self.account.origin}/open/{conversation_id}"
        return SeededTicket(conversation_id, self.account.number(conversation_id), link, tuple(ids))

    async def add_customer_reply(self, ticket_id, text):
        return self.account.write(ticket_id, text)

    async def add_agent_reply(self, ticket_id, text):
        return self.account.write(ticket_id, text, inbound=False)

    async def add_internal_note(self, ticket_id, text):
        return self.account.comment(ticket_id, text)

    async def close_ticket(self, ticket_id):
        self.account.set_status(ticket_id, "archived")

    async def delete_ticket(self, ticket_id):
        self.account.delete(ticket_id)

    async def repeat_page_token(self):
        self.account.stuck = True


class TestFront(AdapterContract, MainJob):
    """The suite, for a company with ticketing, where conversations have numbers."""

    adapter = Front

    @pytest.fixture
    def vendor(self, front):
        """The company as a vendor."""
        return FrontVendor(front)


class TestFrontWithoutTicketing(TestFront):
    """The suite, for a company without ticketing, where the id is the only number, and events hold messages in part."""

    @pytest.fixture
    def vendor(self, front):
        """The company as a vendor."""
        front.has_ticketing, front.partial_targets = False, True
        front.is_after_included = False
        vendor = FrontVendor(front)
        vendor.unknown_number = lambda: "cnv_zzz9"
        return vendor
