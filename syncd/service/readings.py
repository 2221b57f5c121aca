"""What the parts of this worker know of themselves, as numbers; nothing of it is read from the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from syncd.service.parts import Parts


@dataclass(frozen=True, slots=True)
class ApiReading:
    """An api that this worker sends to."""

    on_the_wire: int
    most_on_the_wire: int
    pace_left: float
    uncommitted: int
    is_throttled: bool


@dataclass(frozen=True, slots=True)
class SystemReading:
    """A system that this worker reads."""

    on_the_wire: int
    pace_left: float


@dataclass(frozen=True, slots=True)
class Readings:
    """What this worker owns, and how much of it is under way."""

    apis: Mapping[str, ApiReading] = field(default_factory=dict)
    systems: Mapping[str, SystemReading] = field(default_factory=dict)
    stuck: int = 0


def read_parts(parts: Parts) -> Readings:
    """Return what the parts know now."""
    now = parts.clock.monotonic()
    apis = {
        name: ApiReading(
            on_the_wire=part.dispatcher.in_flight,
            most_on_the_wire=part.dispatcher.health.limit,
            pace_left=part.dispatcher.pace.available(now),
            uncommitted=part.dispatcher.sender.uncommitted,
            is_throttled=part.dispatcher.health.throttled_until > now,
        )
        for name, part in parts.apis.items()
    }
    systems = {
        name: SystemReading(part.opened.http.requests_under_way, part.opened.http.pace_left)
        for name, part in parts.systems.items()
    }
    return Readings(apis, systems, len(parts.stuck()))
