"""The HTTP that adapters are given: one vendor, signed, paced, patient, and suspicious of what comes back."""

import asyncio
import ssl
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

import aiohttp
from loguru import logger

from syncd import __version__
from syncd.model.clock import Clock, ahead_by
from syncd.model.errors import PauseSystem, RetryLater, UnexpectedAnswer
from syncd.sources.adapter import Connection, Refused, Response
from syncd.sources.address import bare_path, host_in, parse_base_address
from syncd.sources.authentication import signature_for
from syncd.sources.budget import Budget
from syncd.sources.errand import errand_now
from syncd.sources.excerpt import error_excerpt
from syncd.sources.passes import PassRequest, is_asked_too_often, secret_text
from syncd.sources.request import Params, Request, request_for
from syncd.sources.retry import LONGEST_WAIT_SECONDS, RETRIED_STATUSES, RETRY_WAITS_SECONDS, asked_wait_seconds

_PIECE_BYTES = 65_536
_KEEPALIVE_SECONDS = 10.0


class _ConnectionFailed(Exception):
    """No whole answer arrived; for a read it is harmless to try again."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request a second time by itself: tries are counted and paced here."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        reason = _reason(error)
    raise _ConnectionFailed(reason)


class VendorHttp:
    """The `Http` of `syncd.sources.adapter` for one connection; see there for what it promises.

    `timeout_seconds` is the longest silence while connecting or reading; a whole answer may take four times that.
    `requests_per_minute` overrides the connection's own. `largest_body_bytes` counts decompressed bytes. `on_answer`
    is told the status of every answer, None where a request had none.

    Raises:
        SettingsError: a base address or a secret that cannot be used.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Clock,
        requests_per_minute: float | None = None,
        timeout_seconds: float = 30,
        largest_body_bytes: int = 64 * 1024 * 1024,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.requests_sent = 0
        self.requests_under_way = 0
        self.on_answer: Callable[[int | None], None] = lambda _status: None
        self.clock_ahead: timedelta | None = None
        self._connection = connection
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._largest_body_bytes = largest_body_bytes
        self._ssl_context = ssl_context
        self._address = parse_base_address(connection.base_url)
        self._signature = signature_for(connection.authentication, clock, self._fetch_pass)
        self._secret_headers = {name: secret_text(secret, name) for name, secret in connection.secret_headers.items()}
        self._own_headers = {**connection.headers, **self._secret_headers}  # for this address, and no other
        self._slots = asyncio.Semaphore(connection.concurrency)
        per_minute = connection.requests_per_minute if requests_per_minute is None else requests_per_minute
        self._budget = Budget(self._address.host, per_minute, clock)
        self._narrower = {
            prefix.strip("/"): Budget(f"{self._address.host}/{prefix.strip('/')}", narrower, clock)
            for prefix, narrower in connection.budgets.items()
        }
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<VendorHttp {self._address.host}>"

    @property
    def pace_left(self) -> float:
        """Return how many requests may go out at once; less than one is the way to the next."""
        return self._budget.left()

    async def close(self) -> None:
        """Close all connections; harmless if there are none."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def get(
        self,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (),
    ) -> Response:
        """Read `path`."""
        own = {**self._own_headers, **(headers or {})}
        return await self._read(request_for("GET", path, self._address.url(path), params, own, expect))

    async def post(
        self,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (),
    ) -> Response:
        """Read by POST; never write with it."""
        own = {**self._own_headers, **(headers or {})}
        request = request_for("POST", path, self._address.url(path), params, own, expect)
        if form is not None:
            request = request.with_form(form)
        elif json is not None:
            request = request.with_json(json)
        return await self._read(request)

    async def _fetch_pass(self, wanted: PassRequest) -> Response:
        address = parse_base_address(wanted.base_url) if wanted.base_url else self._address
        path = bare_path(wanted.path)
        method = "GET" if wanted.body is None else "POST"
        headers = wanted.headers if wanted.base_url else {**self._own_headers, **wanted.headers}
        request = Request(method, path, address.url(wanted.path), headers=headers, signed=False)
        if wanted.body is not None:
            request = request.with_json(wanted.body) if wanted.as_json else request.with_form(wanted.body)
        try:
            return await self._read(request)
        except Refused as refused:
            status, said = refused.status, str(refused)
        if status >= 500 or is_asked_too_often(said):
            # Whoever stands before it cannot reach it (Cloudflare's 52x), or it has had enough: no word on credentials.
            raise RetryLater(f"{address.host} gives no access token or session now (status {status} from {path})")
        raise PauseSystem(
            f"{address.host} gave no access token or session (status {status} from {path}); "
            "mend the credentials or the address in the options of the system, then resume it"
        )

    async def _read(self, request: Request) -> Response:
        """Send a read until it is answered or its tries are used up."""
        waits = iter(RETRY_WAITS_SECONDS)
        while True:
            asked = None
            try:
                response = await self._send_signed(request)
            except _ConnectionFailed as failure:
                complaint = str(failure)
            else:
                if response.status not in RETRIED_STATUSES or response.status in request.expect:
                    return self._judged(response, request)
                complaint = "it asks for fewer requests" if response.status == 429 else f"status {response.status}"
                asked = self._heed(response, request)
            wait = next(waits, None)
            if wait is None or (asked or 0) > LONGEST_WAIT_SECONDS:
                raise RetryLater(f"{request.host} cannot answer {request.path} now: {complaint}", asked)
            await self._clock.sleep(wait if asked is None else asked)

    def _heed(self, response: Response, request: Request) -> float | None:
        """Return the wait that an answer asks for, and let other requests keep it too."""
        asked = asked_wait_seconds(response.status, response.headers, self._clock.now())
        if asked is not None:
            self._budgets_for(request)[-1].be_quiet(asked)
        return asked

    def _judged(self, response: Response, request: Request) -> Response:
        """Return an answer that may be returned; raise the name of any other."""
        status, host = response.status, request.host
        refused = request.signed and self._signature.is_refused(response)
        if status in request.expect or (200 <= status < 300 and not refused):
            return response
        if refused:
            raise PauseSystem(
                f"{host} refuses the credentials (status {status} from {request.path}); "
                "mend them in the options of the system, then resume it"
            )
        if 300 <= status < 400:
            target = host_in(response.headers.get("Location", "")) or host
            raise PauseSystem(
                f"{host} redirects {request.path} to {target}, which is not followed because the credentials would "
                "go with it; set base_url to the final address"
            )
        raise Refused(status, request.path, error_excerpt(response.body, self._secrets()))

    def _secrets(self) -> tuple[str, ...]:
        return (*self._signature.secrets(), *self._secret_headers.values())

    async def _send_signed(self, request: Request) -> Response:
        """Send a request once, or twice if its token or session had to be renewed."""
        if not request.signed:
            return await self._send(request)
        response = Response(401, {}, b"")
        for _ in range(2):
            signed = await self._signature.sign(request)
            response = await self._send(signed)
            if not self._signature.is_refused(response) or not self._signature.renew(signed):
                break
        return response

    def _budgets_for(self, request: Request) -> list[Budget]:
        """Return the budgets that a request counts against, the narrowest last."""
        path = request.path.lstrip("/")
        fitting = [prefix for prefix in self._narrower if path.startswith(prefix)]
        return [self._budget, *(self._narrower[prefix] for prefix in sorted(fitting, key=len))]

    async def _send(self, request: Request) -> Response:
        """Send a request once, when slot and pace allow it; one of an errand once that keeps nobody waiting."""
        budgets, errand = self._budgets_for(request), errand_now()
        if errand is not None:
            for budget in reversed(budgets):
                await budget.give_way()
        async with self._slots:
            for budget in reversed(budgets):
                await budget.take()
            self.requests_sent += 1
            if errand is not None:
                errand.requests += 1
            self.requests_under_way += 1
            status, began = None, self._clock.monotonic()
            try:
                response = await self._exchange(request)
                status = response.status
                return response
            finally:
                self.requests_under_way -= 1
                self.on_answer(status)
                milliseconds = round((self._clock.monotonic() - began) * 1000)
                # The path alone: what is searched for, and some vendors' tokens, stand in the query.
                logger.bind(method=request.method, path=request.path, status=status, milliseconds=milliseconds).debug(
                    "request to the vendor"
                )

    async def _exchange(self, request: Request) -> Response:
        """Send a request and read its answer.

        The exceptions of aiohttp are left behind here: they carry the headers of the request, and so the secret.
        """
        failure: Exception
        try:
            async with self._opened_session().request(
                request.method,
                request.url,
                params=request.params,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as response:
                return await self._read_body(response, request)
        except aiohttp.ClientConnectorCertificateError as error:
            failure = _certificate_refused(error, request.host)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = _ConnectionFailed(_reason(error))
        raise failure

    async def _read_body(self, response: aiohttp.ClientResponse, request: Request) -> Response:
        self.clock_ahead = ahead_by(response.headers.get("Date"), self._clock.now())
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            body += piece
            if len(body) > self._largest_body_bytes:
                response.close()
                raise UnexpectedAnswer(f"{request.path} answered more than {self._largest_body_bytes} bytes")
        return Response(response.status, response.headers.copy(), bytes(body), request.path)

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            seconds = self._timeout_seconds
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connection.concurrency,
                    keepalive_timeout=_KEEPALIVE_SECONDS,
                    ssl=self._ssl_context if self._ssl_context is not None else True,
                ),
                headers={
                    "User-Agent": f"syncd/{__version__}",
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip, deflate",
                },
                timeout=aiohttp.ClientTimeout(total=4 * seconds, sock_connect=seconds, sock_read=seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_send_once,),
                trust_env=False,
            )
        return self._session


def _certificate_refused(error: aiohttp.ClientConnectorCertificateError, host: str) -> PauseSystem:
    why = getattr(error.certificate_error, "verify_message", "") or type(error.certificate_error).__name__
    return PauseSystem(
        f"the certificate of {host} is not accepted ({why}); check base_url, the machine's certificate authorities "
        "and its date"
    )


def _reason(error: Exception) -> str:
    """Return why a connection failed, in words that hold nothing of the request."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known to the DNS"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "it does not speak TLS as it should"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.os_error.strerror or type(error.os_error).__name__})"
    return f"the connection broke ({type(error).__name__})"
