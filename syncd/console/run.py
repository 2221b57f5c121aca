"""`syncd run`: where all parts are put together, and the one command that delivers."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from loguru import logger

from syncd.console.alerting import alerting
from syncd.console.context import Invocation, invocation_of
from syncd.model.clock import Clock
from syncd.model.meter import Meter, Unmetered
from syncd.service.daemon import Beside, Daemon
from syncd.service.log import configure_log
from syncd.service.notify import Notifier
from syncd.service.settings import Settings


def run(
    ctx: typer.Context,
    once: Annotated[
        bool,
        typer.Option("--once", help="Read every system once, deliver what is due, and end; for cron and for trying."),
    ] = False,
) -> None:
    """Poll, map and deliver until stopped: the service.

    SIGTERM finishes what is on the wire and ends with 0. SIGHUP reloads the settings. Log lines go to stderr.
    """
    invocation = invocation_of(ctx)
    daemon = make_daemon(invocation)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        if once:
            went_well = runner.run(daemon.once())
        else:
            runner.run(daemon.serve())
            went_well = daemon.parts.broken is None
    if not went_well:
        raise typer.Exit(1)


def make_daemon(invocation: Invocation) -> Daemon:
    """Return the daemon with what runs beside it: alerts, and whoever asks over HTTP.

    Raises:
        SettingsError: every mistake in the settings.
    """
    settings = load_with_log(invocation)
    is_asked = settings.console.listen is not None
    meter, beside = _asked_over_http(invocation.clock) if is_asked else (Unmetered(), alerting)
    return Daemon(
        settings=settings,
        clock=invocation.clock,
        notifier=Notifier(invocation.environ, invocation.clock),
        reload_settings=lambda: load_with_log(invocation),
        beside=beside,
        meter=meter,
    )


def _asked_over_http(clock: Clock) -> tuple[Meter, Beside]:
    """Return what counts for a daemon that is asked, and what runs beside it; others need not even import that."""
    from syncd.console.web.meter import PrometheusMeter  # noqa: PLC0415
    from syncd.console.web.server import serving  # noqa: PLC0415

    meter = PrometheusMeter(clock)

    @asynccontextmanager
    async def beside(started: Daemon) -> AsyncIterator[None]:
        async with alerting(started), serving(started, meter):
            yield

    return meter, beside


def load_with_log(invocation: Invocation) -> Settings:
    """Return the settings, with the log as they want it, and what is worth a look logged.

    Raises:
        SettingsError: every mistake in them.
    """
    settings = invocation.load_settings()
    log = settings.log
    configure_log(log.level, log.format, sys.stderr, invocation.environ, log.verbose)
    for problem in settings.warnings():
        logger.bind(place=problem.place).warning("settings: {}", problem)
    return settings


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return the faster event loop where it is installed (it is not made for every machine)."""
    try:
        import uvloop  # noqa: PLC0415 - may be absent
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
