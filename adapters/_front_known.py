"""What of Front's conversations was read by this process already, so that an event can be held against it."""

from dataclasses import replace
from datetime import datetime

from adapters._front_records import Event
from syncd.model.ticket import Body, Reply, Ticket, Unavailable

MOST_KEPT = 50_000  # conversations; what is forgotten is read again


class Known:
    """The first message of conversations that were read, and when those that were told had changed last."""

    def __init__(self) -> None:
        self._firsts: dict[str, Reply] = {}
        self._changed: dict[str, datetime] = {}

    def note_first(self, ticket_id: str, first: Reply) -> None:
        """Remember which message of a conversation is its first."""
        self._firsts[ticket_id] = replace(first, body=Body(""), attachments=())
        if len(self._firsts) > MOST_KEPT:
            del self._firsts[next(iter(self._firsts))]

    def note_state(self, state: Ticket | Unavailable) -> None:
        """Remember when a conversation had changed last."""
        if isinstance(state, Ticket) and state.updated_at is not None:
            self._changed[state.id] = state.updated_at
            if len(self._changed) > MOST_KEPT:
                del self._changed[next(iter(self._changed))]

    def find_news(self, event: Event) -> Ticket | Unavailable | None:
        """Return the state in an event, or None if it is older than what was told already.

        Events are told two minutes late, and may hold the conversation as it was then. One that was read meanwhile
        would else be told to be open once more after it was closed.
        """
        if not isinstance(event.state, Ticket):
            return event.state
        told_at, changed_at = self._changed.get(event.ticket_id), event.state.updated_at
        if told_at is not None and changed_at is not None and changed_at < told_at:
            return None
        self.note_state(event.state)
        return event.state

    def find_reply(self, event: Event) -> Reply | None:
        """Return the reply of an event, if it is known whether it is the first message of its conversation.

        Events do not tell; a conversation that was read before does. One that is older than the first that was read
        may take its place.
        """
        first = self._firsts.get(event.ticket_id)
        if event.reply is None or first is None:
            return None
        is_first = event.reply.id == first.id
        if not is_first and event.reply.created_at <= first.created_at:
            return None
        return replace(event.reply, first_message=is_first)
