"""What a webhook does to the store: links due, one bell, and nothing twice."""

from datetime import timedelta

from syncd.model.collected import Collected
from syncd.store import hooks, links, replies, requests
from syncd.store.requests import RequestKind


async def asked(filled):
    """Return the links that are asked for, request by request."""
    found = await filled.do(requests.open_requests, "desk")
    return [one.arguments["links"] for one in found if one.kind is RequestKind.HOOK]


async def quiet(filled, thread):
    """Register a link whose ticket has been read, so that it is due no more; return its id."""
    link_id = await filled.link(thread)
    link = await filled.get_link(thread)
    read = Collected(link.id, link.thread_key, "desk", filled.now, ticket=link.ticket, complete=True)
    await filled.do(replies.store_collected, read, filled.now)
    assert (await filled.get_link(thread)).collect_due_at is None
    return link_id


async def test_links_are_found_by_id_or_number_in_their_own_system(filled) -> None:
    """What another system calls by the same name is another ticket; what nobody linked is nothing."""
    first, second = await filled.link(1), await filled.link(2)
    assert await filled.do(hooks.find_links, "desk", {"id-T1", "id-T9"}, {"T2"}) == [first, second]
    assert await filled.do(hooks.find_links, "mail", {"id-T1"}, {"T2"}) == []
    assert await filled.do(hooks.find_links, "desk", {"T1"}, {"id-T2"}) == []


async def test_a_ticket_is_due_once_however_often_it_is_named(filled) -> None:
    """While a webhook waits to be heeded, others about the same ticket change nothing."""
    one, other = await quiet(filled, 1), await quiet(filled, 2)
    later = filled.now + timedelta(seconds=5)
    assert await filled.do(hooks.make_due, "desk", [one], later)
    assert not await filled.do(hooks.make_due, "desk", [one], later + timedelta(seconds=1))
    assert (await filled.get_link(1)).collect_due_at == later
    assert await filled.do(hooks.make_due, "desk", [one, other], later + timedelta(seconds=2))
    assert (await filled.get_link(1)).collect_due_at == later
    assert await asked(filled) == [[one], [other]]


async def test_what_was_taken_is_asked_for_anew(filled) -> None:
    """A webhook that comes while its ticket is being read makes it due again: it may tell of something newer."""
    one = await quiet(filled, 1)
    await filled.do(hooks.make_due, "desk", [one], filled.now)
    assert await filled.do(hooks.take, "desk") == [one]
    assert await filled.do(hooks.take, "desk") == []
    later = filled.now + timedelta(seconds=1)
    assert await filled.do(hooks.make_due, "desk", [one], later)
    assert (await filled.get_link(1)).collect_due_at == later


async def test_a_flood_leaves_few_requests(filled) -> None:
    """Beyond a number no more requests are left; the links are due nevertheless."""
    last = await quiet(filled, 1)

    def flood(connection) -> None:
        for number in range(2, hooks.MOST_WAITING + 2):
            requests.ask(connection, RequestKind.HOOK, "desk", {"links": [number]}, "webhook", filled.now)

    await filled.do(flood)
    assert await filled.do(hooks.make_due, "desk", [last], filled.now)
    assert len(await asked(filled)) == hooks.MOST_WAITING
    assert [link.id for link in await filled.do(links.due, "desk", filled.now, 10)] == [last]
