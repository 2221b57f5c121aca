"""A raw HTTP server that does exactly what a test tells it, and counts the whole requests that it read."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Self

import pytest
import trustme

OK_BODY = (
    b'{"customerId":1,"threadId":2,"communicationId":77,"communicationThreadStatus":"ONGOING","subject":"s",'
    b'"content":"c","communicationDirection":"INCOMING","communicationChannel":"EMAIL"}'
)


@dataclass
class Peer:
    """One connection, seen from the server."""

    server: "RawServer"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_head(self) -> bytes:
        """Read up to the end of the headers; that counts as no request yet."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def read_request(self) -> bytes:
        """Read one whole request and count it."""
        head = await self.read_head()
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        body = await self.reader.readexactly(length)
        self.server.requests.append(head + body)
        return head + body

    def send(self, data: bytes) -> None:
        """Write bytes."""
        self.writer.write(data)

    def answer(self, status: str, body: bytes = b"", *headers: str) -> None:
        """Answer with a body of JSON."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def close(self) -> None:
        """End the connection with FIN, after what was sent."""
        self.writer.close()

    def reset(self) -> None:
        """End the connection with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def never(self) -> None:
        """Do nothing until the client goes."""
        while await self.reader.read(65536):
            pass


Behaviour = Callable[[Peer], Awaitable[None]]


async def answer_ok(peer: Peer) -> None:
    """Answer every request with the contract's 200."""
    while True:
        await peer.read_request()
        peer.answer("200 OK", OK_BODY)


@dataclass
class RawServer:
    """A server whose n-th connection does the n-th behaviour; the last one repeats."""

    behaviours: list[Behaviour] = field(default_factory=lambda: [answer_ok])
    tls: ssl.SSLContext | None = None
    receive_buffer: int | None = None
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    peers: list[Peer] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        # The protocol is named, for asyncio switches Nagle's delay off only where it is.
        sock = socket.socket(proto=socket.IPPROTO_TCP)
        if self.receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        sock.bind(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, sock=sock, ssl=self.tls, limit=2**16)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            peer.writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(self, reader, writer)
        self.peers.append(peer)
        behaviour = self.behaviours[min(self.connections, len(self.behaviours) - 1)]
        self.connections += 1
        # The client goes, or the test is over: both are as they should be.
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await behaviour(peer)

    @property
    def url(self) -> str:
        """The address."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def certificates() -> SimpleNamespace:
    """A certificate authority, a server's context, one for another host, and a client's context that trusts it."""
    authority = trustme.CA()
    server, other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.issue_cert("elsewhere.example").configure_cert(other)
    demanding = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(demanding)
    demanding.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(demanding)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return SimpleNamespace(server=server, other=other, demanding=demanding, client=client)


@pytest.fixture
def raw() -> SimpleNamespace:
    """The pieces for tests that speak bytes."""
    return SimpleNamespace(Server=RawServer, answer_ok=answer_ok, ok_body=OK_BODY)
