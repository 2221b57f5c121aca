"""The books: what a run owes each thread, held at its end against what the API has and what the lists say."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from syncd.model.communication import Message, Thread
from syncd.testing.helpdesk import DeskReply

if TYPE_CHECKING:
    from tests.machine.run import Run

_ATTEMPTS = "SELECT count(*) FROM attempt WHERE coalesce(outcome, '') <> 'not_sent'"
_BACKFILLED = """
SELECT r.id, s.link_id FROM request r JOIN backfill_step s ON s.request_id = r.id
WHERE r.kind = 'backfill' AND s.error IS NULL
"""


@dataclass
class LinkEntry:
    """A link as it was registered, and whether it was removed."""

    thread: Thread
    ticket_id: str
    from_at: datetime
    removed: bool = False


@dataclass
class Books:
    """What is owed."""

    run: "Run"
    links: dict[int, LinkEntry] = field(default_factory=dict)
    backfills: dict[int, list[tuple[float, set[str]]]] = field(default_factory=dict)

    def with_text(self, message: Message, text: str) -> Message:
        """Return a message with another text."""
        return replace(message, content=text)

    def has_arrived(self, row: Any) -> bool:
        """Say whether the API has what a delivery in doubt carries."""
        if row.reply_id is None:
            return True
        key = (row.api, row.customer_id, row.thread_id, row.reply_id)
        sent = sum(
            1
            for one in self.run.audit.seen.rows.values()
            if (one.reply_id, one.thread_key, one.state) == (row.reply_id, row.thread_key, "delivered")
        )
        return self.run.wire.arrived[key] > sent

    def ask_backfill(self, request_id: int, first_message: bool) -> None:
        """Write down what a backfill that begins now has to bring."""
        wanted = {
            reply.id
            for ticket in self.run.helpdesk.tickets.values()
            for reply in ticket.replies
            if first_message or not reply.first
        }
        self.backfills.setdefault(request_id, []).append((self.run.elapsed(), wanted))

    async def missing(self) -> list[str]:
        """Return what is owed to a thread, and neither there nor listed."""
        found = []
        backfilled = await self._backfilled()
        states = self.run.audit.seen.links
        for link_id, entry in self.links.items():
            ticket_id, state, _ = states[link_id]
            if entry.removed or state != "active" or ticket_id is None:
                continue
            found += [
                f"reply {reply.id} of link {link_id} ({entry.thread})"
                for reply in self.run.helpdesk.tickets[ticket_id].replies
                if self._is_owed(entry, link_id, ticket_id, reply, backfilled) and not self._is_told(entry, reply)
            ]
        return found

    async def _backfilled(self) -> set[tuple[int, str]]:
        steps = await self.run.database.read(lambda c: [tuple(row) for row in c.exec_driver_sql(_BACKFILLED)])
        found = set()
        for request_id, link_id in steps:
            for since, wanted in self.backfills.get(request_id, [])[:1]:
                found |= {(link_id, one) for one in wanted if self.run.diary.is_shown_since(one, since)}
        return found

    def _is_owed(
        self, entry: LinkEntry, link_id: int, ticket_id: str, reply: DeskReply, backfilled: set[tuple[int, str]]
    ) -> bool:
        if not reply.public or reply.redacted or reply.author_kind == "system":
            return False
        if (link_id, reply.id) in backfilled:
            return True
        begin = entry.from_at
        if ticket_id != entry.ticket_id:
            merged = [at for ticket, at in self.run.merged_at.items() if ticket == entry.ticket_id]
            if not merged or self.run.slept:
                return False
            begin = max(entry.from_at, *self.run.merged_at.values())
        return reply.created_at >= begin

    def _is_told(self, entry: LinkEntry, reply: DeskReply) -> bool:
        thread = entry.thread
        if self.run.wire.arrived[thread.api, thread.customer_id, thread.thread_id, reply.id]:
            return True
        for row in self.run.audit.seen.rows.values():
            place = (row.api, row.customer_id, row.thread_id, row.reply_id)
            if place != (thread.api, thread.customer_id, thread.thread_id, reply.id):
                continue
            reason = row.reason or ""
            if row.state in {"in_doubt", "parked"} or (row.state == "skipped" and not reason.startswith("withdrawn")):
                return True
            if row.state == "delivered" and reason.startswith(("resolved", "assumed")):
                return True
        return False

    async def unbalanced(self) -> list[str]:
        """Return where the requests that the API has read are not the attempts that say so."""
        run = self.run
        attempts = await run.database.read(lambda c: int(c.exec_driver_sql(_ATTEMPTS).scalar()))
        read = run.sandbox.requests
        if not read <= attempts <= read + run.unread + run.sandbox.turned_away:
            return [f"the API has read {read} requests, {attempts} attempts say so, {run.unread} may have been cut"]
        return []
