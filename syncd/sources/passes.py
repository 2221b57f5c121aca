"""Passes: what a vendor gives out for credentials, good for a while, that then signs requests. Tokens and sessions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import SecretStr

from syncd.model.clock import Clock
from syncd.model.errors import PauseSystem, Problem, RetryLater, SettingsError, UnexpectedAnswer
from syncd.sources.adapter import Response, SessionAuthentication, TokenAuthentication
from syncd.sources.excerpt import error_excerpt
from syncd.sources.request import Request

MOST_DIGITS = 12
_BUSY = "too many"  # how token endpoints that know no 429 say that they were asked too often


@dataclass(frozen=True, slots=True)
class PassRequest:
    """The request that a vendor gives a pass for: a POST of `body` (as JSON if `as_json`), or a GET if there is none.

    `base_url` is empty where the pass comes from the same address as everything else.
    """

    path: str
    base_url: str = ""
    body: Mapping[str, str | int] | None = field(default=None, repr=False)
    as_json: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


FetchPass = Callable[[PassRequest], Awaitable[Response]]
"""Sends it, unsigned, and returns the answer."""


class PassSource(Protocol):
    """How one kind of pass is asked for, read, and shown."""

    def request(self) -> PassRequest:
        """Return the request for a new one."""
        ...

    def parse(self, answer: Response) -> tuple[str, float]:
        """Return the pass in an answer, and for how many seconds it is good."""
        ...

    def show(self, request: Request, value: str) -> Request:
        """Return a request that carries the pass."""
        ...

    def is_refused(self, response: Response) -> bool:
        """Tell whether an answer says that the pass is not good (any more)."""
        ...

    def secrets(self) -> tuple[str, ...]:
        """Return what it is asked for with."""
        ...


class SignedByPass:
    """A signature by a pass. One request fetches it while the others wait; it is fetched anew shortly before its end,
    and when it is refused."""

    def __init__(self, source: PassSource, clock: Clock, fetch: FetchPass) -> None:
        self._source, self._clock, self._fetch = source, clock, fetch
        self._pass = self._last = ""
        self._good_until = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def sign(self, request: Request) -> Request:
        """Return the request with the pass, after fetching one if there is no good one."""
        async with self._one_at_a_time:
            if not self._pass or self._clock.monotonic() >= self._good_until:
                asked_at = self._clock.monotonic()
                given, lifetime = self._source.parse(await self._fetch(self._source.request()))
                self._pass, self._last = given, self._pass or self._last
                self._good_until = asked_at + lifetime - min(60.0, lifetime / 10)
        return self._source.show(request, self._pass)

    def is_refused(self, response: Response) -> bool:
        """Tell whether an answer says that the pass has ended."""
        return self._source.is_refused(response)

    def renew(self, refused: Request) -> bool:
        """Forget the pass if it is the one that was refused; another one may have come meanwhile."""
        if refused == self._source.show(refused, self._pass):
            self._pass, self._last = "", self._pass
        return True

    def secrets(self) -> tuple[str, ...]:
        """Return the pass, the one before it (an answer may still quote it), and what they are asked for with."""
        return (*self._source.secrets(), self._pass, self._last)


class TokenSource:
    """An access token by OAuth 2 (RFC 6749 section 4.4 and others)."""

    def __init__(self, authentication: TokenAuthentication) -> None:
        self._authentication = authentication
        secrets = {"client_secret": authentication.client_secret, **authentication.secret_form}
        self._secrets = {name: secret_text(secret, name) for name, secret in secrets.items()}

    def request(self) -> PassRequest:
        """Return the request for a token."""
        asked = self._authentication
        body = {**asked.form, "client_id": asked.client_id, **self._secrets}
        return PassRequest(asked.path, asked.base_url, body, asked.as_json)

    def parse(self, answer: Response) -> tuple[str, float]:
        """Return an access token and its lifetime in seconds (endless if the vendor does not say).

        Some vendors refuse credentials with 200 and an `error` inside.
        """
        value = answer.json()
        token = value.get("access_token") if isinstance(value, dict) else None
        if not isinstance(token, str) or not token or not _fits_a_header(token):
            _refuse_error_inside(value, answer, self.secrets())
            raise UnexpectedAnswer(f"{answer.path} answered without an access token")
        lifetime = value.get("expires_in")
        if lifetime is None:
            return token, float("inf")
        if isinstance(lifetime, str) and lifetime.isascii() and lifetime.isdecimal() and len(lifetime) < MOST_DIGITS:
            lifetime = int(lifetime)  # RFC 6749 wants a number, and some servers write it as text
        if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or lifetime <= 0:
            raise UnexpectedAnswer(
                f"{answer.path} answered an access token with an expires_in that is no number of seconds"
            )
        return token, float(lifetime)

    def show(self, request: Request, value: str) -> Request:
        """Return the request with the token in its Authorization header."""
        return request.with_header("Authorization", f"{self._authentication.scheme} {value}")

    def is_refused(self, response: Response) -> bool:
        """Tell whether the status says so."""
        return response.status == 401

    def secrets(self) -> tuple[str, ...]:
        """Return the client secret and what else is asked for with."""
        return tuple(self._secrets.values())


class SessionSource:
    """A session that is opened with credentials."""

    def __init__(self, authentication: SessionAuthentication) -> None:
        self._authentication = authentication
        self._headers = {name: secret_text(secret, name) for name, secret in authentication.headers.items()}
        self._hidden = {
            name: secret_text(value, name)
            for name, value in (authentication.form or {}).items()
            if isinstance(value, SecretStr)
        }

    def request(self) -> PassRequest:
        """Return the request that opens a session."""
        asked = self._authentication
        body = None
        if asked.form is not None:
            plain = {name: value for name, value in asked.form.items() if isinstance(value, str)}
            body = {**plain, **self._hidden}
        return PassRequest(asked.path, body=body, headers=self._headers)

    def parse(self, answer: Response) -> tuple[str, float]:
        """Return the session, good until it is refused. An answer without one refuses the credentials."""
        value = answer.json()
        session = value.get(self._authentication.answer_key) if isinstance(value, dict) else None
        if isinstance(session, str) and session and _fits_a_header(session):
            return session, float("inf")
        raise _refused(answer, value, self.secrets())

    def show(self, request: Request, value: str) -> Request:
        """Return the request with the session in its header, or in its parameter."""
        asked = self._authentication
        if asked.header:
            return request.with_header(asked.header, value)
        return request.with_params({asked.parameter: value})

    def is_refused(self, response: Response) -> bool:
        """Tell whether the status or the answer itself says that the session is over."""
        return response.status == 401 or self._authentication.is_over(response)

    def secrets(self) -> tuple[str, ...]:
        """Return what the session is opened with."""
        return (*self._headers.values(), *self._hidden.values())


def secret_text(secret: SecretStr, name: str) -> str:
    """Return a secret that a header can carry.

    Raises:
        SettingsError: it is empty, or has a control character in it.
    """
    text = secret.get_secret_value()
    if not text:
        raise SettingsError([Problem("", f"{name} is empty")])
    if not _fits_a_header(text):
        raise SettingsError([Problem("", f"{name} has a line end or another control character in it")])
    return text


def is_asked_too_often(said: str) -> bool:
    """Tell whether a refusal says that too many passes were asked for, which ends by itself."""
    return _BUSY in said.lower()


def _fits_a_header(text: str) -> bool:
    return all(char.isprintable() for char in text)


def _refuse_error_inside(value: Any, answer: Response, secrets: tuple[str, ...]) -> None:
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        if is_asked_too_often(str(value.get("error_description", ""))):
            raise RetryLater(f"{answer.path} was asked for too many access tokens; it is asked again later")
        raise _refused(answer, value, secrets)


def _refused(answer: Response, value: Any, secrets: tuple[str, ...]) -> PauseSystem:
    said = error_excerpt(answer.body, secrets) if isinstance(value, dict) else ""
    return PauseSystem(
        f"{answer.path} refuses the credentials{f' ({said})' if said else ''}; "
        "mend them in the options of the system, then resume it"
    )
