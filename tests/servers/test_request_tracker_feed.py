"""The adapter's change feed against a real Request Tracker 5."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.errors import RetryLater
from syncd.model.ticket import TicketRef

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("request_tracker")]


async def replies_of(adapter, number, since=None):
    """Return the replies of a ticket."""
    found = await adapter.resolve(TicketRef(number=str(number)))
    return [reply async for reply in adapter.replies(found, since)]


async def sweep(adapter, start):
    """Return all changed tickets of a sweep, and the cursor it ends with."""
    pages = [page async for page in adapter.changes(start)]
    return list(dict.fromkeys(key for page in pages for key in page.ticket_ids)), pages[-1].cursor


def now_in_seconds():
    """Return the time as RT tells it."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Kiritimati", ""])
async def test_the_feed_starts_at_an_instant_in_any_zone(adapter, request_tracker, zone):
    """RT reads times in the account's zone; the feed starts at the instant all the same, to the second."""
    start = now_in_seconds() - timedelta(hours=3)
    before, at, after = (request_tracker.create_ticket(name, "Text") for name in ("before", "at", "after"))
    request_tracker.backdate(start - timedelta(days=2))
    request_tracker.write_history(before, [start - timedelta(seconds=1)])
    request_tracker.write_history(at, [start])
    request_tracker.write_history(after, [start + timedelta(seconds=1 + index) for index in range(120)])
    request_tracker.set_time_zone(request_tracker.reader_login, zone)
    try:
        changed, _ = await sweep(adapter, start)
    finally:
        request_tracker.set_time_zone(request_tracker.reader_login, "")
    assert changed == [str(at), str(after)]


async def test_the_feed_tells_what_changes_a_conversation(adapter, request_tracker):
    """Messages, comments, statuses and merges are changes, each told once; from then on the feed is quiet."""
    request_tracker.backdate(now_in_seconds() - timedelta(days=1))
    tickets = [request_tracker.create_ticket(f"Nr. {index}", "Text") for index in range(5)]
    changed, cursor = await sweep(adapter, now_in_seconds() - timedelta(minutes=5))
    assert changed == [str(key) for key in tickets]
    request_tracker.correspond(tickets[3], "Soon.")
    request_tracker.comment(tickets[2], "Hm.")
    request_tracker.set_status(tickets[1], "resolved")
    request_tracker.merge(tickets[0], tickets[4])
    changed, cursor = await sweep(adapter, cursor)
    assert changed == [str(tickets[index]) for index in (3, 2, 1, 0, 4)]
    assert await sweep(adapter, cursor) == ([], cursor)


async def test_an_idle_sweep_is_one_request(adapter, request_tracker, ticket):
    """Once everything is older than an hour, one page says that nothing is new, however much came last."""
    start = now_in_seconds() - timedelta(hours=4)
    request_tracker.backdate(start)
    request_tracker.write_history(ticket, [start + timedelta(seconds=index) for index in range(350)])
    _, cursor = await sweep(adapter, start - timedelta(minutes=1))
    before = adapter.http.requests_sent
    assert await sweep(adapter, cursor) == ([], cursor)
    assert adapter.http.requests_sent - before == 1


async def test_every_cursor_goes_on_where_its_page_ended(adapter, request_tracker):
    """Whichever page was stored last, nothing is lost and nothing that was told is told again."""
    start = now_in_seconds() - timedelta(minutes=5)
    request_tracker.backdate(start - timedelta(days=1))
    for index in range(4):
        ticket = request_tracker.create_ticket(f"Nr. {index}", "Text")
        request_tracker.write_history(ticket, [start + timedelta(seconds=index)] * 90)
    pages = [page async for page in adapter.changes(start)]
    assert len(pages) > 3
    for index, page in enumerate(pages):
        later = [key for following in pages[index + 1 :] for key in following.ticket_ids]
        assert (await sweep(adapter, page.cursor))[0] == list(dict.fromkeys(later))


async def test_a_reply_that_was_committed_late_is_found(adapter, request_tracker):
    """Ids are given before the commit: a lower one may appear after a higher one was read."""
    early, late = (request_tracker.create_ticket(name, "Text") for name in ("early", "late"))
    now = now_in_seconds()
    _, cursor = await sweep(adapter, now - timedelta(minutes=5))
    highest = max(request_tracker.write_history(early, [now]))
    request_tracker.write_history(early, [now], first_id=highest + 20)
    changed, cursor = await sweep(adapter, cursor)
    assert changed == [str(early)]
    request_tracker.write_history(late, [now], first_id=highest + 10)
    assert (await sweep(adapter, cursor))[0] == [str(late)]


async def test_hidden_rows_do_not_end_the_feed(connect, request_tracker):
    """Pages whose rows are all hidden lie between visible ones, and before the newest; they are read past."""
    adapter = connect(request_tracker.customer_token)
    first, second = (request_tracker.create_ticket(name, "Text") for name in ("first", "second"))
    now = now_in_seconds()
    _, cursor = await sweep(adapter, now - timedelta(minutes=5))
    for ticket in (first, second):
        request_tracker.write_history(ticket, [now])
        request_tracker.write_history(ticket, [now] * 350, kind="Comment")
    assert (await sweep(adapter, cursor))[0] == [str(first), str(second)]
    assert len(await replies_of(adapter, first)) == 2


async def test_too_many_hidden_rows_fail_the_sweep(connect, request_tracker, ticket):
    """When nothing can be seen far and wide, nothing is concluded from it."""
    adapter = connect(request_tracker.customer_token)
    _, cursor = await sweep(adapter, now_in_seconds() - timedelta(minutes=5))
    request_tracker.write_history(ticket, [now_in_seconds()] * 1_100, kind="Comment")
    with pytest.raises(RetryLater, match="may see"):
        await sweep(adapter, cursor)
    request_tracker.correspond(ticket, "Soon.")
    assert (await sweep(adapter, cursor))[0] == [str(ticket)]


async def test_the_feed_keeps_to_its_queues(connect, request_tracker):
    """With the option queues other queues are left out, whatever characters a name has."""
    name = "It's \\ odd"
    request_tracker.call("root", "POST", "/queue", {"Name": name})
    start = now_in_seconds() - timedelta(minutes=5)
    request_tracker.backdate(start - timedelta(days=1))
    odd = request_tracker.create_ticket("odd", "Text", by="root", queue=name)
    plain = request_tracker.create_ticket("plain", "Text")
    changed, _ = await sweep(connect(request_tracker.root_token, queues=(name,)), start)
    assert changed == [str(odd)]
    changed, _ = await sweep(connect(request_tracker.root_token, queues=(name, request_tracker.queue)), start)
    assert {str(odd), str(plain)} <= set(changed)


async def test_root_reads_the_same(connect, request_tracker, ticket):
    """Root is told totals and clamped pages; the feed and the replies come out the same."""
    adapter = connect(request_tracker.root_token)
    now = now_in_seconds()
    request_tracker.backdate(now - timedelta(days=1))
    ids = request_tracker.write_history(ticket, [now] * 220)
    changed, cursor = await sweep(adapter, now - timedelta(minutes=5))
    assert changed == [str(ticket)]
    assert [int(reply.id) for reply in (await replies_of(adapter, ticket))[1:]] == ids
    assert (await sweep(adapter, cursor))[0] == []


async def test_nothing_visible_yet_is_no_failure(adapter, request_tracker):
    """On an empty Request Tracker the feed keeps its start, and finds what comes."""
    request_tracker.reset()
    changed, cursor = await sweep(adapter, now_in_seconds() - timedelta(minutes=5))
    assert changed == []
    ticket = request_tracker.create_ticket("the first", "Text")
    assert (await sweep(adapter, cursor))[0] == [str(ticket)]
