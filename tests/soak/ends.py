"""The two ends of a long run: a helpdesk that people write to, and an API, each of which can be away for a while."""

import itertools
from array import array
from collections import Counter
from datetime import datetime, timedelta

from syncd.testing.balance import Watched, is_note, key_of
from syncd.testing.helpdesk import DeskTicket, Helpdesk
from syncd.testing.sandbox import Received, Sandbox
from syncd.testing.virtual_clock import VirtualClock

KEY = "key-berlin"
WRONG_TOKEN = "another-token"
NOTE_TEXT = "The ticket was closed."
INTERNAL = "for colleagues alone"
KEPT_REPLIES = 1
PAGE_SIZE = 100

Key = tuple[int, datetime]
"""A thread and the instant of one of its replies."""


class Ends:
    """A helpdesk and a sandbox of the API. What was counted is forgotten, so that they do not grow with the days."""

    def __init__(self, clock: VirtualClock, threads: int) -> None:
        self.clock = clock
        self.keys = {KEY: "berlin"}
        self.helpdesk = Helpdesk(clock, page_size=PAGE_SIZE)
        self.sandbox = Sandbox(self.keys, clock=clock, on_communication=self._note)
        self.watched: list[Watched] = []
        self.written = self.internal = 0
        self.added: Counter[Key] = Counter()
        self.expected: dict[Key, str] = {}
        self.leaked = self.strangers = self.twice = self.delivered = self.status_notes = 0
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self._ports: dict[str, int] = {}
        # Eight bytes for each reply, so that what is remembered here does not look like a leak of what is tried.
        self._settled = array("q")
        self._texts = itertools.count(1)
        self._threads = threads
        self._token = self.helpdesk.token

    async def open(self) -> None:
        """Start both, with the tickets."""
        await self.helpdesk.start()
        await self.sandbox.start()
        self._ports = {"helpdesk": _port(self.helpdesk.base_url), "api": _port(self.sandbox.base_url)}
        began = self.clock.now() - timedelta(hours=1)
        for number in range(self._threads):
            ticket = self.helpdesk.create_ticket(f"Locker {number}", "first message", at=began)
            self.watched.append(Watched(ticket, 7, 500 + number, self.clock.now()))

    async def close(self) -> None:
        """Stop both."""
        await self.sandbox.stop()
        await self.helpdesk.close()

    async def take_api_away(self) -> None:
        """Let nothing listen where the API was."""
        await self.sandbox.stop()

    async def bring_api_back(self) -> None:
        """Let the API listen again."""
        await self.sandbox.start(port=self._ports["api"])

    async def take_helpdesk_away(self) -> None:
        """Let nothing listen where the helpdesk was."""
        await self.helpdesk.close()

    async def bring_helpdesk_back(self) -> None:
        """Let the helpdesk listen again."""
        await self.helpdesk.start(port=self._ports["helpdesk"])

    def let_token_expire(self, *, expired: bool) -> None:
        """Let the helpdesk refuse the configured token, or take it again."""
        self.helpdesk.token = WRONG_TOKEN if expired else self._token

    def let_key_expire(self, *, expired: bool) -> None:
        """Let the API refuse the configured key, or take it again."""
        self.keys.clear()
        if not expired:
            self.keys[KEY] = "berlin"

    def write(self, replies: int, notes: int = 0) -> None:
        """Let people write that many replies, spread over the tickets, and some internal notes."""
        for place in range(replies + notes):
            watched = self.watched[next(self._texts) % self._threads]
            # A millisecond apart, so that a communication is told by its instant.
            at = self.clock.now() + timedelta(milliseconds=place)
            if place < replies:
                reply = self.helpdesk.customer_reply(watched.ticket.id, f"reply {place}", at=at)
                self.expected[watched.thread_id, watched.key(reply)[2]] = reply.id
                self.written += 1
            else:
                self.helpdesk.internal_note(watched.ticket.id, INTERNAL, at=at)
                self.internal += 1

    def close_tickets(self, tickets: int) -> None:
        """Let agents close some tickets without a word; the next reply opens them again."""
        for _ in range(tickets):
            self.helpdesk.set_status(self._next_ticket().id, "closed")

    def _next_ticket(self) -> DeskTicket:
        return self.watched[next(self._texts) % self._threads].ticket

    def _note(self, communication: Received) -> None:
        """Count a communication, in a form that takes no room once both sides of it are known."""
        self.last_at = communication.received_at
        self.first_at = self.first_at or self.last_at
        if is_note(communication, [NOTE_TEXT]):
            self.status_notes += 1
            return
        self.leaked += INTERNAL in communication.body["content"]
        self.delivered += 1
        _, thread_id, at = key_of(communication)
        self.added[thread_id, at] += 1

    def settle(self) -> None:
        """Hold what was written against what was added, and forget what matches and everything that stands behind.

        What the API was not told stays, and `missing` names it: it waits, or is in doubt.
        """
        unknown = {key: times for key, times in self.added.items() if key not in self.expected}
        for key in self.added.keys() - unknown.keys():
            self.twice += self.added[key] - 1
            del self.expected[key]
            self._settled.append(_compact(key))
        if unknown:
            earlier = set(self._settled)
            self.twice += sum(times for key, times in unknown.items() if _compact(key) in earlier)
            self.strangers += sum(1 for key in unknown if _compact(key) not in earlier)
        self.added.clear()
        self.sandbox.communications.clear()
        self.helpdesk.requests.clear()
        for watched in self.watched:
            del watched.ticket.replies[:-KEPT_REPLIES]
        changes = self.helpdesk.changes
        changes[:-PAGE_SIZE] = changes[:1] * len(changes[:-PAGE_SIZE])

    @property
    def missing(self) -> set[str]:
        """Return the ids of replies that the API was not told."""
        return set(self.expected.values())


def _compact(key: Key) -> int:
    thread_id, at = key
    return thread_id * 10**13 + int(at.timestamp() * 1000)


def _port(base_url: str) -> int:
    return int(base_url.rpartition(":")[2])
