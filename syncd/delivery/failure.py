"""What is said about a request that failed: a class name and a sentence, never contents, never a key.

The text of a foreign exception is not passed on as it is: some of aiohttp's quote what the server sent, and a server
may echo what it was sent.
"""

import asyncio
import os

import aiohttp

from syncd.delivery.payload import NotWritten

LONGEST_DETAIL = 300


class RequestEnded(Exception):
    """A request that aiohttp would send again, had it seen the failure inside (`cause`)."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause


def failure_of(exc: BaseException) -> tuple[str, str]:
    """Return the class name of a failure and a sentence about it."""
    inner = exc.cause if isinstance(exc, RequestEnded) else exc
    if isinstance(inner, aiohttp.ClientConnectionError) and isinstance(inner.__cause__, NotWritten):
        inner = inner.__cause__
    return type(inner).__name__, _one_line(_sentence(inner))


def _sentence(exc: BaseException) -> str:
    if isinstance(exc, NotWritten):
        return str(exc)
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {exc.host} was refused: {_reason(exc.certificate_error)}"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return f"no connection to {exc.host}:{exc.port}: {_reason(exc.os_error)}"
    for kind, sentence in _SENTENCES:
        if isinstance(exc, kind):
            return sentence
    return f"the connection broke: {_reason(exc)}" if isinstance(exc, OSError) else "the request failed"


# The first that fits: subclasses before their bases.
_SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ServerFingerprintMismatch, "the server's certificate has another fingerprint"),
    (aiohttp.ConnectionTimeoutError, "no connection within the time allowed"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    (aiohttp.ClientPayloadError, "the answer was cut short"),
    (asyncio.TimeoutError, "no whole answer within the time allowed"),
)


def _reason(exc: BaseException) -> str:
    """Return the machine's own words for what went wrong: of OpenSSL, of the resolver, of the kernel."""
    verification = getattr(exc, "verify_message", None)
    if isinstance(verification, str) and verification:
        return verification
    reason = getattr(exc, "reason", None)
    if isinstance(reason, str) and reason:
        return reason.replace("_", " ").lower()
    if isinstance(exc, OSError):
        return exc.strerror or (os.strerror(exc.errno) if exc.errno else type(exc).__name__)
    return type(exc).__name__


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:LONGEST_DETAIL]
