"""How requests are signed: by fixed headers or parameters, by an OAuth token, or by a session that is opened first."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Protocol, assert_never

from pydantic import SecretStr

from syncd.model.clock import Clock
from syncd.model.errors import Problem, SettingsError
from syncd.sources.adapter import (
    Authentication,
    BasicAuthentication,
    HeaderAuthentication,
    ParameterAuthentication,
    Response,
    SessionAuthentication,
    TokenAuthentication,
)
from syncd.sources.passes import FetchPass, SessionSource, SignedByPass, TokenSource, secret_text
from syncd.sources.request import Request


class Signature(Protocol):
    """What turns a request into one of ours."""

    async def sign(self, request: Request) -> Request:
        """Return the request as it is sent."""
        ...

    def is_refused(self, response: Response) -> bool:
        """Tell whether an answer says that the signature is not good (any more)."""
        ...

    def renew(self, refused: Request) -> bool:
        """Tell whether a request that was refused as it was signed is worth another try with a new signature."""
        ...

    def secrets(self) -> tuple[str, ...]:
        """Return the texts that may appear in no message."""
        ...


class FixedSignature:
    """Headers and parameters that stay the same."""

    def __init__(
        self, headers: Mapping[str, str], parameters: Mapping[str, str] | None = None, *, secrets: tuple[str, ...]
    ) -> None:
        self._headers, self._parameters = headers, parameters or {}
        self._secrets = secrets

    async def sign(self, request: Request) -> Request:
        """Return the request with headers and parameters."""
        for name, value in self._headers.items():
            request = request.with_header(name, value)
        return request.with_params(self._parameters) if self._parameters else request

    def is_refused(self, response: Response) -> bool:
        """Tell whether the status says so."""
        return response.status == 401

    def renew(self, refused: Request) -> bool:  # noqa: ARG002 - the signature of the protocol
        """Return False: there is no other."""
        return False

    def secrets(self) -> tuple[str, ...]:
        """Return the values and what they were made of."""
        return self._secrets


def signature_for(authentication: Authentication, clock: Clock, fetch: FetchPass) -> Signature:
    """Return what signs the requests of a connection.

    Raises:
        SettingsError: a secret that no header can carry (such as one with the line end of its file).
    """
    match authentication:
        case HeaderAuthentication():
            secret = secret_text(authentication.secret, "the secret")
            value = f"{authentication.scheme} {secret}".strip()
            return FixedSignature({authentication.header: value}, secrets=(value, secret))
        case BasicAuthentication():
            secret = secret_text(authentication.secret, "the secret")
            if ":" in authentication.user:
                raise SettingsError([Problem("", "a user name with a colon in it cannot sign in by HTTP Basic")])
            pair = b64encode(f"{authentication.user}:{secret}".encode()).decode("ascii")
            return FixedSignature({"Authorization": f"Basic {pair}"}, secrets=(f"Basic {pair}", pair, secret))
        case ParameterAuthentication():
            given = authentication.parameters
            values = {
                name: secret_text(value, name) if isinstance(value, SecretStr) else value
                for name, value in given.items()
            }
            hidden = tuple(values[name] for name, value in given.items() if isinstance(value, SecretStr))
            return FixedSignature({}, values, secrets=hidden)
        case TokenAuthentication():
            return SignedByPass(TokenSource(authentication), clock, fetch)
        case SessionAuthentication():
            return SignedByPass(SessionSource(authentication), clock, fetch)
        case _:
            assert_never(authentication)
