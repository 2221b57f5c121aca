"""The adapter of Redmine passes the suite that every adapter passes."""

import pytest

from adapters.redmine import Redmine
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor


class RedmineVendor(ServedVendor):
    """The stand-in as the suite asks for it."""

    page_size = feed_page_size = 3

    def __init__(self, redmine):
        super().__init__(redmine)
        redmine.largest_page = self.feed_page_size

    def options(self):
        return {"base_url": self.account.base_url, "api_key": self.account.api_key}

    def bad_options(self):
        return {**self.options(), "api_key": "f" * 40}

    async def seed_ticket(self, reply_times):
        first, *later = reply_times
        issue = self.account.create_issue(first)
        authors = (self.account.agent, self.account.customer)
        notes = [self.account.write(issue, "text", authors[turn % 2], at) for turn, at in enumerate(later)]
        return SeededTicket(
            str(issue), str(issue), self.account.link(issue), (f"issue-{issue}", *(str(note) for note in notes))
        )

    async def add_customer_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, self.account.customer))

    async def add_agent_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, self.account.agent))

    async def add_internal_note(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, self.account.agent, private=True))

    async def close_ticket(self, ticket_id):
        self.account.set_status(int(ticket_id), "Closed")

    async def delete_ticket(self, ticket_id):
        del self.account.issues[int(ticket_id)]

    async def repeat_page_token(self):
        self.account.stuck = True


class TestRedmine(AdapterContract, MainJob):
    """The suite."""

    adapter = Redmine

    @pytest.fixture
    def vendor(self, redmine):
        """The Redmine as a vendor."""
        return RedmineVendor(redmine)
