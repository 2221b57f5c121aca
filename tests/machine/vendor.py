"""What happens at the helpdesk: people write, hide, edit, close, merge; and the helpdesk fails in its ways."""

from datetime import timedelta

from syncd.testing.helpdesk import DeskReply, DeskTicket
from tests.machine.diary import text_of
from tests.machine.killable import KillableWorld

MOST_TICKETS = 6

Event = tuple[str, int]
"""What happens, and a number that says to which ticket or reply."""

EVENTS = (
    ("customer",) * 4
    + ("agent",) * 3
    + ("note", "note", "publish", "publish", "hide", "edit", "edit", "edit", "delete reply", "redact", "automatic")
    + ("close", "reopen", "late", "late", "tied", "unnoticed", "unnoticed", "burst", "ticket")
    + ("merge", "delete", "forbid", "allow")
)
FAULTS = ("throttle", "fail", "fail thrice", "page", "error", "empty feed", "empty replies", "muddle", "hang", "refuse")


class VendorSide(KillableWorld):
    """The helpdesk's part of a run; every change of a reply is noted in the diary."""

    moment = timedelta()

    def happen(self, events: list[Event]) -> None:
        """Let these things happen, one shortly after the other."""
        self.moment = timedelta()
        for kind, number in events:
            self.moment += timedelta(milliseconds=7)
            getattr(self, "_" + kind.replace(" ", "_"))(number)

    def fail(self, faults: list[str]) -> None:
        """Let the helpdesk meet its next requests with these faults."""
        does = self.helpdesk.faults
        for fault in faults:
            self.reached[f"vendor: {fault}"] += 1
            {
                "throttle": lambda: does.throttle(5),
                "fail": does.fail,
                "fail thrice": lambda: does.fail(times=3),
                "page": does.answer_html,
                "error": does.answer_error,
                "empty feed": does.empty_page,
                "empty replies": does.empty_replies,
                "muddle": lambda: does.muddle(3),
                "hang": does.hang,
                "refuse": lambda: does.fail(401),
            }[fault]()

    def ticket_of(self, number: int) -> DeskTicket:
        """Return one of the tickets."""
        tickets = list(self.helpdesk.tickets.values())
        return tickets[number % len(tickets)]

    def reply_of(self, number: int, *, public: bool | None = None) -> DeskReply | None:
        """Return one of the newest replies that are there."""
        replies = [
            reply
            for ticket in self.helpdesk.tickets.values()
            for reply in ticket.replies
            if public in {None, reply.public} and not reply.redacted and reply.author_kind != "system"
        ]
        replies.sort(key=lambda reply: int(reply.id))
        return replies[-1 - number % min(len(replies), 6)] if replies else None

    def written(self, reply: DeskReply) -> None:
        """Give a new reply its text, and note it."""
        reply.text = text_of(reply.id, 0)
        self.diary.note(reply, self.elapsed())

    def _now(self):
        return self.true_clock.now() + self.moment

    def _customer(self, number: int) -> None:
        self.written(self.helpdesk.customer_reply(self.ticket_of(number).id, "", at=self._now()))

    def _agent(self, number: int) -> None:
        self.written(self.helpdesk.agent_reply(self.ticket_of(number).id, "", at=self._now(), html=number % 3 == 0))

    def _note(self, number: int) -> None:
        self.written(self.helpdesk.internal_note(self.ticket_of(number).id, "", at=self._now()))

    def _automatic(self, number: int) -> None:
        self.written(self.helpdesk.automatic_reply(self.ticket_of(number).id, "", at=self._now()))

    def _late(self, number: int) -> None:
        """A reply that shows up long after its time."""
        at = self._now() - timedelta(seconds=(3, 70, 600, 2000)[number % 4])
        self.written(self.helpdesk.customer_reply(self.ticket_of(number).id, "", at=at))

    def _tied(self, number: int) -> None:
        for _ in range(2):
            self.written(self.helpdesk.agent_reply(self.ticket_of(number).id, "", at=self._now()))

    def _unnoticed(self, number: int) -> None:
        """A reply that the list of changes never tells of."""
        self.helpdesk.forgets_changes = True
        self._customer(number)
        self.helpdesk.forgets_changes = False

    def _burst(self, number: int) -> None:
        for one in range(6):
            self.moment += timedelta(milliseconds=1)
            self._customer(number + one)

    def _publish(self, number: int) -> None:
        if reply := self.reply_of(number, public=False):
            self.helpdesk.publish(reply.id)
            self.diary.note(reply, self.elapsed())

    def _hide(self, number: int) -> None:
        if reply := self.reply_of(number, public=True):
            self.helpdesk.publish(reply.id, public=False)
            self.diary.note(reply, self.elapsed())

    def _edit(self, number: int) -> None:
        if reply := self.reply_of(number):
            self.helpdesk.edit(reply.id, text_of(reply.id, self.diary.version(reply.id) + 1))
            self.diary.note(reply, self.elapsed())

    def _delete_reply(self, number: int) -> None:
        reply = self.reply_of(number)
        if reply is not None and not reply.first:
            self.helpdesk.delete_reply(reply.id)
            self.diary.note(reply, self.elapsed(), there=False)

    def _redact(self, number: int) -> None:
        if reply := self.reply_of(number):
            self.helpdesk.redact(reply.id)
            self.diary.note(reply, self.elapsed())

    def _close(self, number: int) -> None:
        self.helpdesk.set_status(self.ticket_of(number).id, "closed")

    def _reopen(self, number: int) -> None:
        self.helpdesk.set_status(self.ticket_of(number).id, ("open", "pending")[number % 2])

    def _ticket(self, number: int) -> None:
        if len(self.helpdesk.tickets) < MOST_TICKETS:
            at = self._now() - timedelta(minutes=number % 90)
            ticket = self.helpdesk.create_ticket("Locker", "", at=at)
            self.written(ticket.replies[0])

    def _merge(self, number: int) -> None:
        ticket, into = self.ticket_of(number), self.ticket_of(number + 1)
        if into is not ticket and not ticket.deleted and not into.deleted and into.merged_into is None:
            self.helpdesk.merge(ticket.id, into.id)
            self.merged_at[ticket.id] = self._now()

    merged_at: dict

    def _delete(self, number: int) -> None:
        if number % 3 == 0:
            self.helpdesk.delete(self.ticket_of(number // 3).id)

    def _forbid(self, number: int) -> None:
        self.helpdesk.forbid(self.ticket_of(number).id)

    def _allow(self, number: int) -> None:
        for ticket in self.helpdesk.tickets.values():
            if ticket.forbidden:
                self.helpdesk.forbid(ticket.id, forbidden=False)
