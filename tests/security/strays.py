"""A vendor whose every address leads astray: what comes from it is passed on with all hosts replaced by another one.

`LeadAstray` is inherited by the suites of all adapters (tests/adapters/main_job.py), so a new adapter has it too.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from syncd.model.errors import SyncdError
from syncd.model.ticket import Ticket, TicketRef
from syncd.sources.adapter import Adapter, Capability, Refused
from syncd.sources.registry import open_adapter, validate_options

ADDRESS = re.compile(rb"https?:(?P<slash>\\?/)(?P=slash)[^/\\\"'\s<>?#]+")
ENCODED_ADDRESS = re.compile(rb"https?%3A%2F%2F[^%\"&\s<>]+", re.IGNORECASE)
PATH = re.compile(rb"\"(?=\\?/[a-z])")
UNTOUCHED = frozenset({"content-length", "content-encoding", "transfer-encoding", "date", "server"})


class Elsewhere:
    """Another host (another port of this machine, which is another origin). Nothing may ever connect to it."""

    def __init__(self) -> None:
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._greet, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _greet(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")
        writer.close()


def lie(host: str, way: str) -> Callable[[bytes], bytes]:
    """Return what puts `host` into the addresses of an answer.

    The ways: `paths` replaces hosts and makes addresses of bare paths, too; `schemeless` does so with `//host/path`.
    """
    name = host.encode()
    begin = (b"http:%s%s" if way == "paths" else b"%s%s") + name

    def change(body: bytes) -> bytes:
        body = ADDRESS.sub(lambda found: begin % (found["slash"], found["slash"]), body)
        body = ENCODED_ADDRESS.sub(lambda _: b"http%3A%2F%2F" + name.replace(b":", b"%3A"), body)
        return PATH.sub(b'"' + begin % (b"/", b"/"), body)

    return change


class Between:
    """Passes requests on to a stand-in, and its answers back as `change` makes them; `redirect` answers all by 302."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.change: Callable[[bytes], bytes] | None = None
        self.redirect = ""
        self.asked: list[str] = []

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(auto_decompress=True)
        self._runner = web.ServerRunner(web.Server(self._pass_on), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _pass_on(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request.headers["Host"])
        if self.redirect:
            return web.Response(status=302, headers={"Location": self.redirect + request.path_qs})
        headers = {**request.headers, "Host": urlsplit(self._origin).netloc}
        async with self._client.request(
            request.method,
            self._origin + request.raw_path,
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        ) as answer:
            body, kept = await answer.read(), [(n, v) for n, v in answer.headers.items() if n.lower() not in UNTOUCHED]
            if self.change is not None:
                body = self.change(body)
                kept = [(name, self.change(value.encode()).decode()) for name, value in kept]
                kept.append(
                    ("Link", self.change(f'<{self.origin}{request.path}?page=2>; rel="next"'.encode()).decode())
                )
            return web.Response(status=answer.status, body=body, headers=kept)


def moved(value: Any, old: str, new: str) -> Any:
    """Return options in which one origin took the place of another."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {key: moved(one, old, new) for key, one in value.items()}
    return [moved(one, old, new) for one in value] if isinstance(value, list | tuple) else value


class LeadAstray:
    """To be inherited beside the contract suite: needs its `adapter` and its `vendor`."""

    adapter: type[Adapter[Any]]

    @pytest.fixture
    async def elsewhere(self):
        """The host that no answer can lead to."""
        async with Elsewhere() as other:
            yield other

    async def test_no_answer_leads_to_another_host(self, elsewhere, vendor, clock):
        """Links, next pages, token answers and redirects that name another host are refused, or asked of our own."""
        begin = clock.now().replace(microsecond=0) - timedelta(days=1)
        seeded = await vendor.seed_ticket([begin + timedelta(minutes=n) for n in range(vendor.page_size + 2)])
        await clock.sleep(vendor.feed_lag_seconds + 5)
        options = vendor.options()
        own = "http://" + urlsplit(options["base_url"]).netloc
        async with Between(own) as between:
            options = validate_options(self.adapter, moved(dict(options), own, between.origin))
            for way in ("paths", "schemeless", "redirect"):
                between.change, between.redirect = None, ""
                async with open_adapter(self.adapter, options, clock=clock, requests_per_minute=60_000) as opened:
                    await self._read_all(opened.adapter, seeded, begin, between, way, elsewhere.host)
                async with open_adapter(self.adapter, options, clock=clock, requests_per_minute=60_000) as opened:
                    await self._tolerant(opened.adapter.check())  # the fetch of a token or a session among it
                assert elsewhere.connections == 0, way
                await clock.sleep(3600)  # some vendors hand out tokens so often and no more
            assert set(between.asked) == {urlsplit(between.origin).netloc}

    def _turn(self, between: Between, way: str, host: str) -> None:
        if way == "redirect":
            between.redirect = f"http://{host}"
        else:
            between.change = lie(host, way)

    async def _read_all(self, adapter, seeded, begin, between, way, host) -> None:
        """Read everything once truly, so that there is something to lose, and then with lies."""
        ticket = await adapter.resolve(TicketRef(number=seeded.number))
        assert isinstance(ticket, Ticket)
        assert [reply.id async for reply in adapter.replies(ticket, None)] == list(seeded.reply_ids)
        self._turn(between, way, host)
        await self._tolerant(adapter.check())
        await self._tolerant(adapter.resolve(TicketRef(number=seeded.number)))
        await self._tolerant(adapter.resolve(TicketRef(link=f"http://{host}/tickets/{seeded.number}")))
        await self._tolerant(adapter.tickets([seeded.id]))
        await self._tolerant(_all(adapter.replies(ticket, None)))
        if Capability.CHANGE_FEED in adapter.capabilities:
            await self._tolerant(_all(adapter.changes(begin)))

    async def _tolerant(self, reading: Awaitable[object]) -> None:
        with suppress(SyncdError, Refused):  # a lie may be refused, by the names that failures have
            await reading


async def _all(items) -> list[object]:
    return [item async for item in items]
