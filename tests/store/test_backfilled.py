"""What a backfill has queued: followed by its state, stopped, taken back."""

from datetime import timedelta

import pytest

from syncd.model.collected import Collected, Disposition, Entry, NewDelivery
from syncd.model.delivery import DeliveryState, Lane, Outcome
from syncd.model.errors import Conflict, Missing
from syncd.model.link import Cause
from syncd.store import backfilled, link_changes, replies, requests
from syncd.store.requests import RequestKind, RequestState
from syncd.store.standing import Decision
from tests.store.conftest import NOON, message

ARGUMENTS = {"tickets": []}


async def ask(filled, system: str = "desk") -> int:
    """Ask for a backfill; return its id."""
    return await filled.do(requests.ask, RequestKind.BACKFILL, system, ARGUMENTS, "anna", filled.now)


async def queue(filled, request_id: int, thread: int, *reply_ids: str, lane: Lane = Lane.BACKFILL) -> None:
    """Queue replies of a thread as a backfill does."""
    link = await filled.get_link(thread)
    entries = [
        Entry(one, Disposition.DELIVERY, NewDelivery(one, message(one, filled.now), one, filled.now, lane=lane))
        for one in reply_ids
    ]
    collected = Collected(
        link.id, link.thread_key, "desk", filled.now, tuple(entries), ticket=link.ticket, request_id=request_id
    )
    await filled.do(replies.store_collected, collected, filled.now)


async def test_what_a_backfill_has_queued_is_counted(filled) -> None:
    """By state and by api, of this backfill alone; what waits for a suspended link is named with it."""
    await filled.link(1)
    await filled.link(2, api="hamburg")
    first, other = await ask(filled), await ask(filled, "other")
    await queue(filled, first, 1, "a", "b")
    await queue(filled, first, 2, "c")
    await queue(filled, other, 2, "d")
    await filled.enqueue(1, "live")
    await filled.do(link_changes.suspend, filled.links[2], Cause.TICKET_GONE, "gone")
    read = filled.database.read
    assert await read(lambda c: backfilled.count_states(c, [first])) == {"pending": 3}
    assert await read(lambda c: backfilled.count_states(c, [first, other])) == {"pending": 4}
    assert await read(lambda c: backfilled.count_queued(c, first)) == {"berlin": 2, "hamburg": 1}
    assert await read(lambda c: backfilled.count_open(c, [first])) == {"berlin": 2, "hamburg": 1}
    held_up = await read(lambda c: backfilled.find_held_up(c, [first]))
    assert held_up == [backfilled.HeldUp(filled.links[2], "hamburg", 1)]
    assert await read(lambda c: backfilled.find_unsent(c, "desk")) == [first]


async def test_what_was_not_sent_is_taken_back(filled) -> None:
    """It is skipped, and counts as older; what is on the wire, was tried, is live or another's stays what it is."""
    for thread in (1, 2, 3, 4):
        await filled.link(thread)
    first, other = await ask(filled), await ask(filled, "other")
    await queue(filled, first, 1, "a", "b")
    await queue(filled, first, 2, "c")
    await queue(filled, first, 3, "since", lane=Lane.LIVE)
    await queue(filled, other, 3, "another's")
    await filled.mark(next(item.id for item in await filled.items() if item.reply_id == "a"))
    await queue(filled, first, 4, "tried")
    tried = next(item.id for item in await filled.items() if item.reply_id == "tried")
    await filled.end(tried, Outcome.REFUSED_FOR_NOW, DeliveryState.PENDING, due_at=filled.now)
    by = Decision("anna", filled.now, "wrong dates")
    dropped = [await filled.do(backfilled.drop_some, first, by, 1) for _ in range(4)]
    assert dropped == [1, 1, 1, 0]
    pending = {name for name, state in (await filled.states()).items() if state == DeliveryState.PENDING}
    assert pending == {"since", "another's"}
    link = await filled.get_link(1)
    known = await filled.database.read(lambda c: replies.find_known(c, link.thread_key, "desk", ["a", "b"]))
    assert {name: one.disposition for name, one in known.items()} == {
        "a": Disposition.DELIVERY,
        "b": Disposition.OLDER,
    }
    link = await filled.get_link(4)
    known = await filled.database.read(lambda c: replies.find_known(c, link.thread_key, "desk", ["tried"]))
    assert known["tried"].disposition is Disposition.DELIVERY
    assert {name: state for name, state in (await filled.states()).items() if state == "skipped"}.keys() == {
        "b",
        "c",
        "tried",
    }


async def test_a_stopped_backfill_stays_stopped(filled) -> None:
    """No report and no end opens it again; stopping it twice, or what is none, is refused."""
    backfill = await ask(filled)
    poll = await filled.do(requests.ask, RequestKind.POLL, "desk", {}, "anna", filled.now)
    by = Decision("anna", filled.now, "not now")
    await filled.do(requests.report, backfill, {"links": 1})
    assert await filled.do(requests.holds_open, backfill)
    await filled.do(requests.stop, backfill, by)
    assert not await filled.do(requests.holds_open, backfill)
    await filled.do(requests.report, backfill, {"links": 2})
    await filled.do(requests.end, backfill, RequestState.DONE, {"links": 2}, filled.now)
    found = await filled.database.read(lambda c: requests.find(c, backfill))
    assert (found.state, found.progress) == (RequestState.STOPPED, {"links": 1})
    with pytest.raises(Conflict, match="is stopped"):
        await filled.do(requests.stop, backfill, by)
    for none in (poll, 99):
        with pytest.raises(Missing, match="there is no backfill"):
            await filled.do(requests.stop, none, by)


async def test_what_was_stopped_not_long_ago_goes_on(filled) -> None:
    """The same backfill is opened anew, with what it has done; one of long ago, and one that is done, are not."""
    stopped = await ask(filled)
    await filled.do(requests.stop, stopped, Decision("anna", filled.now, "not now"))
    again = (RequestKind.BACKFILL, "desk", ARGUMENTS)
    assert await filled.do(requests.ask_again, *again, filled.now + timedelta(seconds=1)) is None
    assert await filled.do(requests.ask_again, *again, filled.now) == stopped
    assert await filled.do(requests.ask_again, *again, filled.now) is None  # it is open
    assert await ask(filled) == stopped
    await filled.do(requests.end, stopped, RequestState.DONE, {}, filled.now)
    assert await filled.do(requests.ask_again, *again, filled.now) is None
    assert await ask(filled) != stopped


async def test_taking_back_looks_at_no_more_than_it_takes(on_sqlite) -> None:
    """One statement looks for what is left, up to its limit; the others go by keys, however much a backfill queued."""
    for thread in (1, 2):
        await on_sqlite.link(thread)
    backfill = await ask(on_sqlite)
    await queue(on_sqlite, backfill, 1, "a", "b")
    await queue(on_sqlite, backfill, 2, "c")
    asked: list[str] = []

    def watched(connection) -> int:
        connection.connection.driver_connection.set_trace_callback(asked.append)
        dropped = backfilled.drop_some(connection, backfill, Decision("anna", on_sqlite.now, "wrong dates"), 2)
        connection.connection.driver_connection.set_trace_callback(None)
        return dropped

    assert await on_sqlite.do(watched) == 2

    def plans(connection) -> list[str]:
        statements = [text for text in asked if text.startswith(("SELECT", "UPDATE"))]
        return [row[3] for text in statements for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]

    steps = await on_sqlite.do(plans)
    assert len([step for step in steps if "delivery_request" in step]) == 1
    # The keys themselves are handed over as a list, which is gone through.
    scans = [step for step in steps if step.startswith("SCAN") and not step.startswith("SCAN json_each VIRTUAL TABLE")]
    assert scans == []


async def test_plans_push_no_backfill_out_of_a_list(filled) -> None:
    """Of those without plans as many are listed as were asked for, whatever was planned since."""
    planned = {"dry_run": True, "tickets": ['a "dry_run" of it']}
    backfill = await filled.do(requests.ask, RequestKind.BACKFILL, "desk", planned | {"dry_run": False}, "anna", NOON)
    plan = await filled.do(requests.ask, RequestKind.BACKFILL, "desk", planned, "anna", NOON)
    read = filled.database.read
    assert [one.id for one in await read(lambda c: requests.recent(c, RequestKind.BACKFILL, 1))] == [plan]
    assert [one.id for one in await read(lambda c: requests.recent(c, RequestKind.BACKFILL, 1, plans=False))] == [
        backfill
    ]
