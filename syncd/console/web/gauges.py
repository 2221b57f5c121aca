"""How things stand, for Prometheus: read when it is asked for, from the settings, the parts and the database."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily

from syncd.model.delivery import DeliveryState
from syncd.model.health import ApiState, PauseCause, SystemState
from syncd.model.link import LinkState
from syncd.model.policy import Mode
from syncd.service.readings import Readings
from syncd.service.settings import Settings
from syncd.store import gauges, health, leases
from syncd.store.database import Connection
from syncd.store.health import PERSON, SYNCD

ByNames = Mapping[tuple[str], float] | Mapping[tuple[str, str], float]
"""Values by what their labels say."""

OPEN = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.IN_DOUBT, DeliveryState.PARKED)
ELSEWHERE = "(not configured)"
"""The label of what is in the database and in no settings any more: names of former days are not shown."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database tells."""

    apis: Mapping[str, ApiState]
    systems: Mapping[str, SystemState]
    deliveries: Mapping[tuple[str, DeliveryState], int]
    links: Mapping[tuple[str, LinkState], int]
    oldest_due: Mapping[str, datetime]
    waiting: Collection[str]
    workers: int


def read_stored(connection: Connection) -> Stored:
    """Return what the database tells, without looking through the outbox."""
    pending = {(api, DeliveryState.PENDING): count for api, count in gauges.count_pending(connection).items()}
    return Stored(
        apis=health.list_apis(connection),
        systems=health.list_systems(connection),
        deliveries=pending | gauges.count_standing(connection),
        links=gauges.count_links(connection),
        oldest_due=gauges.find_oldest_due(connection),
        waiting=gauges.find_waiting(connection).keys(),
        workers=len(leases.muster(connection).members) or 1,
    )


def families(
    settings: Settings, readings: Readings, stored: Stored | None, now: datetime
) -> Iterator[GaugeMetricFamily]:
    """Yield every gauge; without what the database tells if that cannot be read."""
    yield _plain("syncd_database_up", "Whether the database could be read just now.", stored is not None)
    yield _plain("syncd_lanes_stuck", "Lanes of this worker that make no progress.", readings.stuck)
    yield from _of_settings(settings)
    yield from _of_parts(settings, readings)
    if stored is not None:
        yield _plain("syncd_workers", "Workers that are alive on this database.", stored.workers)
        yield from _of_deliveries(settings, stored, now)
        yield from _of_apis(settings, stored)
        yield from _of_systems(settings, stored)


def _plain(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _by(name: str, text: str, labels: list[str], values: ByNames) -> GaugeMetricFamily:
    made = GaugeMetricFamily(name, text, labels=labels)
    for words, value in values.items():
        made.add_metric(words, float(value))
    return made


def _of_settings(settings: Settings) -> Iterator[GaugeMetricFamily]:
    seconds = {(name,): system.poll_seconds for name, system in settings.systems.items()}
    yield _by("syncd_system_poll_interval_seconds", "How often a system is to be read.", ["system"], seconds)


def _of_parts(settings: Settings, readings: Readings) -> Iterator[GaugeMetricFamily]:
    owned = {("api", name): name in readings.apis for name in settings.api}
    owned |= {("system", name): name in readings.systems for name in settings.systems}
    yield _by("syncd_owned", "Whether this worker owns an api or a system.", ["kind", "name"], owned)
    for name, text, values in (
        ("syncd_api_requests_on_the_wire", "Attempts under way.", {k: v.on_the_wire for k, v in readings.apis.items()}),
        (
            "syncd_api_requests_limit",
            "How many attempts may be under way now; it falls when the api struggles.",
            {k: v.most_on_the_wire for k, v in readings.apis.items()},
        ),
        (
            "syncd_api_pace_left",
            "Requests that the pace allows at once; below 1 the next one waits.",
            {k: v.pace_left for k, v in readings.apis.items()},
        ),
        (
            "syncd_api_outcomes_not_stored",
            "Outcomes that could not be stored yet; meanwhile nothing is sent.",
            {k: v.uncommitted for k, v in readings.apis.items()},
        ),
        (
            "syncd_api_throttled",
            "1 while the api denies everything for a time (429).",
            {k: v.is_throttled for k, v in readings.apis.items()},
        ),
    ):
        yield _by(name, text, ["api"], {(api,): value for api, value in values.items()})
    wire = {(name,): one.on_the_wire for name, one in readings.systems.items()}
    yield _by("syncd_system_requests_on_the_wire", "Requests to a system under way.", ["system"], wire)
    pace = {(name,): one.pace_left for name, one in readings.systems.items()}
    text = "Requests to a system that its pace allows at once; 0 while it asked to be left alone."
    yield _by("syncd_system_pace_left", text, ["system"], pace)


def _of_deliveries(settings: Settings, stored: Stored, now: datetime) -> Iterator[GaugeMetricFamily]:
    counts = {(api, state.value): 0 for api in settings.api for state in OPEN}
    _sum_up(counts, {(api, state.value): count for (api, state), count in stored.deliveries.items()}, settings.api)
    yield _by("syncd_deliveries", "Deliveries that are not done, by state.", ["api", "state"], counts)
    ages = {(api,): _age(stored.oldest_due.get(api), now) for api in settings.api}
    text = "For how long the first delivery that is due has been due; 0 if none is."
    yield _by("syncd_oldest_due_seconds", text, ["api"], ages)
    links = {(system, state.value): 0 for system in settings.systems for state in LinkState}
    _sum_up(links, {(name, state.value): count for (name, state), count in stored.links.items()}, settings.systems)
    yield _by("syncd_links", "Links by state.", ["system", "state"], links)


def _sum_up(
    counts: dict[tuple[str, str], int], found: Mapping[tuple[str, str], int], known: Mapping[str, object]
) -> None:
    for (name, word), count in found.items():
        key = (name if name in known else ELSEWHERE, word)
        counts[key] = counts.get(key, 0) + count


def _age(instant: datetime | None, now: datetime) -> float:
    return 0.0 if instant is None else max(0.0, (now - instant).total_seconds())


def _of_apis(settings: Settings, stored: Stored) -> Iterator[GaugeMetricFamily]:
    states = {name: stored.apis.get(name, ApiState(name)) for name in settings.api}
    paused = {
        (name, cause.value): state.paused_cause is cause for name, state in states.items() for cause in PauseCause
    }
    yield _by("syncd_api_paused", "1 while nothing is sent to an api, by cause.", ["api", "cause"], paused)
    held = {
        (name,): settings.api[name].mode is Mode.HOLD and state.released_at is None for name, state in states.items()
    }
    yield _by("syncd_api_held", "1 while an api waits for its release.", ["api"], held)
    waiting = {(name,): name in stored.waiting for name in states}
    text = "1 while something waits that is tried soon; not what a suspended link or a refused thread holds."
    yield _by("syncd_api_waiting", text, ["api"], waiting)
    last = {(name,): _at(state.last_success_at) for name, state in states.items()}
    text = "When an api last took a delivery, to half a minute; 0 if never."
    yield _by("syncd_api_last_success_timestamp_seconds", text, ["api"], last)


def _of_systems(settings: Settings, stored: Stored) -> Iterator[GaugeMetricFamily]:
    states = {name: stored.systems.get(name, SystemState(name)) for name in settings.systems}
    paused = {(name, by): state.paused_by == by for name, state in states.items() for by in (PERSON, SYNCD)}
    yield _by("syncd_system_paused", "1 while a system is not read, by who has paused it.", ["system", "by"], paused)
    failures = {(name,): state.failures for name, state in states.items()}
    yield _by("syncd_system_failures", "Sweeps that failed in a row.", ["system"], failures)
    last = {(name,): _at(state.last_success_at) for name, state in states.items()}
    text = "When a system was last read successfully; 0 if never."
    yield _by("syncd_system_last_success_timestamp_seconds", text, ["system"], last)


def _at(instant: datetime | None) -> float:
    return 0.0 if instant is None else instant.timestamp()
