"""Reading all changes of an account of Gorgias from its two lists, which have no filter by time."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.model.ticket import Cursor, Visibility
from tests.adapters.gorgias.reading import ago, collect, follow, ids_on, left_to_read, read, replies_in


def reached(cursor, name="messages"):
    """Return up to when a cursor says that a list was read."""
    return datetime.fromisoformat(json.loads(cursor)[name])


def created(gorgias, message):
    """Return when a message was created."""
    return datetime.fromisoformat(gorgias.messages[message]["created_datetime"])


class TestLists:
    """How the lists are read back to what is known."""

    async def test_two_requests(self, adapter, gorgias, clock):
        """A quiet sweep is one request to each list, by the times that they can be sorted by, a hundred rows a page."""
        gorgias.open_ticket(ago(clock, 600))
        await read(adapter.changes(ago(clock, 3600)))
        assert gorgias.requests == [
            ("/api/tickets", {"order_by": "updated_datetime:desc", "limit": "100"}),
            ("/api/messages", {"order_by": "created_datetime:desc", "limit": "100"}),
        ]

    async def test_no_filter_by_time(self, adapter, gorgias, clock):
        """No list can be asked for what is new, so pages are turned until a row is older than the overlap, not on."""
        gorgias.page_size = 3
        for number in range(30):
            gorgias.open_ticket(ago(clock, 7200 - 200 * number))
        pages = await read(adapter.changes(ago(clock, 1900)))
        assert len(ids_on(pages)) == 5
        assert gorgias.count("/api/tickets") == gorgias.count("/api/messages") == 2

    async def test_a_border_within_an_instant(self, adapter, gorgias, clock):
        """Rows of the very instant at which the overlap begins are read, wherever pages end."""
        gorgias.page_size = 2
        start = ago(clock, 600)
        ids = {gorgias.open_ticket(start - timedelta(minutes=5))[0] for _ in range(5)}
        assert ids_on(await read(adapter.changes(start))) == ids

    async def test_what_is_older_is_not_named(self, adapter, gorgias, clock):
        """Rows of the last page from before the overlap are nobody's change."""
        gorgias.open_ticket(ago(clock, 900))
        new, _ = gorgias.open_ticket(ago(clock, 300))
        assert ids_on(await read(adapter.changes(ago(clock, 400)))) == {new}

    async def test_rows_that_push_others_down(self, adapter, gorgias, clock):
        """A message that comes while pages are turned moves no other out of sight, and is in the next sweep."""
        ids = [gorgias.open_ticket(ago(clock, 600 - number))[0] for number in range(8)]
        await collect(adapter, *ids)
        gorgias.page_size = 3
        late = []

        def add_on_the_second_page():
            gorgias.meanwhile["/api/messages"] = lambda: late.append(gorgias.add(ids[0], "meanwhile"))

        gorgias.meanwhile["/api/messages"] = add_on_the_second_page
        pages, cursor = await follow(adapter, ago(clock, 3600))
        assert ids_on(pages) == set(ids)
        assert len(replies_in(pages)) == 8
        assert late[0] in replies_in(await read(adapter.changes(cursor)))

    async def test_a_ticket_that_moves_to_the_top(self, adapter, gorgias, clock):
        """A ticket that changes while pages are turned, and so is on none, is in the next sweep."""
        gorgias.page_size = 3
        ids = [gorgias.open_ticket(ago(clock, 600 - number))[0] for number in range(8)]
        gorgias.meanwhile["/api/tickets"] = lambda: gorgias.meanwhile.update(
            {"/api/tickets": lambda: gorgias.touch(ids[0], status="closed")}
        )
        await clock.sleep(1)
        _, cursor = await follow(adapter, ago(clock, 3600))
        pages = await read(adapter.changes(cursor))
        assert {ticket.status for page in pages for ticket in page.tickets if ticket.id == str(ids[0])} == {
            ThreadStatus.CLOSED
        }

    @pytest.mark.parametrize("page_size", [3, 100])
    async def test_an_unsorted_list(self, adapter, gorgias, clock, page_size):
        """A list that is not sorted as it was asked for has no end that can be told, so it is a failure."""
        gorgias.sorts, gorgias.page_size = False, page_size
        for number in range(5):
            gorgias.open_ticket(ago(clock, 600 - number))
        with pytest.raises(UnexpectedAnswer, match="not sorted"):
            await read(adapter.changes(ago(clock, 3600)))

    async def test_no_times(self, adapter, gorgias, clock):
        """A list whose rows have no times any more would be read to its very end, so it is a failure."""
        ticket, _ = gorgias.open_ticket(ago(clock, 600))
        gorgias.tickets[ticket]["updated_datetime"] = None
        gorgias.sorts = False
        with pytest.raises(UnexpectedAnswer, match="without updated_datetime"):
            await read(adapter.changes(ago(clock, 3600)))

    async def test_may_not_be_read(self, adapter, gorgias, clock):
        """A list that is forbidden pauses the system: it is no matter of a single ticket."""
        gorgias.open_ticket(ago(clock, 600))
        gorgias.scopes.remove("messages")
        with pytest.raises(PauseSystem, match="scopes"):
            await read(adapter.changes(ago(clock, 3600)))

    async def test_nothing_at_all(self, adapter, gorgias, clock):
        """An account that is new shows nothing; one that showed something before and does not now has failed."""
        assert await read(adapter.changes(ago(clock, 3600))) == []
        ticket, _ = gorgias.open_ticket(ago(clock, 600))
        _, cursor = await follow(adapter, ago(clock, 3600))
        gorgias.delete(ticket)
        with pytest.raises(UnexpectedAnswer, match="any more"):
            await read(adapter.changes(cursor))

    async def test_error_inside(self, adapter, gorgias):
        """An error inside an answer of status 200 is a failure, and no empty list."""
        gorgias.next_answers.append((200, {}, '{"error": {"msg": "oops"}, "data": []}', "application/json"))
        with pytest.raises(UnexpectedAnswer, match="error inside"):
            await adapter.tickets(["1"])


class TestCursor:
    """From where the feed goes on."""

    async def test_newest_row(self, adapter, gorgias, clock):
        """Each list goes on from its own newest row."""
        ticket, message = gorgias.open_ticket(ago(clock, 600))
        changed_at = ago(clock, 100)
        gorgias.touch(ticket, changed_at, status="closed")
        _, cursor = await follow(adapter, ago(clock, 3600))
        assert reached(cursor) == created(gorgias, message)
        assert reached(cursor, "tickets") == changed_at

    async def test_overlap(self, adapter, gorgias, clock):
        """A message that is listed up to five minutes after a later one is found."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        await collect(adapter, ticket)
        late = gorgias.add(ticket, "not listed yet", ago(clock, 290), moves=False)
        gorgias.hidden.add(late)
        gorgias.add(ticket, "a later one")
        _, cursor = await follow(adapter, ago(clock, 600))
        gorgias.hidden.clear()
        assert late in replies_in(await read(adapter.changes(cursor)))

    async def test_overlap_alone(self, adapter, gorgias, clock):
        """It is also found if its ticket is not listed as changed."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        await collect(adapter, ticket)
        late = gorgias.add(ticket, "not listed yet", ago(clock, 290), moves=False)
        gorgias.hidden.add(late)
        gorgias.open_ticket(clock.now())
        _, cursor = await follow(adapter, ago(clock, 600))
        gorgias.hidden.clear()
        assert late in replies_in(await read(adapter.changes(cursor)))

    async def test_not_before_the_end(self, adapter, gorgias, clock):
        """Until the last page the cursor stays: a sweep that was cut short is read again from where it began."""
        for number in range(250):
            gorgias.open_ticket(ago(clock, 1800 - number))
        start = ago(clock, 3600)
        pages = await read(adapter.changes(start))
        assert [len(page.ticket_ids) for page in pages] == [100, 100, 50]
        assert [reached(page.cursor) == start for page in pages] == [True, True, False]
        assert ids_on(await read(adapter.changes(pages[0].cursor))) == ids_on(pages)

    async def test_a_date_in_the_future(self, adapter, gorgias, clock):
        """An imported message with a date to come does not carry the cursor away from the present."""
        ticket, _ = gorgias.open_ticket(ago(clock, 600))
        gorgias.add(ticket, "from the future", clock.now() + timedelta(days=900), moves=False)
        _, cursor = await follow(adapter, ago(clock, 3600))
        assert reached(cursor) <= clock.now()
        later, _ = gorgias.open_ticket(clock.now())
        assert later in ids_on(await read(adapter.changes(cursor)))

    async def test_no_date(self, adapter, gorgias, clock):
        """Without the time of the answer the cursor stays, and more is read again."""
        gorgias.has_date = False
        gorgias.open_ticket(ago(clock, 600))
        start = ago(clock, 3600)
        _, cursor = await follow(adapter, start)
        assert reached(cursor) == reached(cursor, "tickets") == start

    @pytest.mark.parametrize("style", ["%Y-%m-%d %H:%M:%S.%f+00:00", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S"])
    async def test_times_in_other_forms(self, adapter, gorgias, clock, style):
        """Times with a blank, without a fraction or without an offset are the same instants."""
        at = ago(clock, 600)
        ticket, message = gorgias.open_ticket(at)
        gorgias.tickets[ticket]["updated_datetime"] = at.strftime(style)
        gorgias.messages[message]["created_datetime"] = at.strftime(style)
        _, cursor = await follow(adapter, ago(clock, 3600))
        assert reached(cursor) == reached(cursor, "tickets") == at

    @pytest.mark.parametrize(
        "text", ["", "7", "{}", "[]", '{"tickets": 1, "messages": 2}', "2026-03-02T09:00:00+00:00"]
    )
    async def test_of_another_system(self, adapter, gorgias, text):
        """A cursor that is none of Gorgias's is a failure, and nothing is asked."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter.changes(Cursor(text)))
        assert gorgias.requests == []

    async def test_without_zone(self, adapter):
        """A cursor whose times have no zone is none."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter.changes(Cursor('{"tickets": "2026-03-02", "messages": "2026-03-02"}')))

    async def test_the_oldest_start(self, adapter, gorgias, clock):
        """The feed can be started at any instant there is."""
        ticket, _ = gorgias.open_ticket(ago(clock, 600))
        assert ids_on(await read(adapter.changes(datetime.min.replace(tzinfo=UTC)))) == {ticket}


class TestReplies:
    """Which replies come with the feed."""

    async def test_no_request_for_a_reply(self, adapter, gorgias, clock):
        """New replies of a ticket that was read before come with the feed, with the ticket's state, for no request."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        other, _ = gorgias.open_ticket(ago(clock, 6000))
        await collect(adapter, ticket, other)
        _, cursor = await follow(adapter, ago(clock, 600))
        asked, answered = gorgias.add(ticket, "and?"), gorgias.add(ticket, "soon", from_agent=True)
        gorgias.touch(other, status="closed")
        gorgias.forget()
        pages, _ = await follow(adapter, cursor)
        assert set(replies_in(pages)) == {asked, answered}
        assert left_to_read(pages) == set()
        assert {state.id: state.status for page in pages for state in page.tickets} == {
            str(ticket): ThreadStatus.ONGOING,
            str(other): ThreadStatus.CLOSED,
        }
        assert len(gorgias.requests) == 2

    async def test_a_ticket_that_was_never_read(self, adapter, gorgias, clock):
        """A ticket that was not read yet is named without replies: which message is its first is not known."""
        ticket, _ = gorgias.open_ticket(ago(clock, 600))
        pages = await read(adapter.changes(ago(clock, 3600)))
        assert left_to_read(pages) == {ticket}
        assert [state.id for page in pages for state in page.tickets] == [str(ticket)]

    async def test_the_same_from_both(self, adapter, gorgias, clock):
        """A reply, the first message and a note read the same from the feed and from their ticket."""
        file = {"url": "https://uploads.test/a.png", "name": "a.png", "size": 3, "content_type": "image/png"}
        ticket, _ = gorgias.open_ticket(ago(clock, 900))
        gorgias.add(ticket, "soon", ago(clock, 800), from_agent=True, attachments=[file])
        gorgias.note(ticket, "hm", ago(clock, 700))
        gorgias.add(ticket, "called", ago(clock, 600), channel="phone", rule_id=3, from_agent=True)
        told = await collect(adapter, ticket)
        pages = await read(adapter.changes(ago(clock, 3600)))
        assert list(pages[0].replies[str(ticket)]) == told
        assert [reply.first_message for reply in told] == [True, False, False, False]
        (state,) = await adapter.tickets([str(ticket)])
        assert pages[0].tickets == (state,)

    async def test_notes(self, adapter, gorgias, clock):
        """An internal note comes with the feed as internal, as it is mixed with the other messages."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        await collect(adapter, ticket)
        note = gorgias.note(ticket, "for us")
        pages = await read(adapter.changes(ago(clock, 600)))
        assert replies_in(pages)[note].visibility is Visibility.INTERNAL

    async def test_counted_in_another_way(self, adapter, gorgias, clock):
        """Where messages_count leaves out notes, a ticket with a new note is read once, and then known again."""
        gorgias.counts_public_only = True
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        await collect(adapter, ticket)
        gorgias.note(ticket, "for us")
        pages, cursor = await follow(adapter, ago(clock, 600))
        assert left_to_read(pages) == {ticket}
        await collect(adapter, ticket)
        assert left_to_read(await read(adapter.changes(cursor))) == set()

    async def test_imported_with_an_old_date(self, adapter, gorgias, clock):
        """A message with an old date is not among the new ones, but its ticket has one more: the ticket is read."""
        ticket, _ = gorgias.open_ticket(ago(clock, 90_000))
        await collect(adapter, ticket)
        _, cursor = await follow(adapter, ago(clock, 600))
        old = gorgias.add(ticket, "from the archive", ago(clock, 80_000), moves=False)
        gorgias.add(ticket, "and a new one")
        pages, _ = await follow(adapter, cursor)
        assert left_to_read(pages) == {ticket}
        assert str(old) in {reply.id for reply in await collect(adapter, ticket)}

    async def test_one_that_is_gone(self, adapter, gorgias, clock):
        """A message that was deleted makes its ticket be read, so that what still waits is withdrawn."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        gone = gorgias.add(ticket, "oops", ago(clock, 200), from_agent=True)
        await collect(adapter, ticket)
        del gorgias.messages[gone]
        gorgias.touch(ticket)
        assert left_to_read(await read(adapter.changes(ago(clock, 600)))) == {ticket}

    async def test_marked_as_deleted(self, adapter, gorgias, clock):
        """A message that is kept but marked as deleted is no reply, and makes its ticket be read as well."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        gone = gorgias.add(ticket, "oops", ago(clock, 200), from_agent=True)
        await collect(adapter, ticket)
        gorgias.messages[gone]["deleted_datetime"] = ago(clock, 100).isoformat()
        gorgias.touch(ticket)
        assert left_to_read(await read(adapter.changes(ago(clock, 600)))) == {ticket}
        assert str(gone) not in {reply.id for reply in await collect(adapter, ticket)}

    async def test_merged(self, adapter, gorgias, clock):
        """A ticket that took in another's messages is read: they have old dates."""
        old, first = gorgias.open_ticket(ago(clock, 9000))
        left, _ = gorgias.open_ticket(ago(clock, 8000))
        await collect(adapter, old, left)
        gorgias.merge(old, left)
        assert left_to_read(await read(adapter.changes(ago(clock, 600)))) == {left}
        assert str(first) in {reply.id for reply in await collect(adapter, left)}

    @pytest.mark.parametrize("field", ["created_datetime", "attachments", "source"])
    async def test_an_odd_message(self, adapter, gorgias, clock, field):
        """A message that cannot be read leaves its ticket to be read, where it fails by itself; others are told."""
        odd, broken = gorgias.open_ticket(ago(clock, 300))
        fine, _ = gorgias.open_ticket(ago(clock, 200))
        await collect(adapter, odd, fine)
        gorgias.messages[broken][field] = "odd"
        gorgias.sorts = field != "created_datetime"
        gorgias.messages = dict(reversed(gorgias.messages.items()))
        gorgias.tickets = dict(reversed(gorgias.tickets.items()))
        pages = await read(adapter.changes(ago(clock, 600)))
        assert left_to_read(pages) == {odd}
        assert ids_on(pages) == {odd, fine}

    async def test_an_odd_ticket(self, adapter, gorgias, clock):
        """A ticket that cannot be read is named without state and replies."""
        odd, _ = gorgias.open_ticket(ago(clock, 300))
        fine, _ = gorgias.open_ticket(ago(clock, 200))
        await collect(adapter, odd, fine)
        gorgias.tickets[odd]["status"] = 7
        pages = await read(adapter.changes(ago(clock, 600)))
        assert left_to_read(pages) == {odd}
        assert [state.id for page in pages for state in page.tickets] == [str(fine)]

    async def test_read_in_between(self, adapter, gorgias, clock):
        """A ticket that is read for the first time while the feed is, is not taken for told by the feed."""
        ticket, _ = gorgias.open_ticket(ago(clock, 100))
        for number in range(12):
            gorgias.open_ticket(ago(clock, 300 - number))
        gorgias.page_size = 1
        readings = []
        gorgias.meanwhile["/api/messages"] = lambda: readings.append(asyncio.ensure_future(collect(adapter, ticket)))
        pages = await read(adapter.changes(ago(clock, 600)))
        assert readings[0].done()
        assert ticket in left_to_read(pages)


class TestUnsent:
    """What waits to be sent, and what failed: it looks like other messages, and nobody got it."""

    async def test_pending(self, adapter, gorgias, clock):
        """A message that waits is no reply; the cursor does not pass it, so it comes when it was sent."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        await collect(adapter, ticket)
        waits = gorgias.add(ticket, "wait", ago(clock, 60), from_agent=True, sent_datetime=None)
        gorgias.add(ticket, "a later one", ago(clock, 10))
        pages, cursor = await follow(adapter, ago(clock, 600))
        assert waits not in replies_in(pages)
        assert left_to_read(pages) == {ticket}
        assert reached(cursor) == created(gorgias, waits)
        await clock.sleep(900)
        gorgias.messages[waits]["sent_datetime"] = clock.now().isoformat()  # the ticket does not show it
        assert replies_in(await read(adapter.changes(cursor)))[waits].created_at == clock.now()

    async def test_pending_of_a_ticket_that_was_never_read(self, sign_in, gorgias, clock):
        """After a restart, too, a message that waited is told of once it was sent."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        waits = gorgias.add(ticket, "wait", ago(clock, 60), from_agent=True, sent_datetime=None)
        _, cursor = await follow(sign_in(), ago(clock, 600))
        await clock.sleep(1800)
        gorgias.messages[waits]["sent_datetime"] = clock.now().isoformat()
        assert left_to_read(await read(sign_in().changes(cursor))) == {ticket}

    async def test_pending_for_long(self, adapter, gorgias, clock):
        """What waits for more than an hour holds nothing back; its ticket is read when it changes."""
        ticket, _ = gorgias.open_ticket(ago(clock, 90_000))
        waits = gorgias.add(ticket, "wait", ago(clock, 4000), from_agent=True, sent_datetime=None)
        other, newest = gorgias.open_ticket(ago(clock, 10))
        await collect(adapter, ticket, other)
        _, cursor = await follow(adapter, ago(clock, 7200))
        assert reached(cursor) == created(gorgias, newest)
        await clock.sleep(7200)
        gorgias.messages[waits]["sent_datetime"] = clock.now().isoformat()
        gorgias.touch(ticket)
        assert left_to_read(await read(adapter.changes(cursor))) == {ticket}
        assert str(waits) in {reply.id for reply in await collect(adapter, ticket)}

    async def test_failed(self, adapter, gorgias, clock):
        """A failed message is no reply though it has a time of sending, and does not hold the cursor."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        await collect(adapter, ticket)
        failed = gorgias.add(
            ticket, "bounced", ago(clock, 60), from_agent=True, failed_datetime=ago(clock, 50).isoformat()
        )
        pages, cursor = await follow(adapter, ago(clock, 600))
        assert failed not in replies_in(pages)
        assert reached(cursor) == created(gorgias, failed)
        assert str(failed) not in {reply.id for reply in await collect(adapter, ticket)}

    async def test_sent_again(self, adapter, gorgias, clock):
        """A failed message that is sent again hours later is found by the change of its ticket."""
        ticket, _ = gorgias.open_ticket(ago(clock, 6000))
        failed = gorgias.add(ticket, "x", ago(clock, 60), from_agent=True, failed_datetime=ago(clock, 50).isoformat())
        await collect(adapter, ticket)
        _, cursor = await follow(adapter, ago(clock, 600))
        await clock.sleep(10_000)
        gorgias.messages[failed] |= {"failed_datetime": None, "sent_datetime": clock.now().isoformat()}
        gorgias.touch(ticket)
        assert left_to_read(await read(adapter.changes(cursor))) == {ticket}
        assert str(failed) in {reply.id for reply in await collect(adapter, ticket)}


class TestPace:
    """The leaky bucket."""

    async def test_within_the_bucket(self, sign_in, gorgias, clock):
        """At the adapter's own pace the bucket of 40 that leaks two a second never overflows."""
        gorgias.bucket, gorgias.leak_per_second = 40, 2
        gorgias.page_size = 1
        for number in range(150):
            gorgias.open_ticket(ago(clock, 600 - number))
        adapter = sign_in(own_pace=True, email=gorgias.email, api_key=gorgias.api_key)
        await read(adapter.changes(ago(clock, 3600)))
        assert gorgias.count("/api/") == 300
        assert gorgias.throttled == 0

    async def test_shared(self, adapter, gorgias, clock):
        """Where other programs emptied the bucket, a request is made again after the wait that is asked for."""
        gorgias.bucket, gorgias.leak_per_second = 40, 0.2
        gorgias.fill_bucket()
        before = clock.monotonic()
        await adapter.tickets(["1"])
        assert gorgias.throttled > 0
        assert clock.monotonic() - before >= 5

    async def test_for_too_long(self, adapter, gorgias):
        """A bucket that stays full ends the sweep, with the wait that was asked for."""
        gorgias.bucket = 0
        with pytest.raises(RetryLater) as caught:
            await adapter.tickets(["1"])
        assert caught.value.wait_seconds == 5
