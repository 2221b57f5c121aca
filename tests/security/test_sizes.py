"""However large, deep or slow an answer is: both clients end in bounded time and memory, in a failure with a name.

What an honest server never sends is sent by raw bytes. Time is virtual, so a minute costs nothing; where only time
bounds an answer, its pieces come a second apart, for virtual time passes only while nothing happens.
"""

import asyncio
import gzip
import resource
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pydantic import SecretStr

from syncd.delivery.api import LARGEST_ANSWER, OpenApi
from syncd.delivery.decide import judge
from syncd.model.communication import Thread
from syncd.model.delivery import Outcome
from syncd.model.errors import RetryLater, SyncdError, UnexpectedAnswer
from syncd.model.policy import On500
from syncd.sources.adapter import Connection, HeaderAuthentication, Refused
from syncd.sources.http import VendorHttp

CAP = 256 * 1024
MOST_REAL_SECONDS = 5.0
MOST_MEMORY_KIB = 96 * 1024
BOMB = b"0" * (64 * 1024 * 1024)
OPENING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
DEEP = b"[" * 100_000 + b"]" * 100_000
DEEP_OBJECTS = b'{"a":' * 30_000 + b"1" + b"}" * 30_000

Send = Callable[[asyncio.StreamWriter], Awaitable[None]]


def whole(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> Send:
    """Return what sends one answer."""
    lines = b"".join(header + b"\r\n" for header in headers)
    opening = OPENING.replace(b"200 OK", status)

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(opening + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    return send


def endless(opening: bytes, piece: bytes, seconds: float = 0.0) -> Send:
    """Return what sends a piece again and again for as long as somebody reads, a piece every so many seconds."""

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(opening)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(seconds)

    return send


def raw_deflate(body: bytes) -> bytes:
    """Return a body as `deflate` has it."""
    return zlib.compress(body, 9)


HOSTILE: dict[str, Send] = {
    "gzip bomb": whole(gzip.compress(BOMB), b"Content-Encoding: gzip"),
    "deflate bomb": whole(raw_deflate(BOMB), b"Content-Encoding: deflate"),
    "bomb in a bomb": whole(gzip.compress(gzip.compress(BOMB)), b"Content-Encoding: gzip, gzip"),
    "not what it says": whole(b"no gzip", b"Content-Encoding: gzip"),
    "an encoding that was not asked for": whole(b"\x0b\x02\x80", b"Content-Encoding: br"),
    "zstd": whole(b"(\xb5/\xfd", b"Content-Encoding: zstd"),
    "one endless header": endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65536),
    "endless headers": endless(b"HTTP/1.1 200 OK\r\n", b"".join(b"X-%d: x\r\n" % n for n in range(4096))),
    "an endless status line": endless(b"HTTP/1.1 200 ", b"x" * 65536),
    "answers that are none yet": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 1.0),
    "headers, a byte a second": endless(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", 1.0),
    "a body, a byte a second": endless(OPENING + b"Content-Length: 100000\r\n\r\n", b" ", 1.0),
    "an endless body": endless(OPENING + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "an endless chunk size": endless(OPENING + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536, 1.0),
    "an endless chunk extension": endless(OPENING + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536, 1.0),
    "endless trailers": endless(OPENING + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-T: x\r\n" * 8192, 1.0),
    "a length of 2^64": whole(b"{}", b"Content-Length: 18446744073709551616"),
    "deep JSON": whole(DEEP),
    "deep JSON objects": whole(DEEP_OBJECTS),
    "a deep error": whole(DEEP_OBJECTS, status=b"400 Bad Request"),
}


@pytest.fixture(params=HOSTILE)
async def hostile(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Return the address of a server that answers so."""
    send = HOSTILE[request.param]
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2 if head.startswith(b"PUT") else 0)
            await send(writer)
            await reader.read()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for task in talks:
        task.cancel()
    await asyncio.gather(*talks, return_exceptions=True)


@pytest.fixture
def bounded():
    """Measure real time and memory, and hold them to their bounds."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.monotonic() - began < MOST_REAL_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY_KIB


async def test_a_vendor_cannot_wear_us_out(hostile, clock, bounded):
    """A read of a hostile answer ends within four timeouts a try, in a named failure."""
    connection = Connection(hostile, HeaderAuthentication(SecretStr("key-4711-hush")), 60_000)
    http = VendorHttp(connection, clock=clock, timeout_seconds=5, largest_body_bytes=CAP)
    before = clock.monotonic()
    with pytest.raises((SyncdError, Refused)) as failed:
        (await http.get("/x")).json()
    assert isinstance(failed.value, RetryLater | UnexpectedAnswer | Refused)
    assert clock.monotonic() - before <= 3 * 4 * 5 + 5 + 1
    assert http.requests_under_way == 0
    await http.close()


async def test_the_api_cannot_wear_us_out(hostile, clock, bounded):
    """A PUT with a hostile answer ends within its timeout, in evidence that can be judged, its body capped."""
    api = OpenApi(hostile, SecretStr("key-4711-hush"), clock=clock, timeout_seconds=5)
    before = clock.monotonic()
    evidence = await api.put(Thread("berlin", 1, 2), b"{}", lambda: asyncio.sleep(0))
    verdict = judge(evidence, Thread("berlin", 1, 2), On500.RETRY)
    assert clock.monotonic() - before <= 5 + 1
    assert len(evidence.body) <= LARGEST_ANSWER
    assert verdict.outcome in {Outcome.DELIVERED, Outcome.IN_DOUBT, Outcome.NOT_THE_API}
    assert len(verdict.message) < 1000
    await api.close()
