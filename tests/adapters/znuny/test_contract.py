"""The adapter of Znuny passes the suite that every adapter passes, in each of the three ways to sign in."""

import pytest

from adapters._znuny_api import TICKETS_AT_ONCE
from adapters.znuny import Znuny
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.main_job import MainJob
from tests.adapters.stand_in import ServedVendor


class ZnunyVendor(ServedVendor):
    """The stand-in as the suite asks for it."""

    page_size, feed_page_size = 3, TICKETS_AT_ONCE
    sign_in = "headers"

    def options(self):
        signed = {"user": self.account.user, "password": self.account.password}
        return {"base_url": self.account.base_url, "sign_in": self.sign_in, **signed}

    def bad_options(self):
        return {**self.options(), "password": "not the one"}

    def unknown_number(self):
        return "2020010110000019"

    async def seed_ticket(self, reply_times):
        ticket_id = self.account.open_ticket(reply_times[0])
        senders = ["customer", "agent"]
        ids = [
            self.account.write(ticket_id, "message", at, sender=senders[turn % 2])
            for turn, at in enumerate(reply_times)
        ]
        number = self.account.tickets[ticket_id]["TicketNumber"]
        return SeededTicket(str(ticket_id), number, self.account.link(ticket_id), tuple(map(str, ids)))

    async def add_customer_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text))

    async def add_agent_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, sender="agent"))

    async def add_internal_note(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, sender="agent", visible=False))

    async def close_ticket(self, ticket_id):
        self.account.change(int(ticket_id), state="closed successful")

    async def delete_ticket(self, ticket_id):
        self.account.delete(int(ticket_id))

    async def repeat_page_token(self):
        self.account.always_full = True


class SessionVendor(ZnunyVendor):
    """OTOBO and older ones, which read no headers."""

    sign_in = "session"


class QueryVendor(ZnunyVendor):
    """Those too, with the password in the address."""

    sign_in = "query"


class TestZnuny(AdapterContract, MainJob):
    """The suite, signed in by headers."""

    adapter = Znuny

    @pytest.fixture
    def vendor(self, znuny):
        """The Znuny as a vendor."""
        return ZnunyVendor(znuny)


class TestZnunyWithSession(AdapterContract, MainJob):
    """The suite, signed in by a session."""

    adapter = Znuny

    @pytest.fixture
    def vendor(self, znuny):
        """The Znuny as a vendor."""
        znuny.reads_headers = False
        return SessionVendor(znuny)


class TestZnunyWithQuery(AdapterContract, MainJob):
    """The suite, signed in by the query."""

    adapter = Znuny

    @pytest.fixture
    def vendor(self, znuny):
        """The Znuny as a vendor."""
        znuny.reads_headers = False
        return QueryVendor(znuny)
