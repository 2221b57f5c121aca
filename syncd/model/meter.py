"""What is counted and timed, said where it happens; who listens is not known there. Names and numbers alone."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from syncd.model.delivery import Outcome


class SweepResult(StrEnum):
    """How a sweep ended. `refused`: the system wants other credentials or permissions, and is paused."""

    GOOD = "good"
    LATER = "later"
    REFUSED = "refused"
    OUT_OF_TIME = "out_of_time"
    BUG = "bug"
    NOT_STORED = "not_stored"


class AnswerClass(StrEnum):
    """What a request to a ticketing system was answered with."""

    GOOD = "2xx"
    ELSEWHERE = "3xx"
    REFUSED = "4xx"
    TOO_MANY = "429"
    FAILED = "5xx"
    NO_ANSWER = "none"


def answer_class(status: int | None) -> AnswerClass:
    """Return the class of a status; None is no answer."""
    if status is None:
        return AnswerClass.NO_ANSWER
    if status == 429:
        return AnswerClass.TOO_MANY
    by_hundreds = {2: AnswerClass.GOOD, 3: AnswerClass.ELSEWHERE, 4: AnswerClass.REFUSED}
    return by_hundreds.get(status // 100, AnswerClass.FAILED)


@dataclass(frozen=True, slots=True)
class Hops:
    """How long a reply took from hop to hop, in seconds; the first hop is by the clock of its system."""

    system: str
    written_to_taken_in: float
    taken_in_to_sent: float
    sent_to_answered: float

    @property
    def written_to_delivered(self) -> float:
        """Return how long it took in all."""
        return self.written_to_taken_in + self.taken_in_to_sent + self.sent_to_answered


class Meter(Protocol):
    """Who counts. Every call is quick, and never fails."""

    def attempted(self, api: str, outcome: Outcome, hops: Hops | None) -> None:
        """Count an attempt; with the hops of a live reply that was delivered."""
        ...

    def swept(self, system: str, result: SweepResult, seconds: float) -> None:
        """Count a sweep."""
        ...

    def asked(self, system: str, answer: AnswerClass) -> None:
        """Count a request to a ticketing system."""
        ...

    def committing(self, writes: int) -> AbstractContextManager[None]:
        """Time a transaction of so many writes, from waiting for the lock to the end of its commit."""
        ...

    def watchdog_fed(self) -> None:
        """Count that the service manager was told that all goes on."""
        ...

    def alerted(self, way: str, *, is_taken: bool) -> None:
        """Count an alert that was sent by one way, and whether it was taken."""
        ...


class Unmetered:
    """The meter where nobody listens."""

    def attempted(self, api: str, outcome: Outcome, hops: Hops | None) -> None:
        """Count nothing."""

    def swept(self, system: str, result: SweepResult, seconds: float) -> None:
        """Count nothing."""

    def asked(self, system: str, answer: AnswerClass) -> None:
        """Count nothing."""

    def committing(self, writes: int) -> AbstractContextManager[None]:  # noqa: ARG002 - as the Meter has it
        """Time nothing."""
        return nullcontext()

    def watchdog_fed(self) -> None:
        """Count nothing."""

    def alerted(self, way: str, *, is_taken: bool) -> None:
        """Count nothing."""
