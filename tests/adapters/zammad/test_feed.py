"""The change feed of Zammad: tickets by `updated_at`, asked for in a way that loses none."""

from datetime import timedelta

import pytest

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor


async def read(adapter, start):
    """Return the pages of the feed."""
    return [page async for page in adapter.changes(start)]


def ids_on(pages):
    """Return the ids on pages, in order and as often as they are named."""
    return [ticket_id for page in pages for ticket_id in page.ticket_ids]


def open_many(zammad, number, at, step=timedelta(milliseconds=1)):
    """Make tickets, each a step after the one before; return their ids."""
    return [str(zammad.open_ticket(at + place * step)[0]) for place in range(number)]


class TestFeed:
    """What it tells."""

    async def test_idle(self, adapter, zammad, clock):
        """Where nothing changed, a sweep is one request and names no ticket."""
        open_many(zammad, 3, clock.now())
        cursor = (await read(adapter, clock.now()))[-1].cursor
        zammad.forget()
        pages = await read(adapter, cursor)
        assert (len(zammad.requests), ids_on(pages), pages[-1].cursor) == (1, [], cursor)

    async def test_each_once(self, adapter, zammad, clock):
        """A change is told once; what lies in the overlap is known from the cursor."""
        first, second = open_many(zammad, 2, clock.now())
        cursor = (await read(adapter, clock.now()))[-1].cursor
        await clock.sleep(60)
        zammad.write(int(second), "answer")
        assert ids_on(await read(adapter, cursor)) == [second]
        assert first != second

    async def test_internal_note_and_state(self, adapter, zammad, clock):
        """Whatever happens to a ticket moves its time of change."""
        ticket_id, _ = zammad.open_ticket()
        cursor = (await read(adapter, clock.now()))[-1].cursor
        await clock.sleep(1)
        zammad.set_state(ticket_id, "closed")
        assert ids_on(await read(adapter, cursor)) == [str(ticket_id)]

    async def test_committed_late(self, adapter, zammad, clock):
        """A ticket that appears late, with a time shortly before what was told already, is told."""
        now = clock.now()
        zammad.open_ticket(now)
        cursor = (await read(adapter, now))[-1].cursor
        late, _ = zammad.open_ticket(now - timedelta(seconds=90))
        assert ids_on(await read(adapter, cursor)) == [str(late)]

    async def test_pages_shift(self, adapter, zammad, clock):
        """A ticket that changes while pages are turned takes no other one's place on them."""
        zammad.largest_page = 50
        ids = open_many(zammad, 120, clock.now() - timedelta(hours=1), timedelta(seconds=1))
        reading = adapter.changes(clock.now() - timedelta(hours=2))
        told = list((await anext(reading)).ticket_ids)
        zammad.write(int(told[0]), "meanwhile")
        told += [one async for page in reading for one in page.ticket_ids]
        assert set(told) == set(ids)
        assert told[-1] == told[0]

    @pytest.mark.parametrize("largest_page", [50, 100, 200])
    async def test_clamped_page(self, adapter, zammad, clock, largest_page):
        """However many tickets come where two hundred were asked for, all of them are told, and each once."""
        zammad.largest_page = largest_page
        ids = open_many(zammad, 2 * largest_page + 1, clock.now())
        assert ids_on(await read(adapter, clock.now())) == ids

    async def test_one_millisecond(self, adapter, zammad, clock):
        """More tickets of one millisecond than a page holds are all told, and those after them too."""
        zammad.largest_page = 50
        ids = open_many(zammad, 130, clock.now(), timedelta(0))
        ids += open_many(zammad, 5, clock.now() + timedelta(milliseconds=1))
        pages = await read(adapter, clock.now())
        assert sorted(ids_on(pages)) == sorted(ids)
        assert ids_on(await read(adapter, pages[-1].cursor)) == []

    async def test_start_within_a_millisecond(self, adapter, zammad, clock):
        """A start that is finer than Zammad's milliseconds loses nothing, and is no error."""
        at = clock.now() - timedelta(minutes=2)
        ticket_id, _ = zammad.open_ticket(at)
        assert ids_on(await read(adapter, clock.now() + timedelta(microseconds=400))) == [str(ticket_id)]

    async def test_every_cursor(self, adapter, zammad, clock):
        """Whoever goes on from the cursor of any page gets what came after it."""
        zammad.largest_page = 50
        open_many(zammad, 160, clock.now())
        pages = await read(adapter, clock.now())
        for place, page in enumerate(pages, start=1):
            assert set(ids_on(pages[place:])) <= set(ids_on(await read(adapter, page.cursor)))

    async def test_long_cursor(self, adapter, zammad, clock):
        """A cursor does not grow without bounds: what it forgets is told again."""
        open_many(zammad, 2100, clock.now())
        cursor = (await read(adapter, clock.now()))[-1].cursor
        assert len(cursor) < 40_000
        assert len(ids_on(await read(adapter, cursor))) == 100

    async def test_empty(self, adapter, clock):
        """Where there is no ticket at all, the feed waits at its start."""
        (page,) = await read(adapter, clock.now())
        (again,) = await read(adapter, page.cursor)
        assert (page.ticket_ids, again.cursor) == ((), page.cursor)


class TestDoubt:
    """Answers that are not what was asked for."""

    async def test_swallowed_condition(self, adapter, zammad, clock):
        """A condition that was swallowed is noticed by tickets that changed too early."""
        zammad.open_ticket(clock.now() - timedelta(days=1))
        zammad.swallows_conditions = True
        with pytest.raises(UnexpectedAnswer, match="ignored the condition"):
            await read(adapter, clock.now())

    async def test_ignored_order(self, adapter, zammad, clock):
        """An order that was ignored is noticed, before a cursor goes past what was not told."""
        open_many(zammad, 3, clock.now())
        zammad.ignores_order = True
        with pytest.raises(UnexpectedAnswer, match="ignored the order"):
            await read(adapter, clock.now())

    async def test_same_page_again(self, adapter, zammad, clock):
        """The same page again and again, all of one millisecond, is an error and not an endless read."""
        zammad.largest_page = 50
        open_many(zammad, 60, clock.now(), timedelta(0))
        zammad.stuck = True
        with pytest.raises(UnexpectedAnswer, match="again and again"):
            await read(adapter, clock.now())

    async def test_blind_search(self, adapter, zammad, clock):
        """A search that shows nothing is a failure as long as the newest ticket can be read."""
        zammad.open_ticket()
        cursor = (await read(adapter, clock.now()))[-1].cursor
        zammad.blind = True
        with pytest.raises(UnexpectedAnswer, match="shows no changes"):
            await read(adapter, cursor)

    async def test_newest_is_deleted(self, adapter, zammad, clock):
        """Where the newest ticket was deleted, an empty answer is right, and the feed goes on."""
        ticket_id, _ = zammad.open_ticket()
        cursor = (await read(adapter, clock.now()))[-1].cursor
        zammad.delete_ticket(ticket_id)
        assert ids_on(await read(adapter, cursor)) == []

    @pytest.mark.parametrize("text", ["", "x", "12", "12|5", "12|5:x", "12|5:1,", "-1|", "1" * 17 + "|", "٣|"])
    async def test_foreign_cursor(self, adapter, zammad, text):
        """A cursor of something else is an error, and nothing is asked."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await read(adapter, Cursor(text))
        assert zammad.requests == []

    async def test_no_elasticsearch(self, adapter, zammad, clock):
        """Only conditions are asked, which go to the database: the stand-in fails on every query."""
        zammad.open_ticket()
        assert len(ids_on(await read(adapter, clock.now()))) == 1
