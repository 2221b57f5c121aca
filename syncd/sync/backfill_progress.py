"""What a backfill is asked for, and how far it has come: values that a request keeps as JSON."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from syncd.sync.backfill_fates import Judged


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a backfill is asked for; `tickets` are numbers, all of the system's if empty."""

    tickets: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    first_message: bool = False

    def as_arguments(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "tickets": sorted(self.tickets),
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "first_message": self.first_message,
        }

    @classmethod
    def from_arguments(cls, arguments: dict[str, Any]) -> "Wanted":
        """Read it back."""
        since, until = arguments.get("since"), arguments.get("until")
        return cls(
            tickets=tuple(arguments.get("tickets", ())),
            since=None if since is None else datetime.fromisoformat(since),
            until=None if until is None else datetime.fromisoformat(until),
            first_message=bool(arguments.get("first_message")),
        )


@dataclass(slots=True)
class Progress:
    """How far a backfill has come. `by_api` splits what was enqueued, `fates` all that was found, by api and fate.

    `requests` to the vendor take `seconds` at its pace.
    """

    links: int = 0
    of: int = 0
    found: int = 0
    enqueued: int = 0
    failed: int = 0
    requests: int = 0
    seconds: float = 0.0
    by_api: dict[str, int] = field(default_factory=dict)
    fates: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, api: str, judged: Judged, enqueued: int) -> None:
        """Count one more link that was dealt with."""
        self.links += 1
        self.found += sum(judged.fates.values())
        self.enqueued += enqueued
        if enqueued:
            self.by_api[api] = self.by_api.get(api, 0) + enqueued
        fates = self.fates.setdefault(api, {})
        for fate, number in judged.fates.items():
            fates[fate.value] = fates.get(fate.value, 0) + number

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Progress":
        """Read it back, from an older syncd too."""
        names = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in deepcopy(dict(kept)).items() if name in names})
