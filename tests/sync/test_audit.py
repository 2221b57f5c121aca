"""The audit: what became of every reply, worked out from the ticket itself, and what is missing queued once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from syncd.mapping.mapper import fingerprint
from syncd.model.collected import Collected, Disposition, Entry, NewDelivery
from syncd.model.communication import Thread, ThreadStatus
from syncd.model.delivery import DeliveryKind, DeliveryState
from syncd.model.link import Cause, Link, LinkState, NewLink
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Author, AuthorKind, Body, Reply, Ticket, TicketRef, Visibility
from syncd.store import audit as stored_side
from syncd.store import health, link_changes, links, lists, replies, requests, restored
from syncd.store.audit import Held, HeldDelivery
from syncd.store.database import Unacknowledged
from syncd.store.requests import RequestKind, RequestState
from syncd.store.standing import Decision
from syncd.sync.audit import Audited, Fate, Remark, accounts, vanished
from syncd.sync.audit_findings import Progress, Wanted

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
FROM = NOW - timedelta(days=7)
TICKET = Ticket(id="t1", number="HD-1", updated_at=NOW - timedelta(days=2))
POLICY = SystemPolicy("desk", poll_seconds=60)
LINK = Link(
    1, 1, Thread("berlin", 7, 500), "desk", LinkState.ACTIVE, TicketRef("HD-1"), FROM, FROM,
    ticket=TICKET, collected_at=NOW - timedelta(days=1), newest_reply_at=FROM,
)  # fmt: skip
REPLY = Reply("r1", Author(AuthorKind.AGENT), Visibility.PUBLIC, Body("text"), NOW - timedelta(days=1))
INTERNAL = replace(REPLY, visibility=Visibility.INTERNAL)
SENT = HeldDelivery(9, DeliveryState.DELIVERED, None, 77, REPLY.created_at, REPLY.created_at)
NEW_LINK = replace(LINK, collected_at=None, newest_reply_at=None)
MERGED_INTO = replace(REPLY, written_on="t0")
FIRST_OF_OLD = replace(REPLY, first_message=True, created_at=FROM - timedelta(days=1))
AUTOMATIC = replace(REPLY, author=Author(AuthorKind.SYSTEM))


def held(state=DeliveryState.DELIVERED, reason=None, disposition=Disposition.DELIVERY, text=REPLY):
    """Return what ledger and outbox have of the reply."""
    return Held(disposition, replace(SENT, state=state, reason=reason), fingerprint(text))


def only(link=LINK, reply=REPLY, has=None, policy=POLICY, ticket=TICKET):
    """Return the account of a ticket's one reply."""
    audited = Audited(ticket, [reply], NOW, policy)
    (account,) = accounts(link, audited, {} if has is None else {reply.id: has})
    return account


@pytest.mark.parametrize(
    ("state", "reason", "fate", "why"),
    [
        (DeliveryState.DELIVERED, None, Fate.DELIVERED, None),
        (DeliveryState.DELIVERED, "assumed", Fate.ASSUMED, "assumed"),
        (DeliveryState.DELIVERED, "resolved: seen", Fate.RESOLVED, "resolved: seen"),
        (DeliveryState.PENDING, None, Fate.WAITING, None),
        (DeliveryState.SENDING, None, Fate.WAITING, None),
        (DeliveryState.IN_DOUBT, "restored", Fate.IN_DOUBT, "restored"),
        (DeliveryState.PARKED, "too long", Fate.PARKED, "too long"),
        (DeliveryState.SKIPPED, "skipped: spam", Fate.SKIPPED, "by a person"),
        (DeliveryState.SKIPPED, "resolved: spam", Fate.SKIPPED, "by a person"),
        (DeliveryState.SKIPPED, "the link was removed", Fate.SKIPPED, "link removed"),
        (DeliveryState.SKIPPED, "withdrawn: it is deleted now", Fate.SKIPPED, "withdrawn"),
    ],
)
def test_a_reply_with_a_delivery_is_what_its_delivery_is(state, reason, fate, why) -> None:
    """Every state of a delivery has its account, with the reason and the communication's id."""
    account = only(has=held(state, reason))
    assert (account.fate, account.reason, account.delivery.communication_id) == (fate, why, 77)
    assert account.remark is None


@pytest.mark.parametrize(
    ("link", "reply", "disposition", "why"),
    [
        (LINK, REPLY, Disposition.OLDER, "older"),
        (LINK, FIRST_OF_OLD, Disposition.OLDER, "first message"),
        (NEW_LINK, FIRST_OF_OLD, None, "first message"),
        (NEW_LINK, replace(FIRST_OF_OLD, first_message=False), None, "older"),
        (LINK, AUTOMATIC, None, "automatic"),
        (LINK, AUTOMATIC, Disposition.AUTOMATIC, "automatic"),
        (LINK, AUTOMATIC, Disposition.WITHHELD, "automatic"),
        (LINK, MERGED_INTO, None, "merged"),
        (LINK, MERGED_INTO, Disposition.MERGED, "merged"),
    ],
)
def test_what_is_not_to_be_sent_is_skipped_with_its_reason(link, reply, disposition, why) -> None:
    """As the ledger has it, or worked out anew where it has nothing."""
    account = only(link, reply, None if disposition is None else Held(disposition))
    assert (account.fate, account.reason) == (Fate.SKIPPED, why)


@pytest.mark.parametrize(
    ("link", "reply", "disposition", "repairable"),
    [
        (LINK, REPLY, None, True),
        (LINK, replace(REPLY, created_at=FROM - timedelta(days=1)), None, True),  # told late, after the first reading
        (LINK, REPLY, Disposition.WITHHELD, True),
        (LINK, REPLY, Disposition.WITHDRAWN, True),
        (LINK, REPLY, Disposition.DELIVERY, False),
        (replace(LINK, merged_from=("t0",)), MERGED_INTO, None, True),
        (replace(LINK, state=LinkState.SUSPENDED, cause=Cause.THREAD_REFUSED), REPLY, None, True),
        (replace(LINK, failures=3, collect_due_at=NOW + timedelta(hours=1)), REPLY, None, True),
        (replace(NEW_LINK, failures=3), REPLY, None, True),
    ],
)
def test_what_is_owed_and_not_there_is_missing(link, reply, disposition, repairable) -> None:
    """Public, of the link, due, and without a delivery; queued again only if it was never meant to be sent before."""
    account = only(link, reply, None if disposition is None else Held(disposition))
    assert (account.fate, account.repairable) == (Fate.MISSING, repairable)


def test_what_was_withdrawn_and_is_shown_again_is_missing() -> None:
    """A delivery that was skipped as its reply was hidden does not account for the reply that is public now."""
    has = held(DeliveryState.SKIPPED, "withdrawn: it is internal now", Disposition.WITHDRAWN)
    assert only(has=has).fate is Fate.MISSING


MINUTES_AGO = NOW - timedelta(minutes=15)
QUIET_LINK = replace(LINK, collected_at=REPLY.created_at)


@pytest.mark.parametrize(
    ("link", "reply", "disposition", "ticket"),
    [
        (LINK, replace(REPLY, created_at=MINUTES_AGO), None, TICKET),
        (LINK, replace(REPLY, edited_at=MINUTES_AGO), Disposition.WITHHELD, TICKET),
        (LINK, REPLY, Disposition.WITHHELD, replace(TICKET, updated_at=MINUTES_AGO)),
        (NEW_LINK, REPLY, None, TICKET),
        (replace(QUIET_LINK, collect_due_at=NOW + timedelta(hours=5)), REPLY, None, TICKET),
        (replace(QUIET_LINK, collect_due_at=MINUTES_AGO + timedelta(minutes=1)), REPLY, None, TICKET),
    ],
)
def test_what_is_new_or_asked_for_later_is_not_yet_due(link, reply, disposition, ticket) -> None:
    """Within a poll and 15 minutes, before a first reading, or before its ticket's own time, nothing is missing."""
    assert only(link, reply, disposition and Held(disposition), ticket=ticket).fate is Fate.NOT_YET_DUE


def test_a_ticket_that_was_read_since_should_have_had_it() -> None:
    """That a ticket is due later excuses nothing that its last reading should have held."""
    assert only(replace(LINK, collected_at=NOW, collect_due_at=NOW + timedelta(hours=5))).fate is Fate.MISSING


def test_a_busy_ticket_hides_nothing_that_was_never_known() -> None:
    """That the ticket changed just now excuses only what may have been published just now."""
    assert only(ticket=replace(TICKET, updated_at=NOW)).fate is Fate.MISSING


@pytest.mark.parametrize("cause", [Cause.TICKET_GONE, Cause.TICKET_FORBIDDEN, Cause.TICKET_MERGED, Cause.REPLIES_GONE])
def test_what_a_suspended_link_has_not_read_is_held_back(cause) -> None:
    """It is read once the link is resumed, and `status` names the link."""
    assert only(replace(LINK, state=LinkState.SUSPENDED, cause=cause)).fate is Fate.HELD_BACK


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.SENDING, DeliveryState.IN_DOUBT])
@pytest.mark.parametrize("disposition", [Disposition.DELIVERY, Disposition.WITHHELD, None])
def test_an_internal_reply_that_was_sent_is_a_leak(state, disposition) -> None:
    """Unless its vendor tells that it changed after it was read as public, nothing excuses it."""
    account = only(reply=INTERNAL, has=held(state, disposition=disposition))
    assert account.fate is Fate.LEAKED
    edited_before = replace(INTERNAL, edited_at=SENT.read_at - timedelta(seconds=1))
    assert only(reply=edited_before, has=held(state, disposition=disposition)).fate is Fate.LEAKED


def test_what_the_ledger_knows_as_internal_is_a_leak_whatever_its_time() -> None:
    """A withheld reply with a delivery that was sent was never public here."""
    assert only(reply=replace(INTERNAL, edited_at=NOW), has=held(disposition=Disposition.WITHHELD)).fate is Fate.LEAKED


def test_what_was_hidden_after_it_was_sent_is_told_and_no_leak() -> None:
    """It was public when it was read for sending, and changed after that."""
    account = only(reply=replace(INTERNAL, edited_at=SENT.read_at + timedelta(hours=1)), has=held())
    assert (account.fate, account.remark) == (Fate.DELIVERED, Remark.HIDDEN)


@pytest.mark.parametrize(
    ("has", "fate"),
    [
        (None, Fate.INTERNAL),
        (Held(Disposition.WITHHELD), Fate.INTERNAL),
        (held(DeliveryState.SKIPPED, "withdrawn: it is internal now"), Fate.INTERNAL),
        (held(DeliveryState.PENDING), Fate.WAITING),
        (held(DeliveryState.PARKED), Fate.PARKED),
    ],
)
def test_an_internal_reply_that_stayed_here_is_fine(has, fate) -> None:
    """What waits and is internal by now is withdrawn before it could be sent."""
    assert only(reply=INTERNAL, has=has).fate is fate


def test_an_edit_and_a_deletion_after_delivery_are_told() -> None:
    """Delivered is delivered; the difference is said."""
    edited = only(has=held(text=replace(REPLY, body=Body("another text"))))
    assert (edited.fate, edited.remark) == (Fate.DELIVERED, Remark.EDITED)
    (gone,) = vanished(Audited(TICKET, [], NOW, POLICY), {"r1": SENT})
    assert (gone.fate, gone.remark, gone.reply_id) == (Fate.DELIVERED, Remark.DELETED, "r1")
    assert vanished(Audited(TICKET, [REPLY], NOW, POLICY), {"r1": SENT}) == []


def test_an_erased_delivery_is_not_taken_for_edited() -> None:
    """Where no fingerprint is left there is nothing to compare."""
    assert only(has=Held(Disposition.DELIVERY, SENT, None)).remark is None


# In the world: a helpdesk that loses replies from its list of changes, and the daemon's parts.


async def audit(world, **wanted) -> Progress:
    """Ask for an audit and have it carried out; return what it found."""
    now = world.clock.now()
    arguments = Wanted(**wanted).as_arguments()
    asked = await world.database.write(lambda c: requests.ask(c, RequestKind.AUDIT, "desk", arguments, "tester", now))
    await world.sync(15)
    request = await world.database.read(lambda c: requests.find(c, asked))
    assert request.state is RequestState.DONE, request
    return Progress.from_dict(request.result)


def kinds(found: Progress) -> list[str]:
    """Return the kinds of what was found."""
    return [one["kind"] for one in found.findings]


def lose(world, act) -> None:
    """Let something happen that the list of changes does not tell."""
    world.helpdesk.forgets_changes = True
    act()
    world.helpdesk.forgets_changes = False


async def test_what_the_feed_lost_is_found_queued_and_arrives_once(world) -> None:
    """A lost reply is missing; repaired, it arrives once, with a record of who did it; the next audit is clean."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    world.helpdesk.agent_reply(ticket.id, "told")
    lose(world, lambda: world.helpdesk.agent_reply(ticket.id, "lost"))
    found = await audit(world)
    assert (found.fates.get("missing"), found.fates["not_yet_due"]) == (None, 1)
    world.clock.loop.move_time(16 * 60)
    found = await audit(world)
    assert (kinds(found), found.fates["missing"], found.repaired) == (["missing"], 1, 0)
    assert world.sent() == ["told"]
    found = await audit(world, repair=True)
    assert (kinds(found), found.repaired, found.findings[0]["repaired"]) == (["missing"], 1, True)
    await world.sync()
    assert world.sent() == ["told", "lost"]
    delivery = (await world.deliveries())[-1].id
    full = await world.database.read(lambda c: lists.find_delivery(c, delivery))
    assert [(one[1], one[2]) for one in full.decisions] == [("tester", "audit repair")]
    again = await audit(world, repair=True)
    assert (kinds(again), again.fates, again.skipped) == ([], {"skipped": 1, "delivered": 2}, {"first message": 1})
    await world.sync()
    assert world.sent() == ["told", "lost"]


async def test_a_note_published_unnoticed_is_missing_and_repaired(world) -> None:
    """A withheld note that the list of changes never told to be public is owed."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    note = world.helpdesk.internal_note(ticket.id, "for all, it turns out")
    await world.sync()
    lose(world, lambda: world.helpdesk.publish(note.id))
    world.clock.loop.move_time(3600)
    found = await audit(world, repair=True)
    assert kinds(found) == ["missing"]
    await world.sync()
    assert world.sent() == ["for all, it turns out"]


async def test_a_repair_in_the_gap_of_a_restored_database_is_in_doubt(world) -> None:
    """What the database cannot know not to have sent is not sent by an audit either."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    lose(world, lambda: world.helpdesk.agent_reply(ticket.id, "lost"))
    world.clock.loop.move_time(3600)
    by = Decision("tester", world.clock.now(), "a backup")
    await world.database.write(lambda c: restored.declare_restored(c, 0, by))
    found = await audit(world, repair=True)
    assert found.repaired == 1
    await world.sync()
    assert (world.sent(), await world.states()) == ([], {"in_doubt": 1})
    assert (await audit(world)).fates["in_doubt"] == 1


async def test_a_flood_of_what_is_missing_waits_for_a_person(world) -> None:
    """Old replies that an audit finds missing in great numbers wait until a person looked at them."""
    ticket = world.ticket()
    await world.begin(flood_replies=2)
    await world.link(ticket, from_at=world.clock.now() - timedelta(days=30))
    await world.sync()
    old = world.clock.now() - timedelta(days=20)
    for number in range(3):
        lose(world, lambda: world.helpdesk.agent_reply(ticket.id, f"old {number}", at=old))  # noqa: B023 - done at once
    found = await audit(world, repair=True)
    assert (kinds(found), found.repaired) == (["missing"] * 3, 3)
    await world.sync()
    assert (world.sent(), (await world.states())["parked"]) == (["first message"], 3)
    assert (await audit(world)).fates["parked"] == 3


async def test_every_reply_of_every_link_is_accounted_for(world) -> None:
    """Delivered, skipped, withheld, edited, hidden and deleted ones stand in the sum; what was sent stays sent."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket, from_at=world.clock.now() - timedelta(days=1))
    await world.link(ticket, api="hamburg")
    await world.sync()
    replies = [world.helpdesk.agent_reply(ticket.id, text) for text in ("stays", "edited", "hidden", "deleted")]
    world.helpdesk.internal_note(ticket.id, "secret")
    world.helpdesk.automatic_reply(ticket.id, "we got your message")
    await world.sync(30)
    await world.pass_time(5)
    world.helpdesk.edit(replies[1].id, "another text")
    world.helpdesk.publish(replies[2].id, public=False)
    world.helpdesk.delete_reply(replies[3].id)
    found = await audit(world)
    assert found.links == 2
    assert found.replies == sum(found.fates.values()) == 12
    assert found.fates == {"delivered": 7, "skipped": 3, "internal": 2}
    assert found.skipped == {"first message": 1, "automatic": 2}
    assert sorted(kinds(found)) == ["deleted", "deleted", "edited", "edited", "hidden", "hidden"]
    assert not any(one["reply_id"] in str(one["reason"]) for one in found.findings)


async def test_a_leak_is_named(world) -> None:
    """A reply that was sent and is internal at the vendor, with nothing to say that it ever was public, is a leak."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    reply = world.helpdesk.agent_reply(ticket.id, "not for customers")
    await world.sync()
    reply.public = False
    found = await audit(world)
    assert (kinds(found), found.fates["leaked"]) == (["leaked"], 1)
    (leak,) = found.findings
    assert (leak["reply_id"], leak["delivery_id"], leak["communication_id"] is None) == (reply.id, 1, False)


async def test_only_what_was_written_since_counts_where_that_is_asked_for(world) -> None:
    """`since` leaves out what is older, also what is missing of it."""
    ticket = world.ticket()
    await world.begin()
    await world.link(ticket)
    await world.sync()
    lose(world, lambda: world.helpdesk.agent_reply(ticket.id, "lost"))
    world.clock.loop.move_time(3600)
    assert (await audit(world, since=world.clock.now() - timedelta(minutes=5))).replies == 0
    assert kinds(await audit(world, since=world.clock.now() - timedelta(hours=2))) == ["missing"]


async def test_a_ticket_that_fails_is_read_once_more_and_then_named(world) -> None:
    """One that cannot be read, came empty, or is gone without our knowing is not accounted for, and said so."""
    world.helpdesk.page_size = 50
    spoilt, emptied, gone, good = (world.ticket(name) for name in ("spoilt", "emptied", "gone", "good"))
    await world.begin()
    for ticket in (spoilt, emptied, gone, good):
        await world.link(ticket)
    await world.sync()
    spoilt.replies[0].format = "a form that the adapter does not know"
    emptied.replies.clear()
    gone.deleted = True
    found = await audit(world)
    assert (found.tickets, found.of, found.fates) == (4, 4, {"skipped": 1})
    assert {(one["kind"], one["ticket_number"]) for one in found.findings} == {
        ("unread", ticket.number) for ticket in (spoilt, emptied, gone)
    }
    gone.deleted, spoilt.replies[0].format = False, "text"
    emptied.replies.append(replace(good.replies[0], id="99", ticket_id=emptied.id))
    world.helpdesk.faults.empty_replies(times=2)
    found = await audit(world)
    assert [(one["kind"], one["ticket_number"]) for one in found.findings] == [("unread", emptied.number)]


async def test_links_that_are_suspended_with_their_ticket_are_counted_and_no_finding(world) -> None:
    """Why their tickets cannot be read is known, and `status` asks for a person."""
    ticket = world.ticket()
    await world.begin()
    link_id = await world.link(ticket)
    await world.sync()
    world.helpdesk.delete(ticket.id)
    await world.sync()
    assert (await world.get_link(link_id)).state is LinkState.SUSPENDED
    found = await audit(world)
    assert (kinds(found), found.suspended, found.replies) == ([], 1, 0)


async def test_an_audit_that_was_interrupted_goes_on_where_it_was(world) -> None:
    """An outage ends a run, and nothing that was read is read again; a ticket that failed in it is read at the end."""
    tickets = [world.ticket(str(number)) for number in range(6)]
    await world.begin(requests_per_minute=60)
    for ticket in tickets:
        await world.link(ticket)
    await world.sync(30)
    now = world.clock.now()
    ask = (RequestKind.AUDIT, "desk", Wanted().as_arguments(), "tester", now)
    asked = await world.database.write(lambda c: requests.ask(c, *ask))
    await world.sweep()
    while sum("/replies" in one for one in world.helpdesk.requests) < len(tickets) + 2:
        await world.clock.sleep(0.1)
    world.helpdesk.faults.throttle(900)
    await world.pass_time(30)
    request = await world.database.read(lambda c: requests.find(c, asked))
    assert request.state is RequestState.RUNNING
    assert 2 <= request.progress["tickets"] < 6
    world.clock.loop.move_time(1000)
    before = len(world.helpdesk.requests)
    await world.sync(30)
    request = await world.database.read(lambda c: requests.find(c, asked))
    assert (request.state, request.result["tickets"], request.result["findings"]) == (RequestState.DONE, 6, [])
    assert sum("/replies" in one for one in world.helpdesk.requests[before:]) <= 4


async def test_a_system_that_a_person_has_paused_is_not_audited_on(world) -> None:
    """`systems pause` means that nothing is asked of a system: an audit under way waits, and goes on once resumed."""
    tickets = [world.ticket(str(number)) for number in range(40)]
    await world.begin(requests_per_minute=60)
    for ticket in tickets:
        await world.link(ticket)
    await world.sync(90)
    ask = (RequestKind.AUDIT, "desk", Wanted().as_arguments(), "tester", world.clock.now())
    asked = await world.database.write(lambda c: requests.ask(c, *ask))
    await world.sweep()
    while sum("/replies" in one for one in world.helpdesk.requests) < len(tickets) + 2:
        await world.clock.sleep(0.1)
    await world.database.write(lambda c: health.pause_system(c, "desk", health.PERSON, "upkeep", world.clock.now()))
    await world.pass_time(5)
    before = len(world.helpdesk.requests)
    await world.pass_time(600)
    assert len(world.helpdesk.requests) == before
    await world.database.write(lambda c: health.resume_system(c, "desk"))
    await world.sync(90)
    request = await world.database.read(lambda c: requests.find(c, asked))
    assert (request.state, request.result["tickets"]) == (RequestState.DONE, 40)


class AfterRepair:
    """A backend that keeps the first repair of an audit, and then does something."""

    def __init__(self, backend, act) -> None:
        self._backend, self._act = backend, act
        self.dialect, self.read, self.close = backend.dialect, backend.read, backend.close

    async def transact(self, operations):
        """Keep everything; what is done after the repair may be to deny that."""
        results = await self._backend.transact(operations)
        if self._act is not None and any(one.__qualname__.startswith("_repair.") for one in operations):
            act, self._act = self._act, None
            act()
        return results


@pytest.mark.parametrize("is_killed", [True, False])
async def test_a_repair_is_in_the_report_whatever_ends_the_audit_right_after_it(world, is_killed) -> None:
    """Killed, or not told that it was kept: who goes on tells what was queued, and counts no ticket twice."""
    tickets = [world.ticket(str(number)) for number in range(3)]
    await world.begin()
    for thread, ticket in enumerate([*tickets, tickets[0]]):
        await world.link(ticket, thread=500 + thread)
    await world.sync()
    lose(world, lambda: world.helpdesk.agent_reply(tickets[0].id, "lost"))
    world.clock.loop.move_time(16 * 60)

    def end_it() -> None:
        if not is_killed:
            raise Unacknowledged("cut off in the commit")
        world.lane._audit._task.cancel()

    world.database.backend = AfterRepair(world.database.backend, end_it)
    now = world.clock.now()
    ask = (RequestKind.AUDIT, "desk", Wanted(repair=True).as_arguments(), "tester", now)
    asked = await world.database.write(lambda c: requests.ask(c, *ask))
    await world.sync()
    request = await world.database.read(lambda c: requests.find(c, asked))
    assert (request.state, request.progress["tickets"], request.progress["repaired"]) == (RequestState.RUNNING, 1, 2)
    await world.sync(15)
    request = await world.database.read(lambda c: requests.find(c, asked))
    found = Progress.from_dict(request.result)
    assert (request.state, found.tickets, found.links, found.repaired) == (RequestState.DONE, 3, 4, 2)
    assert [(one["kind"], one["repaired"]) for one in found.findings] == [("missing", True)] * 2
    assert world.sent() == ["lost", "lost"]


async def test_an_audit_that_has_ended_is_not_begun_again_by_a_turn_that_looked_before(world) -> None:
    """A turn that began while it ran knows it as running; its report stays as it is."""
    await world.begin()
    await world.link(world.ticket())
    await world.sync()
    found = await audit(world)
    (request,) = await world.database.read(lambda c: [requests.find(c, 1)])
    before = len(world.helpdesk.requests)
    world.lane._audit.begin([replace(request, state=RequestState.RUNNING, progress=Progress().as_dict())])
    await world.lane._audit.wait()
    again = await world.database.read(lambda c: requests.find(c, 1))
    assert (found.tickets, again, len(world.helpdesk.requests)) == (1, request, before)


async def test_an_audit_steps_aside_for_a_sweep(world) -> None:
    """While its system is being swept an audit reads a ticket now and then, and no more."""
    tickets = [world.ticket(str(number)) for number in range(4)]
    await world.begin()
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    now = world.clock.now()
    ask = (RequestKind.AUDIT, "desk", Wanted().as_arguments(), "tester", now)
    await world.database.write(lambda c: requests.ask(c, *ask))
    await world.sweep()
    world.lane.busy = True
    before = sum("/replies" in one for one in world.helpdesk.requests)
    await world.clock.sleep(21)
    assert sum("/replies" in one for one in world.helpdesk.requests) - before <= 3
    world.lane.busy = False
    await world.clock.sleep(5)
    assert sum("/replies" in one for one in world.helpdesk.requests) - before >= 3


async def test_a_link_whose_ticket_is_looked_for_in_vain_is_not_accounted_for(world) -> None:
    """One that waits to be looked up is counted; one that failed at it for a while is named."""
    await world.begin()
    link_id = await world.link(world.ticket())
    later = world.clock.now() + timedelta(days=1)
    await world.database.write(lambda c: link_changes.postpone(c, link_id, later))
    assert ((await audit(world)).unresolved, kinds(await audit(world))) == (1, [])
    world.clock.loop.move_time(1000)
    (named,) = (await audit(world)).findings
    assert (named["kind"], named["link_id"], named["reason"]) == ("unread", link_id, "its ticket was not found yet")


async def test_links_ledger_and_outbox_are_read_alike_from_both_databases(database) -> None:
    """SQLite and PostgreSQL tell the same of tickets, of the newest delivery of a reply, and of what was delivered."""
    later = NOW + timedelta(minutes=1)
    for thread, ticket in ((500, "t2"), (501, "t1"), (502, "t2"), (503, None)):
        new = NewLink(Thread("berlin", 7, thread), "desk", TicketRef(number=f"HD-{thread}"), NOW)
        link_id = (await database.write(lambda c: links.add(c, new, NOW))).link_id  # noqa: B023 - awaited at once
        if ticket is None:
            await database.write(lambda c: link_changes.postpone(c, link_id, later))  # noqa: B023 - awaited at once
        else:
            found = Ticket(ticket, ticket.upper())
            await database.write(lambda c: link_changes.resolve(c, link_id, found, ThreadStatus.ONGOING, NOW))  # noqa: B023
    scope = await database.read(lambda c: stored_side.count_scope(c, "desk"))
    assert (scope.tickets, scope.unresolved, [link.id for link in scope.failing]) == (2, 1, [4])
    assert await database.read(lambda c: stored_side.tickets_after(c, "desk", "", 5)) == ["t1", "t2"]
    assert await database.read(lambda c: stored_side.tickets_after(c, "desk", "t1", 5)) == ["t2"]
    assert [one.id for one in await database.read(lambda c: stored_side.links_of_ticket(c, "desk", "t2"))] == [1, 3]
    await database.write(lambda c: replies.store_collected(c, TWICE_SENT, NOW))
    assert await database.read(lambda c: stored_side.held(c, 1, "desk", ["r1", "r2", "r3"])) == {
        "r1": Held(Disposition.DELIVERY, HeldDelivery(1, DeliveryState.DELIVERED, None, None, NOW, NOW), "newer"),
        "r2": Held(Disposition.OLDER),
    }
    (link,) = await database.read(lambda c: links.by_ids(c, [1]))
    for before, ids in ((later, {"r1"}), (NOW, set())):
        assert set(await database.read(lambda c: stored_side.delivered_before(c, link, "T2", before))) == ids  # noqa: B023


DELIVERED = NewDelivery("r1", None, "older", NOW, state=DeliveryState.DELIVERED)
TWICE_SENT = Collected(
    1, 1, "desk", NOW,
    entries=(Entry("r1", Disposition.DELIVERY, DELIVERED), Entry("r2", Disposition.OLDER)),
    corrections=(replace(DELIVERED, kind=DeliveryKind.CORRECTION, fingerprint="newer"),),
    ticket=Ticket("t2", "T2"),
)  # fmt: skip
