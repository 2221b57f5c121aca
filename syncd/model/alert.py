"""An alert: something does not go on as it should, and somebody is to be told. Names and numbers alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class AlertKind(StrEnum):
    """What an alert is about."""

    SYSTEM_SILENT = "system_silent"
    SYSTEM_PAUSED = "system_paused"
    API_STALLED = "api_stalled"
    API_PAUSED = "api_paused"
    IN_DOUBT = "in_doubt"
    PARKED = "parked"
    SUSPENDED = "suspended"
    DATABASE = "database"
    STUCK = "stuck"
    LOOP = "loop"
    TEST = "test"


class News(StrEnum):
    """What is to be told of an alert."""

    FIRING = "firing"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is not well at one look.

    It is told once it has lasted for `after`: counted from `since_at` (None: from when it was first seen), and not from
    before `not_before`. `number` is how many there are of it.
    """

    subject: str
    kind: AlertKind
    text: str
    after: timedelta
    since_at: datetime | None = None
    not_before: datetime | None = None
    number: int = 1


@dataclass(frozen=True, slots=True)
class Alert:
    """What is known about something that is not well. `news` is what is to be told, from `due_at` on."""

    subject: str
    kind: str
    text: str
    since_at: datetime
    number: int = 1
    told_at: datetime | None = None
    told_number: int = 0
    news: News | None = None
    tries: int = 0
    due_at: datetime | None = None
