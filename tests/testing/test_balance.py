"""Counting both ends finds what is lost, sent twice, leaked, unexplained or behind."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from syncd.mapping.mapper import map_reply
from syncd.model.clock import SystemClock
from syncd.model.communication import ThreadStatus, thread_update
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Author, AuthorKind, Body, Reply, Ticket, Visibility
from syncd.testing.balance import Watched, count_both_ends
from syncd.testing.helpdesk_records import HelpdeskRecords
from syncd.testing.sandbox import Received

CLOCK = SystemClock()


class Ends:
    """A ticket in a thread, and communications as the API would have them."""

    def __init__(self):
        self.desk = HelpdeskRecords(CLOCK)
        begin = CLOCK.now()
        self.ticket = self.desk.create_ticket("Locker", "before the link", at=begin - timedelta(days=1))
        self.watched = Watched(self.ticket, 7, 500, begin)
        self.received = []

    def send(self, reply, *, status=ThreadStatus.CREATED, content=None):
        """Let the API have a reply."""
        ticket = Ticket(id=self.ticket.id, number=self.ticket.number, subject="Locker")
        told = Reply(reply.id, Author(AuthorKind.CUSTOMER), Visibility.PUBLIC, Body(reply.text), reply.created_at)
        body = thread_update(map_reply(told, ticket, SystemPolicy("desk")), status, ZoneInfo("Europe/Berlin"))
        body |= {"content": content} if content else {}
        self.received.append(Received(len(self.received) + 1, "berlin", 7, 500, body, CLOCK.now()))

    def count(self):
        """Count both ends."""
        return count_both_ends([self.watched], self.received, ["The ticket was closed."])


@pytest.fixture
def ends():
    """Return both ends, empty but for a ticket from before its link."""
    return Ends()


def test_all_is_well(ends):
    """What arrived once is delivered; notes and automatic messages are counted where they stay; it adds up."""
    ends.send(ends.desk.customer_reply(ends.ticket.id, "one"))
    ends.desk.internal_note(ends.ticket.id, "between us")
    ends.desk.automatic_reply(ends.ticket.id, "rate us")
    counted = ends.count()
    assert counted.adds_up
    assert (counted.seen, counted.due, counted.delivered, counted.withheld, counted.automatic) == (3, 1, 1, 1, 1)


def test_lost(ends):
    """A reply that the API does not have is lost."""
    reply = ends.desk.customer_reply(ends.ticket.id, "one")
    assert ends.count().lost == (reply.id,)
    assert not ends.count().adds_up


def test_twice(ends):
    """A reply that the API has twice is told, and counts as delivered once."""
    reply = ends.desk.customer_reply(ends.ticket.id, "one")
    ends.send(reply)
    ends.send(reply)
    assert ends.count().twice == (reply.id,)
    assert ends.count().delivered == 1
    assert not ends.count().adds_up


def test_the_same_millisecond(ends):
    """Two replies of one millisecond need two communications: one alone is a loss, two are none."""
    at = CLOCK.now()
    first, second = (ends.desk.customer_reply(ends.ticket.id, text, at=at) for text in ("one", "two"))
    ends.send(first)
    assert len(ends.count().lost) == 1
    ends.send(second)
    assert ends.count().adds_up


def test_leaked(ends):
    """The text of an internal note inside any communication is a leak."""
    note = ends.desk.internal_note(ends.ticket.id, "between us")
    ends.send(ends.desk.customer_reply(ends.ticket.id, "one"), content="Hello, between us, goodbye")
    assert ends.count().leaked == (note.id,)
    assert not ends.count().adds_up


def test_strangers(ends):
    """What was written before the link, or by nobody, is a stranger at the API."""
    ends.send(ends.ticket.replies[0])
    assert ends.count().strangers == (1,)
    assert not ends.count().adds_up


def test_behind(ends):
    """A thread that was last told another status than its ticket has is behind; a note about it is no stranger."""
    reply = ends.desk.customer_reply(ends.ticket.id, "one")
    ends.send(reply)
    ends.desk.set_status(ends.ticket.id, "closed")
    assert ends.count().behind == (ends.ticket.number,)
    ends.send(reply, status=ThreadStatus.CLOSED, content="The ticket was closed.")
    ends.received[-1].body["communicationChannel"] = "OTHER"
    assert ends.count().adds_up
    assert ends.count().status_notes == 1
