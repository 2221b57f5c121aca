"""`syncd audit` says whether both sides match, as lines and as JSON, and ends with 1 where they do not."""

import asyncio
from datetime import timedelta

from syncd.model.link import Cause
from syncd.store import health, link_changes, lists

COUNTS = {
    "links", "tickets", "replies", "delivered", "resolved", "assumed", "waiting", "in_doubt", "parked", "skipped",
    "internal", "not_yet_due", "held_back", "missing", "leaked", "unread", "edited", "hidden", "deleted", "repaired",
    "suspended", "unresolved", "failure",
}  # fmt: skip


async def linked(syncd, ends, *texts, thread_id=500):
    """Link a ticket from its start, have it read, and return it."""
    ticket = ends.ticket(*texts)
    await ends.link(ticket, thread_id)
    assert (await syncd.call("poll")).code == 0
    return ticket


def lose(ends, ticket, text):
    """Let an agent write what the list of changes does not tell, some hours after everything else."""
    ends.helpdesk.forgets_changes = True
    reply = ends.helpdesk.agent_reply(ticket.id, text, at=ends.clock.now() - timedelta(hours=3))
    ends.helpdesk.forgets_changes = False
    return reply


async def waiting(syncd):
    """Return the ids of the replies that wait, in order."""
    items = await asyncio.to_thread(syncd.stored, lambda c: lists.list_deliveries(c, state="pending"))
    return [item.reply_id for item in items]


async def test_both_sides_match(syncd, ends):
    """Where everything is accounted for the exit code is 0, and the summary says what became of it."""
    await linked(syncd, ends, "one", "two")
    ran = await syncd.call("audit")
    assert ran.code == 0, ran.out + ran.err
    head, row, skipped, verdict = ran.out.splitlines()
    counts = dict(zip(head.replace("in doubt", "in_doubt").replace("not ", "not_").split(), row.split(), strict=False))
    assert (counts["system"], counts["links"], counts["tickets"], counts["replies"]) == ("desk", "1", "1", "3")
    assert skipped == "desk: skipped: 1 first message, 2 older"
    assert verdict == "Both sides match."
    assert "desk: 1 of 1, 3 replies, 0 missing" in ran.err


async def test_what_is_missing_is_named_then_repaired_then_fine(syncd, ends):
    """Exit code 1 with ids and never a word of the reply; --repair queues it once; the next audit ends with 0."""
    ticket = await linked(syncd, ends, "one")
    reply = lose(ends, ticket, "the secret of the locker")
    ran = await syncd.call("audit")
    assert ran.code == 1
    assert "MISSING: public at the vendor, and neither sent nor waiting:" in ran.out
    assert f"- link 1, ticket HD-1 of desk, thread 500 of customer 7 at berlin, reply {reply.id} of " in ran.out
    assert "secret" not in ran.out + ran.err
    assert await waiting(syncd) == []
    repaired = await syncd.call("audit", "--repair")
    assert repaired.code == 1
    assert "(queued now)" in repaired.out
    assert "desk: 1 missing and queued now" in repaired.out
    await syncd.call("poll")  # a sweep looks at what is that old before it goes
    assert await waiting(syncd) == [reply.id]
    again = await syncd.call("audit", "--repair")
    assert again.code == 0, again.out
    assert await waiting(syncd) == [reply.id]


async def test_json_is_one_object_with_all_counts_and_findings(syncd, ends):
    """`systems` has every count of every system, `findings` an object each."""
    ticket = await linked(syncd, ends, "one")
    reply = lose(ends, ticket, "lost")
    ran = await syncd.call("audit", "--system", "desk", "--json")
    assert (ran.code, set(ran.json)) == (1, {"systems", "findings"})
    assert set(ran.json["systems"]["desk"]) == COUNTS
    assert ran.json["systems"]["desk"]["skipped"] == {"first message": 1, "older": 1}
    (finding,) = ran.json["findings"]
    assert finding == {
        "kind": "missing",
        "system": "desk",
        "link_id": 1,
        "api": "berlin",
        "customer_id": 7,
        "thread_id": 500,
        "ticket_number": "HD-1",
        "reply_id": reply.id,
        "at": reply.created_at.isoformat(),
        "reason": "nothing here knows it",
        "delivery_id": None,
        "communication_id": None,
        "repaired": False,
    }
    since = (ends.clock.now() - timedelta(hours=1)).isoformat()
    later = await syncd.call("audit", "--since", since, "--json")
    assert (later.code, later.json["findings"], later.json["systems"]["desk"]["replies"]) == (0, [], 0)


async def test_a_ticket_that_cannot_be_read_is_not_accounted_for(syncd, ends):
    """It is named with its reason, the others are audited all the same, and the exit code is 1."""
    bad = await linked(syncd, ends, "bad", thread_id=500)
    await linked(syncd, ends, "good", thread_id=501)
    bad.replies[1].format = "a form that the adapter does not know"
    ran = await syncd.call("audit")
    assert ran.code == 1
    assert "Not read, so not accounted for:" in ran.out
    assert "- link 1, ticket HD-1 of desk" in ran.out
    assert "desk: skipped: 1 first message, 1 older" in ran.out


async def test_a_system_that_is_left_out_is_not_accounted_for(syncd, ends):
    """One that a person has paused, and one that left the settings, are named where all are to be audited."""
    await linked(syncd, ends, "one")
    now = ends.clock.now()
    await asyncio.to_thread(syncd.stored, lambda c: health.pause_system(c, "desk", health.PERSON, "x", now, None))
    await asyncio.to_thread(lambda: syncd.link(501, system="gone"))
    ran = await syncd.call("audit", "--json")
    assert ran.code == 1
    failures = {name: one["failure"] for name, one in ran.json["systems"].items()}
    assert "syncd systems resume desk" in failures["desk"]
    assert "[systems.gone]" in failures["gone"]
    assert (await syncd.call("audit", "--system", "desk")).code == 2
    assert (await syncd.call("audit", "--since", "yesterday")).code == 2


def test_a_link_whose_replies_are_gone_is_listed_with_what_to_do(syncd):
    """`links list`, `links show` and `status` name it, and say what resuming it means."""
    link_id = syncd.link()
    reason = "since 2026-05-01T08:00:00+00:00 its ticket came 3 times without any of the replies that it had before"
    syncd.stored(lambda c: link_changes.suspend(c, link_id, Cause.REPLIES_GONE, reason))
    assert reason in syncd("links", "list", "--state", "suspended").out
    shown = syncd("links", "show", link_id).out
    assert "replies_gone" in shown
    assert f"syncd links resume {link_id}; its next reading is believed" in shown
    ran = syncd("status")
    assert (ran.code, reason in ran.out) == (1, True)
