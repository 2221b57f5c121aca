"""Settings for four flavours of systems pass the suite that every adapter passes."""

import copy

import pytest

from adapters.rest import Rest
from syncd.testing.adapter_contract import AdapterContract, SeededTicket
from tests.adapters.main_job import MainJob
from tests.adapters.rest.flavours import settings
from tests.adapters.stand_in import ServedVendor


class RestVendor(ServedVendor):
    """A stand-in as the suite asks for it."""

    def __init__(self, account, **where):
        super().__init__(account)
        self.where = where

    def options(self):
        return settings(self.account, **self.where)

    def bad_options(self):
        options = copy.deepcopy(self.options())
        for table in options["authentication"].values():
            table["client_secret" if "client_secret" in table else "secret"] = "wrong"
        return options

    def unknown_number(self):
        return "T-987654"

    async def seed_ticket(self, reply_times):
        first, *others = reply_times
        ticket, message = self.account.open_ticket(first)
        ids = [f"first-T-{ticket}" if self.where["replies"] == "first" else str(message)]
        if self.where["replies"] == "first":
            self.account.messages[message]["text"] = "status"
        for turn, at in enumerate(others):
            by = (self.account.agent, self.account.customer)[turn % 2]
            ids.append(str(self.account.write(ticket, "message", by=by, at=at)))
        return SeededTicket(str(ticket), f"T-{ticket}", self.account.link(ticket), tuple(ids))

    async def add_customer_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, by=self.account.customer))

    async def add_agent_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text))

    async def add_internal_note(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, public=False))

    async def close_ticket(self, ticket_id):
        self.account.change(int(ticket_id), state={"name": "done"})

    async def delete_ticket(self, ticket_id):
        self.account.delete(int(ticket_id))

    async def repeat_page_token(self):
        self.account.stuck = True


class TestFeedAndLists(AdapterContract, MainJob):
    """Replies in lists of their own, the newest first; changes by page number, many tickets at once, a header."""

    adapter = Rest

    @pytest.fixture
    async def vendor(self, serve):
        """The flavour."""
        desk = await serve(paging="page_number")
        desk.replies_newest_first = True
        return RestVendor(desk, replies="list", feed=True)


class WithoutFeed(Rest):
    """The same class, as the suite sees settings that describe no list of changes."""

    capabilities = frozenset()


class TestTicketByTicket(AdapterContract, MainJob):
    """No list of changes and no reading in bulk; the first message in the ticket; Unix times, HTTP Basic."""

    adapter = WithoutFeed

    @pytest.fixture
    async def vendor(self, serve):
        """The flavour."""
        vendor = AloneVendor(await serve(paging="next_address", times="epoch", signing="basic"), replies="first")
        vendor.page_size = 3
        return vendor


class AloneVendor(RestVendor):
    """Settings without bulk reading."""

    def options(self):
        options = super().options()
        del options["ticket"]["by_ids"]
        return options


class TestRepliesWithTheFeed(AdapterContract, MainJob):
    """Records of changes that hold all replies of their tickets, read back from the newest; OAuth."""

    adapter = Rest

    @pytest.fixture
    async def vendor(self, serve):
        """The flavour."""
        desk = await serve(paging="cursor", signing="oauth")
        desk.feed_newest_first = True
        return CarryingVendor(desk, replies="ticket", feed=True)


class CarryingVendor(RestVendor):
    """Settings whose list of changes holds replies."""

    def options(self):
        options = super().options()
        options["changes"]["replies"] = "thread"
        return options


class TestRepliesByIds(AdapterContract, MainJob):
    """Replies asked for by the ids in their ticket; dotted times without a zone; offsets with a total."""

    adapter = Rest

    @pytest.fixture
    async def vendor(self, serve):
        """The flavour."""
        return RestVendor(await serve(paging="offset", times="dotted", signing="parameter"), replies="ids", feed=True)
