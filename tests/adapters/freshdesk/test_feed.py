"""The list of changed tickets: its pages, its ceiling, its seconds, and what it costs."""

from datetime import timedelta

import pytest

from adapters.freshdesk import Freshdesk
from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import Cursor


async def read(adapter, start):
    """Return the ids on each page from a start on, and the last cursor."""
    pages = [page async for page in adapter.changes(start)]
    return [list(page.ticket_ids) for page in pages], pages[-1].cursor


def flat(pages):
    """Return the ids of all pages."""
    return [ticket_id for page in pages for ticket_id in page]


async def settle(clock):
    """Let what was written become old enough to be told for good."""
    await clock.sleep(30)


class TestPages:
    """From page to page."""

    async def test_the_thirty_day_default_is_never_met(self, adapter, freshdesk, clock):
        """A ticket that was opened long ago is named when it changes: updated_since is always sent."""
        old = freshdesk.open_ticket(clock.now() - timedelta(days=400))
        freshdesk.write(old, "Still waiting.")
        pages, _ = await read(adapter, clock.now() - timedelta(hours=1))
        assert flat(pages) == [str(old)]
        assert all("updated_since" in query for path, query in freshdesk.requests if path == "/api/v2/tickets")

    @pytest.mark.parametrize("is_exclusive", [False, True])
    async def test_the_page_ceiling_is_not_met(self, adapter, freshdesk, clock, is_exclusive):
        """More changes than the list has pages for are read whole: each page begins where the last one ended."""
        freshdesk.page_size, freshdesk.most_pages, freshdesk.is_exclusive = 5, 4, is_exclusive
        begin = clock.now() - timedelta(days=1)
        made = [str(freshdesk.open_ticket(begin + timedelta(seconds=3 * turn))) for turn in range(60)]
        pages, _ = await read(adapter, begin)
        assert flat(pages) == made
        assert all(query["page"] == "1" for path, query in freshdesk.requests if path == "/api/v2/tickets")

    async def test_many_changes_in_one_second_are_turned_by_number(self, adapter, freshdesk, clock):
        """A bulk change of more tickets than a page holds, all in one second, is read whole, and what follows it."""
        freshdesk.page_size = 4
        begin = clock.now() - timedelta(days=1)
        made = [str(freshdesk.open_ticket(begin)) for _ in range(11)]
        made.append(str(freshdesk.open_ticket(begin + timedelta(minutes=5))))
        pages, _ = await read(adapter, begin)
        assert flat(pages) == made

    async def test_a_second_beyond_the_ceiling_is_a_failure(self, adapter, freshdesk, clock):
        """More changes in one second than the list can turn to are an error that is told, and not the end."""
        freshdesk.page_size, freshdesk.most_pages = 1, 3
        for _ in range(5):
            freshdesk.open_ticket(clock.now() - timedelta(hours=1))
        with pytest.raises(UnexpectedAnswer):
            await read(adapter, clock.now() - timedelta(hours=2))

    async def test_a_change_between_pages_hides_no_other(self, adapter, freshdesk, clock):
        """A ticket that changes between two pages moves to the end of the list, and none slips past the border."""
        freshdesk.page_size = 3
        begin = clock.now() - timedelta(days=1)
        made = [freshdesk.open_ticket(begin + timedelta(seconds=10 * turn)) for turn in range(6)]
        pages = adapter.changes(begin)
        named = [*(await anext(pages)).ticket_ids]
        freshdesk.touch(made[0])
        named += [ticket_id async for page in pages for ticket_id in page.ticket_ids]
        assert {str(one) for one in made} <= set(named)
        assert named.count(str(made[0])) == 2

    async def test_a_list_out_of_order_is_turned_by_number(self, adapter, freshdesk, clock):
        """Should the list not come in the order that was asked for, nothing is lost: only its end moves the cursor."""
        freshdesk.page_size, freshdesk.sorts_badly = 2, True
        begin = clock.now() - timedelta(days=1)
        made = [str(freshdesk.open_ticket(begin + timedelta(hours=6 - turn))) for turn in range(6)]
        pages = [page async for page in adapter.changes(begin)]
        assert sorted(flat(page.ticket_ids for page in pages)) == sorted(made)
        assert len({page.cursor for page in pages[:-1]}) == 1

    async def test_a_full_page_is_not_believed_to_be_the_last(self, adapter, freshdesk, clock):
        """A hundred tickets without a link to a next page are followed by a look at the next page."""
        for turn in range(100):
            freshdesk.open_ticket(clock.now() - timedelta(seconds=5000 - turn))
        pages, _ = await read(adapter, clock.now() - timedelta(days=1))
        assert [len(page) for page in pages] == [100, 0]

    async def test_no_list_is_a_pause(self, adapter, freshdesk, clock):
        """An agent who may not list tickets, or an address without them, needs a person."""
        freshdesk.next_answers.append((403, {}, '{"code": "access_denied"}', "application/json"))
        with pytest.raises(PauseSystem):
            await read(adapter, clock.now())


class TestSeconds:
    """Cursors over whole seconds."""

    @pytest.mark.parametrize("is_exclusive", [False, True])
    async def test_the_first_second_is_included(self, adapter, freshdesk, clock, is_exclusive):
        """Whether updated_since includes its own second or not, a change in the second of the start is named."""
        freshdesk.is_exclusive = is_exclusive
        at = clock.now() - timedelta(hours=1)
        ticket = freshdesk.open_ticket(at)
        assert flat((await read(adapter, at + timedelta(milliseconds=700)))[0]) == [str(ticket)]

    async def test_what_is_settled_is_named_once(self, adapter, freshdesk, clock):
        """A change that was some seconds old when it was named is not named again, though the list is read again."""
        freshdesk.open_ticket(clock.now())
        await settle(clock)
        _, cursor = await read(adapter, clock.now() - timedelta(hours=1))
        for _ in range(3):
            pages, cursor = await read(adapter, cursor)
            assert flat(pages) == []
        assert freshdesk.count("/api/v2/tickets") == 4

    async def test_a_second_change_in_the_same_second_is_named(self, adapter, freshdesk, clock):
        """A reply in the very second in which its ticket was named is found at the next reading."""
        ticket = freshdesk.open_ticket(clock.now())
        _, cursor = await read(adapter, clock.now() - timedelta(hours=1))
        freshdesk.write(ticket, "One more thing.", at=clock.now())
        await settle(clock)
        pages, cursor = await read(adapter, cursor)
        assert flat(pages) == [str(ticket)]
        assert flat((await read(adapter, cursor))[0]) == []

    async def test_a_change_that_is_listed_late_is_named(self, adapter, freshdesk, clock):
        """A ticket that appears in the list behind a newer one, a minute late, is named all the same."""
        freshdesk.open_ticket(clock.now())
        await settle(clock)
        _, cursor = await read(adapter, clock.now() - timedelta(hours=1))
        late = freshdesk.open_ticket(clock.now() - timedelta(seconds=90))
        assert flat((await read(adapter, cursor))[0]) == [str(late)]

    async def test_without_the_vendors_time_all_is_named_again(self, adapter, freshdesk, clock):
        """Where an answer carries no readable Date, nothing counts as settled: once more is harmless."""
        freshdesk.tells_date = False
        ticket = freshdesk.open_ticket(clock.now())
        await settle(clock)
        _, cursor = await read(adapter, clock.now() - timedelta(hours=1))
        assert flat((await read(adapter, cursor))[0]) == [str(ticket)]

    async def test_a_change_of_a_ticket_that_was_named_is_named(self, adapter, freshdesk, clock):
        """A ticket that changes again is named again."""
        ticket = freshdesk.open_ticket(clock.now())
        await settle(clock)
        _, cursor = await read(adapter, clock.now() - timedelta(hours=1))
        freshdesk.write(ticket, "And now?")
        assert flat((await read(adapter, cursor))[0]) == [str(ticket)]

    @pytest.mark.parametrize("text", ["", "later", "1|2", "1|2:x,", '{"since": 1}', "-1|", "1|2:3,4"])
    async def test_a_foreign_cursor_is_refused(self, adapter, freshdesk, text):
        """A cursor that was not made here is an error before anything is asked."""
        with pytest.raises(UnexpectedAnswer):
            await read(adapter, Cursor(text))
        assert freshdesk.requests == []

    async def test_a_cursor_stays_small(self, adapter, freshdesk, clock):
        """However many tickets a bulk change touches, the cursor remembers a thousand at most."""
        at = clock.now() - timedelta(hours=1)
        for _ in range(1100):
            freshdesk.open_ticket(at)
        pages, cursor = await read(adapter, at)
        assert len(flat(pages)) == 1100
        assert cursor.count(":") == 1000


class TestLimits:
    """The list's own limit."""

    async def test_the_limit_of_lists_is_waited_out(self, connect, freshdesk, clock):
        """More pages than the plan Growth lists in a minute are read after the wait that the 429 names."""
        adapter = connect(Freshdesk, base_url=freshdesk.base_url, api_key=freshdesk.api_key, own_pace=True)
        freshdesk.page_size = 2
        begin = clock.now() - timedelta(days=1)
        made = [str(freshdesk.open_ticket(begin + timedelta(seconds=5 * turn))) for turn in range(60)]
        assert flat((await read(adapter, begin))[0]) == made
        assert 0 < freshdesk.throttled <= 3

    async def test_nothing_is_asked_per_ticket(self, adapter, freshdesk, clock):
        """Eighty changed tickets cost one request, whoever follows them."""
        for _ in range(80):
            freshdesk.open_ticket(clock.now() - timedelta(minutes=1))
        await read(adapter, clock.now() - timedelta(hours=1))
        assert len(freshdesk.requests) == 1
        assert "include" not in freshdesk.requests[0][1]  # it would cost two more of the minute's budget

    async def test_spam_trash_and_archive_are_not_listed(self, adapter, freshdesk, clock):
        """The list leaves out what is spam, in the trash or archived: only the full sweep finds such tickets."""
        for change in ({"spam": True}, {"deleted": True}):
            freshdesk.open_ticket(clock.now(), **change)
        freshdesk.archive(freshdesk.open_ticket(clock.now()))
        assert flat((await read(adapter, clock.now() - timedelta(hours=1)))[0]) == []
