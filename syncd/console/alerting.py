"""Alerts beside a running daemon: a task that looks, and a thread that tells when the loop itself stands still."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loguru import logger

from syncd.console.alert_ways import Ways
from syncd.model.alert import AlertKind, News
from syncd.service.alerts import AlertWatch, single
from syncd.service.daemon import Daemon
from syncd.service.deadman import DeadMan

STANDS_STILL = "stands still: its event loop has not turned for a minute, so nothing is read or sent"


@asynccontextmanager
async def alerting(daemon: Daemon) -> AsyncIterator[None]:
    """Look after a daemon that has started, until it ends."""
    ways = Ways(daemon.meter)
    watch = AlertWatch(lambda: daemon.settings, daemon.database, daemon.clock, daemon.parts.stuck, ways.tell)
    dead_man = DeadMan(daemon.clock, lambda stands_still: _tell_of_the_loop(daemon, ways, stands_still))
    tasks = [
        asyncio.create_task(watch.run(), name="alerts"),
        asyncio.create_task(dead_man.keep_saying(), name="dead man"),
    ]
    dead_man.start()
    try:
        yield
    finally:
        dead_man.end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell_of_the_loop(daemon: Daemon, ways: Ways, stands_still: bool) -> bool:
    """Tell from the thread, by a loop of its own: the daemon's does not turn. Return whether that is done with."""
    is_taken = True
    settings = daemon.settings.alerts
    if settings.is_configured:
        news = News.FIRING if stands_still else News.CLEARED
        said = single(socket.gethostname(), daemon.clock.now(), AlertKind.LOOP, STANDS_STILL, news)
        is_taken = asyncio.run(ways.tell(settings, said))
    if stands_still:
        # Last: a log that takes no line may be what the loop stands still for.
        logger.critical("the event loop has not turned for a minute")
    return is_taken
