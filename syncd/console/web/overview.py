"""How everything stands, as the pages show it: what `syncd status` reads, and what was done lately."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from syncd.console.evidence_page import OUTCOME_WORDS
from syncd.console.status import Overview, read_overview
from syncd.console.web.chart import Chart, draw, hours_until
from syncd.console.web.context import WebContext
from syncd.console.web.remembered import Remembered
from syncd.model.delivery import DeliveryState, Outcome
from syncd.model.link import LinkState
from syncd.store import activity, lists
from syncd.store.activity import HOUR, Due, Lately
from syncd.store.database import Connection

PACE = timedelta(minutes=1)
LATELY = timedelta(minutes=10)
CHART_SECONDS = 10.0
ENDED_SECONDS = 30.0
"""What has ended is counted this seldom: it is most of the database, and nobody waits for its last digit."""
SETTLED = timedelta(minutes=10)
"""So long after its end an hour is taken as told for good: no request of it is still on the wire."""

_FAILURES = frozenset(
    outcome.value for outcome in (Outcome.NOT_SENT, Outcome.REFUSED_FOR_NOW, Outcome.IN_DOUBT, Outcome.NOT_THE_API)
)
_IN_DOUBT, _PARKED = DeliveryState.IN_DOUBT, DeliveryState.PARKED
_WORDS = {"sending": "ok", "polled": "ok"}


@dataclass(frozen=True, slots=True)
class Hour:
    """What was done in one hour: replies taken in by system, deliveries made by api."""

    taken_in: Mapping[str, int]
    delivered: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Lane:
    """An api or a system, as it stands: a word, since when and why, what is due, how it did."""

    name: str
    word: str
    since_at: datetime | None
    why: str | None
    values: Mapping[str, Any]
    due: Due | None
    chart: Chart
    requests: int = 0
    requests_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything of one instant that the overview shows."""

    overview: Overview
    apis: tuple[Lane, ...]
    systems: tuple[Lane, ...]

    @property
    def paused(self) -> list[Lane]:
        """Return the apis and systems that do not go on by themselves."""
        return [lane for lane in (*self.apis, *self.systems) if lane.word in {"paused", "not configured"}]

    @property
    def waiting(self) -> list[tuple[int, str, str, str]]:
        """Return how many deliveries wait for a person: the number, the kind, its word, and what that means."""
        flooded = sum(self.overview.floods.values())
        in_doubt, parked = (self.overview.deliveries[one.value] for one in (_IN_DOUBT, _PARKED))
        return [
            (in_doubt, "in_doubt", "in doubt", "sent, perhaps: look into their threads, then decide"),
            (parked - flooded, "parked", "parked", "refused for what they say, or impossible to map"),
            (flooded, "flood", "flood", "old replies that came as new, more than usual, so none of them was sent"),
        ]

    @property
    def needed(self) -> int:
        """Return how much needs a person."""
        deliveries = self.overview.deliveries[_IN_DOUBT.value] + self.overview.deliveries[_PARKED.value]
        return len(self.paused) + deliveries + self.overview.links[LinkState.SUSPENDED.value]


@dataclass(slots=True)
class Observer:
    """Reads how everything stands, for all the pages that show something of it."""

    context: WebContext
    standing: Remembered[Standing] = field(init=False)
    hours: Remembered[dict[datetime, Hour]] = field(init=False)
    ended: Remembered[lists.Ended] = field(init=False)
    _settled: dict[datetime, Hour] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.standing = Remembered(self.context.clock, self._read)
        self.ended = Remembered(self.context.clock, self._read_ended, ENDED_SECONDS)
        self.hours = Remembered(self.context.clock, self._read_hours, CHART_SECONDS)

    async def _read(self) -> Standing:
        hours, ended = await self.hours.get(), await self.ended.get()
        overview = await read_overview(self.context.acting_for("the status page"), ended)
        now = overview.at

        def read(connection: Connection) -> tuple[dict[str, Lately], dict[str, Due], dict[str, Due]]:
            return (
                activity.attempts_since(connection, now - LATELY, now - PACE),
                activity.due_by_api(connection, now),
                activity.due_by_system(connection, now),
            )

        lately, due_apis, due_systems = await self.context.database.read(read)
        apis = [
            self._api(name, values, lately.get(name), due_apis.get(name), _chart(hours, "delivered", name))
            for name, values in overview.apis.items()
        ]
        systems = [
            _system(values, due_systems.get(name), _chart(hours, "taken_in", name))
            for name, values in overview.systems.items()
        ]
        return Standing(overview, tuple(apis), tuple(systems))

    def _api(self, name: str, values: Mapping[str, Any], lately: Lately | None, due: Due | None, chart: Chart) -> Lane:
        configured = self.context.settings.api.get(name)
        word, since_at, why = api_words(values, lately)
        return Lane(
            name=name,
            word=word,
            since_at=since_at,
            why=why,
            values=values,
            due=due,
            chart=chart,
            requests=0 if lately is None else lately.requests,
            requests_per_minute=None if configured is None else configured.requests_per_minute,
        )

    async def _read_ended(self) -> lists.Ended:
        return await self.context.database.read(lists.count_ended)

    async def _read_hours(self) -> dict[datetime, Hour]:
        """Return what was done in the last hours; of those that are settled only what is not known yet is read."""
        now = self.context.clock.now()
        wanted = hours_until(now)
        first = next(place for place, hour in enumerate(wanted) if hour not in self._settled)
        known, missing = {hour: self._settled[hour] for hour in wanted[:first]}, wanted[first:]

        def read(connection: Connection) -> dict[datetime, Hour]:
            taken_in = activity.count_taken_in(connection, missing)
            delivered = activity.count_delivered(connection, missing)
            return {hour: Hour(_of(hour, taken_in), _of(hour, delivered)) for hour in missing}

        found = known | await self.context.database.read(read)
        self._settled = {hour: one for hour, one in found.items() if hour + HOUR + SETTLED <= now}
        return found


def _of(hour: datetime, counts: Mapping[tuple[datetime, str], int]) -> dict[str, int]:
    return {name: number for (one, name), number in counts.items() if one == hour}


def _chart(hours: Mapping[datetime, Hour], what: str, name: str) -> Chart:
    return draw(sorted(hours), {hour: getattr(one, what).get(name, 0) for hour, one in hours.items()})


def api_words(values: Mapping[str, Any], lately: Lately | None) -> tuple[str, datetime | None, str | None]:
    """Return how an api stands: a word, since when, and why."""
    match values["state"]:
        case "throttled":
            return "throttled", None, "it answered 429, and denies everything for a while"
        case "held":
            return "held", None, 'its mode is "hold": what arrives is kept, and nothing is sent until it is released'
        case "not configured":
            return "not configured", None, "something waits for it, and it is not in the settings"
        case "sending" if lately is not None and _is_failing(lately):
            came_of_it = ", ".join(
                f"{number} {OUTCOME_WORDS[name]}"
                for name, number in sorted(lately.outcomes.items())
                if name in _FAILURES
            )
            return "failing", lately.first_at, f"nothing was delivered in the last 10 minutes; attempts: {came_of_it}"
        case state:
            return _WORDS.get(state, state), values["since_at"], values["reason"]


def _is_failing(lately: Lately) -> bool:
    return Outcome.DELIVERED.value not in lately.outcomes and any(name in _FAILURES for name in lately.outcomes)


def _system(values: Mapping[str, Any], due: Due | None, chart: Chart) -> Lane:
    word = _WORDS.get(values["state"], values["state"])
    return Lane(values["name"], word, values["since_at"], values["reason"], values, due, chart)


OBSERVER = web.AppKey("observer", Observer)


async def standing_of(request: web.Request) -> Standing:
    """Return how everything stands now, or stood a moment ago."""
    return await request.app[OBSERVER].standing.get()
