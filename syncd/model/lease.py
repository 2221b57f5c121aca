"""Leases: who of several workers owns a system or an api, and until when it may rely on that.

Two times are kept apart. The database says by its own clock when a lease is over for the others; the owner goes by
its monotonic clock, counted from before it asked, and so stops earlier than anybody else begins. No wall clock of a
worker is ever asked.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from syncd.model.clock import Clock


class Kind(StrEnum):
    """What can be owned."""

    SYSTEM = "system"
    API = "api"


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """A system or an api, as a thing that one worker at a time owns."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        """Return it as the database has it."""
        return f"{self.kind}:{self.name}"


def parse_subject(text: str) -> Subject:
    """Return the subject that the database has written."""
    kind, _, name = text.partition(":")
    return Subject(Kind(kind), name)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was taken. Whoever takes it next raises the epoch, and this one is void from then on."""

    subject: Subject
    owner: str
    epoch: int


@dataclass(slots=True)
class Tenure:
    """A lease that this process holds, and until when it may rely on it. Instants are monotonic seconds."""

    lease: Lease
    ends_at: float
    margin_seconds: float

    def is_safe(self, now: float) -> bool:
        """Say whether something may still be begun: the end is more than a margin away."""
        return now < self.ends_at - self.margin_seconds


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that is alive, and what its settings let it own."""

    name: str
    wants: frozenset[Subject]
    since_at: datetime
    until_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease as the database has it. `owner` is None once it was given back; `is_over` if nobody may rely on it."""

    subject: Subject
    owner: str | None
    epoch: int
    until_at: datetime
    is_over: bool


@dataclass(frozen=True, slots=True)
class Muster:
    """Who is alive and who owns what, at one instant of the database's clock; and how many attempts it knows."""

    at: datetime
    members: tuple[Member, ...] = ()
    claims: tuple[Claim, ...] = ()
    attempts: int = 0


class Leave(Protocol):
    """Whether something may be begun now. An asyncio.Event is one."""

    def is_set(self) -> bool:
        """Say whether it may."""
        ...


@dataclass(frozen=True, slots=True)
class OwnersLeave:
    """The leave of an owner: that of the whole process, and while its lease is safe."""

    of_all: Leave
    tenure: Tenure
    clock: Clock

    def is_set(self) -> bool:
        """Say whether the owner may begin something."""
        return self.of_all.is_set() and self.tenure.is_safe(self.clock.monotonic())
