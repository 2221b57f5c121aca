"""The change feed of Zoho Desk: a search by time of change that needs both ends, trails behind, and has a ceiling."""

from datetime import timedelta

import pytest

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

SECOND = timedelta(seconds=1)


async def turn(adapter, start):
    """Return the pages of the feed."""
    return [page async for page in adapter.changes(start)]


def ids_on(pages):
    """Return the ids on pages, in order and as often as they are named."""
    return [ticket_id for page in pages for ticket_id in page.ticket_ids]


def open_many(zoho_desk, number, at, step=SECOND):
    """Make tickets, each a step after the one before; return their ids."""
    return [zoho_desk.open_ticket(at + place * step)[0] for place in range(number)]


def searches(zoho_desk):
    """Return the queries of the searches that were asked."""
    return [query for path, query in zoho_desk.requests if path.endswith("/tickets/search")]


class TestSearching:
    """What is asked, and what comes of it."""

    async def test_both_ends(self, adapter, zoho_desk, clock):
        """The range has a beginning five minutes before the start, and an end that is now by Zoho's clock."""
        await turn(adapter, clock.now())
        (query,) = searches(zoho_desk)
        assert query["modifiedTimeRange"] == "2026-03-02T08:55:00.000Z,2026-03-02T09:00:00.000Z"
        assert (query["from"], query["limit"]) == ("0", "100")

    async def test_no_clock(self, adapter, zoho_desk, clock):
        """Without a time in Zoho's answer there is no end of the range, and no guess at one."""
        zoho_desk.has_date = False
        with pytest.raises(UnexpectedAnswer, match="without a Date"):
            await turn(adapter, clock.now())

    async def test_first_place_is_zero(self, adapter, zoho_desk, clock):
        """Places of the search begin at 0, unlike those of lists: the first ticket is not left out."""
        only, _ = zoho_desk.open_ticket()
        assert ids_on(await turn(adapter, clock.now())) == [only]

    async def test_idle(self, adapter, zoho_desk, clock):
        """Where nothing changed, a sweep is two requests for four credits, and names no ticket."""
        open_many(zoho_desk, 3, clock.now() - 10 * SECOND)
        cursor = (await turn(adapter, clock.now()))[-1].cursor
        zoho_desk.forget()
        credits_before = zoho_desk.credits
        (page,) = await turn(adapter, cursor)
        assert (page.ticket_ids, page.cursor) == ((), cursor)
        assert (len(zoho_desk.requests), credits_before - zoho_desk.credits) == (2, 4)

    async def test_nothing_at_all(self, adapter, clock):
        """An empty search is 204 without a body, and no error."""
        (page,) = await turn(adapter, clock.now())
        assert page.ticket_ids == ()

    async def test_each_once(self, adapter, zoho_desk, clock):
        """A change is told once; what lies in the overlap is known from the cursor."""
        first, second = open_many(zoho_desk, 2, clock.now())
        await clock.sleep(10)
        cursor = (await turn(adapter, clock.now()))[-1].cursor
        await clock.sleep(60)
        zoho_desk.write(second, "answer")
        assert ids_on(await turn(adapter, cursor)) == [second]
        assert first != second

    async def test_same_second(self, adapter, zoho_desk, clock):
        """Tickets have whole seconds: a message or note that the index shows late is told by the counts."""
        ticket, at = zoho_desk.open_ticket()[0], clock.now()
        await clock.sleep(10)
        cursor = (await turn(adapter, at))[-1].cursor
        for add in (zoho_desk.write, zoho_desk.comment):
            add(ticket, "x", at)
            pages = await turn(adapter, cursor)
            assert ids_on(pages) == [ticket]
            cursor = pages[-1].cursor
        assert ids_on(await turn(adapter, cursor)) == []

    async def test_second_that_is_not_over(self, adapter, zoho_desk, clock):
        """A ticket is told once more when its second is surely over: a change of its status then leaves no trace."""
        ticket, at = zoho_desk.open_ticket()[0], clock.now()
        await clock.sleep(1)
        cursor = (await turn(adapter, at))[-1].cursor
        zoho_desk.touch(ticket, at, statusType="Closed")
        await clock.sleep(10)
        pages = await turn(adapter, cursor)
        assert ids_on(pages) == [ticket]
        assert ids_on(await turn(adapter, pages[-1].cursor)) == []

    async def test_index_trails(self, adapter, zoho_desk, clock):
        """A change that the index learns of four minutes late is told, though later ones were told before."""
        zoho_desk.lag_seconds = 240
        late, _ = zoho_desk.open_ticket()
        zoho_desk.lag_seconds = 0
        await clock.sleep(200)
        early, _ = zoho_desk.open_ticket()
        await clock.sleep(10)
        pages = await turn(adapter, clock.now())
        assert ids_on(pages) == [early]
        await clock.sleep(60)
        assert ids_on(await turn(adapter, pages[-1].cursor)) == [late]

    async def test_index_stands_still(self, adapter, zoho_desk, clock):
        """An index that stands still for an hour loses nothing: only what it showed moves the mark."""
        cursor = (await turn(adapter, clock.now()))[-1].cursor
        zoho_desk.lag_seconds = 3600
        ticket, _ = zoho_desk.open_ticket()
        told = []
        for _ in range(10):
            await clock.sleep(400)
            pages = await turn(adapter, cursor)
            cursor = pages[-1].cursor
            told += ids_on(pages)
        assert told == [ticket]


class TestPaging:
    """More than one page."""

    @pytest.mark.parametrize("step", [SECOND, timedelta(0), timedelta(milliseconds=300)])
    @pytest.mark.parametrize("has_count", [True, False])
    async def test_all(self, adapter, zoho_desk, clock, step, has_count):
        """All tickets come, and each once, whether their times differ or not, and whether they are counted or not."""
        zoho_desk.has_count = has_count
        at = clock.now() - timedelta(hours=1)
        ids = open_many(zoho_desk, 230, at, step)
        pages = await turn(adapter, at)
        assert sorted(ids_on(pages)) == ids
        assert ids_on(await turn(adapter, pages[-1].cursor)) == []

    @pytest.mark.parametrize("size", [10, 50])
    async def test_clamped_pages(self, adapter, zoho_desk, clock, size):
        """A page that is shorter than asked for is not taken for the last one."""
        zoho_desk.search_page = size
        at = clock.now() - timedelta(hours=1)
        ids = open_many(zoho_desk, 2 * size + 1, at)
        assert ids_on(await turn(adapter, at)) == ids

    async def test_count_of_the_page(self, adapter, zoho_desk, clock):
        """A full page is not the last one, even if no more are counted than it has."""
        at = clock.now() - timedelta(hours=1)
        ids = open_many(zoho_desk, 100, at)
        await turn(adapter, at)
        assert [query["from"] for query in searches(zoho_desk)] == ["0", "0"]
        assert ids_on(await turn(adapter, at)) == ids

    async def test_ceiling(self, adapter, zoho_desk, clock):
        """More than 5,000 tickets come without a place behind 4999, which would be refused, and at low cost."""
        at = clock.now() - timedelta(hours=3)
        ids = open_many(zoho_desk, 5050, at)
        zoho_desk.credits = 1000
        assert sorted(set(ids_on(await turn(adapter, at)))) == ids
        assert {query["from"] for query in searches(zoho_desk)} == {"0"}

    async def test_ceiling_within_an_instant(self, adapter, zoho_desk, clock):
        """More than 5,000 tickets of one instant cannot be read: an error, and not an end."""
        open_many(zoho_desk, 5050, clock.now(), timedelta(0))
        with pytest.raises(UnexpectedAnswer, match="more tickets of one instant"):
            await turn(adapter, clock.now())

    async def test_pages_shift(self, adapter, zoho_desk, clock):
        """A ticket that changes while pages are turned takes no other one's place on them."""
        ids = open_many(zoho_desk, 150, clock.now() - timedelta(hours=1))
        reading = adapter.changes(clock.now() - timedelta(hours=2))
        told = list((await anext(reading)).ticket_ids)
        await clock.sleep(1)
        for ticket in ids[:20]:
            zoho_desk.write(ticket, "meanwhile")
        told += [one async for page in reading for one in page.ticket_ids]
        assert sorted(told) == ids

    async def test_pages_shift_within_an_instant(self, adapter, zoho_desk, clock):
        """Where places are counted, a tenth is read again, so that a few changes meanwhile hide nothing."""
        at = clock.now() - timedelta(hours=1)
        ids = open_many(zoho_desk, 150, at, timedelta(0))
        reading = adapter.changes(at)
        told = [one for page in (await anext(reading), await anext(reading)) for one in page.ticket_ids]
        await clock.sleep(1)
        for ticket in ids[:8]:
            zoho_desk.write(ticket, "meanwhile")
        told += [one async for page in reading for one in page.ticket_ids]
        assert sorted(told) == ids
        assert searches(zoho_desk)[-1]["from"] == "90"

    @pytest.mark.parametrize("places", [(99,), (95, 99), (40,), (40, 99, 120), (0, 100, 249)])
    async def test_times_that_the_index_has_not(self, adapter, zoho_desk, clock, places):
        """If tickets are shown as they are, but found by what they were, no time of theirs leads too far."""
        at = clock.now() - timedelta(hours=1)
        ids = open_many(zoho_desk, 250, at)
        zoho_desk.hydrates, zoho_desk.lag_seconds = True, 600
        for place in places:
            zoho_desk.write(ids[place], "just now")
        await clock.sleep(10)
        assert sorted(set(ids_on(await turn(adapter, at)))) == ids

    async def test_times_that_are_hidden(self, adapter, zoho_desk, clock):
        """If the profile hides the time of change, places are counted, and the mark goes to the end of the range."""
        zoho_desk.hides = {"modifiedTime"}
        at = clock.now() - timedelta(hours=1)
        ids = open_many(zoho_desk, 130, at)
        pages = await turn(adapter, at)
        assert sorted(set(ids_on(pages))) == ids
        assert ids_on(await turn(adapter, pages[-1].cursor)) == []

    async def test_every_cursor(self, adapter, zoho_desk, clock):
        """Whoever goes on from the cursor of any page gets what came after it."""
        zoho_desk.search_page = 20
        at = clock.now() - timedelta(hours=1)
        open_many(zoho_desk, 90, at, timedelta(seconds=20))
        pages = await turn(adapter, at)
        for place, page in enumerate(pages, start=1):
            assert set(ids_on(pages[place:])) <= set(ids_on(await turn(adapter, page.cursor)))

    async def test_long_cursor(self, adapter, zoho_desk, clock):
        """A cursor does not grow without bounds: what it forgets is told again."""
        open_many(zoho_desk, 1100, clock.now(), timedelta(milliseconds=10))
        await clock.sleep(60)
        cursor = (await turn(adapter, clock.now()))[-1].cursor
        assert len(cursor) < 50_000
        assert len(ids_on(await turn(adapter, cursor))) >= 100


class TestDoubt:
    """Answers that are not what was asked for."""

    async def test_ignored_range(self, adapter, zoho_desk, clock):
        """A range that was ignored is noticed by a ticket that was modified before."""
        zoho_desk.open_ticket(clock.now() - timedelta(days=1))
        zoho_desk.ignores_range = True
        with pytest.raises(UnexpectedAnswer, match="ignored the range"):
            await turn(adapter, clock.now())

    async def test_same_page_again(self, adapter, zoho_desk, clock):
        """The same page again and again, all of one instant, is an error and not an endless read."""
        open_many(zoho_desk, 5, clock.now(), timedelta(0))
        zoho_desk.stuck = True
        with pytest.raises(UnexpectedAnswer, match="again and again"):
            await turn(adapter, clock.now())

    async def test_counted_and_not_shown(self, adapter, zoho_desk, clock):
        """No tickets where some are counted is a failure, and not an end."""
        await adapter.check()
        answer = (200, {}, '{"data": [], "count": 3}', "application/json")
        path = "/api/v1/tickets/search"
        zoho_desk.meanwhile[path] = lambda: zoho_desk.next_answers.append(answer)
        with pytest.raises(UnexpectedAnswer, match="though it counts some"):
            await turn(adapter, clock.now())

    @pytest.mark.parametrize(
        "cursor", ["", "x", "5", "1|2", "1|a:1:1:1", "1|1:1:1:1,", "-1|", "1|1:1:1:1,2", f"{10**15}|", "1|1:1:1:1 "]
    )
    async def test_foreign_cursor(self, adapter, zoho_desk, cursor):
        """A cursor of another adapter is refused by name, and nothing is asked."""
        with pytest.raises(UnexpectedAnswer, match="none of Zoho Desk's"):
            await turn(adapter, Cursor(cursor))
        assert zoho_desk.requests == []


class TestOnItsWay:
    """Messages that are still being sent."""

    async def test_looked_at_again(self, adapter, read, zoho_desk, clock):
        """A ticket with a message on its way is named by every sweep until it was sent."""
        ticket, _ = zoho_desk.open_ticket(clock.now() - timedelta(minutes=1))
        answer = zoho_desk.write(ticket, "answer", status="PENDING")
        await clock.sleep(10)
        cursor = (await turn(adapter, clock.now()))[-1].cursor
        assert len(await read(ticket)) == 1
        assert ids_on(await turn(adapter, cursor)) == [ticket]
        zoho_desk.thread(answer)["status"] = "SUCCESS"
        assert [reply.id for reply in await read(ticket, clock.now() + timedelta(hours=1))] == [answer]
        assert ids_on(await turn(adapter, cursor)) == []

    async def test_not_for_ever(self, adapter, read, zoho_desk, clock):
        """A message that never leaves does not cost credits for ever."""
        ticket, _ = zoho_desk.open_ticket(clock.now() - timedelta(minutes=1))
        zoho_desk.write(ticket, "answer", status="PENDING")
        await clock.sleep(10)
        cursor = (await turn(adapter, clock.now()))[-1].cursor
        named = 0
        for _ in range(40):
            await read(ticket)
            named += len(ids_on(await turn(adapter, cursor)))
        assert named == 30
