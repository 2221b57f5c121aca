"""A ticketing system without a feed, asked by a call instead of HTTP: each call counts as the request that it is."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

from pydantic import SecretStr

from syncd.model.clock import Clock
from syncd.model.errors import InvalidTicketRef
from syncd.model.ticket import Author, AuthorKind, Body, Identity, Reply, Ticket, TicketRef, Unavailable, Visibility
from syncd.sources.adapter import Adapter, AdapterConfig, Connection, HeaderAuthentication

ADDRESS = "https://desk.example.com"
TEXT = "The text of a reply, as customers write them: where can I find the key of my locker? " * 4

History = Callable[[str, datetime | None], Sequence[datetime]]
"""When the replies of a ticket were written, the oldest first: all, or those from an instant on."""


class Desk(Adapter[AdapterConfig]):
    """Tickets one by one and the replies of each; an answer takes `answer_seconds` of the clock."""

    config = AdapterConfig
    title = "Desk"
    documentation = ADDRESS
    permissions = "none"

    def __init__(self, clock: Clock, history: History, answer_seconds: float = 0.0) -> None:
        self.clock = clock
        self.history = history
        self.answer_seconds = answer_seconds
        self.requests = 0

    @classmethod
    def connection(cls, options: AdapterConfig) -> Connection:
        """Name an address; nothing is ever asked there."""
        return Connection(options.base_url, HeaderAuthentication(SecretStr("token")), 600)

    async def check(self) -> Identity:
        """Be signed in."""
        return Identity("bench")

    async def resolve(self, ref: TicketRef) -> Ticket:
        """Refuse: every link has its ticket from the start."""
        raise InvalidTicketRef(str(ref))

    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Tell of each ticket, a request each."""
        return [await self._ticket(ticket_id) for ticket_id in ids]

    async def _ticket(self, ticket_id: str) -> Ticket:
        await self._asked()
        written = self._written(ticket_id, None)
        return ticket_of(ticket_id, written[-1] if written else None)

    async def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Tell of the replies of a ticket, all in one answer."""
        await self._asked()
        for at in self._written(ticket.id, since):
            yield reply_of(ticket.id, at)

    async def _asked(self) -> None:
        self.requests += 1
        if self.answer_seconds:
            await self.clock.sleep(self.answer_seconds)

    def _written(self, ticket_id: str, since: datetime | None) -> list[datetime]:
        now = self.clock.now()
        return [at for at in self.history(ticket_id, since) if at <= now]


def ticket_of(ticket_id: str, updated_at: datetime | None) -> Ticket:
    """Return a ticket as the desk tells of it."""
    return Ticket(
        id=ticket_id,
        number=f"T{ticket_id}",
        link=f"{ADDRESS}/tickets/{ticket_id}",
        subject="Locker",
        vendor_status="open",
        updated_at=updated_at,
    )


def reply_of(ticket_id: str, at: datetime) -> Reply:
    """Return the reply of a ticket that was written at an instant."""
    return Reply(
        id=reply_id(ticket_id, at),
        author=Author(AuthorKind.CUSTOMER, "Ada"),
        visibility=Visibility.PUBLIC,
        body=Body(TEXT),
        created_at=at,
    )


def reply_id(ticket_id: str, at: datetime) -> str:
    """Return the id of the reply of a ticket that was written at an instant."""
    return f"{ticket_id}-{round(at.timestamp() * 1000)}"
