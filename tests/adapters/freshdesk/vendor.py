"""An account as the contract suite asks for it; the same for both products."""

from syncd.testing.vendor import SeededTicket
from tests.adapters.stand_in import ServedVendor


class FreshVendor(ServedVendor):
    """The stand-in's face towards the suite."""

    page_size = feed_page_size = 3

    def __init__(self, account):
        super().__init__(account)
        account.page_size = 3

    def options(self):
        return {"base_url": self.account.base_url, "api_key": self.account.api_key}

    def bad_options(self):
        return {**self.options(), "api_key": "wrong-key"}

    async def seed_ticket(self, reply_times):
        first, *later = reply_times
        number = self.account.open_ticket(first)
        writers = (self.account.me, self.account.customer)
        ids = [
            self.account.write(number, f"answer {turn}", by=writers[turn % 2], at=at) for turn, at in enumerate(later)
        ]
        link = f"{self.account.base_url}/a/tickets/{number}"
        return SeededTicket(str(number), str(number), link, (f"description:{number}", *map(str, ids)))

    async def add_customer_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text))

    async def add_agent_reply(self, ticket_id, text):
        return str(self.account.write(int(ticket_id), text, by=self.account.me))

    async def add_internal_note(self, ticket_id, text):
        return str(self.account.note(int(ticket_id), text))

    async def close_ticket(self, ticket_id):
        self.account.touch(int(ticket_id), status=5)

    async def delete_ticket(self, ticket_id):
        self.account.touch(int(ticket_id), deleted=True)

    async def repeat_page_token(self):
        self.account.repeats_next = True
