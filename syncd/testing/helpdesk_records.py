"""What a small helpdesk keeps: tickets, their replies, and the numbered list of everything that changed.

It knows no HTTP; `syncd.testing.helpdesk` puts that in front. Ids of tickets and replies are texts of digits, numbers
of tickets look like `HD-1`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from syncd.model.clock import Clock


@dataclass(frozen=True, slots=True)
class DeskFile:
    """A file that hangs on a message."""

    name: str
    size_bytes: int


@dataclass(slots=True)
class DeskReply:
    """A message or an internal note; `format` is text, html or markdown."""

    id: str
    ticket_id: str
    author: str
    author_kind: str
    text: str
    created_at: datetime
    public: bool = True
    first: bool = False
    channel: str = "email"
    edited_at: datetime | None = None
    redacted: bool = False
    format: str = "text"
    files: tuple[DeskFile, ...] = ()


@dataclass(slots=True)
class DeskTicket:
    """A ticket with its replies, oldest first."""

    id: str
    number: str
    subject: str
    created_at: datetime
    updated_at: datetime
    status: str = "new"
    assignee: str | None = None
    merged_into: str | None = None
    deleted: bool = False
    forbidden: bool = False
    replies: list[DeskReply] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeskChange:
    """One line of the change list."""

    seq: int
    at: datetime
    ticket_id: str
    reply_id: str | None = None


class HelpdeskRecords:
    """The helpdesk without its HTTP. Every action is one numbered change, at the clock's time or at `at`.

    While `forgets_changes` is set the change list misses what happens; the tickets themselves have it.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.tickets: dict[str, DeskTicket] = {}
        self.changes: list[DeskChange] = []
        self.forgets_changes = False
        self._ticket_counter = count(1)
        self._reply_counter = count(1)

    def create_ticket(
        self, subject: str, text: str, *, customer: str = "Carla Customer", at: datetime | None = None
    ) -> DeskTicket:
        """Open a ticket with its first message, and return it."""
        moment = at or self.clock.now()
        number = next(self._ticket_counter)
        ticket = DeskTicket(str(1000 + number), f"HD-{number}", subject, moment, moment)
        self.tickets[ticket.id] = ticket
        self._add_reply(ticket.id, DeskReply("", ticket.id, customer, "customer", text, moment, first=True))
        return ticket

    def customer_reply(
        self,
        ticket_id: str,
        text: str,
        *,
        author: str = "Carla Customer",
        at: datetime | None = None,
        files: tuple[DeskFile, ...] = (),
    ) -> DeskReply:
        """Let the customer write; a solved ticket opens again."""
        ticket = self.tickets[ticket_id]
        if ticket.status == "closed":
            ticket.status = "open"
        moment = at or self.clock.now()
        return self._add_reply(ticket_id, DeskReply("", ticket_id, author, "customer", text, moment, files=files))

    def agent_reply(
        self,
        ticket_id: str,
        text: str,
        *,
        author: str = "Aziz Agent",
        at: datetime | None = None,
        html: bool = False,
    ) -> DeskReply:
        """Let an agent answer, in HTML if said so; a new ticket is open from then on."""
        ticket = self.tickets[ticket_id]
        if ticket.status == "new":
            ticket.status = "open"
        form, moment = "html" if html else "text", at or self.clock.now()
        return self._add_reply(ticket_id, DeskReply("", ticket_id, author, "agent", text, moment, format=form))

    def internal_note(
        self, ticket_id: str, text: str, *, author: str = "Aziz Agent", at: datetime | None = None
    ) -> DeskReply:
        """Let an agent write what the customer must not see."""
        moment = at or self.clock.now()
        return self._add_reply(ticket_id, DeskReply("", ticket_id, author, "agent", text, moment, public=False))

    def automatic_reply(self, ticket_id: str, text: str, *, at: datetime | None = None) -> DeskReply:
        """Let the helpdesk itself write to the customer."""
        return self._add_reply(ticket_id, DeskReply("", ticket_id, "Helpdesk", "system", text, at or self.clock.now()))

    def edit(self, reply_id: str, text: str) -> None:
        """Change the text of a reply."""
        reply = self.get_reply(reply_id)
        reply.text, reply.edited_at = text, self.clock.now()
        self._note_change(reply.ticket_id, reply.edited_at, reply_id)

    def publish(self, reply_id: str, *, public: bool = True) -> None:
        """Show an internal note to the customer, or hide a public reply."""
        reply = self.get_reply(reply_id)
        reply.public, reply.edited_at = public, self.clock.now()
        self._note_change(reply.ticket_id, reply.edited_at, reply_id)

    def redact(self, reply_id: str) -> None:
        """Erase the text of a reply for good; the reply stays."""
        reply = self.get_reply(reply_id)
        reply.text, reply.redacted, reply.edited_at = "", True, self.clock.now()
        self._note_change(reply.ticket_id, reply.edited_at, reply_id)

    def delete_reply(self, reply_id: str) -> None:
        """Remove a reply without a trace, except that its ticket changed."""
        reply = self.get_reply(reply_id)
        self.tickets[reply.ticket_id].replies.remove(reply)
        self._note_change(reply.ticket_id, self.clock.now(), reply_id)

    def set_status(self, ticket_id: str, status: str) -> None:
        """Set the status: new, open, pending, closed, or any other word."""
        self.tickets[ticket_id].status = status
        self._note_change(ticket_id, self.clock.now())

    def assign(self, ticket_id: str, agent: str | None) -> None:
        """Give the ticket to an agent, or to nobody."""
        self.tickets[ticket_id].assignee = agent
        self._note_change(ticket_id, self.clock.now())

    def merge(self, ticket_id: str, into: str) -> None:
        """Merge a ticket into another: it is closed and points there; its replies stay where they are."""
        ticket = self.tickets[ticket_id]
        ticket.status, ticket.merged_into = "closed", self.tickets[into].id
        self._note_change(ticket_id, self.clock.now())

    def delete(self, ticket_id: str) -> None:
        """Delete a ticket."""
        self.tickets[ticket_id].deleted = True
        self._note_change(ticket_id, self.clock.now())

    def forbid(self, ticket_id: str, *, forbidden: bool = True) -> None:
        """Take the right to see a ticket from the account we sign in with, or give it back."""
        self.tickets[ticket_id].forbidden = forbidden
        self._note_change(ticket_id, self.clock.now())

    def get_reply(self, reply_id: str) -> DeskReply:
        """Return a reply, wherever it is."""
        found = self.find_reply(reply_id)
        if found is None:
            raise KeyError(f"no reply {reply_id}")
        return found

    def find_reply(self, reply_id: str) -> DeskReply | None:
        """Return a reply, or None if there is none of that id (any more)."""
        replies = (reply for ticket in self.tickets.values() for reply in ticket.replies if reply.id == reply_id)
        return next(replies, None)

    def _add_reply(self, ticket_id: str, reply: DeskReply) -> DeskReply:
        reply.id = str(next(self._reply_counter))
        ticket = self.tickets[ticket_id]
        ticket.replies.append(reply)
        ticket.replies.sort(key=lambda one: one.created_at)
        self._note_change(ticket_id, reply.created_at, reply.id)
        return reply

    def _note_change(self, ticket_id: str, at: datetime, reply_id: str | None = None) -> None:
        self.tickets[ticket_id].updated_at = max(at, self.tickets[ticket_id].updated_at)
        if self.forgets_changes:
            return
        self.changes.append(DeskChange(len(self.changes) + 1, at, ticket_id, reply_id))
