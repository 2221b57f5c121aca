"""`syncd deliveries show`: the evidence about what waits for a decision, and what each decision risks."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.delivery import DeliveryState, Outcome, Reached
from syncd.model.health import PauseCause
from syncd.store import health, marking, outbox, recording
from syncd.store.outbox import Record
from syncd.store.standing import Decision, write_decision

NOON = datetime(2026, 5, 1, 10, tzinfo=UTC)


def attempt(syncd, delivery_id: int, outcome: Outcome, state: DeliveryState, seconds: float = 0, **more) -> None:
    """Make an attempt of a pending delivery some seconds after noon, with an outcome."""
    at = NOON + timedelta(seconds=seconds)
    given = {"reached": Reached.ANSWERED} | more

    def make(connection) -> bool:
        outgoing = outbox.find_outgoing(connection, delivery_id)
        attempt_id = marking.mark_sending(connection, outgoing, at, "worker:1")
        record = Record(attempt_id, delivery_id, outgoing.thread_key, outcome=outcome, state=state, **given)
        return recording.record(connection, record, at)

    assert syncd.stored(make)


@pytest.fixture
def doubtful(syncd):
    """Return the program with a timeout among what else was sent in that minute; the one in doubt has the id 2."""
    link_id = syncd.link()
    for name in ("r1", "r2", "r3"):
        syncd.deliver(link_id, name, content=f"{name} begins with these words " + "and goes on " * 20)
    for thread_id in (501, 502):
        syncd.deliver(syncd.link(thread_id, number=f"HD-{thread_id}"), "o1")
    attempt(syncd, 1, Outcome.DELIVERED, DeliveryState.DELIVERED, -10, communication_id=71)
    attempt(
        syncd,
        2,
        Outcome.IN_DOUBT,
        DeliveryState.IN_DOUBT,
        reached=Reached.WRITING,
        reason="sent, but not answered: no whole answer within the time allowed",
        error_text="sent, but not answered: no whole answer within the time allowed",
        duration_ms=30_000,
        request_bytes=512,
    )
    attempt(syncd, 3, Outcome.DELIVERED, DeliveryState.DELIVERED, 20, communication_id=73)
    attempt(syncd, 4, Outcome.THROTTLED, DeliveryState.PENDING, 40)
    attempt(syncd, 5, Outcome.DELIVERED, DeliveryState.DELIVERED, 61)
    return syncd


def test_the_evidence_is_shown_as_a_person_needs_it(doubtful):
    """How far it got, what came back, when, how the api fared, what stands around it, and what each decision risks."""
    syncd = doubtful
    syncd.stored(lambda c: health.pause_api(c, "berlin", PauseCause.KEY, "401", NOON + timedelta(seconds=5)))
    by = Decision("anna", NOON - timedelta(minutes=4), "a test")
    syncd.stored(lambda c: write_decision(c, "resume", "api berlin", by))
    out = syncd("deliveries", "show", 2).out
    evidence = out[out.index("\nEvidence\n") :]
    for words in (
        "it was sent, and no answer came: no whole answer within the time allowed",
        "how much of it the API has read, nobody can say (512 bytes handed over)",
        "nothing that could be read",
        "30 s",
        "2026-05-01 12:00:00 (Europe/Berlin), 2026-05-01 10:00:00 UTC",
        "3 other attempts at berlin within a minute of it: 2 delivered, 1 throttled",
        "paused (key) since 2026-05-01 12:00:05, after this",
        "2026-05-01 11:56:00: anna said resume",
        "2026-05-01T10:00:00.000+02:00[Europe/Berlin]",
        "r2 begins with these words and goes on",
        "The API may have added it before the answer was lost. If it is not in the thread, the reply is lost there",
        "If it is in the thread, it then stands there twice",
        "Look into thread 500 of customer 7, then: syncd deliveries resolve 2 --delivered|--resend|--skip",
    ):
        assert words in evidence, words


def test_what_was_sent_before_and_after_stands_around_it(doubtful, lines):
    """The thread is shown in the order of the CRM, with communication ids, so that its place can be looked at."""
    out = doubtful("deliveries", "show", 2).out
    (before,), (own,), (after,) = (lines(out, mark) for mark in ("71", "> ", "73"))
    assert out.index(before) < out.index(own) < out.index(after)
    assert "delivered" in before
    assert "in_doubt" in own


def test_the_json_has_the_same_fields(doubtful):
    """`--json` has everything that is told to people, as values; one that waits for nothing has no evidence."""
    evidence = doubtful("deliveries", "show", 2, "--json").json["evidence"]
    assert evidence["why"] == "no_answer"
    assert (evidence["reached"], evidence["http_status"], evidence["seconds_waited"]) == ("writing", None, 30.0)
    assert evidence["api_in_that_minute"] == {"delivered": 2, "throttled": 1}
    assert evidence["api_now"]["paused_cause"] is None
    assert datetime.fromisoformat(evidence["at_utc"]) == datetime.fromisoformat(evidence["at_local"]) == NOON
    assert [one["communication_id"] for one in (*evidence["sent_before"], *evidence["sent_after"])] == [71, 73]
    assert evidence["look_for"]["thread_id"] == 500
    assert evidence["look_for"]["first_words"].endswith(" ...")
    assert set(evidence["risks"]) == {"delivered", "resend", "skip"}
    assert doubtful("deliveries", "show", 1, "--json").json["evidence"] is None


def test_a_restored_one_says_that_nothing_is_known(syncd):
    """Without an attempt of its own nothing is claimed about the wire, nor about the api of that minute."""
    delivery_id = syncd.deliver(syncd.link(), "r1", DeliveryState.IN_DOUBT, reason="restored")
    shown = syncd("deliveries", "show", delivery_id)
    assert "not known: no attempt of that time is in this database" in shown.out
    assert "Nothing else was sent in this thread." in shown.out
    evidence = syncd("deliveries", "show", delivery_id, "--json").json["evidence"]
    assert (evidence["why"], evidence["reached"], evidence["api_in_that_minute"]) == ("restored", None, None)


def test_a_parked_one_tells_what_was_refused_and_what_can_be_done(syncd):
    """The API's words, and a sentence for retry, edit and skip."""
    delivery_id = syncd.deliver(syncd.link(), "r1")
    words = "the API answered 400: too long (at content, code LEN, trace t-1)"
    attempt(
        syncd,
        delivery_id,
        Outcome.MESSAGE_AT_FAULT,
        DeliveryState.PARKED,
        reason=words,
        error_text=words,
        http_status=400,
        error_code="LEN",
        trace_id="t-1",
    )
    out = syncd("deliveries", "show", delivery_id).out
    assert "HTTP 400 (code LEN, trace t-1)" in out
    assert "refused again unless what was refused was mended in the CRM. A refused one was not added" in out
    evidence = syncd("deliveries", "show", delivery_id, "--json").json["evidence"]
    assert set(evidence["risks"]) == {"retry", "edit", "skip"}
