"""What can be decided about a delivery on a page: which decisions fit to which state, and what each risks. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from syncd.console.delivery_evidence import judge
from syncd.model.delivery import DeliveryState
from syncd.model.errors import Conflict
from syncd.store import standing
from syncd.store.database import Connection
from syncd.store.lists import DeliveryInFull
from syncd.store.standing import Decision, Resolution


class Do(StrEnum):
    """A decision about a delivery."""

    DELIVERED = "delivered"
    RESEND = "resend"
    RETRY = "retry"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Words:
    """How a decision is said: on the button that leads to it, as a question, and once it was made."""

    button: str
    question: str
    done: str
    hint: str


WORDS = {
    Do.DELIVERED: Words(
        "It is there: count as delivered",
        "Count as delivered",
        "counted as delivered",
        "You have seen it in the thread. Nothing more is sent.",
    ),
    Do.RESEND: Words(
        "It is not there: send again",
        "Send again",
        "to be sent again",
        "You have looked into the thread, and it is not there. It is sent once more.",
    ),
    Do.RETRY: Words("Send as it is", "Send as it is", "to be sent now", "It is tried again at once, unchanged."),
    Do.SKIP: Words("Skip for good", "Skip for good", "skipped", "It is never sent, and no more asked about."),
}

_OF_STATE = {
    DeliveryState.IN_DOUBT.value: (Do.DELIVERED, Do.RESEND, Do.SKIP),
    DeliveryState.PARKED.value: (Do.RETRY, Do.SKIP),
    DeliveryState.PENDING.value: (Do.RETRY, Do.SKIP),
}
EDITABLE = frozenset({DeliveryState.PARKED.value, DeliveryState.PENDING.value})

_OF_WAITING = {
    Do.RETRY: "It is sent as soon as its api and its thread allow, not when its schedule says.",
    Do.SKIP: "It is not sent, now or later.",
}


def fitting(state: str) -> tuple[Do, ...]:
    """Return what can be decided about a delivery in a state."""
    return _OF_STATE.get(state, ())


def risk_of(do: Do, found: DeliveryInFull) -> str:
    """Return what a decision that fits risks, in a sentence."""
    judgement = judge(found)
    return _OF_WAITING[do] if judgement is None else judgement.risks[do.value]


def hindrances(do: Do, deliveries: Iterable[DeliveryInFull]) -> list[str]:
    """Return why a decision cannot be made about some deliveries, in a sentence for each."""
    found = []
    for one in deliveries:
        item = one.item
        if do not in fitting(item.state):
            found.append(f"delivery {item.id} is {item.state.replace('_', ' ')} now, and that does not fit to it")
        elif do in {Do.RESEND, Do.RETRY} and one.message is None:
            found.append(f"delivery {item.id} has no text, so it cannot be sent")
    return found


def carry(do: Do, connection: Connection, delivery_id: int, state: str, by: Decision) -> None:
    """Carry out a decision about a delivery that was in a state.

    Raises:
        Conflict: it does not fit to it.
    """
    if do not in fitting(state):
        raise Conflict(f"delivery {delivery_id} is {state.replace('_', ' ')}, and {do.value!r} does not fit to that")
    if state == DeliveryState.IN_DOUBT.value:
        standing.resolve(connection, delivery_id, Resolution(do.value), by)
    elif do is Do.RETRY:
        standing.retry(connection, delivery_id, by)
    else:
        standing.skip(connection, delivery_id, by)
