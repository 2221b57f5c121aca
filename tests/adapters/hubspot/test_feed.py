"""The changes of an account: threads by their newest messages, tickets by their modification."""

import json
from datetime import timedelta

import pytest

from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import Cursor


async def read(adapter, start):
    """Return the pages of the feed."""
    return [page async for page in adapter.changes(start)]


def ids_on(pages):
    """Return the ids on pages."""
    return {ticket_id for page in pages for ticket_id in page.ticket_ids}


def ticket_with_thread(hubspot, at=None):
    """Make a ticket with a thread; return both ids."""
    ticket_id = hubspot.open_ticket(at)
    return ticket_id, hubspot.open_thread(ticket_id, at)


class TestThreads:
    """What threads tell."""

    async def test_new_message(self, hubspot, adapter, clock):
        """A message names its ticket though the ticket was not modified by it."""
        ticket_id, thread = ticket_with_thread(hubspot, clock.now() - timedelta(days=1))
        cursor = (await read(adapter, clock.now()))[-1].cursor
        await clock.sleep(60)
        hubspot.write(thread, "x", touches=False)
        assert ids_on(await read(adapter, cursor)) == {ticket_id}

    async def test_thread_without_ticket(self, hubspot, adapter, clock):
        """A thread that belongs to no ticket names none."""
        hubspot.write(hubspot.open_thread(), "x")
        assert ids_on(await read(adapter, clock.now())) == set()

    async def test_ticket_comes_later(self, hubspot, adapter, clock):
        """A thread that is given a ticket is news, though no message came."""
        thread = hubspot.open_thread()
        hubspot.write(thread, "x")
        await clock.sleep(120)
        cursor = (await read(adapter, clock.now()))[-1].cursor
        hubspot.threads[thread]["ticket"] = ticket_id = hubspot.open_ticket(clock.now() - timedelta(days=1))
        assert ids_on(await read(adapter, cursor)) == {ticket_id}

    async def test_second_message_of_a_second(self, hubspot, adapter, clock):
        """E-mails have whole seconds: one that comes in the second of the one before is not taken for it."""
        ticket_id, thread = ticket_with_thread(hubspot, clock.now() - timedelta(days=1))
        hubspot.write(thread, "x", touches=False)
        cursor = (await read(adapter, clock.now()))[-1].cursor
        hubspot.write(thread, "y", touches=False)
        await clock.sleep(30)
        assert ids_on(await read(adapter, cursor)) == {ticket_id}

    async def test_listed_late(self, hubspot, adapter, clock):
        """A thread that is listed minutes after its time is named then."""
        hubspot.thread_lag = timedelta(minutes=4)
        ticket_id, thread = ticket_with_thread(hubspot, clock.now() - timedelta(days=1))
        hubspot.write(thread, "x", touches=False)
        cursor = (await read(adapter, clock.now()))[-1].cursor
        await clock.sleep(250)
        assert ids_on(await read(adapter, cursor)) == {ticket_id}

    async def test_message_of_the_future(self, hubspot, adapter, clock):
        """A message whose sender's clock is wrong does not take the feed past what comes before its time."""
        _, thread = ticket_with_thread(hubspot)
        hubspot.write(thread, "x", clock.now() + timedelta(days=400), touches=False)
        cursor = (await read(adapter, clock.now()))[-1].cursor
        await clock.sleep(3600)
        other, thread = ticket_with_thread(hubspot, clock.now() - timedelta(days=1))
        hubspot.write(thread, "y", touches=False)
        assert other in ids_on(await read(adapter, cursor))

    @pytest.mark.parametrize("is_included", [True, False])
    async def test_stalled_token(self, hubspot, adapter, clock, is_included):
        """Where a token comes again though there is more, the list is asked for anew from the last thread on.

        Others of its very time may come behind it, whether HubSpot counts the bound itself in or not.
        """
        hubspot.largest_page, hubspot.stalls_at, hubspot.is_after_included = 3, 3, is_included
        start = clock.now() - timedelta(hours=1)
        tickets = set()
        for at in range(12):
            ticket_id, thread = ticket_with_thread(hubspot, start - timedelta(days=1))
            hubspot.write(thread, "x", start + timedelta(seconds=(at + 1) // 2), touches=False)
            tickets.add(ticket_id)
        assert ids_on(await read(adapter, start)) == tickets


class TestTickets:
    """What a search for tickets tells."""

    async def test_status(self, hubspot, adapter, clock):
        """A ticket that is closed without a message is named, once the index knows it."""
        ticket_id = hubspot.open_ticket(clock.now() - timedelta(days=1))
        cursor = (await read(adapter, clock.now()))[-1].cursor
        hubspot.touch(ticket_id, hs_pipeline_stage="4")
        assert ids_on(pages := await read(adapter, cursor)) == set()
        await clock.sleep(60)
        assert ids_on(await read(adapter, pages[-1].cursor)) == {ticket_id}

    async def test_index_is_late(self, hubspot, adapter, clock):
        """A change that the index shows minutes later is named then, and the older state that it shows is not told."""
        hubspot.index_lag = timedelta(minutes=5)
        ticket_id = hubspot.open_ticket(clock.now() - timedelta(minutes=6))
        hubspot.touch(ticket_id, hs_pipeline_stage="4")
        pages = await read(adapter, clock.now())
        assert [page.tickets for page in pages] == [(), ()]
        await clock.sleep(301)
        assert ids_on(await read(adapter, pages[-1].cursor)) == {ticket_id}

    async def test_body(self, hubspot, adapter, clock):
        """All five fields are sent, values are texts, and each page begins behind the last id."""
        hubspot.largest_search = 3
        ids = [hubspot.open_ticket(clock.now() - timedelta(minutes=1)) for _ in range(7)]
        assert ids_on(await read(adapter, clock.now())) == set(ids)
        assert hubspot.count("tickets/search") == 3

    async def test_more_than_a_search_may_find(self, hubspot, adapter, clock):
        """Where a search ends after so many rows, all tickets are named, though all changed in one millisecond."""
        hubspot.search_cap, hubspot.largest_search = 200, 20
        ids = [hubspot.open_ticket(clock.now() - timedelta(minutes=1)) for _ in range(210)]
        assert ids_on(await read(adapter, clock.now())) == set(ids)

    async def test_changes_while_paging(self, hubspot, adapter, clock):
        """A ticket that changes while pages are turned takes no other one's place on them."""
        hubspot.largest_search = 3
        ids = [hubspot.open_ticket(clock.now() - timedelta(minutes=1)) for _ in range(9)]
        reading = adapter.changes(clock.now())
        await anext(reading)
        named = set((await anext(reading)).ticket_ids)
        hubspot.touch(ids[0], clock.now() - timedelta(seconds=40))
        named |= ids_on([page async for page in reading])
        assert named == set(ids)

    async def test_ignored_order(self, hubspot, adapter, clock):
        """An order that was ignored is noticed, as pages are told apart by it."""
        for _ in range(3):
            hubspot.open_ticket(clock.now() - timedelta(minutes=1))
        hubspot.search_ignores_order = True
        with pytest.raises(UnexpectedAnswer, match="how to sort"):
            await read(adapter, clock.now())


class TestSweeps:
    """From one sweep to the next."""

    async def test_quiet(self, hubspot, adapter, clock):
        """A sweep in which nothing happened is two requests, and names nothing twice."""
        ticket_id, thread = ticket_with_thread(hubspot)
        hubspot.write(thread, "x")
        await clock.sleep(120)
        pages = await read(adapter, clock.now())
        assert ids_on(pages) == {ticket_id}
        hubspot.forget()
        assert ids_on(await read(adapter, pages[-1].cursor)) == set()
        assert len(hubspot.requests) == 2

    async def test_a_message_is_named_for_a_minute(self, hubspot, adapter, clock):
        """A change is named by the sweeps of its first minute, and then no more."""
        _, thread = ticket_with_thread(hubspot, clock.now() - timedelta(days=1))
        hubspot.write(thread, "x", touches=False)
        cursor, named = clock.now(), []
        for _ in range(4):
            pages = await read(adapter, cursor)
            cursor = pages[-1].cursor
            named.append(len(ids_on(pages)))
            await clock.sleep(40)
        assert named == [1, 1, 1, 0]

    async def test_broken_off(self, hubspot, adapter, clock):
        """Whoever stopped in the middle of a sweep begins it anew."""
        hubspot.largest_search = 2
        ids = [hubspot.open_ticket(clock.now() - timedelta(minutes=1)) for _ in range(5)]
        first, second, *_ = await read(adapter, clock.now())
        for page in (first, second):
            assert ids_on(await read(adapter, page.cursor)) == set(ids)

    async def test_without_a_clock(self, hubspot, adapter, clock):
        """Where answers do not say their time, the feed stays where it was, and names all again."""
        hubspot.has_date = False
        ticket_id = hubspot.open_ticket(clock.now() - timedelta(days=1))
        cursor = clock.now() - timedelta(days=2)
        for _ in range(2):
            pages = await read(adapter, cursor)
            cursor = pages[-1].cursor
            assert ids_on(pages) == {ticket_id}

    async def test_cursor_is_short(self, hubspot, adapter, clock):
        """A cursor does not grow without bounds: what it forgets is named again."""
        for _ in range(2100):
            hubspot.open_ticket(clock.now() - timedelta(minutes=2))
        cursor = (await read(adapter, clock.now()))[-1].cursor
        assert len(json.loads(cursor)["seen"]) == 2000
        assert len(ids_on(await read(adapter, cursor))) == 100

    @pytest.mark.parametrize(
        "text", ["", "x", "12", "[]", "{}", '{"since":"x","seen":{}}', '{"since":"2026-01-01T00:00:00Z","seen":[1]}']
    )
    async def test_foreign_cursor(self, hubspot, adapter, text):
        """A cursor of something else is an error, and nothing is asked."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter, Cursor(text))
        assert hubspot.requests == []

    async def test_no_requests_for_tickets(self, hubspot, adapter, clock):
        """However many tickets changed, the feed asks for none of them."""
        for _ in range(30):
            hubspot.write(ticket_with_thread(hubspot)[1], "x")
        await clock.sleep(60)
        await read(adapter, clock.now())
        assert len(hubspot.requests) == 2

    async def test_scope_is_missing(self, hubspot, adapter, clock):
        """Without the scope for conversations the system pauses."""
        hubspot.scopes = {"tickets"}
        with pytest.raises(PauseSystem, match="scopes"):
            await read(adapter, clock.now())
