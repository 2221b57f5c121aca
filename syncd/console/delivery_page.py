"""How one delivery is written: as JSON, and in full for people, its contents included."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from syncd.console.evidence_page import EvidencePage, evidence_values, show_evidence
from syncd.console.output import Shown, say, shown_lines
from syncd.model.communication import Message
from syncd.model.delivery import DeliveryState
from syncd.store.lists import AttemptItem, DeliveryInFull, DeliveryItem

LISTED = (
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
)
"""The fields of a delivery in a list, in their order."""


def delivery_values(item: DeliveryItem) -> dict[str, Any]:
    """Return a delivery as lists have it in JSON."""
    return {name: getattr(item, name) for name in LISTED}


def in_full_values(found: DeliveryInFull, evidence: EvidencePage | None, zone: ZoneInfo) -> dict[str, Any]:
    """Return a delivery in full as JSON has it. `attempts` are the attempts, `attempt_count` is their number."""
    return delivery_values(found.item) | {
        "attempt_count": found.item.attempts,
        "occurred_at": found.item.occurred_at,
        "due_at": found.item.due_at,
        "flags": found.item.flags.split(",") if found.item.flags else [],
        "status_carried": found.status_carried,
        "message": None if found.message is None else asdict(found.message),
        "attempts": [asdict(attempt) for attempt in found.attempts],
        "decisions": [
            {"at": at, "who": who, "action": action, "reason": reason} for at, who, action, reason in found.decisions
        ],
        "evidence": None if evidence is None else evidence_values(evidence, zone),
    }


def show_in_full(found: DeliveryInFull, evidence: EvidencePage | None, shown: Shown) -> None:
    """Write a delivery for people."""
    values = delivery_values(found.item) | {"due at": None, "flags": found.item.flags}
    if found.item.state == DeliveryState.PENDING.value:
        values["due at"] = found.item.due_at
    values["thread status"] = found.status_carried or found.known_status
    shown.fields((name.replace("_", " "), value) for name, value in values.items())
    _show_message(found.message, shown)
    if found.attempts:
        say()
        say("Attempts")
        shown.table(
            ("number", "started", "why", "outcome", "reached", "HTTP", "ms", "error"),
            [_attempt_cells(attempt) for attempt in found.attempts],
        )
    if found.decisions:
        say()
        say("Decisions")
        shown.table(("at", "who", "what", "reason"), found.decisions)
    if evidence is not None:
        show_evidence(evidence, shown)
    if hint := advice(found.item):
        say()
        say(hint)


def _show_message(message: Message | None, shown: Shown) -> None:
    say()
    if message is None:
        say("There is no text: it was erased, or could not be made of the reply.")
        return
    shown.fields(
        (
            ("subject", message.subject),
            ("direction", message.direction),
            ("channel", message.channel),
            ("agent", message.agent),
            ("at", message.occurred_at),
            ("ticket link", message.ticket_link),
        )
    )
    say()
    for line in _indented(message.content):
        print(line)


def _indented(text: str) -> Iterator[str]:
    return (f"  {line}".rstrip() for line in shown_lines(text))


def _attempt_cells(attempt: AttemptItem) -> tuple[Any, ...]:
    notes = [attempt.error_text, attempt.error_code, f"trace {attempt.trace_id}" if attempt.trace_id else None]
    return (
        attempt.number,
        attempt.started_at,
        attempt.reason,
        attempt.outcome or "on the wire",
        attempt.reached,
        attempt.http_status,
        attempt.duration_ms,
        "; ".join(note for note in notes if note),
    )


def advice(item: DeliveryItem) -> str:
    """Say what a person can do about a delivery, if it waits for one."""
    if item.state == DeliveryState.IN_DOUBT.value:
        return (
            f"Look into thread {item.thread_id} of customer {item.customer_id}, then: syncd deliveries resolve "
            f"{item.id} --delivered|--resend|--skip --reason TEXT"
        )
    if item.state == DeliveryState.PARKED.value:
        return f"Mend what it says: syncd deliveries edit {item.id}; or retry {item.id}, or skip {item.id}"
    return ""
