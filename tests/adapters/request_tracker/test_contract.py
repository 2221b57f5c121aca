"""The adapter of Request Tracker passes the suite that every adapter passes."""

import pytest

from adapters.request_tracker import RequestTracker
from syncd.testing.adapter_contract import AdapterContract, SeededTicket, Vendor
from tests.adapters.main_job import MainJob


class RequestTrackerVendor(Vendor):
    """The stand-in as the suite asks for it."""

    page_size = feed_page_size = 3

    def __init__(self, server):
        self.server = server
        server.most_rows = 3

    def options(self):
        return {"base_url": self.server.base_url, "token": "1-37-reader"}

    def bad_options(self):
        return {**self.options(), "token": "1-37-wrong"}

    async def seed_ticket(self, reply_times):
        first, *later = reply_times
        ticket, row = self.server.create_ticket("Printer", "It does not print.", first)
        authors = ("peter.meyer", "carla.customer")
        rows = [self.server.write(ticket, "message", authors[turn % 2], at) for turn, at in enumerate(later)]
        link = f"{self.server.base_url}/Ticket/Display.html?id={ticket}"
        return SeededTicket(str(ticket), str(ticket), link, tuple(map(str, [row, *rows])))

    async def add_customer_reply(self, ticket_id, text):
        return str(self.server.write(int(ticket_id), text, "carla.customer"))

    async def add_agent_reply(self, ticket_id, text):
        return str(self.server.write(int(ticket_id), text, "peter.meyer"))

    async def add_internal_note(self, ticket_id, text):
        return str(self.server.write(int(ticket_id), text, "peter.meyer", kind="Comment"))

    async def close_ticket(self, ticket_id):
        self.server.set_status(int(ticket_id), "resolved")

    async def delete_ticket(self, ticket_id):
        self.server.set_status(int(ticket_id), "deleted")

    async def throttle_next(self, seconds):
        headers = {"Retry-After": f"{seconds:g}"}
        self.server.next_answers.append((429, headers, b"slow down", "text/plain"))

    async def answer_nonsense_next(self):
        self.server.next_answers.append((200, {}, b"<html>Login</html>", "text/html"))

    async def redirect_next(self, address):
        self.server.next_answers.append((302, {"Location": address}, b"", "text/html"))

    async def hang_next(self):
        self.server.next_answers.append("hang")

    async def repeat_page_token(self):
        self.server.stuck = True


class TestRequestTracker(AdapterContract, MainJob):
    """The suite."""

    adapter = RequestTracker

    @pytest.fixture
    def vendor(self, server):
        """The server as a vendor."""
        return RequestTrackerVendor(server)
