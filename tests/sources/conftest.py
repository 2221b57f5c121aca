"""A vendor that answers as told, over real HTTP on loopback, and keeps what it was asked."""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from pydantic import SecretStr

from syncd.sources.adapter import Connection, HeaderAuthentication
from syncd.sources.http import VendorHttp

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = "hush-4711-hush"


@dataclass
class Asked:
    """One request as the vendor saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Answering:
    """The vendor: answers are used up in order; a request without one is a mistake of the test, told at its end."""

    asked: list[Asked] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)
    surplus: int = 0
    base_url: str = ""

    def then(self, status=200, body="{}", headers=None, content_type="application/json"):
        """Queue an answer."""

        async def answer(request):
            kind = {"Content-Type": content_type, **(headers or {})}
            data = body if isinstance(body, bytes) else body.encode()
            return web.Response(status=status, body=data, headers=kind)

        return self.then_do(answer)

    def then_do(self, answer):
        """Queue a function that answers."""
        self.answers.append(answer)
        return self

    async def handle(self, request):
        """Keep the request and give the next answer."""
        now = asyncio.get_running_loop().time()
        self.asked.append(Asked(request.method, request.raw_path, dict(request.headers), await request.read(), now))
        if not self.answers:
            self.surplus += 1
            return web.Response(status=418)
        return await self.answers.popleft()(request)

    def waits(self):
        """Return the virtual seconds between the requests."""
        times = [asked.at for asked in self.asked]
        return [pytest.approx(after - before, abs=0.01) for before, after in itertools.pairwise(times)]


@pytest.fixture
async def vendor(clock):
    """Start the vendor; at the end it must have answered all that it was asked."""
    answering = Answering()
    runner = web.ServerRunner(web.Server(answering.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    answering.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield answering
    await runner.cleanup()
    assert answering.surplus == 0, "the vendor was asked more often than the test expects"


@pytest.fixture
async def open_http(clock):
    """Return a function that opens a VendorHttp, at a pace that never waits unless told otherwise."""
    opened = []

    def open_one(
        base_url,
        authentication=None,
        budgets=None,
        pace=60_000,
        concurrency=4,
        headers=None,
        secret_headers=None,
        **more,
    ):
        authentication = authentication or HeaderAuthentication(SecretStr(SECRET), scheme="Bearer")
        connection = Connection(
            base_url, authentication, pace, concurrency, headers or {}, budgets or {}, secret_headers or {}
        )
        http = VendorHttp(connection, clock=clock, **more)
        opened.append(http)
        return http

    yield open_one
    for http in opened:
        await http.close()


@pytest.fixture
def http(open_http, vendor):
    """Return a VendorHttp for the vendor."""
    return open_http(vendor.base_url)
