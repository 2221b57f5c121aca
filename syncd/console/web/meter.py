"""What this worker counts while it works, for Prometheus: counters and histograms in a registry of their own.

They start at 0 with the process, as Prometheus expects. Labels are names of the settings and words of enums, never
ids and never texts of others, so that their number is bounded.
"""

import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from syncd import __version__
from syncd.model.clock import Clock
from syncd.model.delivery import Outcome
from syncd.model.meter import AnswerClass, Hops, SweepResult

LATENCY_BUCKETS = (0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600, 86400)
HOPS = ("taken_in_to_sent", "sent_to_answered", "written_to_delivered")
"""The first hop is of the system, whichever api it is for: there may be hundreds of those."""

SWEEP_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 15, 60, 300, 600)
COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class PrometheusMeter:
    """A `Meter` that keeps what it is told in `registry`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known_apis: set[str] = set()
        self._known_systems: set[str] = set()
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        build = Gauge(
            "syncd_build_info", "Always 1; the labels say what runs.", ["version", "python"], registry=registry
        )
        build.labels(__version__, platform.python_version()).set(1)
        self._latency = Histogram(
            "syncd_reply_latency_seconds",
            "How long live replies took to their delivery, in all and from hop to hop.",
            ["api", "hop"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._intake = Histogram(
            "syncd_reply_intake_seconds",
            "How long live replies took from being written to being stored, counted when they were delivered.",
            ["system"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._attempts = Counter(
            "syncd_attempts", "Attempts to deliver, by what came of them.", ["api", "outcome"], registry=registry
        )
        self._requests = Counter(
            "syncd_system_requests",
            "Requests to ticketing systems, by the class of the answer (none: there was no whole one).",
            ["system", "answer"],
            registry=registry,
        )
        self._sweeps = Counter(
            "syncd_sweeps", "Sweeps over ticketing systems, by how they ended.", ["system", "result"], registry=registry
        )
        self._sweep_seconds = Histogram(
            "syncd_sweep_seconds", "How long sweeps took.", ["system"], buckets=SWEEP_BUCKETS, registry=registry
        )
        self._commit_seconds = Histogram(
            "syncd_database_commit_seconds",
            "How long write transactions took, from waiting for the lock to the end of the commit.",
            buckets=COMMIT_BUCKETS,
            registry=registry,
        )
        self._writes = Counter(
            "syncd_database_writes", "Writes to the database; several share a commit.", registry=registry
        )
        self._feeds = Counter(
            "syncd_watchdog_feeds", "How often the service manager was told that all goes on.", registry=registry
        )
        self._alerts = Counter(
            "syncd_alerts_sent", "Alerts sent by syncd itself, by way and result.", ["way", "result"], registry=registry
        )

    def know(self, apis: Iterable[str], systems: Iterable[str]) -> None:
        """Show the counters of these at 0 before anything has happened: a rate needs a beginning."""
        for api in set(apis) - self._known_apis:
            self._known_apis.add(api)
            for outcome in Outcome:
                self._attempts.labels(api, outcome.value)
        for system in set(systems) - self._known_systems:
            self._known_systems.add(system)
            for result in SweepResult:
                self._sweeps.labels(system, result.value)

    def attempted(self, api: str, outcome: Outcome, hops: Hops | None) -> None:
        """Count an attempt; with the hops of a live reply that was delivered."""
        # What is counted has happened and is stored: a failure here must not look like one of that.
        with suppress(Exception):
            self._attempts.labels(api, outcome.value).inc()
            if hops is not None:
                self._intake.labels(hops.system).observe(hops.written_to_taken_in)
                for hop in HOPS:
                    self._latency.labels(api, hop).observe(getattr(hops, hop))

    def swept(self, system: str, result: SweepResult, seconds: float) -> None:
        """Count a sweep."""
        with suppress(Exception):
            self._sweeps.labels(system, result.value).inc()
            self._sweep_seconds.labels(system).observe(seconds)

    def asked(self, system: str, answer: AnswerClass) -> None:
        """Count a request to a ticketing system."""
        with suppress(Exception):
            self._requests.labels(system, answer.value).inc()

    @contextmanager
    def committing(self, writes: int) -> Iterator[None]:
        """Time a transaction of so many writes."""
        began = self._clock.monotonic()
        try:
            yield
        finally:
            with suppress(Exception):  # else what is committed would look as if it were not, and be done again
                self._commit_seconds.observe(self._clock.monotonic() - began)
                self._writes.inc(writes)

    def watchdog_fed(self) -> None:
        """Count that the service manager was told that all goes on."""
        self._feeds.inc()

    def alerted(self, way: str, *, is_taken: bool) -> None:
        """Count an alert that was sent by one way."""
        self._alerts.labels(way, "taken" if is_taken else "failed").inc()
