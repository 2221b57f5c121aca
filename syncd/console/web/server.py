"""The server: it listens where [console] says, for as long as the worker runs."""

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from loguru import logger

from syncd.console.web import login, pages
from syncd.console.web.context import CONTEXT, WebContext
from syncd.console.web.failures import answer_failures
from syncd.console.web.guards import HEADERS, Guard, Handler
from syncd.model.errors import SyncdError
from syncd.service.daemon import Daemon
from syncd.service.settings_models import ConsoleSettings

LARGEST_BODY_BYTES = 1024 * 1024
SHUTDOWN_SECONDS = 2.0
SOCKET_MODE = 0o660

GUARD = web.AppKey("guard", Guard)


def make_app(context: WebContext) -> web.Application:
    """Return the application with every page of it."""
    app = web.Application(middlewares=[_with_headers, answer_failures, _guarded], client_max_size=LARGEST_BODY_BYTES)
    app[CONTEXT] = context
    app[GUARD] = Guard(context.clock)
    login.add_routes(app, app[GUARD])
    pages.add_routes(app)
    return app


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[GUARD].check(request)
    return await handler(request)


@web.middleware
async def _with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
    return response


@asynccontextmanager
async def serving(daemon: Daemon) -> AsyncIterator[None]:
    """Listen beside a daemon that has started, if its settings say where.

    Raises:
        SyncdError: the address cannot be listened at.
    """
    console = daemon.settings.console
    if console.listen is None:
        yield
        return
    context = WebContext(
        current=lambda: daemon.settings,
        database=daemon.database,
        clock=daemon.clock,
        poke=daemon.parts.trigger,
        stuck=daemon.parts.stuck,
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
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handle_signals=False)
    await runner.setup()
    try:
        site = await _site(runner, console)
        try:
            await site.start()
        except OSError as error:
            raise SyncdError(f"[console] cannot listen at {console.listen}: {error.strerror or error}") from None
        if console.socket is not None:
            await asyncio.to_thread(Path(console.socket).chmod, SOCKET_MODE)
        yield _address(runner, console)
    finally:
        await runner.cleanup()


async def _site(runner: web.AppRunner, console: ConsoleSettings) -> web.BaseSite:
    if console.socket is not None:
        await asyncio.to_thread(_remove_dead_socket, Path(console.socket))
        return web.UnixSite(runner, console.socket)
    host, port = console.address or ("127.0.0.1", 0)
    return web.TCPSite(runner, host, port)


def _remove_dead_socket(path: Path) -> None:
    """Remove the socket that a killed worker left; anything else at that place stays, and listening fails."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()


def _address(runner: web.AppRunner, console: ConsoleSettings) -> str:
    if console.socket is not None:
        return f"unix:{console.socket}"
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
