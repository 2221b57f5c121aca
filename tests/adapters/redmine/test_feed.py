"""The change feed of Redmine: pages that move, ties, late commits, and a key that is not good any more."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from adapters._redmine_feed import MOST_SEEN, Bookmark, Changed, ChangedPage
from syncd.model.errors import PauseSystem, UnexpectedAnswer
from syncd.model.ticket import Cursor

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def after(seconds):
    """Return the instant so many seconds after the start."""
    return START + timedelta(seconds=seconds)


async def read(adapter, start):
    """Return the pages of the feed from an instant or a cursor to its end."""
    return [page async for page in adapter.changes(start)]


def named(pages):
    """Return the ids of the issues that pages name, in their order."""
    return [int(key) for page in pages for key in page.ticket_ids]


class TestReading:
    """What the feed names, and what it costs."""

    async def test_closed_issues_are_in_the_feed(self, adapter, redmine):
        """Redmine lists open issues alone unless all statuses are asked for: the closing reply would be missed."""
        issue = redmine.create_issue(after(0))
        redmine.set_status(issue, "Closed", after(5))
        assert named(await read(adapter, START)) == [issue]

    async def test_the_list_is_sorted_by_change_and_not_by_number(self, adapter, redmine):
        """Redmine's own order is the newest number first; the oldest change comes first here."""
        late, early = redmine.create_issue(after(9)), redmine.create_issue(after(5))
        assert named(await read(adapter, START)) == [early, late]

    async def test_the_filter_is_written_with_z(self, adapter, redmine):
        """A start in another zone is asked for in UTC with Z: an offset or a fraction would be a 422."""
        issue = redmine.create_issue(after(0))
        zoned = datetime.fromisoformat("2026-03-01T14:30:00.750+05:30")
        assert named(await read(adapter, zoned)) == [issue]
        assert redmine.requests[0][1]["updated_on"] == ">=2026-03-01T08:50:00Z"

    async def test_an_idle_sweep_is_two_requests(self, adapter, redmine, clock):
        """What was named is not named again, and nothing but the list and the account is asked for."""
        redmine.create_issue(after(0))
        cursor = (await read(adapter, START))[-1].cursor
        redmine.forget()
        pages = await read(adapter, cursor)
        assert [page.ticket_ids for page in pages] == [()]
        assert [path for path, _ in redmine.requests] == ["/issues.json", "/users/current.json"]

    async def test_no_request_is_made_for_a_changed_issue(self, adapter, redmine):
        """A list has no journals even when they are asked for; the core reads the issues that are linked, alone."""
        for number in range(20):
            redmine.create_issue(after(number))
        await read(adapter, START)
        assert redmine.count("/issues/") == 0

    async def test_a_feed_without_issues_keeps_its_place(self, adapter, redmine):
        """An account of whose projects nothing changed gets its cursor, from which the next sweep goes on."""
        (page,) = await read(adapter, START)
        assert page.ticket_ids == ()
        issue = redmine.create_issue(after(30))
        assert named(await read(adapter, page.cursor)) == [issue]


class TestPages:
    """Pages of a list that is sorted by what moves its rows."""

    async def test_more_than_a_page_is_read_to_its_end(self, adapter, redmine):
        """250 changed issues are three pages of a hundred, and all of them are named."""
        issues = [redmine.create_issue(after(number)) for number in range(250)]
        pages = await read(adapter, START)
        assert set(named(pages)) == set(issues)
        assert redmine.count("/issues.json") == 3

    async def test_a_smaller_page_than_asked_for_is_no_end(self, adapter, redmine):
        """Redmine cuts the limit without a word; what comes counts, and not what was asked for."""
        redmine.largest_page = 7
        issues = [redmine.create_issue(after(number)) for number in range(50)]
        assert set(named(await read(adapter, START))) == set(issues)

    async def test_an_issue_that_moves_while_pages_are_turned_is_not_skipped(self, adapter, redmine):
        """A row of the first page that changes moves to the end; with offsets the row behind the border would slip."""
        issues = [redmine.create_issue(after(number)) for number in range(150)]
        moved = False
        seen = []
        async for page in adapter.changes(START):
            seen += page.ticket_ids
            if not moved:
                redmine.touch(issues[0], after(900))
                moved = True
        assert {int(key) for key in seen} == set(issues)

    async def test_a_page_of_one_second_is_turned_by_offset(self, adapter, redmine):
        """A bulk edit changes more issues in one second than a page holds."""
        issues = [redmine.create_issue(after(0) + timedelta(microseconds=number)) for number in range(250)]
        later = redmine.create_issue(after(1))
        assert set(named(await read(adapter, START))) == {*issues, later}

    async def test_rows_that_move_within_one_second_are_noticed(self, adapter, redmine):
        """Where an offset must be used, a row that left would let another one slip: that is a failure, not a loss."""
        issues = [redmine.create_issue(after(0) + timedelta(microseconds=number)) for number in range(250)]
        feed = adapter.changes(START)
        pages = [await anext(feed), await anext(feed)]
        redmine.touch(issues[0], after(900))
        with pytest.raises(UnexpectedAnswer, match="changed place"):
            await anext(feed)
        pages += await read(adapter, pages[-1].cursor)
        assert set(named(pages)) == set(issues)

    async def test_fewer_rows_than_counted_is_a_failure(self, adapter, redmine):
        """An empty page where Redmine counts more is no end."""
        body = json.dumps({"issues": [], "total_count": 3, "offset": 0, "limit": 100})
        redmine.next_answers.append((200, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer, match="counts more"):
            await read(adapter, START)


class TestTime:
    """Whole seconds, late commits, and clocks."""

    async def test_the_second_of_the_cursor_is_read_again(self, adapter, redmine, clock):
        """An issue that changes later in the very second that was read last is named; so is one that changes twice."""
        moment = clock.now().replace(microsecond=100_000)
        first, second = redmine.create_issue(moment), redmine.create_issue(moment - timedelta(hours=1))
        cursor = (await read(adapter, START))[-1].cursor
        redmine.touch(second, moment + timedelta(milliseconds=500))
        redmine.touch(first, moment + timedelta(milliseconds=700))
        assert set(named(await read(adapter, cursor))) == {first, second}

    async def test_a_change_that_is_committed_late_is_named(self, adapter, redmine):
        """An issue gets its time before the database commits, and appears behind one with a later time."""
        redmine.create_issue(after(300))
        cursor = (await read(adapter, START))[-1].cursor
        late = redmine.create_issue(after(0))
        assert named(await read(adapter, cursor)) == [late]

    async def test_without_a_date_the_last_minute_is_named_again(self, adapter, redmine, clock):
        """Redmine's own server tells no time: then nobody knows that the newest second is over, and nothing is lost."""
        redmine.is_behind_a_web_server = False
        old, newest = redmine.create_issue(after(0)), redmine.create_issue(after(120))
        cursor = (await read(adapter, START))[-1].cursor
        assert named(await read(adapter, cursor)) == [newest]
        assert old != newest

    async def test_a_time_to_come_does_not_hold_up_the_feed(self, adapter, redmine, clock):
        """An issue that says to have changed next year does not take the bookmark there."""
        redmine.create_issue(clock.now() + timedelta(days=365))
        cursor = (await read(adapter, START))[-1].cursor
        issue = redmine.create_issue(clock.now())
        assert issue in named(await read(adapter, cursor))

    async def test_the_bookmark_does_not_grow(self):
        """Of a burst of changes the newest are kept; the others are named again."""
        rows = tuple(Changed(str(key), after(key / 100)) for key in range(MOST_SEEN + 100))
        page = ChangedPage(rows, is_last=True, answered_at=after(3600))
        assert len(Bookmark(after(0)).moved_over(page).seen) == MOST_SEEN

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "123",
            "[]",
            "null",
            '"text"',
            "{}",
            '{"newest": 5, "seen": {}}',
            '{"newest": "today", "seen": {}}',
            '{"newest": "2026-03-01T09:00:00+00:00", "seen": []}',
            '{"newest": "2026-03-01T09:00:00+00:00", "seen": {"1": null}}',
        ],
    )
    async def test_a_cursor_of_another_system_is_refused(self, adapter, redmine, text):
        """A cursor that was not made here is a named failure, and nothing is asked for."""
        with pytest.raises(UnexpectedAnswer):
            await read(adapter, Cursor(text))
        assert redmine.requests == []


class TestSilentAnonymous:
    """A key that is not good any more, on a site that lets visitors in."""

    async def test_a_revoked_key_does_not_move_the_feed(self, adapter, redmine):
        """Redmine shows public projects to whoever has a wrong key: what it hides must not be passed over."""
        redmine.create_issue(after(0), project=3)
        redmine.create_issue(after(1))
        redmine.login_required, redmine.api_key = False, "f" * 40
        with pytest.raises(PauseSystem):
            await anext(adapter.changes(START))

    async def test_an_api_that_is_switched_off_pauses(self, adapter, redmine):
        """With the REST API off the list is refused, or shown as to a visitor; both pause the system."""
        redmine.create_issue(after(0), project=3)
        redmine.api_enabled = False
        for redmine.login_required in (True, False):
            with pytest.raises(PauseSystem, match="REST API"):
                await read(adapter, START)

    async def test_an_account_without_view_issues_pauses(self, adapter, redmine):
        """A list that is forbidden to a signed-in account is no empty list."""
        redmine.permissions[6].remove("view_issues")
        with pytest.raises(PauseSystem, match="View issues"):
            await read(adapter, START)
