"""The server: it listens where [console] says, for as long as the worker runs."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from loguru import logger

from syncd.console.web import control, health, hooks, login, metrics, pages
from syncd.console.web.context import CONTEXT, WebContext
from syncd.console.web.failures import answer_failures
from syncd.console.web.guards import HEADERS, Guard, Handler
from syncd.console.web.meter import PrometheusMeter
from syncd.model.errors import SyncdError
from syncd.service.daemon import Daemon
from syncd.service.readings import Readings, read_parts
from syncd.service.settings_models import ConsoleSettings

LARGEST_BODY_BYTES = 1024 * 1024
SHUTDOWN_SECONDS = 2.0
IDLE_SECONDS = 75.0
"""So long a connection is open while no whole request comes: more than proxies keep one, and no hour, as is usual."""
SOCKET_MODE = 0o660

GUARD = web.AppKey("guard", Guard)


def make_app(context: WebContext) -> web.Application:
    """Return the application with every page of it."""
    app = web.Application(middlewares=[_with_headers, answer_failures, _guarded], client_max_size=LARGEST_BODY_BYTES)
    app[CONTEXT] = context
    app[GUARD] = Guard(context.clock)
    login.add_routes(app, app[GUARD])
    pages.add_routes(app)
    health.add_routes(app, context)
    metrics.add_routes(app, context)
    control.add_routes(app)
    hooks.add_routes(app)
    return app


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[GUARD].check(request)
    return await handler(request)


@web.middleware
async def _with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as answer:  # such as one that leads elsewhere
        response = answer
    _add_headers(response)
    if isinstance(response, web.HTTPException):
        raise response  # which aiohttp wants to be raised, whether a page returned it or not
    return response


def _add_headers(response: web.StreamResponse) -> None:
    if not response.prepared:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)


@asynccontextmanager
async def serving(daemon: Daemon, meter: PrometheusMeter) -> AsyncIterator[None]:
    """Listen beside a daemon that has started, if its settings say where.

    Raises:
        SyncdError: the address cannot be listened at.
    """
    console = daemon.settings.console
    if console.listen is None:
        yield
        return

    def readings() -> Readings:
        meter.know(daemon.settings.api, daemon.settings.systems)
        return read_parts(daemon.parts)

    context = WebContext(
        current=lambda: daemon.settings,
        database=daemon.database,
        clock=daemon.clock,
        poke=daemon.parts.trigger,
        stuck=daemon.parts.stuck,
        hooked=daemon.parts.hooked,
        registry=meter.registry,
        readings=readings,
    )
    async with listening(make_app(context), console) as where:
        logger.bind(listen=where).info("the status page listens")
        yield


@asynccontextmanager
async def listening(app: web.Application, console: ConsoleSettings) -> AsyncIterator[str]:
    """Listen where the settings say; yield the address as people write it, with the port that was free for port 0.

    Raises:
        SyncdError: the address cannot be listened at.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_log(),
        keepalive_timeout=IDLE_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
        handle_signals=False,
    )
    await runner.setup()
    try:
        site = await _site(runner, console)
        try:
            await _start(site, console)
        except OSError as error:
            raise SyncdError(f"[console] cannot listen at {console.listen}: {error.strerror or error}") from None
        yield _address(runner, console)
    finally:
        await runner.cleanup()
        if console.socket is not None:
            await asyncio.to_thread(_remove_dead_socket, Path(console.socket))


def _log() -> logging.Logger:
    """Return where aiohttp writes its own troubles; that somebody has sent what is no HTTP is none of ours."""
    log = logging.getLogger(__name__)
    log.filters = [lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))]
    return log


async def _site(runner: web.AppRunner, console: ConsoleSettings) -> web.BaseSite:
    if console.socket is not None:
        await asyncio.to_thread(_remove_dead_socket, Path(console.socket))
        return web.UnixSite(runner, console.socket)
    host, port = console.address or ("127.0.0.1", 0)
    return web.TCPSite(runner, host, port)


async def _start(site: web.BaseSite, console: ConsoleSettings) -> None:
    if console.socket is None:
        await site.start()
        return
    if await asyncio.to_thread(os.path.lexists, console.socket):
        # The event loop would take the place of another one's socket without a word.
        raise OSError(errno.EADDRINUSE, "another process listens there, or it is no socket")
    # Nobody else may connect between its making and its mode. Files that are made meanwhile are kept closer, not wider.
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        await site.start()
    finally:
        os.umask(before)
    await asyncio.to_thread(Path(console.socket).chmod, SOCKET_MODE)


def _remove_dead_socket(path: Path) -> None:
    """Remove a socket that nobody listens at, such as that of a killed worker; anything else at that place stays."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(path.lstat().st_mode) and not _is_listened_at(path):
            path.unlink()


def _is_listened_at(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:  # such as one that is not ours to connect to
            return True
    return True


def _address(runner: web.AppRunner, console: ConsoleSettings) -> str:
    if console.socket is not None:
        return f"unix:{console.socket}"
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
