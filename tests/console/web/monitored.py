"""A world whose worker is measured, with the addresses that tell of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from syncd.console.web.context import WebContext
from syncd.console.web.meter import PrometheusMeter
from syncd.console.web.server import listening, make_app
from syncd.service.readings import Readings, read_parts
from syncd.service.settings import Settings
from syncd.service.settings_models import ConsoleSettings
from tests.conftest import World
from tests.planted import notes

CONSOLE = ConsoleSettings(listen="127.0.0.1:0")


class Monitored:
    """A world and its addresses."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.meter = PrometheusMeter(world.clock)
        world.meter = self.meter
        self.address = ""
        self.stuck: list[str] = []
        self.settings = Settings.model_copy(world.settings(), update={"console": CONSOLE})

    def _readings(self) -> Readings:
        self.meter.know(self.settings.api, self.settings.systems)
        return read_parts(self.world.parts)

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Monitored"]:
        """Begin, and listen."""
        await self.world.begin()
        context = WebContext(
            current=lambda: self.settings,
            database=self.world.database,
            clock=self.world.clock,
            poke=lambda _: None,
            stuck=lambda: self.stuck,
            registry=self.meter.registry,
            readings=self._readings,
        )
        async with listening(make_app(context), CONSOLE) as self.address:
            yield self

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Ask; return the status and what was answered, which is searched for secrets and contents."""
        async with aiohttp.ClientSession() as session, session.get(self.address + path, headers=headers) as answer:
            text = await answer.text()
            notes.look_at(path, text)
            return answer.status, text

    async def scrape(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return every sample by its name and labels, read as Prometheus reads it."""
        status, text = await self.get("/metrics")
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def key(name: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return what a sample is found by."""
    return name, frozenset(labels.items())
