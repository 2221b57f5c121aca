"""Parts put together from settings: a dispatcher for an api, a lane for a system, and the tie between them."""

import os
import random
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncd.delivery.api import OpenApi
from syncd.delivery.attempt import Sender
from syncd.delivery.dispatcher import Dispatcher
from syncd.model.clock import Clock
from syncd.model.lease import Leave, Tenure
from syncd.model.meter import Meter, Unmetered, answer_class
from syncd.service.reading_again import ReadAgain
from syncd.service.settings import ApiSettings, Settings, SystemSettings
from syncd.service.system_lane import SystemLane
from syncd.sources.adapter import Capability
from syncd.sources.registry import OpenedAdapter, open_adapter
from syncd.store.database import Database
from syncd.store.high_water import HighWater, mark_path
from syncd.sync.collect import System


@dataclass(slots=True)
class SystemPart:
    """A system at work: its lane, its connection, and the settings that it was made from."""

    settings: SystemSettings
    lane: SystemLane
    opened: OpenedAdapter


@dataclass(slots=True)
class ApiPart:
    """An api at work: its dispatcher, its connection, and the settings that it was made from."""

    settings: ApiSettings
    dispatcher: Dispatcher
    api: OpenApi


def worker_name() -> str:
    """Return a name for this process that tells it from every other, of other machines and of other times too."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def high_water_path(settings: Settings) -> Path:
    """Return where the high-water mark of the configured database is kept."""
    return mark_path(settings.state_directory, settings.database.sqlite_path)


def open_adapter_of(settings: SystemSettings, clock: Clock) -> OpenedAdapter:
    """Return the adapter of a system, with the connection to be closed after it."""
    return open_adapter(
        settings.adapter_class,
        settings.options,
        clock=clock,
        requests_per_minute=settings.requests_per_minute,
        link_hosts=settings.link_hosts,
    )


def open_system(name: str, settings: SystemSettings, database: Database, clock: Clock) -> tuple[System, OpenedAdapter]:
    """Return a system that can be read, with the connection to be closed after it."""
    opened = open_adapter_of(settings, clock)
    has_feed = Capability.CHANGE_FEED in settings.adapter_class.capabilities
    return System(settings.policy(name), opened.adapter, database, clock, has_feed), opened


def open_api(settings: ApiSettings, clock: Clock) -> OpenApi:
    """Return the connection to an api."""
    return OpenApi(
        settings.base_url,
        settings.api_key,
        clock=clock,
        timeout_seconds=settings.timeout_seconds,
        connections=settings.in_flight,
    )


def make_system(
    name: str,
    settings: SystemSettings,
    database: Database,
    clock: Clock,
    allowed: Leave,
    meter: Meter | None = None,
) -> SystemPart:
    """Return the lane of a system, not running yet."""
    system, opened = open_system(name, settings, database, clock)
    meter = meter or Unmetered()
    opened.http.on_answer = lambda status: meter.asked(name, answer_class(status))
    return SystemPart(settings, SystemLane(system, allowed, meter=meter), opened)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all parts of one worker share; `worker` is its name."""

    database: Database
    clock: Clock
    high_water: HighWater
    worker: str
    meter: Meter


def make_api(
    name: str,
    settings: Settings,
    shared: Shared,
    allowed: Leave,
    find_system: Callable[[str], System | None],
    tenure: Tenure | None = None,
) -> ApiPart:
    """Return the dispatcher of an api, not running yet; with a tenure it is owned for a time, beside other workers."""
    mine = settings.api[name]
    clock = shared.clock
    api = open_api(mine, clock)
    spread = random.Random()  # noqa: S311 - spreads retries, guards nothing
    sender = Sender(
        policy=mine.policy(name, settings.zone),
        api=api,
        database=shared.database,
        clock=clock,
        worker=shared.worker,
        high_water=shared.high_water,
        refresh=ReadAgain(find_system, clock, None if tenure is None else shared.database),
        jitter=lambda: spread.random() * 0.1,
        tenure=tenure,
        meter=shared.meter,
    )
    return ApiPart(mine, Dispatcher(sender, allowed), api)
