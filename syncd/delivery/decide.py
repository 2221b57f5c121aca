"""What the evidence of an attempt proves, and what comes next: pure, no I/O, no clock.

`judge` turns evidence into a verdict about the attempt; `decide` turns the verdict into what becomes of the delivery.
The table of both is docs/promise.md.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import assert_never

from syncd.model.api_error import ApiError, parse_api_error
from syncd.model.communication import INT64_MAX, Channel, Direction, Thread, ThreadStatus
from syncd.model.delivery import (
    RETRY_SCHEDULE,
    THREAD_RETRY,
    DeliveryState,
    Evidence,
    InDoubtPolicy,
    Outcome,
    Reached,
    retry_delay,
)
from syncd.model.policy import On500

ANSWER_BREAKS_CONTRACT = "answer_breaks_contract"
ANSWER_NAMES_ANOTHER_THREAD = "answer_names_another_thread"

_WHATEVER_THE_BODY = {401: Outcome.KEY_AT_FAULT, 408: Outcome.IN_DOUBT, 429: Outcome.THROTTLED}

# With the contract's error body. The other 4xx are the thread's: 403, 404 and 409 by the contract, and what it does
# not name (402, 405, 410, 415 ...) because that is the most careful reading: nothing was added, nothing is lost, the
# order is kept, it is tried again slowly, and if it is not about this one thread, the third in a row pauses the api.
_MESSAGE_STATUSES = frozenset({400, 413, 422})
_ADMITTED_STATUSES = frozenset({500, 503})

_ADVICE = {
    Outcome.KEY_AT_FAULT: "the key of this api is refused",
    Outcome.NOT_THE_API: "that is not the API's own answer: check base_url and what stands before the API",
    Outcome.IN_DOUBT: "nobody can say whether the communication was added",
}

_AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one attempt proves. `message` is one line for operators, without contents of the communication."""

    outcome: Outcome
    message: str
    error: ApiError | None = None
    communication_id: int | None = None
    flags: tuple[str, ...] = ()
    retry_after_seconds: float | None = None


class PauseCause(StrEnum):
    """Why an api must wait for a person (a throttled one waits by its own health)."""

    KEY = "key"
    NOT_THE_API = "not_the_api"


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of a delivery.

    `retry_after` is how long from now until it is due again, and zero where something else than its own schedule
    holds it back (the api is paused or throttled); None where it is not tried again by itself. `reason` is what lists
    show beside the state. `counts_as_failure`: the retry schedule advances. `suspends_thread`: the link is suspended.
    """

    state: DeliveryState
    reason: str | None = None
    retry_after: timedelta | None = None
    counts_as_failure: bool = False
    suspends_thread: bool = False
    pause: PauseCause | None = None


def judge(evidence: Evidence, thread: Thread, on_500: On500) -> Verdict:
    """Return what the evidence of one attempt at `thread` proves."""
    if evidence.status is not None:
        return _judge_status(evidence.status, evidence, thread, on_500)
    text = evidence.detail or evidence.failure or "no answer"
    if evidence.reached in {Reached.NOTHING, Reached.CONNECTED}:
        return Verdict(Outcome.NOT_SENT, f"not sent: {text}")
    return Verdict(Outcome.IN_DOUBT, f"sent, but not answered: {text}")


def _judge_status(status: int, evidence: Evidence, thread: Thread, on_500: On500) -> Verdict:
    # A 2xx comes first and nothing below can turn it back.
    if 200 <= status <= 299:
        return _judge_success(status, evidence, thread)
    # A cut body that parses all the same is whole: an object ends with its own brace.
    error = parse_api_error(evidence.body)
    outcome = _outcome_of_status(status, error is not None, on_500)
    message = _said(status, error, evidence)
    if advice := _ADVICE.get(outcome):
        message = f"{message}; {advice}"
    return Verdict(outcome, message, error, retry_after_seconds=evidence.retry_after_seconds)


def _outcome_of_status(status: int, has_error: bool, on_500: On500) -> Outcome:
    """Return what a status that is no 2xx proves; `has_error`: it came with the contract's error body."""
    if outcome := _WHATEVER_THE_BODY.get(status):
        return outcome
    if 300 <= status <= 399 or (400 <= status <= 499 and not has_error):
        return Outcome.NOT_THE_API
    if 400 <= status <= 499:
        return Outcome.MESSAGE_AT_FAULT if status in _MESSAGE_STATUSES else Outcome.THREAD_AT_FAULT
    if status in _ADMITTED_STATUSES and has_error and on_500 is On500.RETRY:
        return Outcome.REFUSED_FOR_NOW
    return Outcome.IN_DOUBT


def _said(status: int, error: ApiError | None, evidence: Evidence) -> str:
    text = f"the API answered {status}" if error is not None else f"the answer was {status}"
    if error is not None:
        text += f": {error}"
    return text if evidence.body_complete else f"{text} (the answer was cut short)"


def _judge_success(status: int, evidence: Evidence, thread: Thread) -> Verdict:
    answer = _find_object(evidence.body)
    if answer is None:
        return Verdict(
            Outcome.DELIVERED,
            f"delivered ({status}), but the answer is not the contract's: no communication id",
            flags=(ANSWER_BREAKS_CONTRACT,),
        )
    breaches = _breaches(answer)
    communication_id = _find_id(answer, "communicationId")
    flags: list[str] = [ANSWER_BREAKS_CONTRACT] if breaches else []
    message = f"delivered as communication {communication_id}" if communication_id is not None else "delivered"
    if breaches:
        message += f", but the answer breaks the contract at {', '.join(breaches)}"
    answered = (_find_id(answer, "customerId"), _find_id(answer, "threadId"))
    ours = (thread.customer_id, thread.thread_id)
    if any(theirs is not None and theirs != own for theirs, own in zip(answered, ours, strict=True)):
        flags.append(ANSWER_NAMES_ANOTHER_THREAD)
        message += ", but the answer names another customer or thread"
    return Verdict(Outcome.DELIVERED, message, communication_id=communication_id, flags=tuple(flags))


def _find_object(body: bytes) -> dict[str, object] | None:
    try:
        answer = json.loads(body)
    # ValueError: no JSON, or no UTF-8. RecursionError: nested without end.
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _find_id(answer: dict[str, object], name: str) -> int | None:
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= INT64_MAX:
        return None
    return value


_CHOICES = {
    "communicationThreadStatus": [member.value for member in ThreadStatus],
    "communicationDirection": [member.value for member in Direction],
    "communicationChannel": [member.value for member in Channel],
}


def _breaches(answer: dict[str, object]) -> list[str]:
    """Return the required fields of a 200 that are missing or of the wrong kind."""
    ids = [name for name in ("customerId", "threadId", "communicationId") if _find_id(answer, name) is None]
    texts = [name for name in ("subject", "content") if not isinstance(answer.get(name), str)]
    enums = [name for name, choices in _CHOICES.items() if answer.get(name) not in choices]
    return ids + texts + enums


def decide(verdict: Verdict, *, failures: int, doubts: int, policy: InDoubtPolicy) -> Next:
    """Return what becomes of a delivery after this verdict.

    `failures` is how many counted failures it had before this one, `doubts` how often it was in doubt before.
    """
    message = verdict.message
    following: Next
    match verdict.outcome:
        case Outcome.DELIVERED:
            following = Next(DeliveryState.DELIVERED)
        case Outcome.NOT_SENT | Outcome.REFUSED_FOR_NOW:
            following = _again(message, failures, verdict.retry_after_seconds)
        case Outcome.THROTTLED:
            following = Next(DeliveryState.PENDING, message, _AT_ONCE)
        case Outcome.MESSAGE_AT_FAULT:
            following = Next(DeliveryState.PARKED, message)
        case Outcome.THREAD_AT_FAULT:
            wait = retry_delay(THREAD_RETRY, failures + 1)
            following = Next(DeliveryState.PENDING, message, wait, counts_as_failure=True, suspends_thread=True)
        case Outcome.KEY_AT_FAULT:
            following = Next(DeliveryState.PENDING, message, _AT_ONCE, pause=PauseCause.KEY)
        case Outcome.NOT_THE_API:
            following = Next(DeliveryState.PENDING, message, _AT_ONCE, pause=PauseCause.NOT_THE_API)
        case Outcome.IN_DOUBT:
            following = _after_doubt(message, failures, doubts, policy)
        case _:
            assert_never(verdict.outcome)
    return following


def _again(reason: str, failures: int, asked_seconds: float | None = None) -> Next:
    wait = max(retry_delay(RETRY_SCHEDULE, failures + 1), timedelta(seconds=asked_seconds or 0.0))
    return Next(DeliveryState.PENDING, reason, wait, counts_as_failure=True)


def _after_doubt(message: str, failures: int, doubts: int, policy: InDoubtPolicy) -> Next:
    match policy:
        case InDoubtPolicy.ASSUME_DELIVERED:
            return Next(DeliveryState.DELIVERED, "assumed")
        case InDoubtPolicy.RESEND if doubts == 0:
            return _again("resend after doubt", failures)
        case InDoubtPolicy.HOLD | InDoubtPolicy.RESEND:
            return Next(DeliveryState.IN_DOUBT, message)
        case _:
            assert_never(policy)
