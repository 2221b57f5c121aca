"""The Open API's one endpoint that syncd writes to: one PUT at a time, and the evidence about it.

This is the only module that talks to the endpoint. It observes and judges nothing (decide.py does), and it knows
neither the store nor the pace: those come in as `before_body`. Why a PUT goes out once, and how that is held, is told
in docs/adr/0002-one-request-per-attempt.md.

Vendor's documentation: https://developer.sportalliance.com/apis/magicline/openapi
"""

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

import aiohttp
from pydantic import SecretStr
from yarl import URL

from syncd import __version__
from syncd.delivery.failure import RequestEnded, failure_of
from syncd.delivery.payload import OncePayload
from syncd.model.clock import Clock, ahead_by
from syncd.model.communication import Thread
from syncd.model.delivery import Evidence, Reached
from syncd.model.errors import Problem, SettingsError

LARGEST_ANSWER = 64 * 1024
"""How much of an answer is read, in bytes."""

KEEPALIVE_SECONDS = 3.0
"""How long an idle connection is kept: well under what servers allow, since a stale one is a source of doubt."""

LONGEST_CONNECT_SECONDS = 10.0
LONGEST_RETRY_AFTER_SECONDS = 24 * 3600.0


class KeyState(StrEnum):
    """What a probe says about the key."""

    GOOD = "good"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class _Answer:
    """What was read of an answer so far; it outlives a failure on the way."""

    status: int | None = None
    body: bytes = b""
    complete: bool = False
    retry_after_seconds: float | None = None


async def once_only(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Hide from aiohttp the failures after which it would send a PUT a second time by itself."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise  # never written, and never resent by aiohttp
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise RequestEnded(exc) from exc


class OpenApi:
    """One api: its address, its key and its connections. Construct it anywhere, use it within one event loop.

    `timeout_seconds` is how long an answer may take, from the moment the body may be written; connecting (waiting for
    a free connection included) has as much again, 10 s at most. `connections` is how many may be open at once.

    Raises:
        SettingsError: the address is neither https nor plain http to this machine, or the key fits no header.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr,
        *,
        clock: Clock,
        timeout_seconds: float = 30,
        connections: int = 64,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._base_url = parse_base_url(base_url)
        if not re.fullmatch(r"[\x21-\x7e]+", api_key.get_secret_value()):
            raise SettingsError([Problem("api_key", "is empty or has characters that no HTTP header can carry")])
        self._api_key = api_key
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._connections = connections
        self._ssl_context = ssl_context
        self._opened: aiohttp.ClientSession | None = None
        self._closed = False
        self.clock_ahead: timedelta | None = None

    async def put(self, thread: Thread, body: bytes, before_body: Callable[[], Awaitable[None]]) -> Evidence:
        """Send one PUT, once, and return what was observed of it; failures of the wire are evidence, not exceptions.

        `before_body` is awaited when the connection is there and nothing of the request has left; the first byte
        leaves only once it has returned. If it raises, nothing is sent, the connection is dropped, and that very
        exception is raised here. It is cancelled if the connection breaks meanwhile (the evidence then says
        CONNECTED: nothing was sent, whatever `before_body` has stored). It is called at most once, and is never
        running when this returns or raises.

        When `put` itself is cancelled there is no evidence: if `before_body` had returned, the delivery is in doubt,
        else nothing was sent.
        """
        started = self._clock.monotonic()
        answer = _Answer()
        failure: Exception | None = None
        deadline = asyncio.timeout(None)
        payload = OncePayload(body, before_body, lambda: self._limit(deadline))
        try:
            async with deadline:
                await self._send(thread, payload, answer)
        # Whatever went wrong, a bug included: how far the body got is known, and must not be lost.
        except Exception as exc:  # noqa: BLE001
            failure = exc
        finally:
            await payload.end()
        if payload.refusal is not None:
            raise payload.refusal
        return self._evidence(payload, answer, failure, self._clock.monotonic() - started)

    async def probe(self) -> KeyState:
        """Ask with HEAD whether the key is good; the API checks nothing else then and changes nothing."""
        url = URL(self._base_url + Thread("", 1, 1).path)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                async with self._session().head(url, allow_redirects=False) as response:
                    status = response.status
                    self.clock_ahead = ahead_by(response.headers.get("Date"), self._clock.now())
        except (aiohttp.ClientError, RequestEnded, OSError):
            return KeyState.UNKNOWN
        return {200: KeyState.GOOD, 401: KeyState.REFUSED}.get(status, KeyState.UNKNOWN)

    async def close(self) -> None:
        """Close all connections. What is still on the wire then ends in doubt; drain before."""
        self._closed = True
        if self._opened is not None:
            await self._opened.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this api was closed")
        if self._opened is None:
            connect_seconds = min(self._timeout_seconds, LONGEST_CONNECT_SECONDS)
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections, keepalive_timeout=KEEPALIVE_SECONDS, ssl=self._ssl_context or True
                ),
                headers={
                    "Accept": "application/json",
                    # No compression: an answer of a few bytes could unpack to gigabytes.
                    "Accept-Encoding": "identity",
                    "User-Agent": f"syncd/{__version__}",
                    "x-api-key": self._api_key.get_secret_value(),
                },
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(once_only,),
                timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds),
                trust_env=False,
            )
        return self._opened

    async def _send(self, thread: Thread, payload: OncePayload, answer: _Answer) -> None:
        url = URL(self._base_url + thread.path)
        async with self._session().put(url, data=payload, allow_redirects=False) as response:
            if payload.reached is not Reached.WRITING:
                # The server spoke before it was asked: that is an answer to nothing of ours.
                response.close()
                return
            answer.status = response.status
            answer.retry_after_seconds = self._find_retry_after(response.headers.get("Retry-After"))
            await _read_body(response, answer)

    def _limit(self, deadline: asyncio.Timeout) -> None:
        """Start the time that an answer may take."""
        deadline.reschedule(asyncio.get_running_loop().time() + self._timeout_seconds)

    def _evidence(
        self, payload: OncePayload, answer: _Answer, failure: Exception | None, duration_seconds: float
    ) -> Evidence:
        name, detail = failure_of(failure) if failure is not None else (None, None)
        if failure is None and answer.status is None:
            name, detail = "NotWritten", "the server spoke before it was asked"
        return Evidence(
            reached=payload.reached if answer.status is None else Reached.ANSWERED,
            status=answer.status,
            failure=name,
            detail=detail,
            body=answer.body,
            body_complete=answer.complete,
            retry_after_seconds=answer.retry_after_seconds,
            request_bytes=payload.sent_bytes,
            duration_seconds=duration_seconds,
        )

    def _find_retry_after(self, text: str | None) -> float | None:
        """Return the seconds that a Retry-After asks for (a number or an HTTP date), a day at most."""
        if text is None or len(text) > 64:
            return None
        if re.fullmatch(r"[0-9]{1,15}", text.strip(), re.ASCII):
            seconds = float(text)
        else:
            try:
                seconds = (parsedate_to_datetime(text) - self._clock.now()).total_seconds()
            # TypeError: a date without a zone cannot be compared.
            except (ValueError, TypeError, OverflowError):
                return None
        return min(max(0.0, seconds), LONGEST_RETRY_AFTER_SECONDS)


async def _read_body(response: aiohttp.ClientResponse, answer: _Answer) -> None:
    """Read the answer's body, up to the cap; what is past it is dropped together with the connection."""
    while chunk := await response.content.read(LARGEST_ANSWER + 1 - len(answer.body)):
        answer.body += chunk
        if len(answer.body) > LARGEST_ANSWER:
            answer.body = answer.body[:LARGEST_ANSWER]
            response.close()
            return
    answer.complete = True


def parse_base_url(text: str) -> str:
    """Return the base address without a slash at its end.

    Raises:
        SettingsError: it is neither https nor plain http to this machine, or has credentials, a query or a fragment.
    """
    try:
        url = URL(text)
        host, loopback = url.host or "", _is_loopback(url.host or "")
    except ValueError:
        raise SettingsError([Problem("base_url", "is no web address")]) from None
    if not host or url.user or url.password or url.query_string or url.fragment:
        raise SettingsError([Problem("base_url", "must be https://HOST, without credentials, query or fragment")])
    if url.scheme != "https" and not (url.scheme == "http" and loopback):
        raise SettingsError([Problem("base_url", "must begin with https:// (plain http is for loopback alone)")])
    return str(url).rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
