"""One PUT: when its first byte leaves, what it looks like on the wire, and what is told about it."""

import asyncio
import gc
from datetime import timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict
from pydantic import SecretStr
from yarl import URL

from syncd.delivery.api import LARGEST_ANSWER, KeyState, OpenApi, once_only, parse_base_url
from syncd.delivery.decide import judge
from syncd.delivery.failure import RequestEnded
from syncd.delivery.payload import NotWritten, OncePayload
from syncd.model.communication import Thread
from syncd.model.delivery import Outcome, Reached
from syncd.model.errors import SettingsError
from syncd.model.policy import On500

THREAD = Thread("berlin", 1, 2)
BODY = b'{"content":"the secret of the customer"}'
KEY = "key-not-to-be-shown"


class NotAcknowledged(Exception):
    """The store did not take the mark `sending`."""


async def ready() -> None:
    """Have nothing to do before the body."""


@pytest.fixture
def open_api(clock):
    """Make an OpenApi under virtual time."""

    def make(url: str, **options) -> OpenApi:
        return OpenApi(url, SecretStr(KEY), clock=clock, **options)

    return make


def outcome_of(evidence) -> Outcome:
    """Judge it."""
    return judge(evidence, THREAD, On500.RETRY).outcome


class Listener:
    """A behaviour that keeps every byte it is sent and answers nothing."""

    def __init__(self) -> None:
        self.bytes = b""
        self.gone = asyncio.Event()

    async def __call__(self, peer) -> None:
        try:
            while chunk := await peer.reader.read(65536):
                self.bytes += chunk
        finally:
            self.gone.set()


@pytest.mark.parametrize("size", [0, 100, 8 * 1024 * 1024])
@pytest.mark.parametrize("failure", [NotAcknowledged("no"), TimeoutError("slow"), OSError(5, "disk"), RuntimeError()])
async def test_a_refusing_before_body_keeps_every_byte_back(raw, open_api, failure, size):
    """When before_body raises, its very exception comes out, and the server was sent nothing, not even headers."""
    listener = Listener()

    async def refuse() -> None:
        await asyncio.sleep(0.01)
        raise failure

    async with raw.Server([listener]) as server:
        api = open_api(server.url)
        with pytest.raises(type(failure)) as raised:
            await api.put(THREAD, b"x" * size, refuse)
        await listener.gone.wait()  # the connection was dropped
        await api.close()
    assert raised.value is failure
    assert listener.bytes == b""


async def test_a_refusal_on_a_reused_connection_keeps_every_byte_back(raw, open_api):
    """A kept connection makes no difference: nothing leaves, and the connection is dropped."""

    async def refuse() -> None:
        raise NotAcknowledged

    async with raw.Server() as server:
        api = open_api(server.url)
        await api.put(THREAD, BODY, ready)
        with pytest.raises(NotAcknowledged):
            await api.put(THREAD, BODY, refuse)
        await api.put(THREAD, BODY, ready)
        await api.close()
    assert (len(server.requests), server.connections) == (2, 2)


async def test_headers_wait_for_before_body(raw, open_api):
    """The connection is there and silent while before_body runs; headers and body leave together after it."""
    listener = Listener()
    seen = []

    async with raw.Server([listener]) as server:
        api = open_api(server.url, timeout_seconds=1)

        async def look() -> None:
            await asyncio.sleep(5)  # longer than an answer may take: that time has not begun
            seen.append((server.connections, listener.bytes))

        evidence = await api.put(THREAD, BODY, look)
        await api.close()
    assert seen == [(1, b"")]
    assert listener.bytes.endswith(BODY)
    assert (evidence.reached, evidence.failure) == (Reached.WRITING, "TimeoutError")
    assert evidence.duration_seconds == pytest.approx(6, abs=0.2)
    assert evidence.request_bytes == len(listener.bytes)


async def test_requests_seen_are_calls_of_before_body_that_returned(raw, open_api):
    """However refusals, closes and answers are mixed, the server reads one request per before_body that returned."""
    returned = 0

    async def close_after_request(peer) -> None:
        await peer.read_request()
        peer.close()

    async def before_body(refusing: bool) -> None:
        nonlocal returned
        await asyncio.sleep(0)
        if refusing:
            raise NotAcknowledged
        returned += 1

    async with raw.Server([close_after_request, raw.answer_ok, close_after_request, raw.answer_ok]) as server:
        api = open_api(server.url, connections=8)
        results = await asyncio.gather(
            *(api.put(THREAD, BODY, lambda n=n: before_body(n % 3 == 0)) for n in range(40)), return_exceptions=True
        )
        await api.close()
    assert returned == 26
    assert len(server.requests) == returned
    outcomes = [outcome_of(result) for result in results if not isinstance(result, NotAcknowledged)]
    assert outcomes.count(Outcome.DELIVERED) + outcomes.count(Outcome.IN_DOUBT) == returned
    assert outcomes.count(Outcome.IN_DOUBT) >= 1


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_that_breaks_before_the_body_sends_nothing(raw, open_api, how):
    """The server goes while before_body runs: it is cancelled, and the attempt is proved unsent."""
    held = asyncio.Event()
    cancelled = asyncio.Event()

    async def go(peer) -> None:
        await held.wait()
        getattr(peer, how)()

    async def hold() -> None:
        held.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with raw.Server([go, raw.answer_ok]) as server:
        api = open_api(server.url)
        evidence = await api.put(THREAD, BODY, hold)
        await api.close()
    assert cancelled.is_set()
    assert (evidence.reached, evidence.request_bytes) == (Reached.CONNECTED, 0)
    assert outcome_of(evidence) is Outcome.NOT_SENT
    assert server.requests == []
    assert server.connections == 1


async def test_a_before_body_that_ends_after_all_does_not_write(raw, open_api):
    """A before_body that outlives its cancellation (a shielded commit) is awaited, and still nothing is written."""
    held, finished = asyncio.Event(), asyncio.Event()

    async def go(peer) -> None:
        await held.wait()
        peer.close()

    async def stubborn() -> None:
        held.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
        finished.set()

    async with raw.Server([go, raw.answer_ok]) as server:
        api = open_api(server.url)
        evidence = await api.put(THREAD, BODY, stubborn)
        assert finished.is_set()
        await api.close()
    assert evidence.reached is Reached.CONNECTED
    assert server.requests == []


async def test_a_stale_connection_is_found_before_before_body_is_asked(raw, open_api):
    """A kept connection that the server closed meanwhile takes no byte: a new one does, or the attempt is unsent."""
    answered = asyncio.Event()

    async def answer_and_close(peer) -> None:
        await peer.read_request()
        peer.answer("200 OK", raw.ok_body)
        peer.close()
        answered.set()

    async with raw.Server([answer_and_close, raw.answer_ok]) as server:
        api = open_api(server.url)
        first = await api.put(THREAD, BODY, ready)
        second = await api.put(THREAD, BODY, ready)
        await api.close()
    assert outcome_of(first) is Outcome.DELIVERED
    assert outcome_of(second) in {Outcome.DELIVERED, Outcome.NOT_SENT}
    assert len(server.requests) == (2 if outcome_of(second) is Outcome.DELIVERED else 1)


@pytest.mark.parametrize("size", [10, 1024 * 1024])
@pytest.mark.parametrize("what", ["closing", "answered", "ended"])
@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_connection_of_no_use_takes_no_byte(raw, clock, size, what, when):
    """Closed, already answered or given up, before or during before_body: the body is not begun, however large."""
    listener = Listener()
    calls = []
    loop = asyncio.get_running_loop()
    ending = []

    def spoil() -> None:
        if what == "closing":
            transport.close()
        elif what == "answered":
            protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            ending.append(asyncio.ensure_future(payload.end()))

    async def before_body() -> None:
        calls.append(1)
        if when == "during":
            spoil()
            await asyncio.sleep(0)

    payload = OncePayload(b"x" * size, before_body, lambda: None)
    async with raw.Server([listener]) as server:
        transport, protocol = await loop.create_connection(lambda: ResponseHandler(loop), "127.0.0.1", server.port)
        protocol.set_response_params()
        writer = StreamWriter(protocol, loop)
        await writer.write_headers("PUT / HTTP/1.1", CIMultiDict())
        if when == "before":
            spoil()
            await asyncio.sleep(0)
        with pytest.raises(NotWritten):
            await payload.write_with_length(writer, size)
        await asyncio.gather(*ending)
        transport.close()
        await listener.gone.wait()
    assert len(calls) == (when == "during")
    assert (payload.reached, payload.sent_bytes, listener.bytes) == (Reached.CONNECTED, 0, b"")


@pytest.mark.parametrize("pushed", ["second answer", "408", "100"])
async def test_an_answer_to_nothing_is_not_taken_for_ours(raw, open_api, pushed):
    """What a server pushes down an idle connection (a second answer, a 408) never settles the next PUT."""
    push = asyncio.Event()
    heads = {"408": "408 Request Timeout", "second answer": "200 OK"}

    async def push_one(peer) -> None:
        await peer.read_request()
        peer.answer("200 OK", raw.ok_body)
        await push.wait()
        if pushed in heads:
            peer.answer(heads[pushed], raw.ok_body)
        else:
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.read_request()
        peer.close()

    async with raw.Server([push_one, raw.answer_ok]) as server:
        api = open_api(server.url)
        await api.put(THREAD, BODY, ready)
        push.set()
        await asyncio.sleep(0.5)
        evidence = await api.put(THREAD, BODY, ready)
        await api.close()
    # A lone interim answer leaves the connection of use or not, as aiohttp has it; no outcome may be invented.
    seen = len(server.requests) - 1
    assert evidence.status is None
    assert outcome_of(evidence) is (Outcome.IN_DOUBT if seen else Outcome.NOT_SENT)
    if pushed in heads:
        assert seen == 0


@pytest.mark.parametrize("pushed", ["408 Request Timeout", "200 OK", "429 Slow"])
async def test_an_answer_during_before_body_stops_the_attempt(raw, open_api, pushed):
    """A server that answers before it was asked gets nothing more, and its answer counts for nothing."""
    held = asyncio.Event()
    listener = Listener()

    async def speak(peer) -> None:
        await held.wait()
        peer.answer(pushed, raw.ok_body)
        await listener(peer)

    async def hold() -> None:
        held.set()
        await asyncio.Event().wait()

    async with raw.Server([speak, raw.answer_ok]) as server:
        api = open_api(server.url)
        evidence = await api.put(THREAD, BODY, hold)
        await listener.gone.wait()
        await api.close()
    assert (evidence.reached, evidence.status, evidence.failure) == (Reached.CONNECTED, None, "NotWritten")
    assert outcome_of(evidence) is Outcome.NOT_SENT
    assert listener.bytes == b""


async def test_an_answer_in_the_same_moment_as_the_end_of_before_body_stops_the_attempt(raw, open_api):
    """However closely a pushed answer precedes the first byte, the byte is not written, or the answer not believed."""
    for turns in range(12):
        held = asyncio.Event()
        listener = Listener()

        async def speak(peer, held=held, listener=listener) -> None:
            await held.wait()
            peer.answer("200 OK", raw.ok_body)
            await listener(peer)

        async def hold(held=held, turns=turns) -> None:
            held.set()
            for _ in range(turns):
                await asyncio.sleep(0)

        async with raw.Server([speak]) as server:
            api = open_api(server.url)
            evidence = await api.put(THREAD, BODY, hold)
            await api.close()
        if evidence.status is None:
            assert outcome_of(evidence) is Outcome.NOT_SENT
            assert listener.bytes == b""


async def test_cancelled_while_before_body_runs_means_unsent(raw, open_api):
    """put may be cancelled: with before_body not returned, nothing has left and before_body has ended."""
    listener = Listener()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with raw.Server([listener]) as server:
        api = open_api(server.url)
        task = asyncio.create_task(api.put(THREAD, BODY, hold))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()
        await listener.gone.wait()
        await api.close()
    assert listener.bytes == b""


async def test_cancelled_while_waiting_for_the_answer_sends_no_second(raw, open_api):
    """Cancelled after before_body returned, the one request was read, and no other follows."""
    read = asyncio.Event()

    async def hang(peer) -> None:
        await peer.read_request()
        read.set()
        await peer.never()

    async with raw.Server([hang, raw.answer_ok]) as server:
        api = open_api(server.url)
        task = asyncio.create_task(api.put(THREAD, BODY, ready))
        await read.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await api.close()
    assert len(server.requests) == 1


async def test_closed_while_waiting_for_the_answer_is_in_doubt(raw, open_api):
    """Closing the api under a request leaves it in doubt and sends no second."""
    read = asyncio.Event()

    async def hang(peer) -> None:
        await peer.read_request()
        read.set()
        await peer.never()

    async with raw.Server([hang, raw.answer_ok]) as server:
        api = open_api(server.url)
        task = asyncio.create_task(api.put(THREAD, BODY, ready))
        await read.wait()
        await api.close()
        evidence = await task
    assert outcome_of(evidence) is Outcome.IN_DOUBT
    assert len(server.requests) == 1


async def test_a_closed_api_sends_nothing(open_api):
    """After close a PUT is unsent."""
    api = open_api("http://127.0.0.1:1")
    await api.close()
    assert outcome_of(await api.put(THREAD, BODY, ready)) is Outcome.NOT_SENT


async def test_a_before_body_cancelled_from_within_is_unsent(raw, open_api):
    """A before_body whose own work was cancelled has not acknowledged: nothing is sent."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async with raw.Server() as server:
        api = open_api(server.url)
        evidence = await api.put(THREAD, BODY, cancelled)
        await api.close()
    assert outcome_of(evidence) is Outcome.NOT_SENT
    assert server.requests == []


async def test_the_payload_alone_keeps_aiohttp_from_sending_twice(raw, clock):
    """Without the middleware the body that can be written once still stops the second request."""

    async def close_after_request(peer) -> None:
        await peer.read_request()
        peer.close()

    async with raw.Server([close_after_request, raw.answer_ok]) as server, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.put(URL(server.url), data=OncePayload(BODY, ready, lambda: None))
    assert len(server.requests) == 1


async def test_the_middleware_alone_keeps_aiohttp_from_sending_twice(raw, clock):
    """With a body that could be written again, hiding the failure from aiohttp still stops the second request."""

    async def close_after_request(peer) -> None:
        await peer.read_request()
        peer.close()

    session = aiohttp.ClientSession(middlewares=(once_only,))
    async with raw.Server([close_after_request, raw.answer_ok]) as server, session:
        with pytest.raises(RequestEnded):
            await session.put(URL(server.url), data=BODY)
    assert len(server.requests) == 1


async def test_the_request_is_what_the_contract_asks_for(raw, open_api, monkeypatch):
    """Path, key, type and length are there; no cookie comes back, and no proxy of the environment is asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def set_cookie(peer) -> None:
        while True:
            await peer.read_request()
            peer.answer("200 OK", raw.ok_body, "Set-Cookie: session=1; Path=/")

    async with raw.Server([set_cookie]) as server:
        api = open_api(f"{server.url}/tenant/")
        await api.put(Thread("berlin", 2**63 - 1, 2), BODY, ready)
        evidence = await api.put(THREAD, BODY, ready)
        await api.close()
    first, second = server.requests
    assert first.startswith(f"PUT /tenant/v1/communications/{2**63 - 1}/threads/2 HTTP/1.1\r\n".encode())
    headers = dict(line.split(": ", 1) for line in second.decode().split("\r\n\r\n")[0].split("\r\n")[1:])
    assert headers["x-api-key"] == KEY
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == str(len(BODY))
    assert headers["Accept-Encoding"] == "identity"
    assert "Cookie" not in headers
    assert evidence.request_bytes == len(second)
    assert server.connections == 1


async def test_evidence_tells_neither_contents_nor_key(raw, open_api):
    """A server that echoes what it was sent, as garbage or as an answer, puts none of it into the evidence's text."""

    async def echo(peer) -> None:
        request = await peer.read_request()
        peer.send(b"HTTP/1.1 " + request.replace(b"\r\n", b" ") + b"\r\n\r\n")
        peer.close()

    async def echo_body(peer) -> None:
        peer.answer("400 Bad", await peer.read_request())

    async with raw.Server([echo, echo_body]) as server:
        api = open_api(server.url)
        for _ in range(2):
            evidence = await api.put(THREAD, BODY, ready)
            assert KEY not in repr(evidence)
            assert "secret" not in repr(evidence)
        assert KEY not in repr(vars(api))
        await api.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("99999999", 86400.0),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("٣", None),
        ("9" * 100, None),
        ("+1h", timedelta(hours=1)),
        ("-1h", timedelta(hours=-1)),
    ],
)
async def test_retry_after_is_read_in_both_forms(raw, open_api, clock, text, seconds):
    """Seconds and HTTP dates are both understood; nonsense is no wait, and no wait is longer than a day."""
    header = text
    if isinstance(seconds, timedelta):
        header = format_datetime(clock.now() + seconds, usegmt=True)
        seconds = max(0.0, seconds.total_seconds())

    async def throttle(peer) -> None:
        await peer.read_request()
        peer.send(f"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nRetry-After: {header}\r\n\r\n".encode())
        await peer.never()

    async with raw.Server([throttle]) as server:
        api = open_api(server.url)
        evidence = await api.put(THREAD, BODY, ready)
        await api.close()
    assert evidence.status == 429
    assert evidence.retry_after_seconds == (seconds if seconds is None else pytest.approx(seconds, abs=2))


async def test_an_answer_is_read_up_to_the_cap(raw, open_api):
    """An answer of exactly the cap is whole; one byte more is cut and said to be cut."""

    async def answer(peer) -> None:
        for size in (LARGEST_ANSWER, LARGEST_ANSWER + 1):
            await peer.read_request()
            peer.answer("200 OK", b"x" * size)

    async with raw.Server([answer]) as server:
        api = open_api(server.url)
        whole = await api.put(THREAD, BODY, ready)
        cut = await api.put(THREAD, BODY, ready)
        await api.close()
    assert (len(whole.body), whole.body_complete) == (LARGEST_ANSWER, True)
    assert (len(cut.body), cut.body_complete, cut.status) == (LARGEST_ANSWER, False, 200)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("200 OK", KeyState.GOOD),
        ("401 No", KeyState.REFUSED),
        ("404 No", KeyState.UNKNOWN),
        ("500 Oh", KeyState.UNKNOWN),
        ("302 Go", KeyState.UNKNOWN),
        ("garbage", KeyState.UNKNOWN),
        (None, KeyState.UNKNOWN),
    ],
)
async def test_a_probe_tells_only_what_was_answered(raw, open_api, status, state):
    """200 is a good key, 401 a refused one, and everything else, silence included, says nothing."""
    heads = []

    async def answer(peer) -> None:
        heads.append(await peer.read_head())
        if status is None:
            await peer.never()
        peer.answer(status, b"", "Location: /")
        await peer.never()

    async with raw.Server([answer]) as server:
        api = open_api(server.url, timeout_seconds=5)
        assert await api.probe() is state
        await api.close()
    assert heads[0].startswith(b"HEAD /v1/communications/1/threads/1 HTTP/1.1\r\n")
    assert f"x-api-key: {KEY}".encode() in heads[0]
    assert len(heads) == 1


async def test_a_probe_of_an_absent_server_is_unknown(open_api):
    """A refused connection says nothing about the key."""
    api = open_api("http://127.0.0.1:1")
    assert await api.probe() is KeyState.UNKNOWN
    await api.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://studio.example.com",
        "ftp://127.0.0.1",
        "https://user:pass@studio.example.com",
        "https://studio.example.com/?a=1",
        "https://studio.example.com/#a",
        "studio.example.com",
        "https://",
        "http://127.0.0.1.example.com",
        "https://[::1",
        "",
    ],
)
def test_an_unsafe_address_is_refused(clock_free, url):
    """Only https, and plain http to this machine, without credentials or a query, can be sent to."""
    with pytest.raises(SettingsError, match="base_url") as raised:
        OpenApi(url, SecretStr(KEY), clock=clock_free)
    assert "pass" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://studio.example.com/", "https://studio.example.com"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080/x/", "http://[::1]:8080/x"),
        ("http://127.1.2.3", "http://127.1.2.3"),
    ],
)
def test_a_safe_address_is_kept(url, kept):
    """A slash at the end makes no difference."""
    assert parse_base_url(url) == kept


@pytest.mark.parametrize("key", ["", "a b", "a\r\nx: y", "schlüssel"])
def test_a_key_that_fits_no_header_is_refused_without_being_shown(clock_free, key):
    """Such a key is a mistake in the settings, and is not repeated in the message."""
    with pytest.raises(SettingsError, match="api_key") as raised:
        OpenApi("https://studio.example.com", SecretStr(key), clock=clock_free)
    assert not key or key not in str(raised.value)


@pytest.fixture
def clock_free() -> SimpleNamespace:
    """A clock for what must not look at it."""
    return SimpleNamespace()


async def test_idle_connections_are_reused_and_soon_dropped(raw, open_api):
    """Back-to-back PUTs share a connection."""
    async with raw.Server() as server:
        api = open_api(server.url)
        for _ in range(5):
            assert outcome_of(await api.put(THREAD, BODY, ready)) is Outcome.DELIVERED
        assert server.connections == 1
        await api.close()
    assert len(server.requests) == 5


async def test_nothing_is_left_behind(raw, open_api):
    """After refusals, breaks and answers no task is left running."""
    before = asyncio.all_tasks()

    async def refuse() -> None:
        raise NotAcknowledged

    async def reset(peer) -> None:
        await peer.read_request()
        peer.reset()

    async with raw.Server([raw.answer_ok, reset, raw.answer_ok]) as server:
        api = open_api(server.url)
        for hook in (ready, refuse, ready, ready):
            try:
                await api.put(THREAD, BODY, hook)
            except NotAcknowledged:
                continue
        await api.close()
    await asyncio.sleep(0)
    gc.collect()
    assert {task for task in asyncio.all_tasks() - before if not task.done()} == set()
