"""The adapter of Salesforce passes the suite that every adapter passes, for cases of both kinds of beginning."""

import pytest

from adapters.salesforce import Salesforce
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.main_job import MainJob
from tests.adapters.salesforce.stand_in import CLIENT_ID, CLIENT_SECRET, CUSTOMER
from tests.adapters.stand_in import ServedVendor


class FormVendor(ServedVendor):
    """The stand-in as the suite asks for it: cases that a form opened, whose description is their first message."""

    page_size, feed_page_size = 3, 3

    def __init__(self, account):
        super().__init__(account)
        account.page_size = self.page_size

    def options(self):
        return {"base_url": self.account.base_url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

    def bad_options(self):
        return {**self.options(), "client_secret": "wrong-secret-1"}

    async def seed_ticket(self, reply_times):
        case_id = self.account.open_case(reply_times[0])
        return self.seeded(case_id, [case_id, *(self.write(case_id, *one) for one in enumerate(reply_times[1:]))])

    def write(self, case_id, turn, at):
        """Write a message in one of three ways, in turn."""
        if turn % 3 == 0:
            return self.account.mail(case_id, "an answer", at)
        return self.account.comment(case_id, "a comment", at, **({"CreatedById": CUSTOMER} if turn % 3 == 1 else {}))

    def seeded(self, case_id, reply_ids):
        link = f"{self.account.base_url}/lightning/r/Case/{case_id}/view"
        return SeededTicket(case_id, self.account.number(case_id), link, tuple(reply_ids))

    async def add_customer_reply(self, ticket_id, text):
        return self.account.mail(ticket_id, text, incoming=True)

    async def add_agent_reply(self, ticket_id, text):
        return self.account.mail(ticket_id, text)

    async def add_internal_note(self, ticket_id, text):
        return self.account.comment(ticket_id, text, IsPublished=False)

    async def close_ticket(self, ticket_id):
        self.account.change("Case", ticket_id, Status="Closed", IsClosed=True)

    async def delete_ticket(self, ticket_id):
        self.account.change("Case", ticket_id, IsDeleted=True)

    async def repeat_page_token(self):
        self.account.stuck = True


class MailVendor(FormVendor):
    """The same for cases that a mail opened, whose description is the copy of it."""

    async def seed_ticket(self, reply_times):
        case_id, first = self.account.open_by_mail(reply_times[0])
        return self.seeded(case_id, [first, *(self.write(case_id, *one) for one in enumerate(reply_times[1:]))])


class TestSalesforce(AdapterContract, MainJob):
    """The suite, for cases that a form opened."""

    adapter = Salesforce

    @pytest.fixture
    def vendor(self, salesforce):
        """The stand-in as a vendor."""
        return FormVendor(salesforce)


class TestSalesforceByMail(AdapterContract, MainJob):
    """The suite, for cases that a mail opened."""

    adapter = Salesforce

    @pytest.fixture
    def vendor(self, salesforce):
        """The stand-in as a vendor."""
        return MailVendor(salesforce)
