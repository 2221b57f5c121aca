"""Why a system or an api waits, as values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PauseCause(StrEnum):
    """Why nothing is sent to an api, and so how it recovers.

    `key`: refused with 401, probed with HEAD. `not_the_api`: something else answered; a person resumes it.
    `threads`: three threads in a row were refused; one delivery is tried now and then. `person`: paused by hand.
    `restored`: the database is behind what was sent; `syncd db restored` ends it.
    """

    KEY = "key"
    NOT_THE_API = "not_the_api"
    THREADS = "threads"
    PERSON = "person"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class ApiState:
    """What is stored about the health of an api."""

    api: str
    paused_cause: PauseCause | None = None
    reason: str | None = None
    since_at: datetime | None = None
    retry_at: datetime | None = None
    throttled_until: datetime | None = None
    released_at: datetime | None = None
    last_success_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SystemState:
    """What is stored about the health of a system. `paused_by` is `person` or `syncd` (credentials, permissions)."""

    system: str
    paused_by: str | None = None
    reason: str | None = None
    since_at: datetime | None = None
    retry_at: datetime | None = None
    failures: int = 0
    last_success_at: datetime | None = None
    last_full_sweep_at: datetime | None = None
    full_sweep_found: int | None = None
    full_sweep_seconds: int | None = None
