"""The table of evidence: what each observation proves, and what becomes of the delivery."""

import itertools
import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.delivery.decide import (
    ANSWER_BREAKS_CONTRACT,
    ANSWER_NAMES_ANOTHER_THREAD,
    Next,
    PauseCause,
    Verdict,
    decide,
    judge,
)
from syncd.model.communication import INT64_MAX, Thread
from syncd.model.delivery import (
    RETRY_SCHEDULE,
    THREAD_RETRY,
    DeliveryState,
    Evidence,
    InDoubtPolicy,
    Outcome,
    Reached,
)
from syncd.model.policy import On500

THREAD = Thread("berlin", 11, 22)
ERROR = b'{"errorMessage":"no","errorCode":"E1","traceId":"t1","reference":"subject"}'
PAGE = b"<html>no</html>"
OK = {
    "customerId": 11,
    "threadId": 22,
    "communicationId": 33,
    "communicationThreadStatus": "ONGOING",
    "subject": "s",
    "content": "c",
    "communicationDirection": "INCOMING",
    "communicationChannel": "EMAIL",
}
SECONDS = timedelta(seconds=1)


def answered(status: int, body: bytes = b"", *, complete: bool = True, **more) -> Evidence:
    """Return the evidence of an answer."""
    return Evidence(Reached.ANSWERED, status=status, body=body, body_complete=complete, **more)


def outcome(evidence: Evidence, on_500: On500 = On500.RETRY) -> Outcome:
    """Return what it proves."""
    return judge(evidence, THREAD, on_500).outcome


# Every status there may be, with and without the contract's error body.
BY_STATUS = {
    400: (Outcome.MESSAGE_AT_FAULT, Outcome.NOT_THE_API),
    401: (Outcome.KEY_AT_FAULT, Outcome.KEY_AT_FAULT),
    402: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    403: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    404: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    405: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    407: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    408: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
    409: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    410: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    413: (Outcome.MESSAGE_AT_FAULT, Outcome.NOT_THE_API),
    415: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    422: (Outcome.MESSAGE_AT_FAULT, Outcome.NOT_THE_API),
    429: (Outcome.THROTTLED, Outcome.THROTTLED),
    451: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    499: (Outcome.THREAD_AT_FAULT, Outcome.NOT_THE_API),
    500: (Outcome.REFUSED_FOR_NOW, Outcome.IN_DOUBT),
    501: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
    502: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
    503: (Outcome.REFUSED_FOR_NOW, Outcome.IN_DOUBT),
    504: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
    599: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
    600: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
    999: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
    0: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
    101: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
    199: (Outcome.IN_DOUBT, Outcome.IN_DOUBT),
} | dict.fromkeys((300, 301, 302, 303, 304, 307, 308, 399), (Outcome.NOT_THE_API, Outcome.NOT_THE_API))


@pytest.mark.parametrize(("status", "outcomes"), BY_STATUS.items())
def test_a_status_proves_what_the_table_says(status, outcomes):
    """Each status, with and without the contract's error body, has the outcome of the table."""
    with_error, without = outcomes
    assert outcome(answered(status, ERROR)) is with_error
    assert outcome(answered(status, PAGE)) is without
    assert outcome(answered(status)) is without


@pytest.mark.parametrize("reached", [Reached.NOTHING, Reached.CONNECTED])
def test_unwritten_is_not_sent(reached):
    """What never began to be written was not sent."""
    verdict = judge(Evidence(reached, failure="X", detail="no connection"), THREAD, On500.RETRY)
    assert verdict == Verdict(Outcome.NOT_SENT, "not sent: no connection")


@pytest.mark.parametrize("detail", ["no whole answer within the time allowed", None])
def test_written_without_an_answer_is_in_doubt(detail):
    """Once writing began, silence proves nothing."""
    verdict = judge(Evidence(Reached.WRITING, failure="TimeoutError", detail=detail), THREAD, On500.RETRY)
    assert verdict.outcome is Outcome.IN_DOUBT
    assert (detail or "TimeoutError") in verdict.message


@settings(deadline=None)
@given(
    st.integers(200, 299),
    st.binary(max_size=200) | st.just(ERROR) | st.just(json.dumps(OK).encode()) | st.just(b"[" * 100_000),
    st.booleans(),
    st.none() | st.just("ClientPayloadError"),
    st.sampled_from(On500),
)
def test_nothing_turns_a_2xx_back(status, body, complete, failure, on_500):
    """Whatever body, cut or not, failed or not: 2xx is delivered."""
    evidence = answered(status, body, complete=complete, failure=failure)
    assert outcome(evidence, on_500) is Outcome.DELIVERED


@settings(deadline=None)
@given(st.integers(0, 999), st.binary(max_size=50), st.sampled_from(On500))
def test_no_other_status_is_delivered(status, body, on_500):
    """Only 2xx is delivered, and an answer is never taken for not sent."""
    proved = outcome(answered(status, body), on_500)
    assert (proved is Outcome.DELIVERED) == (200 <= status <= 299)
    assert proved is not Outcome.NOT_SENT


@pytest.mark.parametrize("status", [500, 503])
def test_on_500_hold_believes_no_failure(status):
    """With on_500 = hold, a failure in the API's own words is in doubt."""
    verdict = judge(answered(status, ERROR), THREAD, On500.HOLD)
    assert verdict.outcome is Outcome.IN_DOUBT
    assert verdict.error is not None


@pytest.mark.parametrize("status", [s for s in BY_STATUS if s not in {500, 503}])
def test_on_500_hold_changes_nothing_else(status):
    """The setting is about 500 and 503 alone."""
    assert outcome(answered(status, ERROR), On500.HOLD) is outcome(answered(status, ERROR), On500.RETRY)


def test_an_error_body_that_was_cut_is_none():
    """Half an error body proves no error: a 500 stays in doubt, and a 404 is not the API's."""
    assert outcome(answered(500, ERROR[:-1], complete=False)) is Outcome.IN_DOUBT
    assert outcome(answered(404, ERROR[:-1], complete=False)) is Outcome.NOT_THE_API


def test_a_refusal_carries_the_apis_words():
    """The message for operators holds status, message, field, code and trace id; the error is there too."""
    verdict = judge(answered(400, ERROR), THREAD, On500.RETRY)
    assert verdict.message == "the API answered 400: no (at subject, code E1, trace t1)"
    assert verdict.error is not None
    assert verdict.error.trace_id == "t1"


def test_the_wait_that_was_asked_for_is_handed_on():
    """Retry-After of a 429 or a 503 reaches the verdict."""
    assert judge(answered(429, retry_after_seconds=90), THREAD, On500.RETRY).retry_after_seconds == 90
    assert judge(answered(503, ERROR, retry_after_seconds=7), THREAD, On500.RETRY).retry_after_seconds == 7


def test_a_right_answer_has_an_id_and_no_flag():
    """The communication id is taken from the answer."""
    verdict = judge(answered(200, json.dumps(OK).encode()), THREAD, On500.RETRY)
    assert verdict == Verdict(Outcome.DELIVERED, "delivered as communication 33", communication_id=33)


@pytest.mark.parametrize(
    ("change", "communication_id"),
    [
        ({"communicationId": None}, None),
        ({"communicationId": "33"}, None),
        ({"communicationId": True}, None),
        ({"communicationId": 33.0}, None),
        ({"communicationId": INT64_MAX + 1}, None),
        ({"communicationId": -1}, None),
        ({"customerId": "11"}, 33),
        ({"threadId": None}, 33),
        ({"subject": None}, 33),
        ({"content": 5}, 33),
        ({"communicationThreadStatus": "OPEN"}, 33),
        ({"communicationDirection": ["INCOMING"]}, 33),
        ({"communicationChannel": {}}, 33),
    ],
)
def test_an_answer_that_breaks_the_contract_is_flagged(change, communication_id):
    """It is delivered all the same; what can be read of it is kept."""
    verdict = judge(answered(200, json.dumps(OK | change).encode()), THREAD, On500.RETRY)
    assert (verdict.outcome, verdict.communication_id) == (Outcome.DELIVERED, communication_id)
    assert verdict.flags == (ANSWER_BREAKS_CONTRACT,)


@pytest.mark.parametrize("body", [b"", PAGE, b"[]", b"null", b"{}", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_none_is_flagged(body):
    """No object, no id, and still delivered."""
    verdict = judge(answered(200, body), THREAD, On500.RETRY)
    assert (verdict.outcome, verdict.communication_id) == (Outcome.DELIVERED, None)
    assert verdict.flags == (ANSWER_BREAKS_CONTRACT,)


@pytest.mark.parametrize("change", [{"customerId": 12}, {"threadId": 23}])
def test_an_answer_about_another_thread_is_flagged(change):
    """Ids that are not ours are worth a person's look."""
    verdict = judge(answered(200, json.dumps(OK | change).encode()), THREAD, On500.RETRY)
    assert verdict.outcome is Outcome.DELIVERED
    assert verdict.flags == (ANSWER_NAMES_ANOTHER_THREAD,)


def after(kind: Outcome, **options) -> Next:
    """Decide about an outcome."""
    seconds = options.pop("retry_after_seconds", None)
    verdict = Verdict(kind, "why", retry_after_seconds=seconds)
    return decide(verdict, **({"failures": 0, "doubts": 0, "policy": InDoubtPolicy.HOLD} | options))


PENDING = DeliveryState.PENDING
FIRST = RETRY_SCHEDULE[0]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Outcome.DELIVERED, Next(DeliveryState.DELIVERED)),
        (Outcome.NOT_SENT, Next(PENDING, "why", FIRST, counts_as_failure=True)),
        (Outcome.REFUSED_FOR_NOW, Next(PENDING, "why", FIRST, counts_as_failure=True)),
        (Outcome.THROTTLED, Next(PENDING, "why", timedelta(0))),
        (Outcome.MESSAGE_AT_FAULT, Next(DeliveryState.PARKED, "why")),
        (
            Outcome.THREAD_AT_FAULT,
            Next(PENDING, "why", THREAD_RETRY[0], counts_as_failure=True, suspends_thread=True),
        ),
        (Outcome.KEY_AT_FAULT, Next(PENDING, "why", timedelta(0), pause=PauseCause.KEY)),
        (Outcome.NOT_THE_API, Next(PENDING, "why", timedelta(0), pause=PauseCause.NOT_THE_API)),
        (Outcome.IN_DOUBT, Next(DeliveryState.IN_DOUBT, "why")),
    ],
)
def test_each_outcome_has_its_next(kind, expected):
    """What follows from each outcome at the first attempt, with the policy hold."""
    assert after(kind) == expected


def test_every_outcome_is_in_the_table():
    """An outcome that is added is decided about on purpose."""
    assert {case[0] for case in test_each_outcome_has_its_next.pytestmark[0].args[1]} == set(Outcome)


@pytest.mark.parametrize("kind", [Outcome.NOT_SENT, Outcome.REFUSED_FOR_NOW])
def test_the_schedule_is_walked_to_its_end(kind):
    """5 s, 30 s, 2 min, and then every 5 min."""
    waits = [after(kind, failures=n).retry_after for n in range(6)]
    assert waits == [5 * SECONDS, 30 * SECONDS, 120 * SECONDS, 300 * SECONDS, 300 * SECONDS, 300 * SECONDS]


def test_a_refused_thread_is_tried_again_slowly():
    """Half an hour, two hours, and then every twelve."""
    waits = [after(Outcome.THREAD_AT_FAULT, failures=n).retry_after for n in range(4)]
    assert waits == [timedelta(minutes=30), timedelta(hours=2), timedelta(hours=12), timedelta(hours=12)]


@pytest.mark.parametrize(("asked", "wait"), [(1.0, 5.0), (60.0, 60.0), (None, 5.0)])
def test_a_wait_that_was_asked_for_only_lengthens(asked, wait):
    """Retry-After of a 503 counts when it is longer than the schedule."""
    assert after(Outcome.REFUSED_FOR_NOW, retry_after_seconds=asked).retry_after == wait * SECONDS


@pytest.mark.parametrize("failures", [0, 9])
def test_hold_sets_a_doubt_aside(failures):
    """With hold nothing in doubt is sent again by itself, however often it failed before."""
    for doubts in range(3):
        following = after(Outcome.IN_DOUBT, failures=failures, doubts=doubts)
        assert following == Next(DeliveryState.IN_DOUBT, "why")


def test_resend_sends_once_more_and_then_holds():
    """The first doubt is sent again, the second is set aside."""
    policy = InDoubtPolicy.RESEND
    assert after(Outcome.IN_DOUBT, policy=policy) == Next(PENDING, "resend after doubt", FIRST, counts_as_failure=True)
    for doubts in (1, 2, 9):
        assert after(Outcome.IN_DOUBT, policy=policy, doubts=doubts) == Next(DeliveryState.IN_DOUBT, "why")


def test_assume_delivered_says_that_it_assumes():
    """Assumed is delivered, and marked as assumed."""
    for doubts in (0, 5):
        following = after(Outcome.IN_DOUBT, policy=InDoubtPolicy.ASSUME_DELIVERED, doubts=doubts)
        assert following == Next(DeliveryState.DELIVERED, "assumed")


def test_the_policy_is_about_doubts_alone():
    """Every other outcome is decided the same under each policy and after doubts."""
    for kind, policy, doubts in itertools.product(Outcome, InDoubtPolicy, (0, 1)):
        if kind is not Outcome.IN_DOUBT:
            assert after(kind, policy=policy, doubts=doubts) == after(kind)


def test_nothing_is_sent_again_that_may_have_been_added():
    """Only what proves that nothing was added leads back to pending, unless the operator asked to resend doubts."""
    for kind in Outcome:
        if after(kind).state is PENDING:
            assert kind in {
                Outcome.NOT_SENT,
                Outcome.REFUSED_FOR_NOW,
                Outcome.THROTTLED,
                Outcome.THREAD_AT_FAULT,
                Outcome.KEY_AT_FAULT,
                Outcome.NOT_THE_API,
            }
