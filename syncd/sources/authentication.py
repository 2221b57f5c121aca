"""How requests are signed: a fixed header, or an OAuth token that is fetched, kept and fetched anew."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, assert_never

from pydantic import SecretStr

from syncd.model.clock import Clock
from syncd.model.errors import Problem, SettingsError, UnexpectedAnswer
from syncd.sources.adapter import (
    Authentication,
    BasicAuthentication,
    HeaderAuthentication,
    Response,
    TokenAuthentication,
)

FetchToken = Callable[[TokenAuthentication, Mapping[str, str | int]], Awaitable[Response]]
"""Posts a form to the token's path, unsigned, and returns the answer."""


class Signature(Protocol):
    """What turns a request into one of ours."""

    async def header(self) -> tuple[str, str]:
        """Return the name and the value of the header to send."""
        ...

    def renew(self, refused: str) -> bool:
        """Tell whether a request that was refused with this header value is worth another try with a new one."""
        ...

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that may appear in no message."""
        ...


class FixedSignature:
    """A header that stays the same."""

    def __init__(self, name: str, value: str, *secrets: str) -> None:
        self._name, self._value = name, value
        self._secrets = (value, *secrets)

    async def header(self) -> tuple[str, str]:
        """Return the header."""
        return self._name, self._value

    def renew(self, refused: str) -> bool:  # noqa: ARG002 - the signature of the protocol
        """Return False: there is no other."""
        return False

    def secrets(self) -> tuple[str, ...]:
        """Return the value and what it was made of."""
        return self._secrets


class TokenSignature:
    """An access token by OAuth 2 client credentials (RFC 6749 section 4.4).

    One request fetches it while the others wait. It is fetched anew shortly before its end, and when it is refused.
    """

    def __init__(self, authentication: TokenAuthentication, clock: Clock, fetch: FetchToken) -> None:
        self._authentication = authentication
        self._client_secret = _secret_text(authentication.client_secret, "client_secret")
        self._clock = clock
        self._fetch = fetch
        self._token = ""
        self._good_until = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def header(self) -> tuple[str, str]:
        """Return the Authorization header, after fetching a token if there is no good one."""
        async with self._one_at_a_time:
            if not self._token or self._clock.monotonic() >= self._good_until:
                await self._fetch_token()
        return "Authorization", self._value()

    def renew(self, refused: str) -> bool:
        """Forget the token if it is the one that was refused; another one may have come meanwhile."""
        if refused == self._value():
            self._token = ""
        return True

    def secrets(self) -> tuple[str, ...]:
        """Return the client secret and the token."""
        return (self._client_secret, self._token)

    def _value(self) -> str:
        return f"{self._authentication.scheme} {self._token}"

    async def _fetch_token(self) -> None:
        asked_at = self._clock.monotonic()
        form = {
            **self._authentication.form,
            "client_id": self._authentication.client_id,
            "client_secret": self._client_secret,
        }
        answer = await self._fetch(self._authentication, form)
        token, lifetime = _parse_token(answer.json(), answer.path)
        self._token = token
        self._good_until = asked_at + lifetime - min(60.0, lifetime / 10)


def _parse_token(value: Any, path: str) -> tuple[str, float]:
    """Return an access token and its lifetime in seconds (endless if the vendor does not say)."""
    token = value.get("access_token") if isinstance(value, dict) else None
    if not isinstance(token, str) or not token or not _fits_a_header(token):
        raise UnexpectedAnswer(f"{path} answered without an access token")
    lifetime = value.get("expires_in")
    if lifetime is None:
        return token, float("inf")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or lifetime <= 0:
        raise UnexpectedAnswer(f"{path} answered an access token with an expires_in that is no number of seconds")
    return token, float(lifetime)


def signature_for(authentication: Authentication, clock: Clock, fetch: FetchToken) -> Signature:
    """Return what signs the requests of a connection.

    Raises:
        SettingsError: a secret that no header can carry (such as one with the line end of its file).
    """
    match authentication:
        case HeaderAuthentication():
            secret = _secret_text(authentication.secret, "the secret")
            return FixedSignature(authentication.header, f"{authentication.scheme} {secret}".strip(), secret)
        case BasicAuthentication():
            secret = _secret_text(authentication.secret, "the secret")
            if ":" in authentication.user:
                raise SettingsError([Problem("", "a user name with a colon in it cannot sign in by HTTP Basic")])
            pair = b64encode(f"{authentication.user}:{secret}".encode()).decode("ascii")
            return FixedSignature("Authorization", f"Basic {pair}", secret, pair)
        case TokenAuthentication():
            return TokenSignature(authentication, clock, fetch)
        case _:
            assert_never(authentication)


def _secret_text(secret: SecretStr, name: str) -> str:
    text = secret.get_secret_value()
    if not text:
        raise SettingsError([Problem("", f"{name} is empty")])
    if not _fits_a_header(text):
        raise SettingsError([Problem("", f"{name} has a line end or another control character in it")])
    return text


def _fits_a_header(text: str) -> bool:
    return all(char.isprintable() for char in text)
