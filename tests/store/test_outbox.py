"""The outbox on both databases: heads, marks, outcomes, and what each does to its thread."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from syncd.model.delivery import DeliveryState, Lane, Outcome
from syncd.model.health import PauseCause
from syncd.model.link import Cause
from syncd.store import due, health, holding, link_changes, lists, marking, outbox, recording
from syncd.store.heads import apis_with_due, find_next_due
from syncd.store.settling import settle
from syncd.store.tables import delivery
from syncd.store.threads import NOTE_CLOSED, NOTE_OTHER, note_due


async def test_only_the_oldest_open_delivery_of_a_thread_is_a_head(filled) -> None:
    """However many wait in a thread, one is due, and it is the first by its reply's time."""
    await filled.link(1)
    await filled.link(2)
    await filled.enqueue(1, "late", minutes=9)
    await filled.enqueue(1, "early", "second")
    await filled.enqueue(2, "other")
    assert sorted(await filled.heads()) == ["early", "other"]
    assert await filled.heads("hamburg") == []


async def test_live_heads_go_before_backfilled_ones(filled) -> None:
    """A live reply waits behind no backfilled one, in its thread and beside it."""
    for thread in (1, 2):
        await filled.link(thread)
    await filled.enqueue(1, "old", lane=Lane.BACKFILL, minutes=-99)
    await filled.enqueue(2, "older", lane=Lane.BACKFILL, minutes=-999)
    await filled.enqueue(2, "live", minutes=5)
    assert await filled.heads() == ["live", "old"]


async def test_a_system_with_many_heads_hides_no_other(filled) -> None:
    """Of each system some heads are looked up, however many of another were due before; what is next due is known."""
    for thread in range(1, 7):
        await filled.link(thread)
        await filled.enqueue(thread, f"wild {thread}", minutes=thread)
    await filled.do(lambda c: c.execute(update(delivery).values(system="wild")))
    for thread in range(1, 7):
        await filled.do(lambda c, thread=thread: settle(c, thread))
    await filled.link(7)
    await filled.enqueue(7, "calm", minutes=60)
    assert await filled.heads(limit=4) == ["calm", "wild 1", "wild 2"]
    assert await filled.database.read(lambda c: find_next_due(c, "berlin")) == filled.now
    assert await filled.database.read(lambda c: find_next_due(c, "hamburg")) is None


async def test_only_apis_with_something_due_are_woken(filled) -> None:
    """An api whose head is due later, or whose threads wait for nothing, is left asleep."""
    for thread, api in enumerate(("berlin", "hamburg", "munich", "vienna"), start=1):
        await filled.link(thread, api=api)
    await filled.enqueue(1, "now")
    await filled.enqueue(2, "later")
    await filled.enqueue(4, "now too")
    later = await filled.outgoing(2)
    until = filled.now + timedelta(minutes=5)
    await filled.do(holding.postpone, later.delivery_id, later.thread_key, until)
    assert await filled.database.read(lambda c: apis_with_due(c, filled.now)) == {"berlin", "vienna"}
    assert await filled.database.read(lambda c: apis_with_due(c, until)) == {"berlin", "hamburg", "vienna"}


async def test_a_thread_sends_one_at_a_time(filled) -> None:
    """While one is sending its thread has no head; its outcome brings up the next."""
    await filled.link(1)
    await filled.enqueue(1, "first", "second")
    assert await filled.mark(1) is not None
    assert await filled.heads() == []
    outgoing = await filled.database.read(lambda c: outbox.find_outgoing(c, 1))
    assert outgoing is None


async def test_an_outcome_is_recorded_once(filled, ended) -> None:
    """Recording the same attempt again changes nothing, so a commit that was cut off can be repeated."""
    await filled.link(1)
    await filled.enqueue(1, "first", "second")
    outgoing = await filled.outgoing(1)
    attempt_id = await filled.mark(1)
    delivered = ended(attempt_id, outgoing, Outcome.DELIVERED, DeliveryState.DELIVERED, communication_id=77)
    assert await filled.do(recording.record, delivered, filled.now) is True
    again = ended(attempt_id, outgoing, Outcome.IN_DOUBT, DeliveryState.IN_DOUBT)
    assert await filled.do(recording.record, again, filled.now) is False
    assert await filled.states() == {"first": "delivered", "second": "pending"}
    assert [item.communication_id for item in await filled.items(state="delivered")] == [77]
    assert await filled.heads() == ["second"]


async def test_what_changed_since_it_was_read_is_not_marked(filled) -> None:
    """A delivery whose text changed after it was loaded is refused by the mark, and stays due."""

    await filled.link(1)
    await filled.enqueue(1, "first")
    outgoing = await filled.outgoing(1)
    await filled.do(lambda c: c.execute(update(delivery).values(version=2)))
    assert await filled.do(marking.mark_sending, outgoing, filled.now, "worker") is None
    assert await filled.heads() == ["first"]


async def test_a_paused_api_marks_nothing_but_its_trial(filled) -> None:
    """The mark itself asks whether the api was paused meanwhile."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    await filled.do(health.pause_api, "berlin", PauseCause.THREADS, "refused", filled.now)
    assert await filled.mark(1) is None
    assert await filled.mark(1, trial=True) is not None


async def test_a_suspended_or_removed_link_sends_nothing(filled) -> None:
    """The deliveries of a suspended link wait; those of a removed one are skipped with the reason."""

    await filled.link(1)
    await filled.enqueue(1, "first")
    outgoing = await filled.outgoing(1)
    await filled.do(link_changes.suspend, filled.links[1], Cause.TICKET_GONE, "gone")
    assert await filled.heads() == []
    assert await filled.do(marking.mark_sending, outgoing, filled.now, "worker") is None
    await filled.do(link_changes.resume, filled.links[1], filled.now)
    assert await filled.heads() == ["first"]
    assert await filled.do(link_changes.remove, filled.links[1], filled.now) == 1
    assert await filled.states() == {"first": "skipped"}


async def test_a_refused_thread_waits_until_its_retry(filled) -> None:
    """Suspended because the API refuses the thread, its head is due at the slow retry, and success mends the link."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    later = filled.now + timedelta(minutes=30)
    more = {"due_at": filled.now, "thread_retry_at": later, "error_text": "no such thread"}
    await filled.end(1, Outcome.THREAD_AT_FAULT, DeliveryState.PENDING, **more)
    link = await filled.get_link(1)
    assert (link.state, link.cause, link.reason) == ("suspended", "thread_refused", "no such thread")
    assert await filled.heads() == []
    filled.now = later
    assert await filled.heads() == ["first"]
    assert (await filled.outgoing(1)).refusals == 1
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    assert (await filled.get_link(1)).state == "active"


async def test_a_resumed_thread_is_tried_at_once(filled) -> None:
    """What a person resumes does not wait for the slow retry."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    later = filled.now + timedelta(minutes=30)
    await filled.end(1, Outcome.THREAD_AT_FAULT, DeliveryState.PENDING, due_at=later, thread_retry_at=later)
    assert await filled.heads() == []
    await filled.do(link_changes.resume, filled.links[1], filled.now)
    assert await filled.heads() == ["first"]


async def test_a_failure_before_marking_is_an_attempt_all_the_same(filled, ended) -> None:
    """What never left is a row with its outcome, and the delivery waits by the schedule."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    outgoing = await filled.outgoing(1)
    attempt_id = await filled.do(marking.open_unsent, outgoing, filled.now, "worker")
    later = filled.now + timedelta(seconds=5)
    unsent = ended(attempt_id, outgoing, Outcome.NOT_SENT, DeliveryState.PENDING, due_at=later, counts_as_failure=True)
    assert await filled.do(recording.record, unsent, filled.now)
    full = await filled.database.read(lambda c: lists.find_delivery(c, 1))
    assert [(one.number, one.outcome) for one in full.attempts] == [(1, "not_sent")]
    assert await filled.heads() == []
    filled.now = later
    assert await filled.heads() == ["first"]
    assert (await filled.outgoing(1)).failures == 1


async def test_a_jump_of_the_clock_shifts_what_is_due(filled) -> None:
    """After the clock was set back by an hour, what was due now is due now, and was read when it was read."""
    await filled.link(1)
    await filled.enqueue(1, "first")
    read_at = (await filled.outgoing(1)).read_at
    filled.now -= timedelta(hours=1)
    assert await filled.heads() == []
    assert await filled.do(due.shift_due, timedelta(hours=-1)) >= 2
    assert await filled.heads() == ["first"]
    assert (await filled.outgoing(1)).read_at == read_at - timedelta(hours=1)


@pytest.mark.parametrize(
    ("known", "carried", "kind"),
    [
        ("CLOSED", "ONGOING", NOTE_CLOSED),
        ("ONGOING", "CLOSED", NOTE_CLOSED),
        ("ONGOING", "CREATED", NOTE_OTHER),
        ("CLOSED", "CLOSED", None),
        ("CLOSED", None, None),
        (None, "CLOSED", None),
    ],
)
def test_a_note_is_due_when_the_levels_differ(known, carried, kind) -> None:
    """Known and carried level decide; what is unknown makes no note."""
    assert note_due(known, carried) == kind
