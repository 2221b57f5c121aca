"""From the evidence about a delivery to sentences: why it is in doubt, what is known, what each decision risks."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from syncd.console.delivery_evidence import Why, judge
from syncd.model.communication import Channel, Direction, Message
from syncd.store.lists import AttemptItem, DeliveryInFull, DeliveryItem
from syncd.store.standing import DIED_REASON

NOON = datetime(2026, 5, 1, 10, tzinfo=UTC)
MESSAGE = Message("Locker", "the text", Direction.INCOMING, Channel.EMAIL, NOON)
UNANSWERED = "sent, but not answered: the server closed the connection without an answer"


def attempt(outcome: str = "in_doubt", **more) -> AttemptItem:
    """Return an attempt."""
    values = {"reached": "writing", "http_status": None, "error_text": UNANSWERED, "error_code": None}
    values |= {"trace_id": None, "duration_ms": 120, "request_bytes": 300, "answer_bytes": 0} | more
    return AttemptItem(id=1, number=1, reason="schedule", started_at=NOON, outcome=outcome, **values)


def found(*attempts: AttemptItem, state: str = "in_doubt", message: Message | None = MESSAGE, **more) -> DeliveryInFull:
    """Return a delivery in full."""
    item = DeliveryItem(
        **{
            "id": 1,
            "kind": "reply",
            "link_id": 1,
            "api": "berlin",
            "customer_id": 7,
            "thread_id": 500,
            "system": "desk",
            "ticket_number": "1",
            "reply_id": "r1",
            "state": state,
            "reason": "why",
            "attempts": len(attempts),
            "created_at": NOON,
            "communication_id": None,
            "occurred_at": NOON,
            "due_at": NOON,
        }
        | more
    )
    return DeliveryInFull(item, message, "ONGOING", "ONGOING", attempts, ())


@pytest.mark.parametrize(
    ("given", "why", "because", "reached", "known"),
    [
        (
            found(attempt()),
            Why.NO_ANSWER,
            "no answer came: the server closed the connection without an answer",
            "how much of it the API has read, nobody can say (300 bytes handed over)",
            "The API may have added it before the answer was lost",
        ),
        (
            found(attempt(error_text=DIED_REASON, duration_ms=None, request_bytes=None)),
            Why.PROCESS_ENDED,
            "the process ended between marking it as being sent and noting what came of it",
            "not known: it was marked as being sent",
            "Whether any of it left before the process ended is not known",
        ),
        (
            found(attempt(reached="answered", http_status=504, error_text="the answer was 504")),
            Why.UNCLEAR_ANSWER,
            "HTTP 504: what stands before the API gave up waiting for it",
            "it was written, and an answer came back",
            "The API itself has not answered, and may have added it",
        ),
        (
            found(attempt(reached="answered", http_status=408, error_text="the answer was 408")),
            Why.UNCLEAR_ANSWER,
            "HTTP 408: the server gave up waiting",
            "it was written, and an answer came back",
            "A 408 often means that it did not arrive whole, and proves nothing",
        ),
        (
            found(attempt(reached="answered", http_status=599, error_text="the answer was 599")),
            Why.UNCLEAR_ANSWER,
            "HTTP 599: an answer that does not say whether it was added",
            "it was written, and an answer came back",
            "Whether it was added is not known",
        ),
        (
            found(attempt("refused_for_now", http_status=500), reason="restored"),
            Why.RESTORED,
            "put back from a backup",
            "not known: no attempt of that time is in this database",
            "Whether it was sent after the backup is not known",
        ),
        (found(), Why.UNKNOWN, "why", "not known: no attempt", "Whether it was added is not known"),
    ],
)
def test_each_doubt_is_told_as_what_it_is(given, why, because, reached, known):
    """The reason, the wire, and in all three decisions what is known of it: no more than the evidence holds."""
    told = judge(given)
    assert told.why is why
    assert because in told.because
    assert reached in told.reached
    assert set(told.risks) == {"delivered", "resend", "skip"}
    assert all(known in sentence for sentence in told.risks.values())
    assert "lost" in told.risks["delivered"]
    assert "lost" in told.risks["skip"]
    assert "twice" in told.risks["resend"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"error_text": DIED_REASON}, "not known"),
        ({}, "nothing that could be read"),
        ({"http_status": 502}, "HTTP 502"),
        ({"http_status": 500, "error_code": "E-1"}, "HTTP 500 (code E-1)"),
        ({"http_status": 500, "error_code": "E-1", "trace_id": "t"}, "HTTP 500 (code E-1, trace t)"),
        ({"http_status": 500, "trace_id": "t"}, "HTTP 500 (trace t)"),
    ],
)
def test_what_came_back_is_the_status_with_its_code_and_trace(more, told):
    """Nothing is made of an answer that was not read."""
    assert judge(found(attempt(**more))).came_back == told


def test_a_second_doubt_counts_the_copies_that_may_be_there():
    """After two attempts without a definite answer two copies may be there, and a third one would be added."""
    assert (
        "sent 2 times without a definite answer, so up to 2 may be there"
        in judge(found(attempt(), attempt("refused_for_now", http_status=500), attempt())).risks["resend"]
    )


def test_the_last_doubtful_attempt_is_the_one_in_question():
    """A refused attempt after or before it does not hide what is in doubt."""
    died = attempt(error_text=DIED_REASON)
    assert judge(found(attempt(), died, attempt("not_sent", reached="nothing"))).why is Why.PROCESS_ENDED


def test_what_has_no_text_any_more_cannot_be_resent():
    """Once erased, two decisions are left."""
    assert judge(found(attempt(), message=None)).risks["resend"] == "Not possible: its text was erased."


@pytest.mark.parametrize(
    ("kind", "loss"), [("correction", "keeps the text from before the edit"), ("status_note", "keeps the status")]
)
def test_the_loss_is_that_of_its_kind(kind, loss):
    """A correction or a note that is not there costs something else than a reply."""
    assert loss in judge(found(attempt(), kind=kind)).risks["delivered"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (found(attempt("message_at_fault", http_status=400), state="parked"), "A refused one was not added"),
        (found(state="parked", reason="flood: 900 replies"), "It is sent as it is. It was never sent"),
        (
            found(attempt(), attempt("message_at_fault", http_status=400), state="parked"),
            "if that one is in the thread, it then stands there twice",
        ),
        (found(state="parked", message=None), "`edit` gives it one"),
    ],
)
def test_a_parked_one_says_whether_a_copy_can_be_there(given, words):
    """A refusal proves that nothing was added, an earlier doubt does not."""
    told = judge(given)
    assert words in told.risks["retry"]
    assert set(told.risks) == {"retry", "edit", "skip"}


@pytest.mark.parametrize("state", ["pending", "sending", "delivered", "skipped"])
def test_nothing_is_said_of_what_waits_for_no_decision(state):
    """Only what is in doubt or parked has decisions with risks."""
    given = found(attempt())
    assert judge(replace(given, item=replace(given.item, state=state))) is None
