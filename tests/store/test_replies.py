"""The way in, on both databases: the ledger decides, once."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from syncd.model.collected import Change, Collected, Disposition, Entry, NewDelivery, Stored
from syncd.model.communication import ThreadStatus
from syncd.model.delivery import DeliveryKind, DeliveryState, Outcome
from syncd.model.link import Link
from syncd.store import link_changes, links, lists, replies, requests, retention
from syncd.store.requests import RequestKind, RequestState
from syncd.store.tables import delivery, ledger, link, thread
from tests.store.conftest import message


async def test_a_reply_is_stored_once_however_often_it_is_told(filled) -> None:
    """The ledger's row is unique: a repeated page adds nothing."""
    await filled.link(1)
    first = await filled.enqueue(1, "a", "b")
    again = await filled.enqueue(1, "b", "a", "c")
    assert (first.new, again.new) == (2, 1)
    assert [item.reply_id for item in await filled.items()] == ["a", "b", "c"]


async def test_a_withheld_reply_becomes_a_delivery_when_it_may(filled) -> None:
    """An entry takes the place of the dispositions that it names, and of no other."""
    await filled.link(1)
    link = await filled.get_link(1)
    withheld = Collected(link.id, link.thread_key, "desk", filled.now, (Entry("n", Disposition.WITHHELD),))
    assert (await filled.do(replies.store_collected, withheld, filled.now)).withheld == 1
    known = await filled.database.read(lambda c: replies.find_known(c, link.thread_key, "desk", ["n", "x"]))
    assert {key: value.disposition for key, value in known.items()} == {"n": Disposition.WITHHELD}
    older = Entry("n", Disposition.DELIVERY, None, replaces=(Disposition.OLDER,))
    assert (await filled.do(replies.store_collected, _with(withheld, older), filled.now)).skipped == 0
    published = Entry("n", Disposition.AUTOMATIC, None, replaces=(Disposition.WITHHELD,))
    assert (await filled.do(replies.store_collected, _with(withheld, published), filled.now)).skipped == 1


def _with(collected: Collected, entry: Entry) -> Collected:

    return replace(collected, entries=(entry,))


async def test_a_change_applies_to_the_version_it_was_made_for(filled) -> None:
    """A withdrawal that comes too late, after another change, does nothing."""
    await filled.link(1)
    await filled.enqueue(1, "a", "b")
    link = await filled.get_link(1)
    changes = (Change(1, 1, skip_reason="withdrawn"), Change(2, 7, skip_reason="withdrawn"))
    collected = Collected(link.id, link.thread_key, "desk", filled.now, changes=changes)
    assert (await filled.do(replies.store_collected, collected, filled.now)).changed == 1
    assert await filled.states() == {"a": "skipped", "b": "pending"}
    known = await filled.database.read(lambda c: replies.find_known(c, link.thread_key, "desk", ["a", "b"]))
    assert known["a"].disposition is Disposition.WITHDRAWN
    assert known["b"].disposition is Disposition.DELIVERY


async def test_a_link_made_due_while_it_was_read_stays_due(filled) -> None:
    """What the feed named after a reading began is read again."""
    await filled.link(1)
    link = await filled.get_link(1)
    read = Collected(link.id, link.thread_key, "desk", filled.now, complete=True)
    later = filled.now + timedelta(seconds=2)
    await filled.do(link_changes.mark_due, "desk", ["id-T1"], later)
    await filled.do(replies.store_collected, read, later)
    assert (await filled.get_link(1)).collect_due_at == later
    await filled.do(replies.store_collected, _started(read, later), later)
    assert (await filled.get_link(1)).collect_due_at is None


def _started(collected: Collected, at) -> Collected:

    return replace(collected, started_at=at)


async def test_a_removed_link_takes_nothing_in(filled) -> None:
    """What comes for a link that was removed meanwhile is not stored."""
    await filled.link(1)
    await filled.do(link_changes.remove, filled.links[1], filled.now)
    stored = await filled.enqueue(1, "late")
    assert stored.new == 0
    assert await filled.items() == []


async def test_the_feed_begins_where_it_first_began(filled) -> None:
    """The instant of the first start is kept until a cursor takes its place, so a silent feed loses nothing."""
    later = filled.now + timedelta(hours=1)
    assert await filled.do(replies.start_feed, "desk", filled.now, filled.now) == filled.now
    assert await filled.do(replies.start_feed, "desk", later, later) == filled.now
    await filled.do(replies.store_cursor, "desk", "bookmark", later)
    assert await filled.do(replies.start_feed, "desk", later, later) == "bookmark"


async def test_contents_are_erased_and_ids_stay(filled) -> None:
    """After the retention the texts are gone, the ids and the ledger stay, and nothing is sent again."""

    await filled.link(1)
    await filled.enqueue(1, "a", "b")
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    assert await filled.do(retention.erase_contents, filled.now) == 0
    assert await filled.do(retention.erase_contents, filled.now + timedelta(days=1)) == 1
    erased = await filled.database.read(lambda c: lists.find_delivery(c, 1))
    assert erased.message is None
    assert erased.item.reply_id == "a"
    assert (await filled.enqueue(1, "a", "b")).new == 0


async def test_the_same_request_is_joined(filled) -> None:
    """Asking twice for what is under way is one request; ended, it can be asked for anew."""
    asked = ("desk", {"tickets": ["1"]}, "tester", filled.now)
    first = await filled.do(requests.ask, RequestKind.POLL, *asked)
    assert await filled.do(requests.ask, RequestKind.POLL, *asked) == first
    await filled.do(requests.end, first, RequestState.DONE, {"new": 3}, filled.now)
    assert await filled.do(requests.ask, RequestKind.POLL, *asked) != first
    ended = await filled.database.read(lambda c: requests.find(c, first))
    assert (ended.state, ended.result) == (RequestState.DONE, {"new": 3})


async def test_steps_of_a_backfill_survive(filled) -> None:
    """Links that were dealt with are known after a kill; one that failed is tried again."""
    for step in ((1, 10, 4, 2, None), (1, 11, 0, 0, "TimeoutError")):
        await filled.do(requests.add_step, *step)
    assert await filled.database.read(lambda c: requests.steps_done(c, 1)) == {10}
    assert await filled.database.read(lambda c: requests.steps_failed(c, 1)) == {11}


async def test_links_are_found_by_what_people_quote(filled) -> None:
    """A list by ticket finds a link by its number; other filters narrow it."""
    await filled.link(1)
    await filled.link(2, api="hamburg")

    async def numbers(**wanted) -> list[str]:
        return [link.ticket.number for link in await filled.database.read(lambda c: links.listed(c, **wanted))]

    assert await numbers(ticket="T2") == ["T2"]
    assert await numbers(api="berlin") == ["T1"]
    assert await numbers(system="desk", limit=1) == ["T1"]
    assert await numbers(state="suspended") == []


THREADS = 24


async def test_readings_stored_at_once_come_to_the_same_as_one_after_the_other(filled) -> None:
    """New, withheld, published, edited, withdrawn, corrected: a page stores what each of its readings would."""
    chance = random.Random(20260302)
    readings = []
    for number in range(1, THREADS + 1):
        link_id = await filled.link(number)
        await filled.enqueue(number, "a", "b", "c")
        one = await filled.get_link(number)
        if number % 8 == 0:
            await filled.do(link_changes.remove, link_id, filled.now)
        readings.append(_reading(one, 3 * number - 2, filled.now, chance))
    internal = [Entry("n", Disposition.WITHHELD), Entry("m", Disposition.OLDER)]
    for reading in readings:
        await filled.do(replies.store_collected, replace(reading, entries=tuple(internal), changes=()), filled.now)
    later = filled.now + timedelta(minutes=1)

    def work(connection: Connection) -> tuple[Any, ...]:
        first = connection.begin_nested()
        at_once = replies.store_all(connection, readings, later)
        state = _state(connection)
        first.rollback()
        total = Stored()
        for reading in readings:
            total.add(replies.store_all(connection, [reading], later))
        return _counts(at_once), state, _counts(total), _state(connection)

    counts, state, counts_of_each, state_of_each = await filled.database.write(work)
    assert counts == counts_of_each
    assert state == state_of_each
    assert min(counts) > 0, "something of each kind happens"


def _reading(one: Link, first_id: int, at: Any, chance: random.Random) -> Collected:
    new = NewDelivery("d", message("d", at), "mark of d", at, state=chance.choice(list(DeliveryState)[:5]))
    published = NewDelivery("n", message("n", at), "mark of n", at)
    entries = (
        Entry("a", Disposition.DELIVERY, new),
        Entry("d", Disposition.DELIVERY, new),
        Entry("e", chance.choice([Disposition.WITHHELD, Disposition.OLDER])),
        Entry("n", Disposition.DELIVERY, published, (Disposition.WITHHELD, Disposition.WITHDRAWN)),
        Entry("m", Disposition.DELIVERY, published, (Disposition.WITHHELD,)),
    )
    changes = (
        Change(first_id, chance.choice([1, 9]), skip_reason="withdrawn: it is internal now"),
        Change(first_id + 1, chance.choice([1, 9]), message("edited", at), "mark of the edit"),
        Change(first_id + 1, 1, skip_reason="withdrawn: it is deleted now"),
    )
    correction = NewDelivery("c", message("corrected", at), chance.choice(["mark of c", "new"]), at)
    ticket = replace(one.ticket, subject="another subject", updated_at=at)
    return Collected(
        *(one.id, one.thread_key, "desk", at + timedelta(seconds=chance.choice([-9, 9]))),
        entries=entries,
        changes=changes,
        confirmed=(first_id + 2,),
        corrections=(replace(correction, kind=DeliveryKind.CORRECTION),),
        ticket=ticket if chance.random() < 0.8 else replace(ticket, id="another"),
        status=chance.choice([None, *ThreadStatus]),
        newest_reply_at=chance.choice([None, at]),
        active_at=at,
        next_due_at=chance.choice([None, at]),
        complete=chance.random() < 0.5,
    )


def _counts(stored: Any) -> list[int]:
    return [stored.new, stored.withheld, stored.skipped, stored.parked, stored.changed, stored.elsewhere]


def _state(connection: Connection) -> list[list[tuple[Any, ...]]]:
    """Return all rows, without the ids of deliveries: what was rolled back leaves a gap in those of PostgreSQL."""
    numbers = {row.id: number for number, row in enumerate(connection.execute(select(delivery).order_by("id")))}
    found = []
    for table in (ledger, link, thread, delivery):
        rows = connection.execute(select(table)).mappings()
        named = [{**row, "head_delivery_id": numbers.get(row.get("head_delivery_id"))} for row in rows]
        if table is delivery:
            named = [{**row, "id": numbers[row["id"]]} for row in named]
        found.append(sorted(tuple(map(str, row.items())) for row in named))
    return found
