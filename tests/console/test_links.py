"""`syncd links`: registering, listing, resuming and removing, without a ticketing system."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from syncd.console.links import parse_from
from syncd.model.clock import SystemClock
from syncd.model.delivery import DeliveryState
from syncd.model.errors import UsageError
from syncd.model.link import THE_START, Cause
from syncd.store import link_changes, links

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
FIELDS = {
    "id",
    "api",
    "customer_id",
    "thread_id",
    "system",
    "ticket_number",
    "ticket_link",
    "ticket_id",
    "state",
    "cause",
    "reason",
    "merged_into",
    "from",
    "registered_at",
    "collected_at",
    "newest_reply_at",
    "vendor_status",
    "status",
    "status_sent",
    "failures",
}


def add(syncd, *more, api="berlin", thread=2, system="desk", ticket=("--ticket-number", "HD-1")):
    """Call `links add` without waiting for the ticket."""
    where = ("--api", api, "--customer", 1, "--thread", thread, "--system", system)
    return syncd("links", "add", *where, *ticket, "--no-wait", *more)


def test_a_link_is_registered_from_now_on(syncd_on_both):
    """`links add` stores an unresolved link whose replies count from the instant of registering."""
    before = SystemClock().now()
    ran = add(syncd_on_both)
    assert ran.code == 0
    assert ran.out.startswith("link 1 added: ticket HD-1 of desk -> thread 2 of customer 1 at berlin, unresolved")
    (link,) = syncd_on_both("links", "list", "--json").json
    assert set(link) == FIELDS
    assert (link["state"], link["ticket_number"], link["ticket_id"]) == ("unresolved", "HD-1", None)
    assert before <= datetime.fromisoformat(link["from"]) <= SystemClock().now()


def test_registering_the_same_again_changes_nothing(syncd_on_both):
    """The second time says so and exits with 0; there is still one link."""
    add(syncd_on_both)
    ran = add(syncd_on_both)
    assert (ran.code, "link 1 was there already" in ran.out) == (0, True)
    assert len(syncd_on_both("links", "list", "--json").json) == 1


def test_a_thread_with_another_link_is_refused(syncd_on_both):
    """A thread has one link; the message names it and how to remove it."""
    add(syncd_on_both)
    ran = add(syncd_on_both, ticket=("--ticket-number", "HD-2"))
    assert ran.code == 2
    assert "is linked to ticket HD-1 of desk (link 1)" in ran.err
    assert "syncd links remove 1" in ran.err


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"api": "berlim"}, "there is no [api.berlim] in the settings; did you mean berlin?"),
        ({"api": "zzz"}, "configured: berlin, hamburg"),
        ({"system": "desc"}, "there is no [systems.desc] in the settings; did you mean desk?"),
        ({"thread": 2**63}, "2^63-1"),
        ({"ticket": ()}, "--ticket-number or by --ticket-link"),
        ({"ticket": ("--ticket-number", " ")}, "--ticket-number or by --ticket-link"),
        ({"ticket": ("--ticket-number", "1", "--ticket-link", "https://x/1")}, "one of them"),
    ],
)
def test_what_cannot_be_registered_is_told_and_changes_nothing(syncd, wrong, words):
    """Unknown names, ids out of range and ambiguous tickets exit with 2."""
    ran = add(syncd, **wrong)
    assert (ran.code, words in ran.err) == (2, True)
    assert syncd("links", "list", "--json").json == []


def test_from_start_wants_everything(syncd):
    """`--from start` is said in words, and stored as the earliest instant."""
    add(syncd, "--from", "start")
    assert syncd("links", "list", "--json").json[0]["from"] == THE_START.isoformat()
    assert "the start" in syncd("links", "list").out


def test_from_without_a_zone_is_a_time_of_the_configured_one_and_said_to_be(syncd):
    """8 o'clock in Berlin in May is 6 o'clock UTC."""
    ran = add(syncd, "--from", "2026-05-01T08:00")
    assert "it is taken as a time of Europe/Berlin" in ran.err
    assert syncd("links", "list", "--json").json[0]["from"] == "2026-05-01T06:00:00+00:00"


def test_from_words_and_instants():
    """`now`, `start`, an instant with its own zone; anything else is refused with the words that may be said."""
    berlin = ZoneInfo("Europe/Berlin")
    assert parse_from("now", NOW, berlin) == (NOW, False)
    assert parse_from("start", NOW, berlin) == (THE_START, False)
    assert parse_from("2026-04-30T10:00:00+02:00", NOW, berlin) == (datetime(2026, 4, 30, 8, tzinfo=UTC), False)
    assert parse_from("2026-04-30", NOW, berlin) == (datetime(2026, 4, 29, 22, tzinfo=UTC), True)
    with pytest.raises(UsageError, match="or `now`, or `start`"):
        parse_from("yesterday", NOW, berlin)


def test_lists_hold_what_was_asked_for(syncd_on_both, lines):
    """State, system, api, ticket and limit narrow the list; the plain table has every link on one line."""
    syncd = syncd_on_both
    syncd.link(500)
    syncd.link(501, system="other", number="HD-2")
    syncd.link(502, api="hamburg", number="A-very-long-ticket-number-that-no-table-may-cut-" + "x" * 100)

    def listed(*options):
        return [link["thread_id"] for link in syncd("links", "list", "--json", *options).json]

    assert listed() == [500, 501, 502]
    assert listed("--limit", 2) == [500, 501]
    assert listed("--system", "other") == [501]
    assert listed("--api", "hamburg") == [502]
    assert listed("--ticket", "HD-1") == [500]
    assert listed("--ticket", "id-HD-2") == [501]
    assert listed("--state", "active") == [500, 501, 502]
    assert listed("--state", "removed") == []
    (line,) = lines(syncd("links", "list").out, "hamburg")
    assert line.split()[3].endswith("x" * 100)


def test_a_link_is_shown_in_full(syncd):
    """`links show` tells ticket and status; an unknown id is a usage error."""
    link_id = syncd.link()
    out = syncd("links", "show", link_id).out
    assert "Locker" in out
    assert "ONGOING" in out
    assert set(syncd("links", "show", link_id, "--json").json) == FIELDS
    ran = syncd("links", "show", 99)
    assert (ran.code, "there is no link 99" in ran.err) == (2, True)


def test_vendor_text_cannot_do_anything_to_a_terminal(syncd):
    """Escape sequences and line ends in a subject are shown, not sent."""
    link_id = syncd.link(number="HD-\x1b[2J1\u202e\n")
    for command in (("links", "list"), ("links", "show", link_id), ("links", "list", "--json")):
        out = syncd(*command).out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "\\x1b" in out or "\\u001b" in out


def test_a_suspended_link_is_resumed_and_the_decision_kept(syncd_on_both):
    """`links resume` makes it active and due; a link that is not suspended is refused."""
    syncd = syncd_on_both
    link_id = syncd.link()
    assert syncd("links", "resume", link_id).code == 2
    syncd.stored(lambda c: link_changes.suspend(c, link_id, Cause.TICKET_GONE, "ticket HD-1 is gone"))
    assert f"syncd links resume {link_id}" in syncd("links", "show", link_id).out
    assert syncd("links", "resume", link_id).out.startswith(f"link {link_id} is active")
    link = syncd.stored(lambda c: links.find(c, link_id))
    assert (link.state, link.cause, link.collect_due_at is not None) == ("active", None, True)


def test_following_without_a_merge_is_refused(syncd):
    """`--follow` needs a ticket that was merged into another."""
    link_id = syncd.link()
    syncd.stored(lambda c: link_changes.suspend(c, link_id, Cause.TICKET_GONE, "ticket HD-1 is gone"))
    ran = syncd("links", "resume", link_id, "--follow")
    assert (ran.code, "another reason than a merge" in ran.err) == (2, True)


def test_a_merged_ticket_is_named_when_its_link_is_resumed_as_it_is(syncd):
    """Resuming without --follow says how to go on at the other ticket."""
    link_id = syncd.link()
    syncd.stored(lambda c: link_changes.suspend(c, link_id, Cause.TICKET_MERGED, "merged", merged_into="9"))
    assert "--follow" in syncd("links", "show", link_id).out
    assert f"syncd links resume {link_id} --follow" in syncd("links", "resume", link_id).err


def test_removing_skips_what_waits_and_keeps_the_rest(syncd_on_both):
    """`links remove` skips the pending deliveries of this link alone; a second time changes nothing."""
    syncd = syncd_on_both
    link_id, other = syncd.link(500), syncd.link(501, number="HD-2")
    pending, parked = syncd.deliver(link_id, "r1"), syncd.deliver(link_id, "r2", DeliveryState.PARKED)
    elsewhere = syncd.deliver(other, "r3")
    ran = syncd("links", "remove", link_id, "--yes")
    assert (ran.code, ran.out) == (0, f"link {link_id} is removed; 1 delivery skipped\n")
    assert [syncd.state_of(one) for one in (pending, parked, elsewhere)] == ["skipped", "parked", "pending"]
    assert syncd("links", "remove", link_id, "--yes").out == f"link {link_id} was removed before\n"


def test_removing_asks_before_it_skips(syncd):
    """Where nobody can be asked it says what would be skipped, and does nothing without --yes."""
    link_id = syncd.link()
    delivery_id = syncd.deliver(link_id, "r1")
    ran = syncd.process("links", "remove", link_id)
    assert (ran.code, "skips 1 waiting delivery" in ran.err) == (2, True)
    assert syncd.state_of(delivery_id) == "pending"
