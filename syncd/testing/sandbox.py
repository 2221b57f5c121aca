"""A strict Open API on a loopback address: it adds what is right, refuses what is not, and fails as it is told to.

For tests and for trying things out. It holds every rule of the contract (sandbox_rules.py), the keys, the studios and
the rate limit with its penalty, and keeps what it was sent in memory. It prints and logs nothing.
"""

import asyncio
import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from aiohttp import web

from syncd.model.clock import Clock
from syncd.model.communication import INT64_MAX
from syncd.testing.sandbox_faults import APPLIED, Answer, Break, Fault, error_body
from syncd.testing.sandbox_rules import Violation, parse_body

LARGEST_BODY = 32 * 1024 * 1024
MINUTE_SECONDS = 60.0

_PATH = re.compile(r"/v1/communications/([^/]+)/threads/([^/]+)")
_ECHOED = (
    "communicationThreadStatus",
    "ticketNumber",
    "subject",
    "content",
    "communicationDirection",
    "ticketLink",
    "communicationChannel",
    "agent",
)


@dataclass(frozen=True, slots=True)
class Received:
    """One communication that the sandbox added; `received_at` is the wall clock's."""

    communication_id: int
    studio: str
    customer_id: int
    thread_id: int
    body: Mapping[str, str] = field(repr=False)
    received_at: datetime


class _Refused(Exception):
    """The answer to a request that is not right."""

    def __init__(self, status: int, code: str, message: str, reference: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.reference = reference


@dataclass(slots=True)
class _Counter:
    """The requests of one key within the last minute, and the end of its penalty (monotonic seconds)."""

    times: deque[float] = field(default_factory=deque)
    denied_until: float = 0.0


class Sandbox:
    """The sandbox; `start` it, and read `communications`.

    - `keys`: api key -> studio; None accepts any key that is not empty, each as a studio of its own.
    - `requests_per_minute`: past it, every request of that key is answered 429 for a minute.
    - `threads`: the (customer id, thread id) that exist; None: all do.
    - `customers`: customer id -> studio; a key of another studio gets 403. None: every key may write to all.

    `communications` holds what was added, in order of arrival; `requests` counts the PUTs that were read whole.
    `on_communication`, if set, is called with each communication that is added. `answer_delay`, if set, says anew for
    each PUT how many seconds its answer is kept back, once the communication is added; `kept_back` counts such answers.
    """

    def __init__(
        self,
        keys: Mapping[str, str] | None = None,
        *,
        clock: Clock,
        requests_per_minute: int = 1000,
        threads: Collection[tuple[int, int]] | None = None,
        customers: Mapping[int, str] | None = None,
        on_communication: Callable[[Received], None] | None = None,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._requests_per_minute = requests_per_minute
        self.threads = threads
        self.customers = customers
        self.on_communication = on_communication
        self.answer_delay: Callable[[], float] | None = None
        self.communications: list[Received] = []
        self.requests = 0
        self.kept_back = 0
        self.base_url = ""
        self._plans: deque[Fault] = deque()
        self._counters: dict[str, _Counter] = {}
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, and return the base address (port 0 takes a free one)."""
        self._stopping.clear()
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        name = f"[{host}]" if ":" in host else host
        self.base_url = f"http://{name}:{self._runner.addresses[0][1]}"
        return self.base_url

    async def stop(self) -> None:
        """Close every connection, hanging ones too."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        """Start on a free port."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def plan(self, fault: Fault, times: int = 1) -> None:
        """Let the next PUTs that reach the sandbox meet this fault; plans are carried out in order."""
        self._plans.extend([fault] * times)

    def forget_plans(self) -> None:
        """Let no planned fault be met any more."""
        self._plans.clear()

    @property
    def planned(self) -> int:
        """Return how many faults have not been met yet."""
        return len(self._plans)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except _Refused as refused:
            body = error_body(
                refused.message, code=refused.code, reference=refused.reference, trace_id=f"sandbox-{self.requests}"
            )
            return web.Response(status=refused.status, body=body, content_type="application/json")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        studio = self._get_studio(request)
        if request.method == "HEAD":
            return web.Response()
        if request.method != "PUT":
            raise _Refused(405, "errormessage.method.not.allowed", f"{request.method} is not allowed")
        return await self._put(request, studio)

    def _get_studio(self, request: web.Request) -> str:
        key = request.headers.get("x-api-key", "")
        if self._keys is None and key:
            return f"studio-{_digest(request)}"
        studio = (self._keys or {}).get(key)
        if studio is None:
            raise _Refused(401, "errormessage.unauthorized", "the key is missing or not valid")
        return studio

    async def _put(self, request: web.Request, studio: str) -> web.StreamResponse:
        fault = self._plans.popleft() if self._plans else None
        if fault is Break.CLOSE_BEFORE_READING:
            return _cut(request)
        data = await self._read(request)
        counter = self._counters.setdefault(_digest(request), _Counter())
        if fault is Break.THROTTLE:
            counter.denied_until = self._clock.monotonic() + MINUTE_SECONDS
        elif fault is not None:
            return await self._fail(request, fault, studio, data)
        self._count(counter)
        received = self._add(request, studio, data)
        if self.answer_delay is not None:
            self.kept_back += 1
            try:
                await self._clock.sleep(self.answer_delay())
            finally:
                self.kept_back -= 1
        return _json(received)

    async def _read(self, request: web.Request) -> bytes:
        try:
            data = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise _Refused(413, "errormessage.too.large", "the body is too large") from None
        self.requests += 1
        return data

    async def _fail(self, request: web.Request, fault: Fault, studio: str, data: bytes) -> web.StreamResponse:
        if fault.applied if isinstance(fault, Answer) else fault in APPLIED:
            self._add(request, studio, data)
        if isinstance(fault, Answer):
            headers = dict(fault.headers)
            return web.Response(status=fault.status, body=fault.body, content_type=fault.media_type, headers=headers)
        if fault in {Break.HANG, Break.APPLY_THEN_HANG}:
            await self._stopping.wait()
        elif fault in {Break.GARBAGE, Break.APPLY_THEN_GARBAGE} and request.transport is not None:
            request.transport.write(b"garbage, and no HTTP\r\n\r\n")
            request.transport.close()
        return _cut(request)

    def _count(self, counter: _Counter) -> None:
        """Count one request; past the limit all requests of the next minute are denied."""
        now = self._clock.monotonic()
        if now >= counter.denied_until:
            while counter.times and counter.times[0] <= now - MINUTE_SECONDS:
                counter.times.popleft()
            counter.times.append(now)
            if len(counter.times) > self._requests_per_minute:
                counter.denied_until = now + MINUTE_SECONDS
        if now < counter.denied_until:
            raise _Refused(429, "errormessage.rate.limit", "too many requests; the next minute is denied")

    def _add(self, request: web.Request, studio: str, data: bytes) -> Received:
        """Hold a request against every rule and add it; raise _Refused if it breaks one."""
        customer_id, thread_id = _parse_path(request.path)
        if request.content_type != "application/json":
            raise _Refused(415, "errormessage.media.type", "the body must be application/json", "Content-Type")
        try:
            body = parse_body(data)
        except Violation as broken:
            raise _Refused(400, "errormessage.validation", str(broken), broken.reference or None) from None
        if self.customers is not None and self.customers.get(customer_id, studio) != studio:
            raise _Refused(403, "errormessage.permission.denied", "the customer belongs to another studio")
        if self.threads is not None and (customer_id, thread_id) not in self.threads:
            raise _Refused(404, "errormessage.not.found", "there is no such thread", "threadId")
        received = Received(
            len(self.communications) + 1, studio, customer_id, thread_id, body, received_at=self._clock.now()
        )
        self.communications.append(received)
        if self.on_communication is not None:
            self.on_communication(received)
        return received


def _digest(request: web.Request) -> str:
    """Return what tells keys apart and does not say what they are."""
    return hashlib.sha256(request.headers.get("x-api-key", "").encode()).hexdigest()[:8]


def _parse_path(path: str) -> tuple[int, int]:
    match = _PATH.fullmatch(path)
    if match is None:
        raise _Refused(404, "errormessage.not.found", "there is no such resource")
    for name, text in zip(("customerId", "threadId"), match.groups(), strict=True):
        if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) or int(text) > INT64_MAX:
            raise _Refused(400, "errormessage.validation", f"{name} is not a 64-bit integer", name)
    return int(match[1]), int(match[2])


def _json(received: Received) -> web.Response:
    answer: dict[str, Any] = {
        "customerId": received.customer_id,
        "threadId": received.thread_id,
        "communicationId": received.communication_id,
    }
    answer |= {name: received.body[name] for name in _ECHOED if name in received.body}
    return web.Response(body=json.dumps(answer).encode(), content_type="application/json")


def _cut(request: web.Request) -> web.Response:
    """End the connection without an answer."""
    if request.transport is not None and not request.transport.is_closing():
        request.transport.abort()
    return web.Response()
