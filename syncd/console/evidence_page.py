"""How the evidence about a delivery is written: as JSON, and for people who look into the thread in the CRM."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from syncd.console.delivery_evidence import Judgement, attempt_in_question, judge
from syncd.console.output import Shown, counted, say
from syncd.model.communication import zoned_text
from syncd.model.delivery import Outcome
from syncd.store import evidence
from syncd.store.activity import ON_THE_WIRE
from syncd.store.database import Connection
from syncd.store.evidence import Neighbour, Surroundings
from syncd.store.lists import AttemptItem, DeliveryInFull

FIRST_WORDS = 80

OUTCOME_WORDS = {
    Outcome.DELIVERED.value: "delivered",
    Outcome.IN_DOUBT.value: "in doubt",
    Outcome.THROTTLED.value: "throttled",
    Outcome.NOT_SENT.value: "not sent (no connection)",
    Outcome.REFUSED_FOR_NOW.value: "failed (500, 503)",
    Outcome.MESSAGE_AT_FAULT.value: "refused for what they say",
    Outcome.THREAD_AT_FAULT.value: "refused for their thread",
    Outcome.KEY_AT_FAULT.value: "refused for the key",
    Outcome.NOT_THE_API.value: "answered by something else",
    ON_THE_WIRE: "still on the wire",
}


@dataclass(frozen=True, slots=True)
class EvidencePage:
    """The evidence about one delivery that waits for a decision. `api_zone`: in which the api is told times."""

    found: DeliveryInFull
    judgement: Judgement
    attempt: AttemptItem | None
    around: Surroundings
    api_zone: ZoneInfo


def read_evidence(connection: Connection, found: DeliveryInFull, api_zone: ZoneInfo) -> EvidencePage | None:
    """Return the evidence about a delivery; None if it waits for no decision."""
    judgement = judge(found)
    if judgement is None:
        return None
    attempt = attempt_in_question(found)
    ended_at = evidence.doubtful_since(connection, found.item.id) or found.item.created_at
    at = ended_at if attempt is None else attempt.started_at
    attempt_id = None if attempt is None else attempt.id
    around = evidence.find_surroundings(connection, found.item.id, at, attempt_id)
    return None if around is None else EvidencePage(found, judgement, attempt, around, api_zone)


def evidence_values(page: EvidencePage, zone: ZoneInfo) -> dict[str, Any]:
    """Return the evidence as JSON has it."""
    attempt, around = page.attempt, page.around
    return {
        "why": page.judgement.why,
        "because": page.judgement.because,
        "reached": None if attempt is None else attempt.reached,
        "reached_means": page.judgement.reached,
        "came_back": page.judgement.came_back,
        "http_status": None if attempt is None else attempt.http_status,
        "error_code": None if attempt is None else attempt.error_code,
        "trace_id": None if attempt is None else attempt.trace_id,
        "error_text": None if attempt is None else attempt.error_text,
        "seconds_waited": _seconds(attempt),
        "at_utc": around.at.astimezone(UTC),
        "at_local": around.at.astimezone(zone),
        "api_in_that_minute": around.outcomes if attempt is not None else None,
        "api_now": {name: value for name, value in asdict(around.api).items() if name != "released_at"},
        "api_decisions": [asdict(one) for one in around.api_decisions],
        "sent_before": [asdict(one) for one in around.before],
        "sent_after": [asdict(one) for one in around.after],
        "look_for": look_for(page),
        "risks": page.judgement.risks,
    }


def look_for(page: EvidencePage) -> dict[str, Any]:
    """Return what to look for in the CRM, as the API was told it."""
    item, message = page.found.item, page.found.message
    return {
        "customer_id": item.customer_id,
        "thread_id": item.thread_id,
        "time": zoned_text(item.occurred_at, page.api_zone),
        "direction": None if message is None else message.direction,
        "channel": None if message is None else message.channel,
        "agent": None if message is None else message.agent,
        "subject": None if message is None else message.subject,
        "first_words": None if message is None else _first_words(message.content),
    }


def _first_words(content: str) -> str:
    text = " ".join(content.split())
    return text if len(text) <= FIRST_WORDS else text[:FIRST_WORDS].rsplit(" ", 1)[0] + " ..."


def _seconds(attempt: AttemptItem | None) -> float | None:
    return None if attempt is None or attempt.duration_ms is None else attempt.duration_ms / 1000


def show_evidence(page: EvidencePage, shown: Shown) -> None:
    """Write the evidence for people."""
    say()
    say("Evidence")
    shown.fields((f"  {name}", value) for name, value in evidence_lines(page, shown.zone))
    say()
    say("Look for it in the CRM")
    shown.fields((f"  {name.replace('_', ' ')}", value) for name, value in look_for(page).items())
    _show_thread(page, shown)
    say()
    say("What each decision risks")
    shown.fields((f"  {_option(page, name)}", text) for name, text in page.judgement.risks.items())


def _option(page: EvidencePage, name: str) -> str:
    return f"--{name}" if "resend" in page.judgement.risks else name


def evidence_lines(page: EvidencePage, zone: ZoneInfo) -> Iterator[tuple[str, Any]]:
    """Yield what the evidence says, each with its name."""
    attempt, around = page.attempt, page.around
    yield "why", page.judgement.because
    yield "reached", page.judgement.reached
    yield "came back", page.judgement.came_back
    if attempt is not None and attempt.http_status is not None:
        yield "its words", attempt.error_text
    if (seconds := _seconds(attempt)) is not None and attempt is not None and attempt.http_status is not None:
        yield "answered after", f"{seconds:g} s"
    elif seconds:
        yield "waited", f"{seconds:g} s"
    yield "at", f"{_told(around.at, zone)} ({zone.key}), {_told(around.at, UTC)} UTC"
    if attempt is not None:
        yield "the api then", _minute(page)
    yield "the api now", _pause(page, zone)
    for one in around.api_decisions:
        yield "decided then", f"{_told(one.at, zone)}: {one.who} said {one.action}"


def _told(at: datetime, zone: Any) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _minute(page: EvidencePage) -> str:
    """Say how the api fared from a minute before the attempt to a minute after it."""
    outcomes = page.around.outcomes
    if not outcomes:
        return f"no other attempt at {page.found.item.api} within a minute of it"
    counts = ", ".join(f"{number} {OUTCOME_WORDS.get(name, name)}" for name, number in sorted(outcomes.items()))
    others = counted(sum(outcomes.values()), "other attempt")
    return f"{others} at {page.found.item.api} within a minute of it: {counts}"


def _pause(page: EvidencePage, zone: ZoneInfo) -> str:
    api = page.around.api
    if api.paused_cause is None:
        return "not paused"
    if api.since_at is None:
        return f"paused ({api.paused_cause})"
    moment = "before" if api.since_at <= page.around.at else "after"
    return f"paused ({api.paused_cause}) since {_told(api.since_at, zone)}, {moment} this"


def _show_thread(page: EvidencePage, shown: Shown) -> None:
    """Write what was sent in the same thread around this one, in the order in which the CRM has it."""
    around, item = page.around, page.found.item
    say()
    if not around.before and not around.after:
        say("Nothing else was sent in this thread.")
        return
    say("Sent in this thread around it, by the replies' own times")
    own = Neighbour(item.id, item.kind, item.state, item.reason, item.occurred_at, None, item.communication_id)
    shown.table(
        ("", "id", "kind", "state", "time in the thread", "sent", "communication", "reason"),
        [
            (
                ">" if one is own else " ",
                one.id,
                one.kind,
                one.state,
                one.occurred_at,
                around.at if one is own and page.attempt is not None else one.sent_at,
                one.communication_id,
                one.reason,
            )
            for one in (*around.before, own, *around.after)
        ],
    )
