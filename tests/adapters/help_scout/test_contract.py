"""The adapter of Help Scout passes the suite that every adapter passes."""

import pytest

from adapters.help_scout import HelpScout
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor


class HelpScoutVendor(ServedVendor):
    """The stand-in as the suite asks for it."""

    page_size, feed_page_size = 3, 3

    def __init__(self, account):
        super().__init__(account)
        account.threads_page, account.page_size = self.page_size, self.feed_page_size

    def options(self):
        app = {"client_id": self.account.client_id, "client_secret": self.account.client_secret}
        return {"base_url": self.account.base_url, "web_url": self.account.origin, **app}

    def bad_options(self):
        return {**self.options(), "client_secret": "wrong"}

    async def seed_ticket(self, reply_times):
        first, *others = reply_times
        conversation_id, thread = self.account.open_conversation(first)
        ids = [thread]
        for turn, at in enumerate(others):
            files = [{"id": 1, "filename": "a.pdf", "mimeType": "application/pdf", "size": 12}] if turn == 0 else []
            kind = ("message", "customer")[turn % 2]
            ids.append(self.account.add(conversation_id, kind, "message", at, _embedded={"attachments": files}))
        number = str(self.account.conversations[conversation_id]["number"])
        link = f"{self.account.origin}/conversation/{conversation_id}/{number}/"
        return SeededTicket(str(conversation_id), number, link, tuple(map(str, ids)))

    async def add_customer_reply(self, ticket_id, text):
        return str(self.account.add(int(ticket_id), "customer", text))

    async def add_agent_reply(self, ticket_id, text):
        return str(self.account.add(int(ticket_id), "message", text, source="web"))

    async def add_internal_note(self, ticket_id, text):
        return str(self.account.add(int(ticket_id), "note", text, source="web"))

    async def close_ticket(self, ticket_id):
        self.account.touch(int(ticket_id), status="closed")

    async def delete_ticket(self, ticket_id):
        del self.account.conversations[int(ticket_id)]

    async def throttle_next(self, seconds):
        headers = {"X-RateLimit-Retry-After": f"{seconds:g}"}  # Help Scout has no Retry-After
        self.account.next_answers.append((429, headers, '{"message": "Throttled"}', "application/json"))

    async def repeat_page_token(self):
        self.account.stuck = True


class TestHelpScout(AdapterContract, MainJob):
    """The suite, where the threads come inside their conversations."""

    adapter = HelpScout

    @pytest.fixture
    def vendor(self, help_scout):
        """The account as a vendor."""
        return HelpScoutVendor(help_scout)


class TestHelpScoutWithoutEmbedding(TestHelpScout):
    """The suite, where no threads come inside, and each conversation's own list of them is read."""

    @pytest.fixture
    def vendor(self, help_scout):
        """The account as a vendor, without threads inside conversations."""
        help_scout.embed_cap = 0
        return HelpScoutVendor(help_scout)
