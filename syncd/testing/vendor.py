"""What the adapter contract suite needs from a stand-in for a ticketing system: the class `Vendor`.

Three things are required: options, other options that are refused, and a ticket with replies at given times. The
rest is optional; what a stand-in does not offer, the suite skips and says so.
"""

# ruff: noqa: ARG002 - the arguments of the optional abilities are for those who override them

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


class NotOffered(Exception):
    """This stand-in cannot do that; the test is skipped with these words."""


@dataclass(frozen=True, slots=True)
class SeededTicket:
    """A ticket that the stand-in made.

    `link` is its web address as people copy it. `reply_ids` are the ids that the adapter must yield for it (as in
    `Reply.id`), oldest first: one per seeded time, the first message included if the vendor counts it as a reply.
    """

    id: str
    number: str
    link: str
    reply_ids: tuple[str, ...]


class Vendor(ABC):
    """A stand-in for the ticketing system, on a loopback address, under the virtual clock.

    Class attributes:

    - `page_size`: how many replies the stand-in puts on a page, so that the suite can cross borders. Keep it small.
    - `feed_page_size`: the same for changes in its change feed.
    - `feed_lag_seconds`: how long after a change the feed tells of it at the latest; the suite waits that long.
    - `resolution_seconds`: the finest time that the vendor tells; the suite seeds multiples of it.
    """

    page_size: int = 3
    feed_page_size: int = 3
    feed_lag_seconds: float = 0
    resolution_seconds: float = 1

    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """Return options of the adapter, as a settings file would hold them, with which it signs in here."""

    @abstractmethod
    def bad_options(self) -> Mapping[str, Any]:
        """Return the same options with a credential that the vendor refuses."""

    @abstractmethod
    async def seed_ticket(self, reply_times: Sequence[datetime]) -> SeededTicket:
        """Make a ticket with one public message at each of these instants (in the past, oldest first).

        Instants may be equal. The first message may be the ticket's first message. Authors are the stand-in's choice.
        The seeding counts as a change of the ticket at the last of the instants (or now, if the vendor has it so).
        """

    # What follows is optional: override what the vendor can do.

    async def add_customer_reply(self, ticket_id: str, text: str) -> str:
        """Add a public reply by the customer at the clock's present time; return its reply id."""
        raise NotOffered("the stand-in adds no replies by customers")

    async def add_agent_reply(self, ticket_id: str, text: str) -> str:
        """Add a public reply by an agent at the clock's present time; return its reply id."""
        raise NotOffered("the stand-in adds no replies by agents")

    async def add_internal_note(self, ticket_id: str, text: str) -> str:
        """Add a note that customers cannot see, at the clock's present time; return its reply id."""
        raise NotOffered("the stand-in has no internal notes")

    async def close_ticket(self, ticket_id: str) -> None:
        """Set a status that the adapter maps to CLOSED."""
        raise NotOffered("the stand-in closes no tickets")

    async def delete_ticket(self, ticket_id: str) -> None:
        """Make the ticket vanish, as the vendor does when someone deletes it."""
        raise NotOffered("the stand-in deletes no tickets")

    def unknown_number(self) -> str:
        """Return a ticket number that is well formed and that no ticket has."""
        return "987654"

    async def throttle_next(self, seconds: float) -> None:
        """Answer the next request with 429 and `Retry-After: <seconds>`, and what comes after it as usual."""
        raise NotOffered("the stand-in does not throttle")

    async def answer_nonsense_next(self) -> None:
        """Answer the next request with status 200 and something that is no answer: a login page, or an error inside."""
        raise NotOffered("the stand-in always makes sense")

    async def redirect_next(self, address: str) -> None:
        """Answer the next request with 302 and that address."""
        raise NotOffered("the stand-in does not redirect")

    async def hang_next(self) -> None:
        """Leave the next request without an answer for ever."""
        raise NotOffered("the stand-in does not hang")

    async def repeat_page_token(self) -> None:
        """Let the change feed hand out, from now on, the same token for the next page again and again.

        That is: every page claims that there is more, and names as its next page the one that was just asked for.
        """
        raise NotOffered("the stand-in's feed has no page token to repeat")
