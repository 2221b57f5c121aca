"""The adapter of Jira passes the suite that every adapter passes, on Cloud and on Data Center."""

import pytest

from adapters.jira import Jira
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.jira.stand_in import API_TOKEN, EMAIL, TOKEN
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor


class JiraVendor(ServedVendor):
    """A site of Cloud as the suite asks for it."""

    page_size, feed_page_size = 3, 3
    feed_lag_seconds = 20
    resolution_seconds = 0.001

    def __init__(self, account):
        super().__init__(account)
        account.search_page = self.feed_page_size
        account.comment_page = account.service_page = account.site.embed_limit = self.page_size
        account.site.lag_seconds = self.feed_lag_seconds

    def options(self):
        return {"base_url": self.account.base_url, "email": EMAIL, "api_token": API_TOKEN}

    def bad_options(self):
        return {**self.options(), "api_token": "wrong"}

    def unknown_number(self):
        return "ABC-987654"

    async def seed_ticket(self, reply_times):
        site = self.account.site
        issue_id = site.open_issue(reply_times[0])
        authors = [site.agent, site.customer]
        ids = [f"description:{issue_id}"]
        for turn, at in enumerate(reply_times[1:]):
            ids.append(site.comment(issue_id, authors[turn % 2], "message", at))
        number = site.issues[issue_id]["key"]
        return SeededTicket(issue_id, number, f"{self.account.base_url}/browse/{number}", tuple(ids))

    async def add_customer_reply(self, ticket_id, text):
        return self.account.site.comment(ticket_id, self.account.site.customer, text)

    async def add_agent_reply(self, ticket_id, text):
        return self.account.site.comment(ticket_id, self.account.site.agent, text)

    async def add_internal_note(self, ticket_id, text):
        return self.account.site.comment(ticket_id, self.account.site.agent, text, public=False)

    async def close_ticket(self, ticket_id):
        self.account.site.set_status(ticket_id, "Resolved", "done")

    async def delete_ticket(self, ticket_id):
        self.account.site.gone.add(ticket_id)

    async def repeat_page_token(self):
        self.account.is_stuck = True


class JiraDataCenterVendor(JiraVendor):
    """A Data Center as the suite asks for it."""

    def options(self):
        return {"base_url": self.account.base_url, "deployment": "data_center", "token": TOKEN}

    def bad_options(self):
        return {**self.options(), "token": "wrong"}

    async def add_customer_reply(self, ticket_id, text):
        site = self.account.site
        return site.comment(ticket_id, site.issues[ticket_id]["fields"]["reporter"], text)


class TestJiraCloud(AdapterContract, MainJob):
    """The suite on Cloud."""

    adapter = Jira

    @pytest.fixture
    def vendor(self, jira):
        """The site as a vendor."""
        return JiraVendor(jira)


class TestJiraDataCenter(AdapterContract, MainJob):
    """The suite on Data Center."""

    adapter = Jira

    @pytest.fixture
    def vendor(self, data_center):
        """The site as a vendor."""
        return JiraDataCenterVendor(data_center)
