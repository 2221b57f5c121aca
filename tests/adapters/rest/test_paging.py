"""Lists that go on, in each of the ways that systems have for that."""

from datetime import timedelta

import pytest

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import TicketRef

WAYS = ["link_header", "next_address", "cursor", "page_number", "offset"]


@pytest.fixture
async def read(describe):
    """Return what reads the texts of a ticket's replies at a stand-in."""

    async def read_all(desk, count, changed=None):
        ticket, _ = desk.open_ticket(desk.clock.now(), "0")
        for number in range(1, count):
            desk.write(ticket, str(number))
        adapter = describe(desk, changed)
        found = await adapter.resolve(TicketRef(number=f"T-{ticket}"))
        desk.forget()
        return [reply.body.text async for reply in adapter.replies(found, None)]

    return read_all


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 3, 4, 8])
async def test_all_rows_come_once(serve, read, way, count):
    """A list of any length is read to its end, however its pages are found."""
    desk = await serve(paging=way)
    assert await read(desk, count) == [str(number) for number in range(count)]


@pytest.mark.parametrize("way", WAYS)
async def test_a_list_without_end_is_a_failure(serve, read, way):
    """A next page that was read before, or that holds the rows of one, is a failure and no endless reading."""
    desk = await serve(paging=way)
    desk.stuck = True
    with pytest.raises(UnexpectedAnswer, match="replies names a page that was read already"):
        await read(desk, 8)
    assert len(desk.requests) <= 4


@pytest.mark.parametrize("way", ["link_header", "next_address"])
async def test_the_host_of_a_next_address_is_not_called(serve, read, way):
    """The addresses name inner.test; what is asked is the configured host, below its path."""
    desk = await serve(paging=way)
    await read(desk, 4)
    assert desk.count("/messages") == 2


async def test_a_relative_next_address(serve, read):
    """A next address that is a query alone belongs to the same path."""
    desk = await serve(paging="next_address")
    await read(desk, 5, {"replies.paging.next": "next && '?from=3'"})
    first, second = (request for request in desk.requests if "messages" in request[0])
    assert second == (first[0], {"from": "3"})


async def test_an_empty_page_ends_a_counted_list(serve, read):
    """Without another rule a counted list is read until a page is empty, for the price of one request more."""
    desk = await serve(paging="page_number")
    assert len(await read(desk, 6)) == 6
    assert desk.count("/messages") == 3


@pytest.mark.parametrize(
    ("way", "rule", "requests"),
    [
        ("page_number", {"total": "total"}, 2),
        ("page_number", {"more": "more"}, 2),
        ("page_number", {"short_page_ends": True}, 3),
        ("offset", {"total": ..., "more": "more"}, 2),
        ("offset", {"total": ..., "short_page_ends": True}, 3),
    ],
)
async def test_rules_that_save_the_empty_page(serve, read, way, rule, requests):
    """A total, a word that there is more, or a short page tell the end."""
    desk = await serve(paging=way)
    found = await read(desk, 6, {f"replies.paging.{name}": value for name, value in rule.items()})
    assert len(found) == 6
    assert desk.count("/messages") == requests


async def test_a_page_past_the_end_may_be_an_error(serve, read):
    """Where a page past the end is 404, that status ends the list, but only behind the first page."""
    desk = await serve(paging="page_number")
    desk.past_the_end_is_404 = True
    assert len(await read(desk, 6, {"replies.paging.past_the_end": [404]})) == 6


async def test_a_server_that_gives_fewer_rows_than_asked(serve, read):
    """Offsets go on by what came, and not by what was asked for."""
    desk = await serve(paging="offset")
    desk.clamps = 2
    assert await read(desk, 7, {"replies.paging.size": 50}) == [str(number) for number in range(7)]


@pytest.mark.parametrize(
    ("way", "name", "wrong"),
    [
        ("page_number", "more", "total"),
        ("page_number", "total", "more"),
        ("cursor", "next", "rows"),
        ("page_number", "more", "nowhere"),
        ("page_number", "total", "length(more)"),
    ],
)
async def test_what_should_tell_the_end_must_be_readable(serve, read, way, name, wrong):
    """A sign of the end that is of another type or missing is a failure, and never an end."""
    desk = await serve(paging=way)
    with pytest.raises(UnexpectedAnswer, match=rf"replies\.paging\.{name}"):
        await read(desk, 6, {f"replies.paging.{name}": wrong})


async def test_what_is_no_list_is_a_failure(serve, read):
    """Rows that are missing or an object are told by the place of their expression."""
    desk = await serve(paging="link_header")
    with pytest.raises(UnexpectedAnswer, match=r"replies\.rows gives nothing where a list is needed"):
        await read(desk, 1, {"replies.rows": "data.rows"})
    with pytest.raises(UnexpectedAnswer, match=r"replies\.rows gives an object where a list is needed"):
        await read(desk, 1, {"replies.rows": "@"})


async def test_a_list_newest_first_is_read_back_to_what_is_asked(serve, describe, clock):
    """Newest first, reading stops at the page that holds an older reply."""
    desk = await serve(paging="page_number")
    desk.replies_newest_first = True
    ticket, _ = desk.open_ticket(clock.now())
    for _ in range(20):
        await clock.sleep(60)
        desk.write(ticket, "more")
    adapter = describe(desk)
    found = await adapter.resolve(TicketRef(number=f"T-{ticket}"))
    desk.forget()
    replies = [reply async for reply in adapter.replies(found, clock.now() - timedelta(minutes=2))]
    assert [reply.created_at.minute for reply in replies] == [18, 19, 20]
    assert not any(reply.first_message for reply in replies)
    assert desk.count("/messages") == 2
