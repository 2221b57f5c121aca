"""What a request over HTTP is answered with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CollectorRegistry

from syncd.console.context import CommandContext
from syncd.model.clock import Clock
from syncd.service.readings import Readings
from syncd.service.settings import Settings
from syncd.store.database import Database


@dataclass(frozen=True, slots=True)
class WebContext:
    """The running worker, as much of it as is needed to answer.

    - `current`: the settings as they are now; a reload changes them.
    - `poke`: lets the lane of a system look for what it was asked, now instead of within a second.
    - `hooked`: lets the lane of a system read what webhooks have made due, without a sweep.
    - `stuck`: names the lanes that make no progress.
    - `registry`: what this worker has counted; `readings`: what its parts know of themselves.
    """

    current: Callable[[], Settings]
    database: Database
    clock: Clock
    poke: Callable[[str], None]
    stuck: Callable[[], Sequence[str]]
    hooked: Callable[[str], None] = lambda _: None
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    readings: Callable[[], Readings] = Readings

    @property
    def settings(self) -> Settings:
        """Return the settings of now."""
        return self.current()

    def acting_for(self, who: str) -> CommandContext:
        """Return what the commands work with, for somebody who asks over HTTP."""
        return CommandContext(self.settings, self.database, self.clock, who)


CONTEXT = web.AppKey("context", WebContext)
WHO = web.RequestKey("who", str)
"""Who asks: the name given at the login, or the control API's client. Set once the token was right."""


def context_of(request: web.Request) -> WebContext:
    """Return what a request is answered with."""
    return request.app[CONTEXT]


def who_asks(request: web.Request) -> str:
    """Return who asks; for decisions, which stay in the records."""
    return request[WHO]
