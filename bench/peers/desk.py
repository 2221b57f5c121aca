"""A Zendesk that answers at once, as a process of its own: `python -m bench.peers.desk`; it prints its address.

Every answer is written before anybody asks, so that what is measured is the one who asks. `GET /asked` tells how many
requests of each kind there were since it was asked last.
"""

import asyncio
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import parse_qs, urlsplit

import aiohttp
import orjson
import uvloop

from bench.peers.account import BEGAN, Account, made

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_OF_TICKET = re.compile(r"/api/v2/tickets/(\d+)/(comments|audits)")
_NO_EVENTS = b'{"ticket_events":[],"count":0,"end_time":null,"next_page":null,"end_of_stream":true}'


class Desk:
    """What is answered to which path, and how often each kind was asked for."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.asked: Counter[str] = Counter()

    def answer(self, target: str) -> bytes:
        """Return the body for a path with its query."""
        parts = urlsplit(target)
        path, query = parts.path.removesuffix(".json"), {name: one[-1] for name, one in parse_qs(parts.query).items()}
        if path == "/asked":
            told, self.asked = orjson.dumps(self.asked), Counter()
            return told
        kind, body = self._found(path, query)
        self.asked[kind] += 1
        return body

    def _found(self, path: str, query: dict[str, str]) -> tuple[str, bytes]:
        account = self._account
        if match := _OF_TICKET.fullmatch(path):
            return match[2], (account.comments if match[2] == "comments" else account.audits)[int(match[1])]
        match path.removeprefix("/api/v2/"):
            case "incremental/tickets/cursor":
                return "ticket export", self._tickets(query)
            case "incremental/ticket_events":
                return "event export", self._events(int(query["start_time"]))
            case "users/show_many":
                return "users", _many("users", account.users, query["ids"])
            case "tickets/show_many":
                return "tickets", _many("tickets", account.tickets, query["ids"])
        raise ValueError(f"nothing is known of {path}")

    def _tickets(self, query: dict[str, str]) -> bytes:
        pages = self._account.ticket_pages
        if "cursor" not in query:
            return pages[0]
        return pages[min(int(query["cursor"].removeprefix("page-")), len(pages) - 1)]

    def _events(self, start_time: int) -> bytes:
        """Return the page that goes on from its time; the events of the last second come again only in the real one."""
        pages = self._account.event_pages
        return (
            next((body for end, body in pages if start_time < end), _NO_EVENTS) if start_time > BEGAN else pages[0][1]
        )


def _many(what: str, rows: dict[int, bytes], ids: str) -> bytes:
    found = b",".join(rows[key] for key in map(int, ids.split(",")) if key in rows)
    return b'{"%b":[%b],"next_page":null,"previous_page":null}' % (what.encode(), found)


class _Connection(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._transport: asyncio.WriteTransport | None = None
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is there; none has a body."""
        self._got += data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            method, target, _ = self._got[:end].split(b"\r\n", 1)[0].split(b" ")
            self._got = self._got[end + 4 :]
            if method != b"GET":
                raise ValueError("only GET is known")
            body = self._desk.answer(target.decode())
            assert self._transport is not None
            self._transport.write(_ANSWER % (len(body), body))


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Yield the address of such a Zendesk, a process of its own that ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.peers.desk", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().strip()
    try:
        yield address
    finally:
        process.terminate()
        await process.wait()


async def asked(address: str) -> dict[str, int]:
    """Return how many requests of each kind there were since this was asked last."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}/asked") as answer:
        counts: dict[str, int] = orjson.loads(await answer.read())
        return counts


async def _serve() -> None:
    desk = Desk(made())
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(desk), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
