"""Both ends counted against each other: what the helpdesk holds, and what the sandbox of the API has added.

Nothing of syncd is asked. A communication is told by its thread and its instant, which are the reply's own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from syncd.testing.helpdesk_records import DeskReply, DeskTicket
from syncd.testing.in_memory import STATUSES
from syncd.testing.sandbox import Received

Key = tuple[int, int, datetime]
"""Customer, thread and the instant, in milliseconds, as the API is told."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A ticket that is linked to a thread; what was written before `from_at` is not for the thread."""

    ticket: DeskTicket
    customer_id: int
    thread_id: int
    from_at: datetime

    def key(self, reply: DeskReply) -> Key:
        """Return what tells the communication of a reply."""
        at = reply.created_at
        return self.customer_id, self.thread_id, at - timedelta(microseconds=at.microsecond % 1000)

    def may_leave(self, reply: DeskReply) -> bool:
        """Say whether the thread is to have this reply."""
        public = reply.public and not reply.redacted and reply.author_kind != "system"
        return public and reply.created_at >= self.from_at


@dataclass(frozen=True, slots=True)
class Balance:
    """What was counted. `lost`, `twice` and `leaked` are reply ids; `strangers` ids of communications.

    `seen` counts what the helpdesk holds since the links began: `due` for the threads, `withheld` internal notes, and
    `automatic` messages. `delivered` is how many of the due ones the API has. `behind` names the tickets whose thread
    was last told another status than theirs.
    """

    seen: int
    due: int
    withheld: int
    automatic: int
    delivered: int
    status_notes: int
    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()
    strangers: tuple[int, ...] = ()
    behind: tuple[str, ...] = ()

    @property
    def adds_up(self) -> bool:
        """Say whether every reply is where it belongs, once, and nothing is where it does not."""
        return not (self.lost or self.twice or self.leaked or self.strangers or self.behind)


@dataclass(slots=True)
class _Books:
    """What is for the threads, by key (replies of one millisecond share theirs), and what has to stay."""

    due: dict[Key, list[DeskReply]] = field(default_factory=dict)
    kept: list[DeskReply] = field(default_factory=list)

    def enter(self, one: Watched) -> None:
        for reply in one.ticket.replies:
            if one.may_leave(reply):
                self.due.setdefault(one.key(reply), []).append(reply)
            elif reply.created_at >= one.from_at:
                self.kept.append(reply)


def key_of(communication: Received) -> Key:
    """Return what tells a communication."""
    text = communication.body["communicationDateTime"].partition("[")[0]
    return communication.customer_id, communication.thread_id, datetime.fromisoformat(text)


def is_note(communication: Received, note_texts: Sequence[str]) -> bool:
    """Say whether a communication is a note about the status, by its text."""
    return communication.body["content"] in note_texts and communication.body["communicationChannel"] == "OTHER"


def count_both_ends(
    watched: Sequence[Watched], communications: Sequence[Received], note_texts: Sequence[str] = ()
) -> Balance:
    """Hold the helpdesk's tickets against the communications of the API."""
    books = _Books()
    for one in watched:
        books.enter(one)
    told = [one for one in communications if not is_note(one, note_texts)]
    counts = Counter(key_of(one) for one in told)
    due = sum(len(replies) for replies in books.due.values())
    return Balance(
        seen=due + len(books.kept),
        due=due,
        withheld=sum(1 for reply in books.kept if not reply.public),
        automatic=sum(1 for reply in books.kept if reply.author_kind == "system"),
        delivered=sum(min(len(replies), counts[key]) for key, replies in books.due.items()),
        status_notes=len(communications) - len(told),
        lost=tuple(reply.id for key, replies in books.due.items() for reply in replies[counts[key] :]),
        twice=tuple(replies[0].id for key, replies in books.due.items() if counts[key] > len(replies)),
        leaked=tuple(_leaked(books.kept, communications)),
        strangers=tuple(one.communication_id for one in told if key_of(one) not in books.due),
        behind=tuple(_behind(watched, communications)),
    )


def _leaked(kept: Sequence[DeskReply], communications: Sequence[Received]) -> Iterator[str]:
    """Yield what had to stay and whose text the API has, whatever thread it came in."""
    for reply in kept:
        if any(reply.text in communication.body["content"] for communication in communications):
            yield reply.id


def _behind(watched: Sequence[Watched], communications: Sequence[Received]) -> Iterator[str]:
    last: Mapping[tuple[int, int], str] = {
        (one.customer_id, one.thread_id): one.body["communicationThreadStatus"] for one in communications
    }
    for one in watched:
        status = last.get((one.customer_id, one.thread_id))
        if status is not None and status != STATUSES[one.ticket.status].value:
            yield one.ticket.number
