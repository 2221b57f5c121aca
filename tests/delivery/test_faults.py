"""Whatever a server or a network does, one PUT is one request on the wire, and the outcome is what it proves.

Each row of the tables is one fault. Every fault is tried on a fresh and on a reused connection, in plain text and
with TLS, on asyncio under virtual time, and in plain text on uvloop in real time.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from pydantic import SecretStr

from syncd.delivery.api import OpenApi
from syncd.delivery.decide import ANSWER_BREAKS_CONTRACT, Verdict, judge
from syncd.model.clock import Clock, SystemClock
from syncd.model.communication import Thread
from syncd.model.delivery import Evidence, Outcome, Reached
from syncd.model.policy import On500
from syncd.testing.virtual_clock import run_virtual

THREAD = Thread("berlin", 1, 2)
BODY = b'{"subject":"s"}'
LARGE = b"x" * (8 * 1024 * 1024)
ERROR = b'{"errorMessage":"no","errorCode":"E1","traceId":"t1"}'
REAL_TIMEOUT = 0.25


@dataclass
class Stage:
    """What a fault acts on: the connection, and the moment when the client began to write."""

    peer: Any
    written: asyncio.Event


@dataclass(frozen=True)
class Row:
    """One fault of a server that was connected to, and its truth."""

    name: str
    act: Callable[[Stage], Awaitable[None]]
    outcome: Outcome
    copies: int = 1
    status: int | None = None
    failure: str | tuple[str, ...] | None = None
    body: bytes = BODY
    complete: bool = False
    flags: tuple[str, ...] = ()


async def close_unread(stage: Stage) -> None:
    """Close once the client has written, having read nothing."""
    await stage.written.wait()
    stage.peer.close()


async def reset_unread(stage: Stage) -> None:
    """Reset once the client has written, having read nothing."""
    await stage.written.wait()
    stage.peer.reset()


async def close_after_head(stage: Stage) -> None:
    """Close when the headers are read."""
    await stage.peer.read_head()
    stage.peer.close()


async def reset_in_body(stage: Stage) -> None:
    """Reset after a mebibyte of the body."""
    await stage.peer.read_head()
    await stage.peer.reader.readexactly(1024 * 1024)
    stage.peer.reset()


async def close_unanswered(stage: Stage) -> None:
    """Read it all and close."""
    await stage.peer.read_request()
    stage.peer.close()


async def reset_unanswered(stage: Stage) -> None:
    """Read it all and reset."""
    await stage.peer.read_request()
    stage.peer.reset()


async def hang_unanswered(stage: Stage) -> None:
    """Read it all and say nothing."""
    await stage.peer.read_request()
    await stage.peer.never()


async def never_read(stage: Stage) -> None:
    """Read nothing and say nothing."""
    await stage.written.wait()
    await asyncio.Event().wait()


def sends(data: bytes, *, then: str = "close") -> Callable[[Stage], Awaitable[None]]:
    """Read the request, send these bytes, and close, reset or hang."""

    async def act(stage: Stage) -> None:
        await stage.peer.read_request()
        stage.peer.send(data)
        await stage.peer.writer.drain()
        if then == "hang":
            await stage.peer.never()
        getattr(stage.peer, then)()

    return act


def answers(status: str, body: bytes = b"", *headers: str) -> Callable[[Stage], Awaitable[None]]:
    """Read the request and answer it whole."""

    async def act(stage: Stage) -> None:
        await stage.peer.read_request()
        stage.peer.answer(status, body, *headers)
        await stage.peer.never()

    return act


async def throttle_unread(stage: Stage) -> None:
    """Answer 429 before the body is read."""
    await stage.peer.read_head()
    stage.peer.answer("429 Too Many Requests", ERROR, "Retry-After: 60")
    await stage.peer.never()


async def break_chunk(stage: Stage) -> None:
    """Send the headers of a 200, and when they have surely been read, a chunk that is none."""
    await stage.peer.read_request()
    stage.peer.send(CHUNKED_HEAD)
    await asyncio.sleep(0.02)
    stage.peer.send(b"zz\r\n{")
    stage.peer.close()


OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nContent-Type: application/json\r\n\r\n"
GZIP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Encoding: gzip\r\n\r\n"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_HEADER = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n"
DISCONNECTED = ("ServerDisconnectedError", "ClientOSError", "ClientConnectionResetError")
BREAKS = (ANSWER_BREAKS_CONTRACT,)
DELIVERED, IN_DOUBT, NOT_THE_API = Outcome.DELIVERED, Outcome.IN_DOUBT, Outcome.NOT_THE_API

ROWS = [
    # Nothing came back, so nobody can know.
    Row("close, nothing read", close_unread, IN_DOUBT, 0, failure=DISCONNECTED),
    Row("reset, nothing read", reset_unread, IN_DOUBT, 0, failure=DISCONNECTED),
    Row("close after the headers, large body", close_after_head, IN_DOUBT, 0, failure=DISCONNECTED, body=LARGE),
    Row("reset in a large body", reset_in_body, IN_DOUBT, 0, failure=DISCONNECTED, body=LARGE),
    Row("read whole, then close", close_unanswered, IN_DOUBT, failure=DISCONNECTED),
    Row("read whole, then reset", reset_unanswered, IN_DOUBT, failure=DISCONNECTED),
    Row("large body read whole, then close", close_unanswered, IN_DOUBT, failure=DISCONNECTED, body=LARGE),
    Row("no answer in time", hang_unanswered, IN_DOUBT, failure="TimeoutError"),
    Row("never read, large body", never_read, IN_DOUBT, 0, failure="TimeoutError", body=LARGE),
    # What came back is no answer: a malformed one arrives in aiohttp as an error with status 400.
    Row("malformed status line", sends(b"HTTP/1.1 abc OK\r\n\r\n"), IN_DOUBT, failure="ClientResponseError"),
    Row("no HTTP at all", sends(b"SSH-2.0-OpenSSH_9\r\n"), IN_DOUBT, failure="ClientResponseError"),
    Row("malformed header", sends(b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n"), IN_DOUBT, failure="ClientResponseError"),
    Row("200 and a broken chunk at once", sends(CHUNKED_HEAD + b"zz\r\n{"), IN_DOUBT, failure="ClientResponseError"),
    Row("header of 20 kB", sends(LONG_HEADER, then="hang"), IN_DOUBT, failure="ClientResponseError"),
    Row("status line alone", sends(b"HTTP/1.1 200 OK\r\n"), IN_DOUBT, failure=DISCONNECTED),
    Row("half a status line", sends(b"HTTP/1.1 20"), IN_DOUBT, failure=DISCONNECTED),
    Row("interim answers alone", sends(b"HTTP/1.1 102 Processing\r\n\r\n" * 3), IN_DOUBT, failure=DISCONNECTED),
    Row("interim answers, then silence", sends(b"HTTP/1.1 100 Continue\r\n\r\n", then="hang"), IN_DOUBT,
        failure="TimeoutError"),
    # After a 2xx status nothing turns it back.
    Row("200, body cut", sends(OK_HEAD + b'{"cust'), DELIVERED, status=200, failure="ClientPayloadError", flags=BREAKS),
    Row("200, chunked body cut", sends(CHUNKED_HEAD + b"9\r\n{"), DELIVERED, status=200, failure="ClientPayloadError",
        flags=BREAKS),
    Row("200, then a broken chunk", break_chunk, DELIVERED, status=200,
        failure=("ClientPayloadError", "TimeoutError"), flags=BREAKS),
    Row("200, reset before the body", sends(OK_HEAD, then="reset"), DELIVERED, status=200,
        failure=("ClientPayloadError", "ClientOSError"), flags=BREAKS),
    Row("200, body never comes", sends(OK_HEAD, then="hang"), DELIVERED, status=200, failure="TimeoutError",
        flags=BREAKS),
    Row("200, gzip that is none", sends(GZIP_HEAD + b"garbage"), DELIVERED, status=200, complete=True, flags=BREAKS),
    Row("200, web page", answers("200 OK", b"<html>"), DELIVERED, status=200, complete=True, flags=BREAKS),
    Row("200, endless body", answers("200 OK", b"[" * 200_000), DELIVERED, status=200, flags=BREAKS),
    Row("200, no body", answers("200 OK"), DELIVERED, status=200, complete=True, flags=BREAKS),
    Row("204", sends(b"HTTP/1.1 204 No Content\r\n\r\n"), DELIVERED, status=204, complete=True, flags=BREAKS),
    Row("201 of HTTP/1.0", sends(b"HTTP/1.0 201 Created\r\n\r\n{}"), DELIVERED, status=201, complete=True,
        flags=BREAKS),
    # Definite answers.
    Row("429 before the body is read", throttle_unread, Outcome.THROTTLED, 0, status=429, body=LARGE, complete=True),
    Row("429", answers("429 Slow", b""), Outcome.THROTTLED, status=429, complete=True),
    Row("400 with the error body", answers("400 Bad", ERROR), Outcome.MESSAGE_AT_FAULT, status=400, complete=True),
    Row("404 with the error body", answers("404 No", ERROR), Outcome.THREAD_AT_FAULT, status=404, complete=True),
    Row("404 of a proxy", answers("404 No", b"<html>"), NOT_THE_API, status=404, complete=True),
    Row("401", answers("401 No"), Outcome.KEY_AT_FAULT, status=401, complete=True),
    Row("500 with the error body", answers("500 Oh", ERROR), Outcome.REFUSED_FOR_NOW, status=500, complete=True),
    Row("500, error body cut", sends(b"HTTP/1.1 500 Oh\r\nContent-Length: 99\r\n\r\n" + ERROR[:20]), IN_DOUBT,
        status=500, failure="ClientPayloadError"),
    Row("500 of a proxy", answers("500 Oh", b"<html>"), IN_DOUBT, status=500, complete=True),
    Row("502", answers("502 Bad Gateway", ERROR), IN_DOUBT, status=502, complete=True),
    Row("408", answers("408 Timeout", ERROR), IN_DOUBT, status=408, complete=True),
    Row("307 to itself", answers("307 Go", b"", "Location: /"), NOT_THE_API, status=307, complete=True),
    Row("302 to itself", answers("302 Go", b"", "Location: /"), NOT_THE_API, status=302, complete=True),
    Row("308 to itself", answers("308 Go", b"", "Location: /"), NOT_THE_API, status=308, complete=True),
    Row("status 999", answers("999 What"), IN_DOUBT, status=999, complete=True),
]  # fmt: skip


async def attempt(
    row: Row, raw: SimpleNamespace, clock: Clock, timeout_seconds: float, *, reused: bool, tls: SimpleNamespace | None
) -> tuple[Evidence, int, int]:
    """Let one PUT meet the fault; return its evidence, the copies that were read, and the calls of before_body."""
    written = asyncio.Event()
    before: list[None] = []

    async def fault(peer: Any) -> None:
        if reused:
            await peer.read_request()
            peer.answer("200 OK", raw.ok_body)
        await row.act(Stage(peer, written))

    async def note() -> None:
        before.append(None)
        written.set()

    async def nothing() -> None:
        pass

    # Any further connection would be the resend that must not be: it is answered, and so counted.
    async with raw.Server([fault, raw.answer_ok], tls.server if tls else None, receive_buffer=65536) as server:
        context = tls.client if tls else None
        api = OpenApi(server.url, SecretStr("k"), clock=clock, timeout_seconds=timeout_seconds, ssl_context=context)
        if reused:
            await api.put(THREAD, BODY, nothing)
            server.requests.clear()
        evidence = await api.put(THREAD, row.body, note)
        assert server.connections == 1
        await api.close()
        return evidence, len(server.requests), len(before)


def hold_to(row: Row, evidence: Evidence, copies: int, calls: int) -> None:
    """Hold what was observed against the row."""
    verdict: Verdict = judge(evidence, THREAD, On500.RETRY)
    assert verdict.outcome is row.outcome, evidence
    assert copies == row.copies
    assert calls == 1
    assert evidence.status == row.status
    assert evidence.body_complete is row.complete
    assert evidence.reached is (Reached.WRITING if row.status is None else Reached.ANSWERED)
    assert verdict.flags == row.flags
    allowed = row.failure if isinstance(row.failure, tuple) else (row.failure,)
    assert evidence.failure in allowed
    assert evidence.request_bytes >= len(row.body)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_is_judged_right_and_never_doubles(row, reused, tls, raw, certificates):
    """One PUT is one request at most, and its outcome is the one that the fault proves."""
    used = certificates if tls else None
    hold_to(row, *run_virtual(lambda clock: attempt(row, raw, clock, 30, reused=reused, tls=used)))


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_is_judged_the_same_on_uvloop(row, reused, raw):
    """The daemon's event loop names some failures differently, and proves the same."""
    # Short where the fault is silence; elsewhere a busy machine must not turn it into one.
    timeout_seconds = REAL_TIMEOUT if "TimeoutError" in (row.failure or ()) else 10
    result = uvloop.run(attempt(row, raw, SystemClock(), timeout_seconds, reused=reused, tls=None))
    hold_to(row, *result)


# Faults before anything is written: the connection never comes to be.


async def unused() -> None:
    """Fail: nothing may be written."""
    raise AssertionError("no connection, and yet the body was to be written")


async def hang(peer: Any) -> None:
    """Say nothing."""
    await peer.never()


async def close_at_once(peer: Any) -> None:
    """Close before anything is read."""
    peer.close()


async def reset_at_once(peer: Any) -> None:
    """Reset before anything is read."""
    peer.reset()


async def speak_plain_text(peer: Any) -> None:
    """Answer the handshake in plain HTTP."""
    await peer.reader.read(1)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await peer.never()


@pytest.mark.parametrize(
    ("behaviour", "context", "failure"),
    [
        (None, "untrusting", "ClientConnectorCertificateError"),
        (None, "other", "ClientConnectorCertificateError"),
        (speak_plain_text, "client", "ClientConnectorSSLError"),
        (close_at_once, "client", "ClientConnectorError"),
        (reset_at_once, "client", "ClientConnectorError"),
        (hang, "client", "ConnectionTimeoutError"),
    ],
    ids=["untrusted certificate", "another host's certificate", "plain text", "close", "reset", "hang"],
)
async def test_a_failed_handshake_proves_that_nothing_was_sent(behaviour, context, failure, raw, certificates, clock):
    """Whatever goes wrong with TLS, no request was read, none was begun, and it is not sent."""
    server_context = None if behaviour else certificates.other if context == "other" else certificates.server
    client = ssl.create_default_context() if context == "untrusting" else certificates.client
    async with raw.Server([behaviour or raw.answer_ok], server_context) as server:
        url = f"https://127.0.0.1:{server.port}"
        api = OpenApi(url, SecretStr("k"), clock=clock, timeout_seconds=5, ssl_context=client)
        evidence = await api.put(THREAD, BODY, unused)
        await api.close()
    assert (evidence.reached, evidence.failure, evidence.request_bytes) == (Reached.NOTHING, failure, 0)
    assert judge(evidence, THREAD, On500.RETRY).outcome is Outcome.NOT_SENT
    assert server.requests == []


async def test_a_demanded_client_certificate_is_never_taken_for_delivered(raw, certificates, clock):
    """TLS 1.3 tells of a missing client certificate after the handshake: nothing was read, and nothing is claimed."""
    async with raw.Server([raw.answer_ok], certificates.demanding) as server:
        api = OpenApi(server.url, SecretStr("k"), clock=clock, timeout_seconds=5, ssl_context=certificates.client)

        async def before_body() -> None:
            pass

        evidence = await api.put(THREAD, BODY, before_body)
        await api.close()
    expected = Outcome.IN_DOUBT if evidence.reached is Reached.WRITING else Outcome.NOT_SENT
    assert judge(evidence, THREAD, On500.RETRY).outcome is expected
    assert evidence.status is None
    assert server.requests == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://syncd-nowhere.invalid"], ids=["refused", "no name"])
async def test_a_server_that_is_not_there_was_sent_nothing(url):
    """Refused connections and names that do not resolve prove that nothing was sent."""
    api = OpenApi(url, SecretStr("k"), clock=SystemClock(), timeout_seconds=2)
    evidence = await api.put(THREAD, BODY, unused)
    await api.close()
    assert evidence.reached is Reached.NOTHING
    assert judge(evidence, THREAD, On500.RETRY).outcome is Outcome.NOT_SENT
    assert evidence.detail


async def test_waiting_for_a_free_connection_sends_nothing(raw, clock):
    """With every connection taken, the next PUT gives up unsent."""
    async with raw.Server([hang]) as server:
        api = OpenApi(server.url, SecretStr("k"), clock=clock, timeout_seconds=5, connections=1)
        begun = asyncio.Event()

        async def first_begins() -> None:
            begun.set()
            await asyncio.Event().wait()

        first = asyncio.create_task(api.put(THREAD, BODY, first_begins))
        await begun.wait()
        evidence = await api.put(THREAD, BODY, unused)
        first.cancel()
        await asyncio.wait([first])
        await api.close()
    assert (evidence.reached, evidence.failure) == (Reached.NOTHING, "ConnectionTimeoutError")
    assert judge(evidence, THREAD, On500.RETRY).outcome is Outcome.NOT_SENT
