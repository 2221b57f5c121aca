"""Where the feed is read on, and what is new in what was read."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from adapters._request_tracker_feed import LATE, MOST_SEEN, QUIET, Bookmark, changes_query, quoted
from adapters._request_tracker_records import Transaction
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import Cursor

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(key, minutes=0.0, ticket="1"):
    """Return a transaction so many minutes after noon."""
    return Transaction(key, "Correspond", ticket, NOON + timedelta(minutes=minutes), "carla", "Carla")


def test_a_cursor_says_what_its_bookmark_says():
    """A bookmark survives being written and read, whether it has an id or only a start."""
    for mark in (Bookmark(7, frozenset({9, 12})), Bookmark(start=NOON)):
        assert Bookmark.parse(mark.cursor()) == mark


def test_an_instant_of_any_zone_starts_the_feed():
    """A start is the instant, however it was written."""
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-7)))
    assert Bookmark.parse(elsewhere) == Bookmark.parse(NOON) == Bookmark(start=NOON)


@pytest.mark.parametrize("text", ["", "17", "[]", "{}", '{"after": null, "seen": []}', '{"start": "soon"}'])
def test_a_foreign_cursor_is_refused(text):
    """A cursor of another adapter is told, not guessed at."""
    with pytest.raises(UnexpectedAnswer):
        Bookmark.parse(Cursor(text))


def test_the_last_ten_minutes_stay_open():
    """Ids that are older than ten minutes before the newest are done; the later ones are kept one by one."""
    mark = Bookmark(1).moved_over([row(3, -11), row(5, -9), row(8, 0)], None)
    assert mark == Bookmark(3, frozenset({5, 8}))
    assert mark.news([row(4, -9, "late"), row(5, -9), row(8), row(9, 1, "new")], None) == ("late", "new")
    assert timedelta(minutes=10) == LATE


def test_a_quiet_hour_closes_them():
    """An hour after the newest, by the server's clock, nothing is open any more."""
    rows = [row(5, -9), row(8, 0)]
    assert Bookmark(1).moved_over(rows, NOON + QUIET) == Bookmark(5, frozenset({8}))
    assert Bookmark(1).moved_over(rows, NOON + QUIET + timedelta(seconds=1)) == Bookmark(8)


def test_a_bookmark_never_goes_back():
    """A page of rows that are all young leaves what is done as it was."""
    assert Bookmark(4).moved_over([row(2, -9), row(6)], None) == Bookmark(4, frozenset({6}))
    assert Bookmark(4).moved_over([], NOON) == Bookmark(4)


def test_a_start_becomes_the_id_before_the_first_row():
    """Once a row was seen, ids lead."""
    assert Bookmark(start=NOON).moved_over([row(6), row(7)], None) == Bookmark(5, frozenset({6, 7}))


def test_what_is_older_than_the_start_is_no_news():
    """The start is inclusive, to the second, and by the time in UTC."""
    rows = [row(5, -1 / 60, "before"), row(6, 0, "at"), row(7, 1, "after"), row(8, 2, "at")]
    assert Bookmark(start=NOON).news(rows, NOON) == ("at", "after")


def test_a_page_reaches_a_start_only_with_a_margin():
    """Rows a little older than the start may still be followed by older ids with younger times."""
    assert not Bookmark(start=NOON).reached_by([row(9), row(5, -10)])
    assert Bookmark(start=NOON).reached_by([row(9), row(4, -11)])
    assert not Bookmark(5).reached_by([row(9), row(6)])
    assert Bookmark(5).reached_by([row(9), row(5)])


def test_a_huge_burst_keeps_the_cursor_small():
    """Of more ids than that the newest are kept."""
    mark = Bookmark(1).moved_over([row(key) for key in range(10, 10 + MOST_SEEN + 3)], None)
    assert (mark.after, len(mark.seen), max(mark.seen)) == (12, MOST_SEEN, 12 + MOST_SEEN)


def test_the_time_in_a_query_is_early_enough_for_any_zone():
    """RT cuts an ISO time to its day and reads this one in a zone between -12 and +14."""
    assert "Created > '2026-02-28 21:00:00'" in Bookmark(start=NOON).query(())
    assert Bookmark(7).query(()).endswith("AND id > 7")
    assert "'1970-12-31 09:00:00'" in Bookmark.parse(datetime.min.replace(tzinfo=UTC)).query(())


def test_names_are_quoted():
    """A name cannot end its quotes."""
    assert quoted("It's \\ odd") == r"'It\'s \\ odd'"
    assert changes_query(("A", "B")).endswith("AND ( TicketQueue = 'A' OR TicketQueue = 'B' )")
