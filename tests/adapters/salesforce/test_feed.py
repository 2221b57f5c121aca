"""The change feed of Salesforce: three tables by the time of their changes, with the replies of all cases."""

from datetime import timedelta

import pytest

from adapters.salesforce import FEED_ROWS, FEWEST_FEED_ROWS
from syncd.model.errors import RetryLater, UnexpectedAnswer
from syncd.model.ticket import Cursor, Ticket, Unavailability, Unavailable


async def pages_of(adapter, start):
    """Return the pages of the feed."""
    return [page async for page in adapter.changes(start)]


def told(pages):
    """Return the replies on pages by case."""
    return {key: [*replies] for page in pages for key, replies in page.replies.items()}


def named(pages):
    """Return the cases that pages name."""
    return {key for page in pages for key in page.ticket_ids}


class TestFeed:
    """What it tells."""

    async def test_replies_in_bulk(self, adapter, salesforce, clock):
        """New mails and comments of all cases come with three requests, and need none for each case."""
        cases = [salesforce.open_case() for _ in range(20)]
        await clock.sleep(3600)
        start = clock.now()
        await pages_of(adapter, start)
        mails = {case_id: salesforce.mail(case_id, "dear") for case_id in cases}
        comments = {case_id: salesforce.comment(case_id, "hello") for case_id in cases}
        salesforce.forget()
        pages = await pages_of(adapter, start)
        assert len(salesforce.requests) == 3
        assert {key: {one.id for one in replies} for key, replies in told(pages).items()} == {
            key: {mails[key], comments[key]} for key in cases
        }

    async def test_same_as_from_the_case(self, adapter, salesforce, clock):
        """A reply that the feed tells equals the same one as its case tells it."""
        case_id = salesforce.open_case()
        await clock.sleep(3600)
        start = clock.now()
        salesforce.mail(case_id, "any news?", incoming=True)
        salesforce.mail(case_id, "not yet", HtmlBody="<p>not yet</p>")
        salesforce.comment(case_id, "broken", IsPublished=False)
        replies = told(await pages_of(adapter, start))[case_id]
        (ticket,) = await adapter.tickets([case_id])
        assert replies == [reply async for reply in adapter.replies(ticket, start)]
        assert len(replies) == 3

    async def test_new_case(self, adapter, salesforce, clock):
        """A case that a mail has just opened is named without replies: what opened it is told by the case itself."""
        case_id, _ = salesforce.open_by_mail()
        pages = await pages_of(adapter, clock.now())
        assert case_id in named(pages)
        assert case_id not in told(pages)

    async def test_state_comes_along(self, adapter, salesforce, clock):
        """The state of a changed case comes with the feed; an unchanged one with a new reply is named all the same."""
        quiet, closed = salesforce.open_case(), salesforce.open_case()
        await clock.sleep(3600)
        start = clock.now()
        salesforce.comment(quiet, "hello")
        salesforce.change("Case", closed, Status="Closed", IsClosed=True)
        pages = await pages_of(adapter, start)
        states = [state for page in pages for state in page.tickets]
        assert [(type(state), state.id, state.vendor_status) for state in states] == [(Ticket, closed, "Closed")]
        assert named(pages) == {quiet, closed}

    async def test_committed_late(self, adapter, salesforce, clock):
        """A row that appears with a stamp from before what was told is told, if it is no older than five minutes."""
        case_id = salesforce.open_case(clock.now() - timedelta(days=1))
        salesforce.comment(case_id, "first")
        cursor = (await pages_of(adapter, clock.now()))[-1].cursor
        late = salesforce.comment(case_id, "late", clock.now() - timedelta(seconds=299))
        assert late in {one.id for one in told(await pages_of(adapter, cursor))[case_id]}

    @pytest.mark.parametrize("number", [FEED_ROWS, 2 * FEED_ROWS + 3])
    async def test_one_second(self, adapter, salesforce, clock, number):
        """More rows of one second than a query takes are all told, each once: rows of a second are told apart by id."""
        case_id = salesforce.open_case(clock.now() - timedelta(days=1))
        comments = [salesforce.comment(case_id, "mass") for _ in range(number)]
        pages = await pages_of(adapter, clock.now())
        replies = [one.id for page in pages for one in page.replies.get(case_id, ())]
        assert sorted(replies) == sorted(comments)
        assert len(pages) == number // FEED_ROWS + 1

    async def test_every_cursor(self, adapter, salesforce, clock):
        """Whoever goes on from the cursor of any page misses nothing of what follows it."""
        case_id = salesforce.open_case(clock.now() - timedelta(days=1))
        for step in range(3 * FEED_ROWS):
            salesforce.comment(case_id, "mass", clock.now() + timedelta(seconds=step))
        pages = await pages_of(adapter, clock.now())
        for place, page in enumerate(pages, start=1):
            after = {one.id for later in pages[place:] for one in later.replies.get(case_id, ())}
            again = await pages_of(adapter, page.cursor)
            assert after <= {one.id for later in again for one in later.replies.get(case_id, ())}

    async def test_tables_at_their_own_pace(self, adapter, salesforce, clock):
        """A table that has more to tell does not move the place of the others."""
        case_id = salesforce.open_case(clock.now() - timedelta(days=1))
        for step in range(FEED_ROWS + 1):
            salesforce.comment(case_id, "mass", clock.now() + timedelta(hours=1, seconds=step))
        mail = salesforce.mail(case_id, "dear")
        cursor = (await pages_of(adapter, clock.now()))[-1].cursor
        late = salesforce.mail(case_id, "late", clock.now() + timedelta(seconds=1))
        again = told(await pages_of(adapter, cursor))[case_id]
        assert {mail, late} <= {one.id for one in again}

    async def test_idle(self, adapter, salesforce, clock):
        """Where nothing changed, a sweep is three requests, and the cursor stays."""
        salesforce.open_case(clock.now() - timedelta(days=1))
        (page,) = await pages_of(adapter, clock.now())
        salesforce.forget()
        (again,) = await pages_of(adapter, page.cursor)
        assert (len(salesforce.requests), again.ticket_ids, again.cursor) == (3, (), page.cursor)

    async def test_drafts_and_others(self, adapter, salesforce, clock):
        """A draft is not told, and a mail that hangs on no case is nobody's."""
        case_id = salesforce.open_case()
        await clock.sleep(3600)
        salesforce.mail(case_id, "dear", Status="5")
        salesforce.mail(None, "an offer")
        assert told(await pages_of(adapter, clock.now())) == {case_id: []}

    async def test_deleted_reply(self, adapter, salesforce, clock):
        """A reply that was deleted makes its case be read, so that what still waits is not sent."""
        case_id = salesforce.open_case()
        await clock.sleep(3600)
        comment = salesforce.comment(case_id, "wrong customer")
        cursor = (await pages_of(adapter, clock.now()))[-1].cursor
        salesforce.change("CaseComment", comment, IsDeleted=True)
        pages = await pages_of(adapter, cursor)
        assert case_id in named(pages)
        assert case_id not in told(pages)

    async def test_deleted_case(self, adapter, salesforce, clock):
        """A deleted case is told as gone."""
        case_id = salesforce.open_case()
        salesforce.change("Case", case_id, IsDeleted=True)
        (page,) = await pages_of(adapter, clock.now())
        assert page.tickets == (Unavailable(case_id, Unavailability.GONE),)

    async def test_touched_reply(self, adapter, salesforce, clock):
        """A mail that is marked as read is known by its id; after a restart its case is read instead of a guess."""
        case_id = salesforce.open_case()
        await clock.sleep(3600)
        mail = salesforce.mail(case_id, "any news?", incoming=True)
        cursor = (await pages_of(adapter, clock.now()))[-1].cursor
        await clock.sleep(60)
        salesforce.change("EmailMessage", mail, Status="1")
        assert [one.id for one in told(await pages_of(adapter, cursor))[case_id]] == [mail]
        fresh = type(adapter)(adapter.options, adapter.http)
        pages = await pages_of(fresh, cursor)
        assert case_id in named(pages)
        assert case_id not in told(pages)


class TestDoubt:
    """Answers that are not what was asked for, or none."""

    async def test_slow_query(self, adapter, salesforce, clock):
        """A query that takes too long is asked for with fewer rows, and nothing is missed."""
        case_id = salesforce.open_case(clock.now() - timedelta(days=1))
        comments = [salesforce.comment(case_id, "mass") for _ in range(FEED_ROWS)]
        salesforce.slow_above = 100
        pages = await pages_of(adapter, clock.now())
        assert sorted(one.id for page in pages for one in page.replies.get(case_id, ())) == sorted(comments)

    async def test_slow_for_good(self, adapter, salesforce, clock):
        """One that takes too long even for a few rows is tried again later."""
        salesforce.slow_above = FEWEST_FEED_ROWS - 1
        with pytest.raises(RetryLater, match="QUERY_TIMEOUT"):
            await pages_of(adapter, clock.now())

    @pytest.mark.parametrize(
        "text",
        ["", "x", "1|2|3", "1:|2:", "1:|2:|3:short", "1:|2:|3:|4:", "-1:|2:|3:", "9" * 15 + ":|1:|1:", "٣:|1:|1:"],
    )
    async def test_foreign_cursor(self, adapter, salesforce, text):
        """A cursor of something else is an error, and nothing is asked."""
        with pytest.raises(UnexpectedAnswer, match="cursor"):
            await pages_of(adapter, Cursor(text))
        assert salesforce.requests == []

    async def test_same_rows_again(self, adapter, salesforce, clock):
        """The same rows again and again are an error, and no endless read."""
        case_id = salesforce.open_case(clock.now() - timedelta(days=1))
        for _ in range(FEED_ROWS + 1):
            salesforce.comment(case_id, "mass")
        salesforce.forgets_ids = True
        with pytest.raises(UnexpectedAnswer, match="read already"):
            await pages_of(adapter, clock.now())

    async def test_out_of_order(self, adapter, salesforce, clock):
        """Changes that come out of order are a failure, before a cursor goes past what was not told."""
        await adapter.check()
        rows = [
            f'{{"Id": "00aAc000000{n}aaIAA", "ParentId": "500Ac00000000aaIAA", "IsPublished": true, '
            f'"CreatedDate": "{at}", "SystemModstamp": "{at}", "IsDeleted": false, "Incoming": true, "Status": "0"}}'
            for n, at in ((11, "2026-03-02T10:00:00.000+0000"), (12, "2026-03-02T09:00:00.000+0000"))
        ]
        body = f'{{"totalSize": 2, "done": true, "records": [{", ".join(rows)}]}}'
        salesforce.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match="order"):
            await pages_of(adapter, clock.now())
