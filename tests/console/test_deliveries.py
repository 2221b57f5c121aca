"""`syncd deliveries`: lists, one in full, and the decisions of a person."""

from datetime import UTC, datetime

import pytest

from syncd.console.context import who
from syncd.model.delivery import DeliveryState
from syncd.store import marking, outbox

FIELDS = [
    "id",
    "kind",
    "link_id",
    "api",
    "customer_id",
    "thread_id",
    "system",
    "ticket_number",
    "reply_id",
    "state",
    "reason",
    "attempts",
    "created_at",
    "communication_id",
]
NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)


@pytest.fixture
def three(syncd_on_both):
    """Return the program with a pending, an in-doubt and a parked delivery, in this order from id 1 on."""
    link_id = syncd_on_both.link()
    for reply_id, state in (("r1", "pending"), ("r2", "in_doubt"), ("r3", "parked")):
        syncd_on_both.deliver(link_id, reply_id, DeliveryState(state), reason=f"why {reply_id}")
    return syncd_on_both


def test_the_list_is_an_array_with_the_promised_fields(three):
    """`deliveries list --json` is one array of objects with exactly these fields, in this order."""
    listed = three("deliveries", "list", "--json").json
    assert [list(item) for item in listed] == [FIELDS] * 3
    assert listed[1] | {"created_at": None} == {
        "id": 2,
        "kind": "reply",
        "link_id": 1,
        "api": "berlin",
        "customer_id": 7,
        "thread_id": 500,
        "system": "desk",
        "ticket_number": "HD-1",
        "reply_id": "r2",
        "state": "in_doubt",
        "reason": "why r2",
        "attempts": 0,
        "created_at": None,
        "communication_id": None,
    }
    assert datetime.fromisoformat(listed[1]["created_at"]).tzinfo is not None


def test_the_list_holds_what_was_asked_for(three):
    """State, api, system, ticket and limit narrow it."""

    def listed(*options):
        return [item["id"] for item in three("deliveries", "list", "--json", *options).json]

    assert listed("--state", "in_doubt") == [2]
    assert listed("--limit", 2) == [1, 2]
    assert listed("--api", "berlin", "--system", "desk", "--ticket", "HD-1") == [1, 2, 3]
    assert listed("--api", "hamburg") == listed("--system", "other") == listed("--ticket", "HD-2") == []
    assert "content of" not in three("deliveries", "list").out


def test_one_is_shown_in_full_with_its_contents_and_attempts(three):
    """`deliveries show` has the message, the attempts with their evidence, and what to do."""
    syncd = three
    outgoing = syncd.stored(lambda c: outbox.find_outgoing(c, 1))
    syncd.stored(lambda c: marking.mark_sending(c, outgoing, NOW, "worker:1"))
    ran = syncd("deliveries", "show", 1)
    assert "content of r1" in ran.out
    assert "on the wire" in ran.out
    assert "Look into thread 500 of customer 7" in syncd("deliveries", "show", 2).out
    shown = syncd("deliveries", "show", 1, "--json").json
    assert (shown["message"]["content"], shown["attempts"][0]["number"]) == ("content of r1", 1)
    missing = syncd("deliveries", "show", 99)
    assert (missing.code, "there is no delivery 99" in missing.err) == (2, True)


def test_contents_keep_their_lines_and_lose_their_escape_sequences(syncd):
    """What a vendor wrote is shown line by line, and can do nothing to a terminal."""
    delivery_id = syncd.deliver(syncd.link(), "r1", content="first\nsecond \x1b]0;title\x07 \u202e\x9b2J")
    out = syncd("deliveries", "show", delivery_id).out
    assert "  first\n  second \\x1b]0;title\\x07 \\u202e\\x9b2J\n" in out


@pytest.mark.parametrize(
    ("option", "state"), [("--delivered", "delivered"), ("--resend", "pending"), ("--skip", "skipped")]
)
def test_a_delivery_in_doubt_is_resolved_and_the_decision_kept(three, option, state):
    """Each way has its state, and who decided and why stays in the records."""
    ran = three("deliveries", "resolve", 2, option, "--reason", "looked into the thread")
    assert (ran.code, "1 delivery (2)" in ran.out) == (0, True)
    found = three.in_full(2)
    assert found.item.state == state
    ((at, name, action, reason),) = found.decisions
    assert (name, action, reason) == (who({}), f"resolve {option[2:]}", "looked into the thread")
    assert at.tzinfo is not None


def test_several_are_decided_together_or_not_at_all(three):
    """One that is not in doubt stops all of them, and nothing was changed."""
    ran = three("deliveries", "resolve", 2, 1, "--skip", "--reason", "x")
    assert ran.code == 2
    assert ran.err == (
        "Error: delivery 1 is pending, not in doubt; only what is in doubt is resolved. Nothing was changed.\n"
    )
    assert (three.state_of(2), three.in_full(2).decisions) == ("in_doubt", ())


@pytest.mark.parametrize(
    "arguments",
    [
        ("resolve", 2, "--reason", "x"),
        ("resolve", 2, "--skip", "--resend", "--reason", "x"),
        ("resolve", 2, "--skip"),
        ("resolve", 2, "--skip", "--reason", " "),
        ("resolve", 99, "--skip", "--reason", "x"),
        ("retry", 2, "--reason", "x"),
        ("skip", 2, "--reason", "x"),
        ("edit", 2, "--reason", "x", "--content", "new"),
        ("edit", 3, "--reason", "x"),
        ("edit", 3, "--reason", "x", "--content", " \u200b\n"),
        ("edit", 3, "--reason", "x", "--content", "a", "--content-file", "b"),
        ("edit", 3, "--reason", "x", "--content-file", "/nowhere.txt"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(three, arguments):
    """Decisions without a choice, a reason or a fitting state exit with 2."""
    ran = three("deliveries", *arguments)
    assert ran.code == 2
    assert ran.err.strip()
    assert [three.state_of(one) for one in (1, 2, 3)] == ["pending", "in_doubt", "parked"]


def test_parked_ones_are_retried_or_skipped(three):
    """`retry` queues again, `skip` leaves; both with a decision."""
    assert three("deliveries", "retry", 3, 1, "--reason", "mended").out == "to be tried now: 2 deliveries (3, 1)\n"
    assert three.state_of(3) == "pending"
    assert three("deliveries", "skip", 3, "--reason", "spam").code == 0
    assert three.state_of(3) == "skipped"
    assert [action for _, _, action, _ in three.in_full(3).decisions] == ["retry", "skip"]


def test_an_edit_replaces_the_text_and_queues(three):
    """Subject and content are cleaned like those of replies; what was not given stays."""
    ran = three("deliveries", "edit", 3, "--reason", "typo", "--content", "new\r\ntext\x00 ")
    assert (ran.code, ran.out) == (0, "delivery 3 is changed and queued\n")
    found = three.in_full(3)
    assert (found.item.state, found.message.subject, found.message.content) == ("pending", "Locker", "new\ntext\ufffd")
    assert three("deliveries", "edit", 3, "--reason", "typo", "--subject", "Key\nlost").code == 0
    assert three.in_full(3).message.subject == "Key lost"


def test_an_edit_takes_its_text_from_a_file(syncd):
    """A file or standard input, with or without a byte order mark."""
    delivery_id = syncd.deliver(syncd.link(), "r1", DeliveryState.PARKED)
    file = syncd.directory / "text.txt"
    file.write_bytes("\ufeffKöln\n".encode())
    assert syncd("deliveries", "edit", delivery_id, "--reason", "x", "--content-file", file).code == 0
    assert syncd.in_full(delivery_id).message.content == "Köln"
    ran = syncd.process("deliveries", "edit", delivery_id, "--reason", "x", "--content-file", "-", stdin=b"piped")
    assert (ran.code, syncd.in_full(delivery_id).message.content) == (0, "piped")
    file.write_bytes(b"K\xf6ln")
    assert syncd("deliveries", "edit", delivery_id, "--reason", "x", "--content-file", file).code == 2


def test_a_reply_that_could_not_be_mapped_is_given_a_message(syncd):
    """Without a message there is nothing to retry; a content and a direction make one."""
    delivery_id = syncd.deliver(syncd.link(), "r1", DeliveryState.PARKED, unmapped=True)
    assert "There is no text" in syncd("deliveries", "show", delivery_id).out
    assert "has no content to send" in syncd("deliveries", "retry", delivery_id, "--reason", "x").err
    assert "--direction" in syncd("deliveries", "edit", delivery_id, "--reason", "x", "--content", "hi").err
    edit = ("deliveries", "edit", delivery_id, "--reason", "x", "--content", "hi", "--direction", "OUTGOING")
    assert syncd(*edit).code == 0
    message = syncd.in_full(delivery_id).message
    assert (message.subject, message.content, message.direction) == ("Ticket HD-1", "hi", "OUTGOING")
