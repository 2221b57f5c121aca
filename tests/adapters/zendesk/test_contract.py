"""The adapter of Zendesk passes the suite that every adapter passes."""

import pytest

from adapters.zendesk import Zendesk
from syncd.testing.adapter_contract import AdapterContract, SeededTicket, Vendor
from tests.adapters.main_job import MainJob


class ZendeskVendor(Vendor):
    """The stand-in as the suite asks for it."""

    page_size, feed_page_size = 3, 3
    feed_lag_seconds = 61

    def __init__(self, account):
        self.account = account
        account.comments_page, account.export_page = self.page_size, self.feed_page_size

    def options(self):
        return {"base_url": self.account.base_url, "client_id": "syncd", "client_secret": "client-secret-1"}

    def bad_options(self):
        return {**self.options(), "client_secret": "wrong"}

    async def seed_ticket(self, reply_times):
        first, *others = reply_times
        ticket_id, comment = self.account.open_ticket(first)
        authors = [self.account.agent, self.account.customer]
        ids = [comment]
        for turn, at in enumerate(others):
            ids.append(self.account.comment(ticket_id, authors[turn % 2], "message", at))
        link = f"{self.account.base_url}/agent/tickets/{ticket_id}"
        return SeededTicket(str(ticket_id), str(ticket_id), link, tuple(map(str, ids)))

    async def add_customer_reply(self, ticket_id, text):
        return str(self.account.comment(int(ticket_id), self.account.customer, text))

    async def add_agent_reply(self, ticket_id, text):
        return str(self.account.comment(int(ticket_id), self.account.agent, text, via="web"))

    async def add_internal_note(self, ticket_id, text):
        return str(self.account.comment(int(ticket_id), self.account.agent, text, public=False))

    async def close_ticket(self, ticket_id):
        self.account.change(int(ticket_id), status="solved")

    async def delete_ticket(self, ticket_id):
        del self.account.tickets[int(ticket_id)]

    async def throttle_next(self, seconds):
        headers = {"Retry-After": f"{seconds:g}"}
        self.account.next_answers.append((429, headers, "Too many requests", "text/plain"))

    async def answer_nonsense_next(self):
        self.account.next_answers.append((200, {}, "<html>Sign in to continue</html>", "text/html"))

    async def redirect_next(self, address):
        self.account.next_answers.append((302, {"Location": address}, "", "text/html"))

    async def hang_next(self):
        self.account.next_answers.append("hang")

    async def repeat_page_token(self):
        self.account.stuck = True


class TestZendesk(AdapterContract, MainJob):
    """The suite."""

    adapter = Zendesk

    @pytest.fixture
    def vendor(self, zendesk):
        """The account as a vendor."""
        return ZendeskVendor(zendesk)
