"""What the evidence about a delivery says, and what each decision about it risks: pure, in words for people."""

from dataclasses import dataclass
from enum import StrEnum

from syncd.model.delivery import DeliveryKind, DeliveryState, Outcome, Reached
from syncd.store.lists import AttemptItem, DeliveryInFull, DeliveryItem
from syncd.store.standing import DIED_REASON, RESTORED_REASON

UNANSWERED = "sent, but not answered: "


class Why(StrEnum):
    """Why nobody can say whether a delivery arrived, or why it waits for a person."""

    RESTORED = "restored"
    PROCESS_ENDED = "process_ended"
    NO_ANSWER = "no_answer"
    UNCLEAR_ANSWER = "unclear_answer"
    REFUSED = "refused"
    NEVER_SENT = "never_sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence about a delivery says, in sentences; `risks` has one for each decision that can be made."""

    why: Why
    because: str
    reached: str
    came_back: str
    risks: dict[str, str]


def judge(found: DeliveryInFull) -> Judgement | None:
    """Return what the evidence about a delivery says; None if it waits for no decision."""
    if found.item.state not in {DeliveryState.IN_DOUBT.value, DeliveryState.PARKED.value}:
        return None
    attempt = attempt_in_question(found)
    why = _why(found.item, attempt)
    return Judgement(
        why=why,
        because=_because(why, found.item, attempt),
        reached=_reached(why, attempt),
        came_back=_came_back(why, attempt),
        risks=_risks(why, found, attempt),
    )


def attempt_in_question(found: DeliveryInFull) -> AttemptItem | None:
    """Return the attempt that a decision is about: the last doubtful one, of a parked one the last; none if restored.

    What a restored database held when it was put back may have been sent after that: no attempt of its tells of it.
    """
    if found.item.state == DeliveryState.PARKED.value:
        return found.attempts[-1] if found.attempts else None
    if found.item.reason == RESTORED_REASON:
        return None
    doubtful = [one for one in found.attempts if one.outcome == Outcome.IN_DOUBT.value]
    return doubtful[-1] if doubtful else None


def _why(item: DeliveryItem, attempt: AttemptItem | None) -> Why:
    if item.state == DeliveryState.PARKED.value:
        return Why.NEVER_SENT if attempt is None else Why.REFUSED
    if item.reason == RESTORED_REASON:
        return Why.RESTORED
    if attempt is None:
        return Why.UNKNOWN
    if attempt.http_status is not None:
        return Why.UNCLEAR_ANSWER
    return Why.PROCESS_ENDED if attempt.error_text == DIED_REASON else Why.NO_ANSWER


_STATUSES = {
    408: "the server gave up waiting for the rest of the request",
    500: "the API failed while it worked on it",
    502: "what stands before the API got no proper answer from it",
    503: "the API or what stands before it could not serve it",
    504: "what stands before the API gave up waiting for it",
}


_BECAUSE = {
    Why.RESTORED: "the database was put back from a backup, and it may have been sent after that backup was made",
    Why.PROCESS_ENDED: "the process ended between marking it as being sent and noting what came of it",
    Why.REFUSED: "the API refused it for what it says",
}


def _because(why: Why, item: DeliveryItem, attempt: AttemptItem | None) -> str:
    told = (attempt.error_text or "") if attempt is not None else ""
    status = (attempt.http_status or 0) if attempt is not None else 0
    match why:
        case Why.NO_ANSWER:
            return f"it was sent, and no answer came: {told.removeprefix(UNANSWERED) or 'nothing more was noted'}"
        case Why.UNCLEAR_ANSWER:
            meaning = _STATUSES.get(status, "an answer that does not say whether it was added")
            return f"it was sent, and the answer was HTTP {status}: {meaning}"
        case Why.NEVER_SENT:
            return f"it was set aside before it was sent: {item.reason or 'no reason was noted'}"
        case Why.UNKNOWN:
            return item.reason or "nothing was noted about it"
        case _:
            return _BECAUSE[why]


_REACHED = {
    Reached.NOTHING: "no connection was made; nothing of it left",
    Reached.CONNECTED: "a connection was made, and nothing of it was written",
    Reached.WRITING: "it was being written to the connection; how much of it the API has read, nobody can say",
    Reached.ANSWERED: "it was written, and an answer came back",
}


def _reached(why: Why, attempt: AttemptItem | None) -> str:
    if why is Why.NEVER_SENT:
        return "nothing: it was never sent"
    if attempt is None:
        return "not known: no attempt of that time is in this database"
    if why is Why.PROCESS_ENDED:
        return "not known: it was marked as being sent, and the process ended before more was noted"
    words = _REACHED[Reached(attempt.reached)] if attempt.reached else "not known yet: it is on the wire"
    return f"{words} ({attempt.request_bytes} bytes handed over)" if attempt.request_bytes else words


def _came_back(why: Why, attempt: AttemptItem | None) -> str:
    if why is Why.NEVER_SENT:
        return "nothing: it was never sent"
    if attempt is None or why is Why.PROCESS_ENDED:
        return "not known"
    if attempt.http_status is None:
        return "nothing that could be read"
    notes = [f"code {attempt.error_code}" if attempt.error_code else "", f"trace {attempt.trace_id or ''}".strip()]
    named = ", ".join(note for note in notes if note not in {"", "trace"})
    return f"HTTP {attempt.http_status}" + (f" ({named})" if named else "")


_LOST = {
    DeliveryKind.REPLY.value: "the reply is lost there, and nothing will tell of it",
    DeliveryKind.CORRECTION.value: "the thread keeps the text from before the edit",
    DeliveryKind.STATUS_NOTE.value: "the thread keeps the status that it had before",
}


def _risks(why: Why, found: DeliveryInFull, attempt: AttemptItem | None) -> dict[str, str]:
    if found.item.state == DeliveryState.PARKED.value:
        return _risks_of_parked(why, found)
    known, lost = _known(why, attempt), _LOST[found.item.kind]
    return {
        "delivered": f"{known}. If it is not in the thread, {lost}.",
        "resend": _risk_of_resending(known, found),
        "skip": f"Nothing is sent, and it counts as not delivered. {known}; if it is not in the thread, {lost}.",
    }


def _known(why: Why, attempt: AttemptItem | None) -> str:
    """Say what can be known about whether it is there."""
    match why:
        case Why.RESTORED:
            return "Whether it was sent after the backup is not known"
        case Why.PROCESS_ENDED:
            return "Whether any of it left before the process ended is not known"
        case Why.NO_ANSWER:
            return "The API may have added it before the answer was lost"
        case Why.UNCLEAR_ANSWER if attempt is not None and attempt.http_status == 408:
            return "A 408 often means that it did not arrive whole, and proves nothing"
        case Why.UNCLEAR_ANSWER if attempt is not None and attempt.http_status in {502, 504}:
            return "The API itself has not answered, and may have added it"
        case _:
            return "Whether it was added is not known"


def _risk_of_resending(known: str, found: DeliveryInFull) -> str:
    if found.message is None:
        return "Not possible: its text was erased."
    copies = _doubtful(found)
    if copies > 1:
        return (
            f"It was sent {copies} times without a definite answer, so up to {copies} may be there already, and "
            "another is added; none can be taken back."
        )
    return f"{known}. If it is in the thread, it then stands there twice, and neither can be taken back."


def _doubtful(found: DeliveryInFull) -> int:
    return sum(1 for one in found.attempts if one.outcome == Outcome.IN_DOUBT.value)


def _risks_of_parked(why: Why, found: DeliveryInFull) -> dict[str, str]:
    lost = _LOST[found.item.kind]
    skip = f"It is left for good: {lost}."
    if found.message is None:
        nothing = "Not possible as it is: it has no text; `edit` gives it one."
        return {"retry": nothing, "edit": "It is sent with the text that you give it.", "skip": skip}
    before = "It was never sent, so it cannot stand there twice."
    if why is Why.REFUSED:
        before = "A refused one was not added, so it cannot stand there twice."
    if _doubtful(found):
        before = "An earlier attempt got no definite answer: if that one is in the thread, it then stands there twice."
    retry = "It is sent as it is."
    if why is Why.REFUSED:
        retry = "It is sent as it is, and refused again unless what was refused was mended in the CRM."
    return {"retry": f"{retry} {before}", "edit": f"It is sent with your text. {before}", "skip": skip}
