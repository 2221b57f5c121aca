"""Tickets as the feed has told them in a sweep: for a while they need not be asked for again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncd.model.link import Link
from syncd.model.ticket import Ticket, Unavailable

MOST_REMEMBERED = 1000


@dataclass(slots=True)
class Remembered:
    """The tickets of a sweep whose replies are still to be collected; past MOST_REMEMBERED they are asked for."""

    _tickets: dict[str, Ticket] = field(default_factory=dict)

    def remember(self, state: Ticket | Unavailable | None) -> None:
        """Remember a ticket until it is collected."""
        if isinstance(state, Ticket) and len(self._tickets) < MOST_REMEMBERED:
            self._tickets[state.id] = state

    def recall(self, wanted: Mapping[str, Sequence[Link]]) -> dict[str, Ticket | Unavailable]:
        """Return those of the wanted tickets, given with their links, that are newer than what is known.

        Each is good for one reading: whoever is due again has changed since.
        """
        told = {ticket_id: self._tickets.pop(ticket_id) for ticket_id in wanted if ticket_id in self._tickets}
        return {
            ticket_id: ticket
            for ticket_id, ticket in told.items()
            if all(_is_newer(ticket, link.ticket) for link in wanted[ticket_id])
        }


def _is_newer(told: Ticket, known: Ticket | None) -> bool:
    # Times are of whole seconds at many a vendor: in the same one either may be the newer.
    if told.updated_at is None:
        return False
    return known is None or known.updated_at is None or known.updated_at < told.updated_at
