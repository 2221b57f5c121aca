"""Polling, from a helpdesk to the outbox and on to the API, in virtual time."""

import dataclasses
from datetime import timedelta

import pytest

from syncd.model.link import THE_START, Cause, LinkState
from syncd.store import health, link_changes


async def test_a_customers_reply_arrives_once_with_all_its_fields(world) -> None:
    """A reply made after the link is delivered once, with direction, agent, channel, time and plain text."""
    ticket = world.ticket("Locker", "My locker does not open.")
    world.helpdesk.assign(ticket.id, "Peter Meyer")
    await world.begin()
    await world.link(ticket, thread=11)
    await world.sync()
    world.helpdesk.customer_reply(ticket.id, "It is number 12.")
    await world.sync()
    await world.sync()
    (sent,) = world.sandbox.communications
    assert sent.thread_id == 11
    assert sent.customer_id == 7
    assert sent.body["content"] == "It is number 12."
    assert sent.body["subject"] == "Locker"
    assert sent.body["communicationDirection"] == "INCOMING"
    assert sent.body["communicationChannel"] == "EMAIL"
    assert sent.body["agent"] == "Peter Meyer"
    assert sent.body["ticketNumber"] == ticket.number
    assert sent.body["ticketLink"] == world.helpdesk.link(ticket)
    assert sent.body["communicationDateTime"].endswith("[Europe/Berlin]")
    assert await world.states() == {"delivered": 1}


async def test_a_record_that_spoils_the_feed_stops_no_other_ticket(world) -> None:
    """Where one ticket's record makes no sense, in the feed and in bulk, the others go on; mended, it goes on too."""
    odd, fine = world.ticket("Odd", "text"), world.ticket("Fine", "text")
    await world.begin()
    for ticket in (odd, fine):
        await world.link(ticket)
    await world.sync()
    odd.status = ["not", "a", "text"]
    for ticket in (odd, fine):
        world.helpdesk.customer_reply(ticket.id, f"about {ticket.subject}")
    for _ in range(4):
        await world.sync()
        await world.pass_time(170)
    assert world.sent() == ["about Fine"]
    world.helpdesk.customer_reply(fine.id, "still there?")
    await world.pass_time(170)
    await world.sync()
    assert world.sent() == ["about Fine", "still there?"]
    odd.status = "open"
    await world.pass_time(170)
    await world.sync()
    assert world.sent() == ["about Fine", "still there?", "about Odd"]


async def test_replies_of_a_thread_arrive_in_order(world) -> None:
    """Ten replies of one ticket, in one sweep, arrive in the order in which they were written."""
    ticket = world.ticket("Order", "first")
    await world.begin()
    await world.link(ticket)
    await world.sync()
    for number in range(10):
        world.helpdesk.customer_reply(ticket.id, f"reply {number}")
    await world.sync()
    assert world.sent() == [f"reply {number}" for number in range(10)]


async def test_an_internal_note_never_leaves_until_it_is_published(world) -> None:
    """An internal note is withheld; published later, it becomes a delivery."""
    ticket = world.ticket("Note", "text")
    await world.begin()
    await world.link(ticket)
    note = world.helpdesk.internal_note(ticket.id, "the customer calls often")
    await world.sync()
    assert world.sent() == []
    world.helpdesk.publish(note.id)
    await world.sync()
    assert world.sent() == ["the customer calls often"]


async def test_from_now_leaves_older_replies_where_they_are(world) -> None:
    """A link from now sends nothing that was written before it; from the start it sends all, the first too."""
    ticket = world.ticket("Old", "first message")
    world.helpdesk.agent_reply(ticket.id, "old answer", at=world.clock.now() - timedelta(minutes=5))
    await world.pass_time(5)
    await world.begin()
    await world.link(ticket, thread=1)
    await world.link(ticket, thread=2, from_at=THE_START)
    await world.sync()
    assert world.sent(1) == []
    assert world.sent(2) == ["first message", "old answer"]


async def test_a_reply_of_the_very_second_of_the_link_counts_as_new(world) -> None:
    """Vendors keep seconds, so what was written in the second of the registration is sent."""
    await world.begin()
    await world.pass_time(1 - world.clock.now().microsecond / 1e6)
    ticket = world.helpdesk.create_ticket("Same second", "first message")
    await world.pass_time(0.4)
    await world.link(ticket)
    await world.sync()
    assert world.sent() == ["first message"]


async def test_a_ticket_may_be_linked_to_several_threads(world) -> None:
    """Each thread gets its own copy of a reply, once."""
    ticket = world.ticket("Two", "text")
    await world.begin()
    await world.link(ticket, thread=1)
    await world.link(ticket, thread=2, api="hamburg")
    await world.sync()
    world.helpdesk.agent_reply(ticket.id, "answer")
    await world.sync()
    await world.sync()
    assert world.sent(1) == ["answer"]
    assert world.sent(2) == ["answer"]


async def test_a_link_removed_and_added_again_sends_nothing_twice(world) -> None:
    """The ledger outlives a link."""

    ticket = world.ticket("Again", "text")
    await world.begin()
    link_id = await world.link(ticket, thread=5, from_at=THE_START)
    await world.sync()
    assert world.sent() == ["text"]
    now = world.clock.now()
    await world.database.write(lambda c: link_changes.remove(c, link_id, now))
    again = await world.link(ticket, thread=5, from_at=THE_START)
    assert again != link_id
    await world.sync()
    assert world.sent() == ["text"]


async def test_what_was_replied_while_nothing_ran_arrives_after_the_start(world) -> None:
    """A reply made while the daemon was down is found and delivered after its next start."""
    ticket = world.ticket("Down", "text")
    await world.begin()
    await world.link(ticket)
    await world.sync()
    await world.end()
    world.helpdesk.customer_reply(ticket.id, "anybody there?")
    await world.pass_time(3600)
    await world.begin()
    await world.sync()
    assert world.sent() == ["anybody there?"]


async def test_a_closed_ticket_closes_its_thread_with_a_note(world) -> None:
    """A ticket that is closed without a reply sends one status note, and no second one."""
    ticket = world.ticket("Close", "text")
    await world.begin()
    await world.link(ticket)
    await world.sync()
    world.helpdesk.set_status(ticket.id, "closed")
    await world.sync()
    await world.sync()
    (note,) = world.sandbox.communications
    assert note.body["communicationThreadStatus"] == "CLOSED"
    assert note.body["content"] == "The ticket was closed."
    assert note.body["communicationChannel"] == "OTHER"
    assert note.body["communicationDirection"] == "OUTGOING"


async def test_a_reply_that_carries_the_status_makes_a_note_needless(world) -> None:
    """An answer and a close in one sweep are one communication, which closes the thread."""
    ticket = world.ticket("Close", "text")
    await world.begin()
    await world.link(ticket)
    await world.sync()
    world.helpdesk.agent_reply(ticket.id, "done")
    world.helpdesk.set_status(ticket.id, "closed")
    await world.sync()
    await world.sync()
    assert [(one.body["content"], one.body["communicationThreadStatus"]) for one in world.sandbox.communications] == [
        ("done", "CLOSED")
    ]


async def test_the_status_at_registration_is_the_baseline(world) -> None:
    """A link to a ticket that is closed already makes no note; reopening it does."""
    ticket = world.ticket("Closed", "text")
    world.helpdesk.set_status(ticket.id, "closed")
    await world.pass_time(2)
    await world.begin()
    await world.link(ticket)
    await world.sync()
    assert world.sandbox.communications == []
    world.helpdesk.set_status(ticket.id, "open")
    await world.sync()
    (note,) = world.sandbox.communications
    assert note.body["communicationThreadStatus"] == "ONGOING"


@pytest.mark.parametrize(("policy", "expected"), [("never", []), ("closed", []), ("all", ["ONGOING"])])
async def test_status_notes_follow_the_policy(world, policy, expected) -> None:
    """A change that neither closes nor reopens makes a note under `all` alone."""
    ticket = world.ticket("Policy", "text")
    await world.begin(status_notes=policy)
    await world.link(ticket)
    await world.sync()
    world.helpdesk.set_status(ticket.id, "pending")
    await world.sync()
    assert [one.body["communicationThreadStatus"] for one in world.sandbox.communications] == expected


async def test_an_automatic_message_is_skipped_unless_configured(world) -> None:
    """What a program wrote stays here, with its reason in the ledger; `automatic_messages` sends it."""
    ticket = world.ticket("Auto", "text")
    await world.begin()
    await world.link(ticket)
    await world.sync()
    world.helpdesk.automatic_reply(ticket.id, "we have received your message")
    await world.sync()
    assert world.sent() == []
    await world.end()
    await world.begin(automatic_messages=True)
    world.helpdesk.automatic_reply(ticket.id, "your ticket has a number")
    await world.sync()
    assert world.sent() == ["your ticket has a number"]


async def test_a_deleted_and_a_forbidden_ticket_are_reported_and_stop_nobody(world) -> None:
    """Their links are suspended with the cause; the replies of others arrive."""
    gone, hidden, good = (world.ticket(name, name) for name in ("gone", "hidden", "good"))
    await world.begin()
    ids = [await world.link(ticket) for ticket in (gone, hidden, good)]
    await world.sync()
    world.helpdesk.delete(gone.id)
    world.helpdesk.forbid(hidden.id)
    world.helpdesk.customer_reply(good.id, "still here")
    await world.sync()
    states = [await world.get_link(link_id) for link_id in ids]
    assert [link.state for link in states] == [LinkState.SUSPENDED, LinkState.SUSPENDED, LinkState.ACTIVE]
    assert [link.cause for link in states] == [Cause.TICKET_GONE, Cause.TICKET_FORBIDDEN, None]
    assert world.sent() == ["still here"]


async def test_a_merged_ticket_suspends_its_link_or_is_followed(world) -> None:
    """Suspended by default; with `on_merge = "follow"` the link goes on with the other ticket, and nothing is twice."""
    source, target = (world.ticket(name, name) for name in ("source", "target"))
    await world.begin()
    link_id = await world.link(source)
    await world.sync()
    world.helpdesk.customer_reply(source.id, "before the merge")
    await world.sync()
    world.helpdesk.merge(source.id, target.id)
    await world.sync()
    link = await world.get_link(link_id)
    assert (link.state, link.cause, link.merged_into) == (LinkState.SUSPENDED, Cause.TICKET_MERGED, target.id)
    await world.end()
    await world.begin(on_merge="follow")

    now = world.clock.now()
    await world.database.write(lambda c: link_changes.resume(c, link_id, now))
    await world.sync()
    await world.pass_time(2)
    world.helpdesk.agent_reply(target.id, "after the merge")
    await world.sync()
    assert (await world.get_link(link_id)).ticket.id == target.id
    assert world.sent() == ["before the merge", "after the merge"]


async def test_an_unknown_number_is_listed_and_stops_nobody(world) -> None:
    """A link to a ticket that is not there is suspended with the reason."""

    good = world.ticket("good", "text")
    await world.begin()
    bad_id = await world.link(dataclasses.replace(good, number="HD-99999"))
    await world.link(good)
    await world.sync()
    world.helpdesk.customer_reply(good.id, "hello")
    await world.sync()
    assert (await world.get_link(bad_id)).state is LinkState.SUSPENDED
    assert world.sent() == ["hello"]


async def test_a_link_added_while_the_feed_runs_misses_nothing(world) -> None:
    """What was written between registration and the first reading arrives, though the feed is past it."""
    other, late = (world.ticket(name, name) for name in ("other", "late"))
    await world.begin()
    await world.link(other)
    await world.sync()
    await world.pass_time(7200)
    link_id = await world.link(late)
    world.helpdesk.customer_reply(late.id, "just after")
    world.helpdesk.customer_reply(other.id, "meanwhile")
    await world.pass_time(5)
    await world.sync()
    assert sorted(world.sent()) == ["just after", "meanwhile"]
    assert (await world.get_link(link_id)).state is LinkState.ACTIVE


async def test_a_reply_edited_while_it_waits_is_sent_in_its_newest_text(world) -> None:
    """The delivery that waits takes the new text."""
    ticket = world.ticket("Edit", "text")
    await world.begin(api_mode="hold")
    await world.link(ticket)
    await world.sync()
    reply = world.helpdesk.agent_reply(ticket.id, "tomorow")
    await world.sync()
    world.helpdesk.edit(reply.id, "tomorrow")
    await world.sync()
    await release(world)
    assert world.sent() == ["tomorrow"]


@pytest.mark.parametrize("withdraw", ["publish", "delete_reply"])
async def test_a_reply_withdrawn_while_it_waits_is_not_sent(world, withdraw) -> None:
    """What is internal or deleted by the time it would be sent is skipped, with the reason."""
    ticket = world.ticket("Withdraw", "text")
    await world.begin(api_mode="hold")
    await world.link(ticket)
    await world.sync()
    reply = world.helpdesk.agent_reply(ticket.id, "a slip")
    world.helpdesk.agent_reply(ticket.id, "the answer")
    await world.sync()
    if withdraw == "publish":
        world.helpdesk.publish(reply.id, public=False)
    else:
        world.helpdesk.delete_reply(reply.id)
    await world.pass_time(11 * 60)
    await release(world)
    assert world.sent() == ["the answer"]
    (skipped,) = await world.deliveries(state="skipped")
    assert skipped.reason.startswith("withdrawn")


async def test_what_has_waited_long_is_read_again_before_it_is_sent(world) -> None:
    """After ten minutes a delivery is held against its ticket once more, though no sweep has seen the edit."""
    ticket = world.ticket("Stale", "text")
    await world.begin(api_mode="hold")
    await world.link(ticket)
    await world.sync()
    reply = world.helpdesk.agent_reply(ticket.id, "draft")
    await world.sync()
    await world.pass_time(11 * 60)
    world.helpdesk.edit(reply.id, "final")
    before = len(world.helpdesk.requests)
    await release(world)
    assert world.sent() == ["final"]
    assert len(world.helpdesk.requests) == before + 1


async def release(world) -> None:
    """Let a held api send."""

    now = world.clock.now()
    await world.database.write(lambda c: health.release_api(c, "berlin", now))
    await world.pass_time(5)


@pytest.mark.parametrize(("on_edit", "expected"), [("ignore", ["typo"]), ("correction", ["typo", "no typo"])])
async def test_an_edit_after_delivery_follows_the_policy(world, on_edit, expected) -> None:
    """Ignored by default; with `correction` the new text is sent once, as a delivery of its own."""
    ticket = world.ticket("Edit", "text")
    await world.begin(on_edit=on_edit)
    await world.link(ticket)
    await world.sync()
    reply = world.helpdesk.agent_reply(ticket.id, "typo")
    await world.sync()
    world.helpdesk.edit(reply.id, "no typo")
    await world.sync()
    await world.sync()
    assert world.sent() == expected


@pytest.mark.parametrize("fault", ["answer_html", "answer_error", "fail", "throttle"])
async def test_a_vendor_that_fails_concludes_nothing(world, fault) -> None:
    """HTML, an error in a 200, a 5xx or a 429 fail the sweep; the next good one brings everything."""
    ticket = world.ticket("Faults", "text")
    await world.begin()
    link_id = await world.link(ticket)
    await world.sync()
    world.helpdesk.customer_reply(ticket.id, "hello?")
    if fault == "throttle":
        world.helpdesk.faults.throttle(300, times=1)
    else:
        getattr(world.helpdesk.faults, fault)(times=20)
    await world.sweep()
    assert (await world.get_link(link_id)).state is LinkState.ACTIVE
    world.helpdesk.faults.__init__()
    await world.pass_time(1000)
    await world.sync()
    assert world.sent() == ["hello?"]


async def test_refused_credentials_pause_the_system_and_it_recovers(world) -> None:
    """A 401 pauses the system with its reason; once the token is right again it goes on by itself."""

    ticket = world.ticket("Token", "text")
    await world.begin()
    await world.link(ticket)
    await world.sync()
    token, world.helpdesk.token = world.helpdesk.token, "another"
    world.helpdesk.customer_reply(ticket.id, "hello?")
    await world.sync()
    state = await world.database.read(lambda c: health.get_system(c, "desk"))
    assert state.paused_by == "syncd"
    assert token not in state.reason
    world.helpdesk.token = token
    await world.pass_time(301)
    await world.sync()
    state = await world.database.read(lambda c: health.get_system(c, "desk"))
    assert state.paused_by is None
    assert world.sent() == ["hello?"]


async def test_an_idle_sweep_over_many_links_is_one_request(world) -> None:
    """Where a feed names what changed, nothing is asked about tickets that did not."""
    tickets = [world.ticket(f"ticket {number}", "text") for number in range(30)]
    await world.begin()
    for ticket in tickets:
        await world.link(ticket)
    await world.sync()
    await world.sync()
    before = len(world.helpdesk.requests)
    await world.sync()
    assert len(world.helpdesk.requests) - before == 1
