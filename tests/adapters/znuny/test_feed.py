"""The change feed of Znuny: a search by time, and the newest articles of what it finds."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters._znuny_api import TAIL, TICKETS_AT_ONCE
from adapters.znuny import TICKETS_READ
from syncd.model.communication import ThreadStatus
from syncd.model.errors import RetryLater, UnexpectedAnswer
from syncd.model.ticket import Cursor, Ticket, Visibility
from tests.adapters.znuny.stand_in import BERLIN, NEW_YORK, SYDNEY, ago


async def read(adapter, start):
    """Return the pages of the feed."""
    return [page async for page in adapter.changes(start)]


async def read_one(adapter, start):
    """Return the only page of the feed."""
    (page,) = await read(adapter, start)
    return page


def old_ticket(znuny, clock, **fields):
    """Make a ticket with a question and an answer of yesterday; return its id."""
    ticket_id = znuny.open_ticket(ago(clock, days=1), **fields)
    znuny.write(ticket_id, "question", ago(clock, days=1))
    znuny.write(ticket_id, "answer", ago(clock, hours=23), sender="agent")
    return ticket_id


async def replies_of(adapter, ticket_id):
    """Return the replies that a ticket itself has."""
    return [reply async for reply in adapter.replies(Ticket(id=str(ticket_id), number="1"), None)]


class TestReplies:
    """What comes with a page."""

    async def test_same_as_the_ticket(self, adapter, znuny, clock):
        """New replies come with the feed, notes marked, and each is equal to the one that its ticket has."""
        ticket_id = old_ticket(znuny, clock)
        cursor = (await read_one(adapter, ago(clock, hours=2))).cursor
        reply = znuny.write(ticket_id, "still broken")
        znuny.attach(reply, "photo.pdf")
        note = znuny.write(ticket_id, "a note", sender="agent", visible=False)
        page = await read_one(adapter, cursor)
        told = page.replies[str(ticket_id)][-2:]
        assert [one.id for one in told] == [str(reply), str(note)]
        assert [one.visibility for one in told] == [Visibility.PUBLIC, Visibility.INTERNAL]
        assert list(told) == (await replies_of(adapter, ticket_id))[-2:]

    async def test_states(self, adapter, znuny, clock):
        """A change of state alone is in the feed, and comes with the ticket as it is now."""
        ticket_id = old_ticket(znuny, clock)
        cursor = (await read_one(adapter, ago(clock, hours=2))).cursor
        znuny.change(ticket_id, state="closed successful")
        page = await read_one(adapter, cursor)
        assert [(one.id, one.status) for one in page.tickets] == [(str(ticket_id), ThreadStatus.CLOSED)]

    async def test_unmoved_time_of_change(self, adapter, znuny, clock):
        """A customer's answer, which leaves the ticket's time of change alone, is found: the history is asked."""
        ticket_id, other = old_ticket(znuny, clock), old_ticket(znuny, clock)
        znuny.change(other)
        cursor = (await read_one(adapter, ago(clock, hours=1))).cursor
        await clock.sleep(3600)
        changed = znuny.tickets[ticket_id]["Changed"]
        reply = znuny.write(ticket_id, "and another thing")
        assert znuny.tickets[ticket_id]["Changed"] == changed
        page = await read_one(adapter, cursor)
        assert [one.id for one in page.replies[str(ticket_id)]] == [str(reply)]

    async def test_whole_new_ticket(self, adapter, znuny, clock):
        """A ticket all of whose articles are new is named alone: its oldest ones may have been cut off."""
        ticket_id = znuny.open_ticket()
        znuny.write(ticket_id, "question")
        page = await read_one(adapter, ago(clock, hours=1))
        assert page.ticket_ids == (str(ticket_id),)
        assert page.replies == {}

    async def test_more_than_the_tail(self, adapter, znuny, clock):
        """A ticket with more new articles than are read at once is named alone, so that it is read whole."""
        ticket_id = old_ticket(znuny, clock)
        cursor = (await read_one(adapter, ago(clock, hours=2))).cursor
        for number in range(TAIL):
            znuny.write(ticket_id, f"message {number}")
        page = await read_one(adapter, cursor)
        assert page.ticket_ids == (str(ticket_id),)
        assert page.replies == {}

    async def test_leaking_limit(self, adapter, znuny, clock):
        """An old server, whose limit of articles shrinks from ticket to ticket, cuts off no reply unnoticed."""
        znuny.leaks_limit = True
        short, long = znuny.open_ticket(ago(clock, days=2)), old_ticket(znuny, clock)
        znuny.write(short, "the only one", ago(clock, minutes=2))
        fresh = {str(znuny.write(long, f"message {number}")) for number in range(3)}
        page = await read_one(adapter, ago(clock, minutes=1))
        assert {str(short), str(long)} == set(page.ticket_ids)
        told = {one.id for one in page.replies.get(str(long), ())}
        assert str(long) not in page.replies or fresh <= told

    async def test_merged(self, adapter, znuny, clock):
        """When a ticket was merged the page claims no replies: old articles have moved, and are found in the other."""
        gone, stays = old_ticket(znuny, clock), old_ticket(znuny, clock)
        cursor = (await read_one(adapter, ago(clock, hours=2))).cursor
        moved = {str(one["ArticleID"]) for one in znuny.articles[gone]}
        znuny.merge(gone, stays)
        page = await read_one(adapter, cursor)
        assert {str(gone), str(stays)} == set(page.ticket_ids)
        assert (page.tickets, page.replies) == ((), {})
        since = [reply async for reply in adapter.replies(Ticket(id=str(stays), number="1"), clock.now())]
        assert moved <= {reply.id for reply in since}

    async def test_one_that_cannot_be_read(self, adapter, znuny, clock):
        """A ticket with an article that is half stored is named, and keeps the feed from nothing."""
        ticket_id, other = old_ticket(znuny, clock), old_ticket(znuny, clock)
        znuny.write(other, "new")
        znuny.write(ticket_id, "new")
        znuny.articles[ticket_id][-1] = {"TimeUnit": 0}
        page = await read_one(adapter, ago(clock, minutes=1))
        assert {str(ticket_id), str(other)} == set(page.ticket_ids)
        assert page.replies == {}


class TestTime:
    """Searches by the server's clock."""

    async def test_inclusive_second(self, adapter, znuny, clock):
        """A reply of the very second that was read last is still found."""
        first = old_ticket(znuny, clock)
        znuny.write(first, "one")
        cursor = (await read_one(adapter, ago(clock, hours=1))).cursor
        second = old_ticket(znuny, clock)
        znuny.write(second, "two, the same second")
        assert str(second) in (await read_one(adapter, cursor)).ticket_ids

    async def test_stored_late(self, adapter, znuny, clock):
        """What appears some minutes late, with an older time, is still found: searches overlap."""
        first, late = old_ticket(znuny, clock), old_ticket(znuny, clock)
        znuny.write(first, "in time")
        cursor = (await read_one(adapter, ago(clock, hours=1))).cursor
        reply = znuny.write(late, "a large mail", ago(clock, minutes=4))
        page = await read_one(adapter, cursor)
        assert [one.id for one in page.replies[str(late)]] == [str(reply)]

    async def test_format(self, adapter, znuny, clock):
        """Times are asked for without T and Z: as any other form they would find nothing, without a word."""
        old_ticket(znuny, clock)
        await read(adapter, datetime(2026, 3, 1, 8, 0, tzinfo=UTC))
        assert znuny.requests[0][1]["TicketChangeTimeNewerDate"] == "2026-03-01 07:55:00"

    @pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
    async def test_zone(self, open_adapter, znuny, clock, zone):
        """The server's clock is the one of the option zone, whichever side of UTC that is."""
        znuny.zone = {"Europe/Berlin": BERLIN, "America/New_York": NEW_YORK}[zone]
        adapter = open_adapter(zone=zone)
        early, late = (znuny.open_ticket(ago(clock, minutes=one)) for one in (90, 20))
        page = await read_one(adapter, ago(clock, hours=1))
        assert page.ticket_ids == (str(late),)
        znuny.write(early)
        assert str(early) in (await read_one(adapter, page.cursor)).ticket_ids

    async def test_wrong_zone(self, adapter, znuny, clock):
        """With a zone that is not the server's the feed still goes on: its positions are the server's own times."""
        znuny.zone = NEW_YORK
        ticket_id = old_ticket(znuny, clock)
        cursor = (await read_one(adapter, ago(clock, hours=1))).cursor
        for number in range(3):
            await clock.sleep(3600)
            reply = znuny.write(ticket_id, f"message {number}")
            page = await read_one(adapter, cursor)
            assert str(reply) in {one.id for one in page.replies[str(ticket_id)]}
            cursor = page.cursor

    async def test_clocks_turned_back(self, open_adapter, znuny, clock):
        """In the hour that the server's clock runs through twice nothing is lost."""
        znuny.zone = SYDNEY
        adapter = open_adapter(zone="Australia/Sydney")
        turned = datetime(2026, 4, 4, 16, 0, tzinfo=UTC)
        await clock.sleep((turned - clock.now()).total_seconds() - 5400)
        ticket_id = old_ticket(znuny, clock)
        cursor = (await read_one(adapter, ago(clock, hours=1))).cursor
        for _ in range(24):
            await clock.sleep(600)
            reply = znuny.write(ticket_id, "message", sender="agent")
            page = await read_one(adapter, cursor)
            told = {one.id for one in page.replies.get(str(ticket_id), ())}
            assert str(reply) in told or (str(ticket_id) in page.ticket_ids and str(ticket_id) not in page.replies)
            cursor = page.cursor


class TestEmpty:
    """A search that finds nothing is answered like one that failed."""

    async def test_not_believed(self, adapter, znuny, clock):
        """An empty search after which the newest ticket turns out to be newer is a failure."""
        ticket_id = old_ticket(znuny, clock)
        cursor = (await read_one(adapter, ago(clock, hours=1))).cursor
        znuny.write(ticket_id, "news")
        znuny.searches_fail = True
        with pytest.raises(UnexpectedAnswer, match="leaves out ticket 1"):
            await read(adapter, cursor)

    async def test_quiet(self, adapter, znuny, clock):
        """A quiet night costs two requests a sweep: what was changed last is always found again."""
        old_ticket(znuny, clock)
        cursor = (await read_one(adapter, ago(clock, hours=1))).cursor
        for _ in range(3):
            await clock.sleep(3600)
            znuny.forget()
            page = await read_one(adapter, cursor)
            assert len(znuny.requests) == 2
            assert page.cursor == cursor

    async def test_started_in_a_quiet_time(self, adapter, znuny, clock):
        """A feed that begins after the last change begins there, and misses nothing that follows."""
        ticket_id = old_ticket(znuny, clock)
        page = await read_one(adapter, clock.now())
        reply = znuny.write(ticket_id, "news")
        assert str(reply) in {one.id for one in (await read_one(adapter, page.cursor)).replies[str(ticket_id)]}

    async def test_no_tickets_yet(self, adapter, znuny, clock):
        """A system without any ticket has an empty page, and its first ticket is found from there."""
        page = await read_one(adapter, clock.now())
        assert page.ticket_ids == ()
        ticket_id = znuny.open_ticket()
        assert (await read_one(adapter, page.cursor)).ticket_ids == (str(ticket_id),)

    async def test_no_tickets_any_more(self, adapter, znuny, clock):
        """An agent that lost its permissions sees nothing at all: that is a failure, and no quiet day."""
        ticket_id = old_ticket(znuny, clock)
        cursor = (await read_one(adapter, ago(clock, hours=1))).cursor
        znuny.closed_to_us.add(ticket_id)
        with pytest.raises(RetryLater, match="permission ro"):
            await read(adapter, cursor)

    async def test_known_one_deleted(self, adapter, znuny, clock):
        """When the ticket that was changed last is deleted the feed goes on from the one before it."""
        stays, gone = old_ticket(znuny, clock), old_ticket(znuny, clock)
        znuny.write(gone, "last")
        cursor = (await read_one(adapter, ago(clock, hours=1))).cursor
        znuny.delete(gone)
        page = await read_one(adapter, cursor)
        reply = znuny.write(stays, "news")
        assert str(reply) in {one.id for one in (await read_one(adapter, page.cursor)).replies[str(stays)]}


class TestLength:
    """Long lists of changes."""

    async def test_limit(self, adapter, znuny, clock):
        """A list that is as long as its limit is asked for again with a larger one: nothing is cut off unnoticed."""
        tickets = {str(znuny.open_ticket(ago(clock, minutes=1))) for _ in range(501)}
        pages = await read(adapter, ago(clock, hours=1))
        assert {key for page in pages for key in page.ticket_ids} == tickets
        assert {query["Limit"] for _, query in znuny.requests if "Limit" in query} == {"500", "5000"}

    async def test_many_at_once(self, adapter, znuny, clock):
        """Of very many changes the tickets are named alone; the requests for them have a bound."""
        for _ in range(3 * TICKETS_READ):
            old_ticket(znuny, clock)
        for ticket_id in list(znuny.tickets):
            znuny.change(ticket_id, Owner="anna", OwnerID=7)
        pages = await read(adapter, ago(clock, minutes=1))
        assert {key for page in pages for key in page.ticket_ids} == {str(key) for key in znuny.tickets}
        assert all(page.replies == {} for page in pages)
        assert znuny.count("/Ticket/") == TICKETS_READ / TICKETS_AT_ONCE
        assert pages[0].cursor != pages[-1].cursor

    async def test_archived(self, adapter, znuny, clock):
        """Archived tickets are found too, which without asking for them they would not be."""
        ticket_id = old_ticket(znuny, clock, ArchiveFlag="y")
        znuny.write(ticket_id, "news")
        assert (await read_one(adapter, ago(clock, minutes=1))).ticket_ids == (str(ticket_id),)

    async def test_one_that_vanishes(self, adapter, znuny, clock):
        """A ticket that vanishes between search and reading fails its batch; halved, the others take the feed on."""
        gone, *stay = [old_ticket(znuny, clock) for _ in range(40)]
        for ticket_id in (gone, *stay):
            znuny.write(ticket_id)
        ids = ",".join(map(str, (gone, *stay)))
        path = f"/nph-genericinterface.pl/Webservice/{znuny.web_service}/Ticket/{ids}"
        znuny.meanwhile[path] = lambda: znuny.closed_to_us.add(gone)
        page = await read_one(adapter, ago(clock, minutes=1))
        assert set(page.ticket_ids) == set(map(str, (gone, *stay)))
        assert page.replies == {}
        assert znuny.count("/Ticket/") < 15
        assert page.cursor == (await read_one(adapter, page.cursor)).cursor

    async def test_no_request_per_ticket(self, adapter, znuny, clock):
        """Forty changed tickets cost two requests."""
        for _ in range(40):
            znuny.write(old_ticket(znuny, clock))
        await read(adapter, ago(clock, minutes=1))
        assert len(znuny.requests) == 2


class TestCursor:
    """Where the feed goes on."""

    @pytest.mark.parametrize("cursor", ["", "odd", "[]", "{}", '{"at":"x","known":true}', '{"at":1e99,"known":true}'])
    async def test_foreign(self, adapter, cursor):
        """A cursor that this adapter did not make is refused."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter, Cursor(cursor))

    async def test_moves_on(self, adapter, znuny, clock):
        """The cursor follows the newest change, and never goes back while that ticket is there."""
        ticket_id = old_ticket(znuny, clock)
        cursors = []
        cursor = ago(clock, hours=1)
        for _ in range(4):
            await clock.sleep(timedelta(minutes=30).total_seconds())
            znuny.write(ticket_id)
            cursor = (await read_one(adapter, cursor)).cursor
            cursors.append(cursor)
        assert cursors == sorted(set(cursors))
