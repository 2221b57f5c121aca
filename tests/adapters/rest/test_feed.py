"""What changed: oldest first in windows, newest first back to what is known, and what is noticed on the way."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import TicketRef

MINUTE = timedelta(minutes=1)


async def read(adapter, start):
    """Return the ids of the tickets that changed, in order, and the last cursor."""
    pages = [page async for page in adapter.changes(start)]
    return [ticket_id for page in pages for ticket_id in page.ticket_ids], pages[-1].cursor


@pytest.fixture
async def feed_desk(serve):
    """A stand-in with counted pages."""
    return await serve(paging="page_number")


async def open_some(desk, count, apart=1.0):
    """Make tickets with some seconds between them, and return their ids as the adapter tells them."""
    made = []
    for _ in range(count):
        await desk.clock.sleep(apart)
        made.append(str(desk.open_ticket(desk.clock.now())[0]))
    return made


@pytest.mark.parametrize("way", ["link_header", "next_address", "cursor", "page_number", "offset"])
@pytest.mark.parametrize("apart", [0.0, 1.0])
async def test_all_changes_come_over_many_pages(serve, describe, way, apart):
    """Changes of different seconds and of one second all come, however the list goes on."""
    desk = await serve(paging=way)
    start = desk.clock.now()
    made = await open_some(desk, 8, apart)
    found, _ = await read(describe(desk, feed=True), start)
    assert sorted(found) == sorted(made)


async def test_a_ticket_that_moves_while_pages_are_turned_hides_no_other(feed_desk, describe):
    """A change between two pages moves a ticket to the end; counted pages would skip another one for it."""
    start = feed_desk.clock.now()
    made = await open_some(feed_desk, 7)
    adapter, found = describe(feed_desk, feed=True), []
    async for page in adapter.changes(start):
        if not found:
            feed_desk.change(int(made[0]))
        found += page.ticket_ids
    assert set(found) == set(made)


async def test_a_cursor_is_the_time_of_the_newest_change(feed_desk, describe):
    """From a cursor the list is read on with the overlap, so that the same second and late changes come again."""
    start = feed_desk.clock.now()
    made = await open_some(feed_desk, 3, apart=40)
    adapter = describe(feed_desk, feed=True)
    _, cursor = await read(adapter, start)
    assert datetime.fromisoformat(cursor) == feed_desk.clock.now().replace(microsecond=0)
    late = str(feed_desk.open_ticket(feed_desk.clock.now() - 50 * timedelta(seconds=1))[0])
    found, _ = await read(adapter, cursor)
    assert set(found) == {late, *made[1:]}


async def test_what_is_settled_is_told_no_more(feed_desk, describe):
    """In a quiet hour the newest changes are not told again and again; a change in their second still is."""
    start = feed_desk.clock.now()
    (ticket,) = await open_some(feed_desk, 1)
    at = feed_desk.clock.now()
    adapter = describe(feed_desk, feed=True)
    _, cursor = await read(adapter, start)
    told = []
    for _ in range(5):
        await feed_desk.clock.sleep(45)
        found, cursor = await read(adapter, cursor)
        told.append(found)
    assert told == [[ticket], [ticket], [], [], []]
    feed_desk.write(int(ticket), "late", at=at)
    assert (await read(adapter, cursor))[0] == [ticket]


async def test_what_was_not_stored_is_told_again(feed_desk, describe):
    """Who stops in the middle of a page, because it could not be stored, is told the same again."""
    start = feed_desk.clock.now()
    (ticket,) = await open_some(feed_desk, 1)
    adapter = describe(feed_desk, feed=True)
    for _ in range(5):
        await feed_desk.clock.sleep(45)
        pages = adapter.changes(start)
        assert (await anext(pages)).ticket_ids == (ticket,)
        await pages.aclose()


async def test_a_time_to_come_does_not_hide_what_happens_now(feed_desk, describe):
    """A change with a time in the future moves the cursor no further than the server's own clock."""
    start = feed_desk.clock.now()
    feed_desk.open_ticket(feed_desk.clock.now() + timedelta(days=365))
    adapter = describe(feed_desk, feed=True)
    _, cursor = await read(adapter, start)
    assert datetime.fromisoformat(cursor) <= feed_desk.clock.now()
    made = await open_some(feed_desk, 1)
    assert made[0] in (await read(adapter, cursor))[0]


async def test_a_filter_that_is_ignored_is_noticed(feed_desk, describe):
    """A system that answers everything, because it does not know the parameter or the format, fails by name."""
    feed_desk.open_ticket(feed_desk.clock.now() - timedelta(days=9))
    feed_desk.ignores_parameters = True
    with pytest.raises(UnexpectedAnswer, match=r"changes: the list holds what is older than \{since\}"):
        await read(describe(feed_desk, feed=True), feed_desk.clock.now())


async def test_a_list_of_another_order_is_noticed(feed_desk, describe):
    """A list that is not sorted as the settings say would hide changes, and fails by name."""
    start = feed_desk.clock.now()
    await open_some(feed_desk, 3)
    feed_desk.feed_newest_first = True
    adapter = describe(feed_desk, {"changes.params": {"since": "{since}"}, "changes.order": "oldest_first"}, feed=True)
    with pytest.raises(UnexpectedAnswer, match="not sorted oldest first"):
        await read(adapter, start)


async def test_an_unsorted_list_moves_the_cursor_at_its_end_alone(feed_desk, describe):
    """Where the order is unknown, no page but the last one lets the next reading begin later."""
    start = feed_desk.clock.now()
    made = await open_some(feed_desk, 7)
    adapter = describe(feed_desk, {"changes.order": "unsorted"}, feed=True)
    pages = [page async for page in adapter.changes(start)]
    assert [ticket_id for page in pages for ticket_id in page.ticket_ids] == made
    cursors = [datetime.fromisoformat(page.cursor) for page in pages]
    assert cursors[:-1] == [start] * (len(pages) - 1)
    assert cursors[-1] == feed_desk.clock.now().replace(microsecond=0)


async def test_newest_first_is_read_back_to_what_is_known(feed_desk, describe):
    """A list without a filter is read from its newest page to the first that holds something known."""
    await open_some(feed_desk, 30, apart=60)
    feed_desk.feed_newest_first = True
    adapter = describe(feed_desk, feed=True)
    start = feed_desk.clock.now() - 4 * MINUTE
    found, cursor = await read(adapter, start)
    assert len(found) == 6
    assert feed_desk.count("/changes") == 3
    made = await open_some(feed_desk, 4, apart=60)
    found, _ = await read(adapter, cursor)
    assert set(made) <= set(found)


async def test_newest_first_moves_the_cursor_when_all_is_told(feed_desk, describe):
    """Who stops before the end goes on from where it began."""
    await open_some(feed_desk, 10, apart=60)
    feed_desk.feed_newest_first = True
    start = feed_desk.clock.now() - 8 * MINUTE
    cursors = [datetime.fromisoformat(page.cursor) async for page in describe(feed_desk, feed=True).changes(start)]
    assert set(cursors[:-1]) == {start}
    assert cursors[-1] > start


async def test_new_changes_push_known_ones_to_the_next_page(feed_desk, describe):
    """Changes that come while pages are turned make others come twice, which is no sign of another order."""
    start = feed_desk.clock.now()
    made = await open_some(feed_desk, 9, apart=5)
    feed_desk.feed_newest_first = True
    adapter, found = describe(feed_desk, feed=True), []
    async for page in adapter.changes(start):
        if not found:
            await open_some(feed_desk, 2, apart=5)
        found += page.ticket_ids
    assert set(made) <= set(found)
    assert len(found) == len(set(found))


async def test_newest_first_that_is_not_is_noticed(feed_desk, describe):
    """A list that is in truth oldest first would end too early, and fails by name."""
    await open_some(feed_desk, 10, apart=60)
    adapter = describe(feed_desk, {"changes.params": {}, "changes.order": "newest_first"}, feed=True)
    with pytest.raises(UnexpectedAnswer, match="not sorted newest first"):
        await read(adapter, feed_desk.clock.now() - 60 * MINUTE)


async def test_a_list_that_ends_with_a_status_is_read_to_its_end(feed_desk, describe):
    """A page past the end that is 404 ends the list, and the cursor moves on."""
    start = feed_desk.clock.now()
    made = await open_some(feed_desk, 6)
    feed_desk.past_the_end_is_404 = True
    for order in ("oldest_first", "unsorted"):
        changed = {"changes.order": order, "changes.paging.past_the_end": [404]}
        found, cursor = await read(describe(feed_desk, changed, feed=True), start)
        assert found == made
        assert datetime.fromisoformat(cursor) > start


async def test_changes_may_carry_replies(feed_desk, describe):
    """Replies of a change equal those that are read from their ticket, and the ticket's state comes along."""
    start = feed_desk.clock.now()
    made = await open_some(feed_desk, 2)
    feed_desk.write(int(made[0]), "More.")
    adapter = describe(feed_desk, {"changes.replies": "thread"}, replies="ticket", feed=True)
    pages = [page async for page in adapter.changes(start)]
    told = {key: replies for page in pages for key, replies in page.replies.items()}
    states = {ticket.id: ticket for page in pages for ticket in page.tickets}
    for key in made:
        ticket = await adapter.resolve(TicketRef(number=f"T-{key}"))
        assert list(told[key]) == [reply async for reply in adapter.replies(ticket, None)]
        assert states[key] == ticket


async def test_a_change_that_cannot_be_read_is_named(feed_desk, describe):
    """A ticket with a reply of another shape is named without replies, so that it is read, and fails, by itself."""
    start = feed_desk.clock.now()
    good, odd = await open_some(feed_desk, 2)
    feed_desk.write(int(odd), {"en": "text"})
    adapter = describe(feed_desk, {"changes.replies": "thread"}, replies="ticket", feed=True)
    pages = [page async for page in adapter.changes(start)]
    assert {key for page in pages for key in page.ticket_ids} == {good, odd}
    assert {key for page in pages for key in page.replies} == {good}


async def test_a_list_of_replies_names_their_tickets(serve, describe):
    """A list of replies of all tickets names the tickets by an expression of its own."""
    desk = await serve(paging="none")
    start = desk.clock.now()
    ticket, _ = desk.open_ticket(start)
    changed = {
        "changes.about": "replies",
        "changes.ticket_id": "thread[0].ticket",
        "changes.changed_at": "thread[0].created",
    }
    found, _ = await read(describe(desk, changed, feed=True), start)
    assert found == [str(ticket)]


async def test_a_quiet_list_gives_one_empty_page(feed_desk, describe):
    """Without changes the cursor stays where the reading began."""
    start = feed_desk.clock.now()
    found, cursor = await read(describe(feed_desk, feed=True), start)
    assert found == []
    assert datetime.fromisoformat(cursor) == start


@pytest.mark.parametrize("cursor", ["", "7", "2026-01-01T00:00:00", "nonsense"])
async def test_a_cursor_of_somebody_else_is_refused(feed_desk, describe, cursor):
    """A stored cursor that is none of ours is a failure, and nothing is asked."""
    with pytest.raises(UnexpectedAnswer, match="none of this system's"):
        await read(describe(feed_desk, feed=True), cursor)
    assert feed_desk.requests == []


async def test_without_a_list_there_is_no_feed(feed_desk, describe):
    """Settings without changes have no list to read."""
    with pytest.raises(UnexpectedAnswer, match="no list of changes"):
        await read(describe(feed_desk), datetime(2026, 1, 1, tzinfo=UTC))
