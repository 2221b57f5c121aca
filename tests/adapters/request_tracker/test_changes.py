"""The change feed, against a stand-in with the traps of the real one; each test names its trap."""

from datetime import timedelta

import pytest

from syncd.model.errors import RetryLater
from syncd.model.ticket import TicketRef


async def replies_of(adapter, ticket, since=None):
    """Return the replies of a ticket."""
    found = await adapter.resolve(TicketRef(number=str(ticket)))
    return [reply async for reply in adapter.replies(found, since)]


async def sweep(adapter, start):
    """Return the changed tickets of a sweep, and the cursor it ends with."""
    pages = [page async for page in adapter.changes(start)]
    return list(dict.fromkeys(key for page in pages for key in page.ticket_ids)), pages[-1].cursor


async def counted(adapter, work):
    """Return what some work returns, and how many requests it took."""
    before = adapter.http.requests_sent
    return await work, adapter.http.requests_sent - before


async def test_hidden_rows_leave_gaps(connect, server, clock):
    """Pages are short or empty in the middle, because hidden rows are cut out after paging."""
    adapter = connect("1-39-customer")
    server.most_rows = 3
    start = clock.now() - timedelta(hours=1)
    first, second = (server.create_ticket(name, "Text", start)[0] for name in ("first", "second"))
    _, cursor = await sweep(adapter, start)
    for ticket in (first, second):
        server.write(ticket, "Soon.")
        for _ in range(8):
            server.write(ticket, "Hm.", kind="Comment")
    assert (await sweep(adapter, cursor))[0] == [str(first), str(second)]
    assert [reply.body.text for reply in await replies_of(adapter, first)] == ["Text", "Soon."]


async def test_nothing_to_be_seen_far_and_wide_is_a_failure(connect, server, clock):
    """A feed that was read before has rows; when none is found, nothing is concluded from it."""
    adapter = connect("1-39-customer")
    server.most_rows = 2
    ticket, _ = server.create_ticket("Printer", "Text")
    _, cursor = await sweep(adapter, clock.now() - timedelta(hours=1))
    for _ in range(30):
        server.write(ticket, "Hm.", kind="Comment")
    with pytest.raises(RetryLater, match="may see"):
        await sweep(adapter, cursor)


async def test_a_newest_row_that_vanishes_ends_the_walk(adapter, server, clock, connect):
    """What was newest may be hidden a moment later; the walk gives up after the ids that can be there."""
    server.most_rows = 3
    start = clock.now()
    tickets = [server.create_ticket(f"Nr. {number}", "Text")[0] for number in range(9)]
    pages = adapter.changes(start)
    page = await anext(pages)
    assert page.ticket_ids == ("1", "2", "3")
    server.tickets[tickets[-1]].queue = "Billing"
    with pytest.raises(RetryLater):
        [page async for page in pages]
    rest, _ = await sweep(adapter, page.cursor)
    assert rest == [str(key) for key in tickets[3:-1]]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "UTC"])
async def test_the_start_of_the_feed_is_an_instant_in_any_zone(adapter, server, clock, zone):
    """Times in a query are read in the account's own zone; those in answers are UTC."""
    server.most_rows = 5
    server.accounts["1-37-reader"].zone = zone
    start = clock.now() - timedelta(hours=40)
    ids = [server.create_ticket("Printer", "Text", start + timedelta(hours=step))[0] for step in range(-39, 40)]
    changed, _ = await sweep(adapter, start)
    assert changed == [str(key) for key in ids[39:]]


async def test_an_idle_sweep_is_one_request(adapter, server, clock):
    """An hour after the last change one page of the newest says that nothing is new."""
    for number in range(250):
        server.create_ticket(f"Nr. {number}", "Text")
    await clock.sleep(3601)
    _, cursor = await sweep(adapter, clock.now() - timedelta(days=1))
    found, requests = await counted(adapter, sweep(adapter, cursor))
    assert found == ([], cursor)
    assert requests == 1


async def test_a_busy_sweep_is_two_requests_at_most(adapter, server, clock):
    """With less than a page of changes in ten minutes, the newest page or one walk after it tells all."""
    ticket, _ = server.create_ticket("Printer", "Text")
    _, cursor = await sweep(adapter, clock.now() - timedelta(minutes=1))
    for _ in range(30):
        await clock.sleep(30)
        server.write(ticket, "Text")
        (changed, cursor), requests = await counted(adapter, sweep(adapter, cursor))
        assert changed == [str(ticket)]
        assert requests <= 2


async def test_what_is_committed_late_is_found_and_told_once(adapter, server, clock):
    """A transaction with a lower id may appear after one with a higher id."""
    early, _ = server.create_ticket("early", "Text")
    late, _ = server.create_ticket("late", "Text")
    _, cursor = await sweep(adapter, clock.now() - timedelta(minutes=1))
    row = server.write(early, "Text", row_id=900)
    changed, cursor = await sweep(adapter, cursor)
    assert changed == [str(early)]
    await clock.sleep(300)
    server.write(late, "Text", row_id=row - 5)
    changed, cursor = await sweep(adapter, cursor)
    assert changed == [str(late)]
    assert (await sweep(adapter, cursor))[0] == []


async def test_statuses_and_merges_are_changes_and_other_links_are_not(adapter, server, clock):
    """A status alone closes a thread, and a merge suspends a link."""
    tickets = [server.create_ticket(name, "Text")[0] for name in ("a", "b", "c", "d")]
    _, cursor = await sweep(adapter, clock.now() - timedelta(minutes=1))
    server.set_status(tickets[1], "resolved")
    server.add_row("AddLink", tickets[3], changed="RefersTo")
    server.add_row("SetWatcher", tickets[3])
    server.merge(tickets[0], tickets[2])
    assert (await sweep(adapter, cursor))[0] == [str(tickets[key]) for key in (1, 0, 2)]


async def test_an_empty_server_keeps_the_start(adapter, server, clock):
    """Before anything can be seen there is no id to go on from; what then comes is found."""
    changed, cursor = await sweep(adapter, clock.now())
    assert changed == []
    await clock.sleep(7200)
    ticket, _ = server.create_ticket("the first", "Text")
    assert (await sweep(adapter, cursor))[0] == [str(ticket)]


async def test_only_the_named_queues_are_read(connect, server, clock):
    """The option queues narrows the feed."""
    server.create_ticket("invoice", "Text", queue="Billing")
    ticket, _ = server.create_ticket("Printer", "Text")
    adapter = connect("1-14-root", queues=("Support",))
    assert (await sweep(adapter, clock.now() - timedelta(minutes=1)))[0] == [str(ticket)]
