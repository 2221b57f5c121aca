"""How vendors prove that a webhook is theirs: a signature of what they send, or a secret that they send along."""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import SecretStr

from syncd.sources.records import find_instant_in
from syncd.sources.webhook import Forged, HookRequest, Proof

TOLERANCE = timedelta(minutes=5)
SECRET_HEADER = "X-Syncd-Secret"  # noqa: S105 - the name of a header
SECRET_PARAMETER = "token"  # noqa: S105 - the name of a parameter
LONGEST_STAMP = 40

Signed = Callable[[HookRequest, str], Iterable[bytes]]
"""Returns what may have been signed, of a webhook and its timestamp; more than one where a proxy hides something."""


def body_alone(request: HookRequest, _stamp: str) -> Iterable[bytes]:
    """The body is signed."""
    return (request.body,)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The header with the time of signing, and how old that may be (None: as old as it likes)."""

    header: str
    unit: Literal["iso", "seconds", "milliseconds"]
    tolerance: timedelta | None = TOLERANCE

    def check(self, text: str, now: datetime) -> None:
        """Compare a time of signing with the time of now.

        Raises:
            Forged: it is too far from it, or is no time.
        """
        at = self._instant(text)
        if at is None:
            raise Forged(f"the header {self.header} holds no time")
        if self.tolerance is not None and abs(now - at) > self.tolerance:
            minutes = self.tolerance.total_seconds() / 60
            raise Forged(f"it was signed more than {minutes:g} minutes ago or ahead; are both clocks right?")

    def _instant(self, text: str) -> datetime | None:
        if len(text) > LONGEST_STAMP:
            return None
        if self.unit == "iso":
            return find_instant_in(text)
        try:
            return datetime.fromtimestamp(int(text) / (1000 if self.unit == "milliseconds" else 1), UTC)
        except (ValueError, OverflowError, OSError):
            return None


@dataclass(frozen=True, slots=True)
class Signature:
    """An HMAC in a header, of the body, with or without the time of signing; `prefix` may stand before it."""

    header: str
    algorithm: Literal["sha1", "sha256"]
    encoding: Literal["hex", "base64"]
    prefix: str = ""
    signed: Signed = body_alone
    stamp: Stamp | None = None

    is_signature = True

    def verify(self, request: HookRequest, secret: SecretStr, now: datetime) -> None:
        """Compare the signature, and then the time of signing, which it covers."""
        given = request.header(self.header).strip().removeprefix(self.prefix)
        if not given:
            raise Forged(
                f"the header {self.header} is missing: the vendor signs what it sends once a secret is set there"
            )
        stamp = "" if self.stamp is None else request.header(self.stamp.header).strip()
        key = secret.get_secret_value().encode()
        right = [self._is_of(given, key, message) for message in self.signed(request, stamp)]
        if not any(right):
            raise Forged(f"the header {self.header} was not made with webhook_secret")
        if self.stamp is not None:
            self.stamp.check(stamp, now)

    def _is_of(self, given: str, key: bytes, message: bytes) -> bool:
        digest = hmac.digest(key, message, self.algorithm)
        wanted = base64.b64encode(digest) if self.encoding == "base64" else digest.hex().encode()
        return hmac.compare_digest(_bytes(given), wanted)


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """The secret itself, for vendors that sign nothing: in a header, as a Basic or Bearer login, or as a parameter."""

    is_signature = False

    def verify(self, request: HookRequest, secret: SecretStr, now: datetime) -> None:  # noqa: ARG002 - as the others
        """Compare the secret; how much of it is right cannot be measured."""
        wanted = _bytes(secret.get_secret_value())
        given = [one for one in _secrets_in(request) if one]
        if not given:
            raise Forged(
                f"there is no secret: send webhook_secret in the header {SECRET_HEADER}, as the password of a Basic "
                f"login, as a Bearer token, or else as ?{SECRET_PARAMETER}= in the address"
            )
        right = [hmac.compare_digest(_bytes(one), wanted) for one in given]
        if not any(right):
            raise Forged("the secret is not webhook_secret")


@dataclass(frozen=True, slots=True)
class EitherProof:
    """Two kinds of webhooks of one vendor: `stamped` if a header is there that only its proof knows, else `plain`."""

    header: str
    stamped: Proof
    plain: Proof

    @property
    def is_signature(self) -> bool:
        """Say whether one of them is a signature."""
        return self.stamped.is_signature or self.plain.is_signature

    def verify(self, request: HookRequest, secret: SecretStr, now: datetime) -> None:
        """Look at the proof of its kind; whoever leaves the header out has to give the other one."""
        (self.stamped if request.header(self.header) else self.plain).verify(request, secret, now)


def _secrets_in(request: HookRequest) -> Iterable[str]:
    yield request.header(SECRET_HEADER)
    yield request.query.get(SECRET_PARAMETER, "")
    scheme, _, rest = request.header("Authorization").partition(" ")
    if scheme.lower() == "bearer":
        yield rest.strip()
    if scheme.lower() == "basic":
        yield _password_in(rest.strip())


def _password_in(text: str) -> str:
    try:
        return base64.b64decode(_bytes(text), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")
