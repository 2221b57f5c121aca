"""The adapter of Intercom passes the suite that every adapter passes, with conversations and with tickets."""

import math

import pytest

from adapters.intercom import Intercom
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.intercom.stand_in import WORKSPACE, state_of
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor

FILE = {"type": "upload", "name": "a.pdf", "url": "https://downloads.test/a?signature=1", "filesize": 12}


class ConversationVendor(ServedVendor):
    """The stand-in as the suite asks for it: its tickets are conversations."""

    page_size, feed_page_size = 3, 3
    prefix = ""

    def __init__(self, account):
        super().__init__(account)
        account.page_size = self.feed_page_size

    def options(self):
        account = self.account
        return {"base_url": account.base_url, "web_url": account.origin, "access_token": account.token}

    def bad_options(self):
        return {**self.options(), "access_token": "wrong-token"}

    def unknown_number(self):
        return "215470000999999"

    def open(self, at):
        """Return the key and the number of a new one, and the id of its first message."""
        key = self.account.open_conversation(at)
        return key, key, f"source:{key}"

    async def seed_ticket(self, reply_times):
        opened_at, *others = reply_times
        key, number, first = self.open(opened_at)
        ids = [first]
        for turn, at in enumerate(others):
            kind, by = (("comment", self.account.agent), ("comment", self.account.customer))[turn % 2]
            files = [{**FILE, "content_type": "application/pdf"}] if turn == 0 else []
            ids.append(self.account.add(key, kind, "<p>message</p>", at, by=by, attachments=files))
        link = f"{self.account.origin}/a/inbox/{WORKSPACE}/inbox/admin/814860/conversation/{key}?view=List"
        return SeededTicket(f"{self.prefix}{key}", number, link, tuple(ids))

    def key(self, ticket_id):
        """Return Intercom's own id."""
        return ticket_id.removeprefix(self.prefix)

    async def add_customer_reply(self, ticket_id, text):
        return self.account.add(self.key(ticket_id), "comment", text, by=self.account.customer)

    async def add_agent_reply(self, ticket_id, text):
        return self.account.add(self.key(ticket_id), "comment", text)

    async def add_internal_note(self, ticket_id, text):
        return self.account.add(self.key(ticket_id), "note", text)

    async def close_ticket(self, ticket_id):
        self.account.touch(self.key(ticket_id), state="closed", open=False)

    async def delete_ticket(self, ticket_id):
        self.account.delete(self.key(ticket_id))

    async def throttle_next(self, seconds):
        reset = math.ceil(self.account.clock.now().timestamp() + seconds)  # Intercom has no Retry-After
        answer = (429, {"X-RateLimit-Reset": str(reset)}, '{"type": "error.list", "errors": []}', "application/json")
        self.account.next_answers.append(answer)

    async def repeat_page_token(self):
        self.account.stuck = True


class TicketVendor(ConversationVendor):
    """The same, with tickets."""

    prefix = "ticket-"

    def unknown_number(self):
        return "#999999"

    def open(self, at):
        key = self.account.open_ticket(at)
        return key, f"#{self.account.tickets[key]['ticket_id']}", f"description:{key}"

    async def close_ticket(self, ticket_id):
        self.account.touch(self.key(ticket_id), ticket_state=state_of("resolved"), open=False)


class TestConversations(AdapterContract, MainJob):
    """The suite with conversations."""

    adapter = Intercom

    @pytest.fixture
    def vendor(self, intercom):
        """The workspace as a vendor."""
        return ConversationVendor(intercom)


class TestTickets(AdapterContract, MainJob):
    """The suite with tickets."""

    adapter = Intercom

    @pytest.fixture
    def vendor(self, intercom):
        """The workspace as a vendor of tickets."""
        return TicketVendor(intercom)
