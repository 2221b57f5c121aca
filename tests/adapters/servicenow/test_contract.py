"""The adapter of ServiceNow passes the suite that every adapter passes, with either source of replies."""

import pytest

from adapters.servicenow import ServiceNow
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.main_job import MainJob
from tests.adapters.servicenow.stand_in import stamp
from tests.adapters.stand_in import ServedVendor


class JournalVendor(ServedVendor):
    """The stand-in as the suite asks for it."""

    replies_from = "journal"

    def __init__(self, account):
        super().__init__(account)
        account.most_rows = self.page_size
        self._displayed = {}

    def options(self):
        own = {"base_url": self.account.base_url, "username": "syncd", "password": "password-1"}
        return {**own, "replies_from": self.replies_from}

    def bad_options(self):
        return {**self.options(), "password": "wrong"}

    def unknown_number(self):
        return "INC9876543"

    async def seed_ticket(self, reply_times):
        first, *others = reply_times
        ticket = self.account.open_ticket(first)
        ids = [f"description:{ticket}"]
        for turn, at in enumerate(others):
            ids.append(self._write(ticket, "message", ("anna.agent", "carl.customer")[turn % 2], at))
        return SeededTicket(ticket, self.account.number_of(ticket), self.account.link_of(ticket), tuple(ids))

    async def add_customer_reply(self, ticket_id, text):
        return self._write(ticket_id, text, "carl.customer")

    async def add_agent_reply(self, ticket_id, text):
        return self._write(ticket_id, text, "anna.agent")

    async def add_internal_note(self, ticket_id, text):
        return self._write(ticket_id, text, "anna.agent", element="work_notes")

    async def close_ticket(self, ticket_id):
        self.account.change(ticket_id, state="7", active="false")

    async def delete_ticket(self, ticket_id):
        self.account.delete(ticket_id)

    async def repeat_page_token(self):
        self.account.is_stuck = True

    def _write(self, ticket_id, text, login, at=None, element="comments"):
        return self.account.write(ticket_id, text, login, at, element=element)


class DisplayVendor(JournalVendor):
    """The same, for an account that may not read the journal: ids are made of the time."""

    replies_from = "display"

    def __init__(self, account):
        super().__init__(account)
        account.closed.add("sys_journal_field")

    def _write(self, ticket_id, text, login, at=None, element="comments"):
        super()._write(ticket_id, text, login, at, element)
        at = stamp(at or self.account.clock.now())
        key = (ticket_id, element, at)
        self._displayed[key] = self._displayed.get(key, -1) + 1
        return f"{element}:{ticket_id}:{''.join(filter(str.isdecimal, at))}:{self._displayed[key]}"


class TestServiceNow(AdapterContract, MainJob):
    """The suite, with replies from the journal."""

    adapter = ServiceNow

    @pytest.fixture
    def vendor(self, servicenow):
        """The instance as a vendor."""
        return JournalVendor(servicenow)


class TestServiceNowDisplaying(AdapterContract, MainJob):
    """The suite, with replies from what tickets display."""

    adapter = ServiceNow

    @pytest.fixture
    def vendor(self, servicenow):
        """The instance as a vendor, with a closed journal."""
        return DisplayVendor(servicenow)
