"""An API that answers every PUT at once, as its own process: `python -m bench.answering`; it prints its address.

It costs next to nothing, so that what is measured is the one who asks. It reads each request whole, counts it, and
answers as the contract wants, with ids of the path and a communication id of its own.
"""

import asyncio
import re
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, cast

import uvloop

from bench.servers import Server, started

_HEAD = re.compile(rb"PUT [^ ]*/communications/(\d+)/threads/(\d+) HTTP/1\.1\r\n", re.ASCII)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_BODY = (
    b'{"customerId":%b,"threadId":%b,"communicationId":%d,"communicationThreadStatus":"ONGOING","subject":"Locker",'
    b'"content":"The text of a reply.","communicationDirection":"INCOMING","communicationChannel":"EMAIL"}'
)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class _Connection(asyncio.Protocol):
    """One connection; requests come one after the other."""

    count: ClassVar[int] = 0

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is there whole."""
        self._got += data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            head = self._got[: end + 4]
            if head.startswith(b"GET /count "):
                self._got = self._got[end + 4 :]
                self._write(b"%d" % _Connection.count)
                continue
            length, path = _LENGTH.search(head), _HEAD.match(head)
            if length is None or path is None:
                raise ValueError(f"not a PUT of this API: {head[:80]!r}")
            whole = end + 4 + int(length[1])
            if len(self._got) < whole:
                return
            self._got = self._got[whole:]
            _Connection.count += 1
            self._write(_BODY % (path[1], path[2], _Connection.count))

    def _write(self, body: bytes) -> None:
        assert self._transport is not None
        self._transport.write(_ANSWER % (len(body), body))


def answering() -> AbstractAsyncContextManager[Server]:
    """Run such an API, a process of its own that ends with the block."""
    return started("bench.answering")


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
