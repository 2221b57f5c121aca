"""The helpdesk as the adapter contract suite needs it: the model to copy for a stand-in of your own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from syncd.testing.helpdesk import Helpdesk
from syncd.testing.vendor import SeededTicket, Vendor


class HelpdeskVendor(Vendor):
    """What the suite asks for, done at a running helpdesk."""

    def __init__(self, helpdesk: Helpdesk) -> None:
        self.helpdesk = helpdesk
        self.page_size = self.feed_page_size = helpdesk.page_size

    def options(self) -> Mapping[str, Any]:
        """Return where the helpdesk is, and its token."""
        return {"base_url": self.helpdesk.base_url, "token": self.helpdesk.token}

    def bad_options(self) -> Mapping[str, Any]:
        """Return the same with a token that it does not know."""
        return {**self.options(), "token": "some-other-token"}

    async def seed_ticket(self, reply_times: Sequence[datetime]) -> SeededTicket:
        """Open a ticket and let agent and customer write by turns."""
        first, *later = reply_times
        ticket = self.helpdesk.create_ticket("Locker", "It does not open.", at=first)
        for number, at in enumerate(later):
            write = self.helpdesk.customer_reply if number % 2 else self.helpdesk.agent_reply
            write(ticket.id, f"Message {number}", at=at)
        reply_ids = tuple(reply.id for reply in ticket.replies)
        return SeededTicket(ticket.id, ticket.number, self.helpdesk.link(ticket), reply_ids)

    async def add_customer_reply(self, ticket_id: str, text: str) -> str:
        """Let the customer write."""
        return self.helpdesk.customer_reply(ticket_id, text).id

    async def add_agent_reply(self, ticket_id: str, text: str) -> str:
        """Let an agent write."""
        return self.helpdesk.agent_reply(ticket_id, text).id

    async def add_internal_note(self, ticket_id: str, text: str) -> str:
        """Let an agent write for colleagues."""
        return self.helpdesk.internal_note(ticket_id, text).id

    async def close_ticket(self, ticket_id: str) -> None:
        """Close the ticket."""
        self.helpdesk.set_status(ticket_id, "closed")

    async def delete_ticket(self, ticket_id: str) -> None:
        """Delete the ticket."""
        self.helpdesk.delete(ticket_id)

    def unknown_number(self) -> str:
        """Return a number that the helpdesk never gets to."""
        return "HD-987654"

    async def throttle_next(self, seconds: float) -> None:
        """Ask for a pause."""
        self.helpdesk.faults.throttle(seconds)

    async def answer_nonsense_next(self) -> None:
        """Answer 200 with an error inside."""
        self.helpdesk.faults.answer_error()

    async def redirect_next(self, address: str) -> None:
        """Answer with a redirect."""
        self.helpdesk.faults.answer(302, b"", {"Location": address})

    async def hang_next(self) -> None:
        """Leave the next request without an answer."""
        self.helpdesk.faults.hang()

    async def repeat_page_token(self) -> None:
        """Let every page name itself as the next one."""
        self.helpdesk.faults.repeats_token = True
