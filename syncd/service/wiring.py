"""Parts put together from settings: a dispatcher for an api, a lane for a system, and the tie between them."""

import asyncio
import os
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncd.delivery.api import OpenApi
from syncd.delivery.attempt import Sender
from syncd.delivery.dispatcher import Dispatcher
from syncd.model.clock import Clock
from syncd.service.reading_again import ReadAgain
from syncd.service.settings import ApiSettings, Settings, SystemSettings
from syncd.service.system_lane import SystemLane
from syncd.sources.adapter import Capability
from syncd.sources.registry import OpenedAdapter, open_adapter
from syncd.store.database import Database
from syncd.store.high_water import HighWater
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
    """Return a name for this process that tells it from every other."""
    return f"{socket.gethostname()}:{os.getpid()}"


def high_water_path(settings: Settings) -> Path:
    """Return where the high-water mark of the configured database is kept."""
    file = settings.database.sqlite_path
    name = "postgresql" if file is None else file.name
    return settings.state_directory / f"{name}.high-water"


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
    name: str, settings: SystemSettings, database: Database, clock: Clock, allowed: asyncio.Event
) -> SystemPart:
    """Return the lane of a system, not running yet."""
    system, opened = open_system(name, settings, database, clock)
    return SystemPart(settings, SystemLane(system, allowed), opened)


def make_api(
    name: str,
    settings: Settings,
    database: Database,
    clock: Clock,
    allowed: asyncio.Event,
    high_water: HighWater,
    find_system: Callable[[str], System | None],
) -> ApiPart:
    """Return the dispatcher of an api, not running yet."""
    mine = settings.api[name]
    api = open_api(mine, clock)
    spread = random.Random()  # noqa: S311 - spreads retries, guards nothing
    sender = Sender(
        policy=mine.policy(name, settings.zone),
        api=api,
        database=database,
        clock=clock,
        worker=worker_name(),
        high_water=high_water,
        refresh=ReadAgain(find_system, clock),
        jitter=lambda: spread.random() * 0.1,
    )
    return ApiPart(mine, Dispatcher(sender, allowed), api)
