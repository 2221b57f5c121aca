"""The HTTP of adapters: what it sends, and what it makes of each answer."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import traceback
from datetime import UTC, datetime

import pytest
import trustme
from aiohttp import web
from pydantic import SecretStr

import syncd
from syncd.model.errors import PauseSystem, RetryLater, SettingsError, UnexpectedAnswer
from syncd.sources.adapter import BasicAuthentication, HeaderAuthentication, Refused, Response

SECRET = "hush-4711-hush"


async def failure_of(awaitable):
    """Return the exception that an awaitable ends with."""
    (outcome,) = await asyncio.gather(awaitable, return_exceptions=True)
    assert isinstance(outcome, Exception)
    return outcome


def everything_told(error):
    """Return all that a log could hold of an exception: its text, its chain, its attributes."""
    chain, link = [], error
    while link is not None:
        chain.append(f"{link!r} {link} {vars(link)}")
        link = link.__cause__ or link.__context__
    return "".join(chain) + "".join(traceback.format_exception(error))


async def test_a_read_returns_status_headers_and_body(http, vendor):
    """A 200 comes back whole, with headers in any case."""
    vendor.then(body='{"id": 7}', headers={"X-Total": "1"})
    response = await http.get("tickets/7")
    assert (response.status, response.headers["x-total"], response.json()) == (200, "1", {"id": 7})
    assert vendor.asked[0].path == "/tickets/7"


async def test_requests_are_signed_and_say_who_we_are(http, vendor):
    """The secret goes out in its header; the user agent is ours and does not pose as a browser."""
    vendor.then()
    await http.get("/tickets")
    headers = vendor.asked[0].headers
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["User-Agent"] == f"syncd/{syncd.__version__}"


async def test_basic_authentication(open_http, vendor):
    """HTTP Basic encodes user and secret as UTF-8."""
    vendor.then()
    await open_http(vendor.base_url, BasicAuthentication("jörg", SecretStr("pässword"))).get("/")
    assert vendor.asked[0].headers["Authorization"] == "Basic asO2cmc6cMOkc3N3b3Jk"


async def test_a_vendors_own_header(open_http, vendor):
    """A secret can go out in a header of the vendor's own, and the caller's headers cannot replace it."""
    vendor.then()
    http = open_http(vendor.base_url, HeaderAuthentication(SecretStr(SECRET), header="X-Api-Key"))
    await http.get("/", headers={"x-api-key": "other", "X-Other": "kept"})
    assert vendor.asked[0].headers["X-Api-Key"] == SECRET
    assert vendor.asked[0].headers["X-Other"] == "kept"
    assert "x-api-key" not in vendor.asked[0].headers


async def test_headers_of_the_connection_go_with_every_request(open_http, vendor):
    """The connection may set headers, such as another Accept."""
    vendor.then()
    await open_http(vendor.base_url, headers={"Accept": "application/vnd.x+json"}).get("/")
    assert vendor.asked[0].headers["Accept"] == "application/vnd.x+json"


async def test_params_are_encoded(http, vendor):
    """Parameters are encoded, repeated ones kept, and a query in the path stays."""
    vendor.then()
    await http.get("search?page=2", params=[("q", "a b&c=d"), ("q", "+1"), ("n", 5)])
    assert vendor.asked[0].path == "/search?page=2&q=a+b%26c%3Dd&q=%2B1&n=5"


async def test_post_sends_json_or_a_form(http, vendor):
    """A search by POST carries JSON or a form, or nothing."""
    vendor.then().then().then()
    await http.post("search", json={"q": "x"})
    await http.post("search", form={"q": "a b"})
    await http.post("search")
    kinds = [(asked.body, asked.headers.get("Content-Type", "").partition(";")[0]) for asked in vendor.asked]
    assert kinds[0] == (b'{"q":"x"}', "application/json")
    assert kinds[1] == (b"q=a+b", "application/x-www-form-urlencoded")
    assert kinds[2][0] == b""


async def test_the_path_of_the_base_address_is_kept(open_http, vendor):
    """A base address below a path keeps it, with or without a slash at its end."""
    vendor.then().then()
    await open_http(vendor.base_url + "/rt/").get("/ticket/1")
    await open_http(vendor.base_url + "/rt").get("ticket/1")
    assert [asked.path for asked in vendor.asked] == ["/rt/ticket/1"] * 2


@pytest.mark.parametrize(
    "path",
    ["https://evil.test/", "//evil.test/x", "/../admin", "a/%2e%2e/b", "a\\b", "a\r\nX: y", "x#y", "http:%2f%2fe"],
)
async def test_a_path_cannot_lead_elsewhere(http, vendor, path):
    """A path that names a host, climbs, or hides something is refused without a request."""
    with pytest.raises(UnexpectedAnswer, match="leads outside"):
        await http.get(path)
    assert http.requests_sent == 0


async def test_a_cookie_is_not_kept(open_http, vendor):
    """A vendor's cookie is not sent back: the secret alone says who we are."""
    # By its name: for bare addresses aiohttp keeps no cookies anyway.
    http = open_http(vendor.base_url.replace("127.0.0.1", "localhost"))
    vendor.then(headers={"Set-Cookie": "session=1; Path=/"}).then()
    await http.get("/")
    await http.get("/")
    assert "Cookie" not in vendor.asked[1].headers


async def test_a_proxy_of_the_environment_is_not_used(http, vendor, monkeypatch):
    """An http_proxy in the environment does not get to see the credentials."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    vendor.then()
    assert (await http.get("/")).status == 200


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_server_errors_are_retried(http, vendor, status):
    """A server error is retried after 1 and 4 seconds; the third answer counts."""
    vendor.then(status).then(status).then(body="[1]")
    assert (await http.get("/x")).json() == [1]
    assert vendor.waits() == [1, 4]
    assert http.requests_sent == 3


async def test_after_three_tries_the_caller_comes_back_later(http, vendor):
    """When the tries are used up the failure is named RetryLater, without a wait that nobody asked for."""
    vendor.then(503).then(503).then(503)
    with pytest.raises(RetryLater, match="status 503") as caught:
        await http.get("/x")
    assert caught.value.wait_seconds is None


async def test_a_short_wait_that_is_asked_for_is_kept(http, vendor):
    """429 with Retry-After waits that long instead of the usual wait, every time."""
    vendor.then(429, headers={"Retry-After": "37"}).then(429, headers={"Retry-After": "0"}).then()
    await http.get("/x")
    assert vendor.waits() == [37, 0]


async def test_a_wait_until_a_date_is_kept(http, vendor):
    """Retry-After may be an HTTP date."""
    vendor.then(503, headers={"Retry-After": "Mon, 02 Mar 2026 09:00:25 GMT"}).then()
    await http.get("/x")
    assert vendor.waits() == [pytest.approx(25, abs=0.1)]


async def test_a_long_wait_is_handed_to_the_caller_at_once(http, vendor, clock):
    """A wait of over a minute is not waited out; it is RetryLater with that wait after one request."""
    vendor.then(429, headers={"Retry-After": "600"})
    with pytest.raises(RetryLater) as caught:
        await http.get("/x")
    assert caught.value.wait_seconds == 600
    assert clock.monotonic() < 1


async def test_nobody_asks_while_the_vendor_wants_quiet(http, vendor, clock):
    """While a long wait lasts, later reads fail without a request; after it they go out."""
    vendor.then(429, headers={"Retry-After": "600"}).then()
    await failure_of(http.get("/x"))
    await clock.sleep(100)
    second = await failure_of(http.get("/y"))
    assert isinstance(second, RetryLater)
    assert second.wait_seconds == pytest.approx(500, abs=1)
    await clock.sleep(second.wait_seconds)
    assert (await http.get("/y")).status == 200


async def test_a_throttled_read_holds_the_others_too(http, vendor, clock):
    """After a 429 no other read goes out before the wait has passed."""
    vendor.then(429, headers={"Retry-After": "20"}).then().then()
    first = asyncio.create_task(http.get("/x"))
    await clock.sleep(1)
    await asyncio.gather(first, http.get("/y"))
    assert min(asked.at for asked in vendor.asked[1:]) >= 20


async def test_silence_is_a_failed_connection(open_http, vendor, clock):
    """A vendor that hangs is given up after timeout_seconds, three times, and then it is RetryLater."""

    async def hang(request):
        await asyncio.sleep(3600)

    for _ in range(3):
        vendor.then_do(hang)
    http = open_http(vendor.base_url, timeout_seconds=10)
    with pytest.raises(RetryLater, match="no answer in time"):
        await http.get("/x")
    assert clock.monotonic() == pytest.approx(3 * 10 + 5, abs=3)


async def test_a_drip_ends_too(open_http, vendor, clock):
    """A vendor that sends a byte now and then is given up after four times timeout_seconds."""

    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(5)

    for _ in range(3):
        vendor.then_do(drip)
    http = open_http(vendor.base_url, timeout_seconds=10)
    with pytest.raises(RetryLater):
        await http.get("/x")
    assert clock.monotonic() == pytest.approx(3 * 40 + 5, abs=6)


async def test_a_broken_connection_is_retried_and_counted(http, vendor):
    """A vendor that closes without an answer sees one request per try: aiohttp adds none of its own."""

    async def close(request):
        request.transport.close()
        return web.Response()

    vendor.then_do(close).then_do(close).then()
    await http.get("/x")
    assert len(vendor.asked) == http.requests_sent == 3
    assert vendor.waits() == [1, 4]


async def test_a_cut_body_is_retried(http, vendor):
    """Half an answer is no answer."""

    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"[1, 2")
        request.transport.close()
        return response

    vendor.then_do(cut).then(body="[1]")
    assert (await http.get("/x")).json() == [1]


async def test_nobody_listening_is_retry_later(open_http, clock):
    """A refused connection is retried, and then it is RetryLater, naming the host."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        http = open_http(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(RetryLater, match=r"127\.0\.0\.1 cannot answer /x now: no connection"):
            await http.get("/x")
    assert clock.monotonic() == pytest.approx(5, abs=0.1)


async def test_401_pauses_the_system(http, vendor):
    """401 needs a person; it is not retried."""
    vendor.then(401, body='{"error": "nope"}')
    with pytest.raises(PauseSystem, match="refuses the credentials"):
        await http.get("/x")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(open_http, vendor, status):
    """A redirect pauses the system, names the host it points to, and nobody else gets the credentials."""
    vendor.then(status, headers={"Location": "https://login.evil.test/?token=1"})
    http = open_http(vendor.base_url)
    with pytest.raises(PauseSystem, match=r"to login\.evil\.test") as caught:
        await http.get("/x")
    assert "token=1" not in str(caught.value)
    assert http.requests_sent == 1


async def test_an_unreadable_redirect_is_a_redirect(http, vendor):
    """A Location that is no address changes nothing."""
    vendor.then(302, headers={"Location": "http://[oops"})
    with pytest.raises(PauseSystem):
        await http.get("/x")


async def test_a_wrong_certificate_pauses_the_system(open_http, clock):
    """A certificate of somebody else's authority needs a person, and is not retried."""
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=served)
    http = open_http(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(PauseSystem, match="certificate of 127"):
        await http.get("/x")
    assert http.requests_sent == 1
    server.close()
    await server.wait_closed()


async def test_a_trusted_certificate_is_spoken_with(open_http, clock):
    """With the right authority https works."""
    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(served)

    async def answer(request):
        return web.Response(text="[]")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=served).start()
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    http = open_http(f"https://127.0.0.1:{runner.addresses[0][1]}", ssl_context=ours)
    assert (await http.get("/x")).json() == []
    await http.close()
    await runner.cleanup()


async def test_an_expected_status_is_returned(http, vendor):
    """A status in `expect` is the adapter's to judge, even one that would be retried."""
    vendor.then(404).then(503).then(401)
    assert (await http.get("/x", expect={404})).status == 404
    assert (await http.get("/x", expect={503})).status == 503
    assert (await http.get("/x", expect={401})).status == 401


async def test_any_other_status_is_refused_with_the_vendors_sentence(http, vendor):
    """Another status is Refused, with status, path without query, and the short message of a JSON error."""
    vendor.then(422, body='{"errors": [{"detail": "No such\\nfield: x"}], "ticket": {"text": "private"}}')
    with pytest.raises(Refused) as caught:
        await http.get("/x?q=private")
    assert (caught.value.status, caught.value.path) == (422, "/x")
    assert str(caught.value) == "/x answered 422: No such field: x"


@pytest.mark.parametrize(
    "body",
    ['{"message": "' + "long " * 50 + '"}', "<h1>private</h1>", '{"text": "private"}', f'{{"error": "bad {SECRET}"}}'],
)
async def test_a_body_is_not_repeated(http, vendor, body):
    """Long messages, other formats, other fields and echoed secrets stay out of the exception."""
    vendor.then(400, body=body)
    with pytest.raises(Refused) as caught:
        await http.get("/x")
    assert str(caught.value) == "/x answered 400"


async def test_html_with_status_200_is_no_answer(http, vendor):
    """A login page with status 200 is told as what it is, without its text."""
    vendor.then(body="<html>private</html>", content_type="text/html; charset=utf-8")
    response = await http.get("/x")
    with pytest.raises(UnexpectedAnswer, match="20 bytes of text/html") as caught:
        response.json()
    assert "private" not in "".join(traceback.format_exception(caught.value))


async def test_a_body_past_the_cap_is_given_up(open_http, vendor):
    """A body over the cap is an unexpected answer, and is not read to its end."""
    vendor.then(body=b"x" * 200_000)
    http = open_http(vendor.base_url, largest_body_bytes=100_000)
    with pytest.raises(UnexpectedAnswer, match="more than 100000 bytes"):
        await http.get("/x")


async def test_a_decompression_bomb_is_given_up(open_http, vendor):
    """The cap counts what a compressed body becomes, so a small bomb does not fill the memory."""
    vendor.then(body=gzip.compress(b"\0" * 50_000_000), headers={"Content-Encoding": "gzip"})
    http = open_http(vendor.base_url, largest_body_bytes=1_000_000)
    with pytest.raises(UnexpectedAnswer, match="more than 1000000 bytes"):
        await http.get("/x")


async def test_a_compressed_body_is_unpacked(http, vendor):
    """An honest compressed body is read."""
    vendor.then(body=gzip.compress(b"[1]"), headers={"Content-Encoding": "gzip"})
    assert (await http.get("/x")).json() == [1]


async def test_the_pace_is_kept(open_http, vendor):
    """At 60 a minute ten reads take at least nine seconds, whoever asks for them."""
    for _ in range(10):
        vendor.then()
    http = open_http(vendor.base_url, pace=60)
    await asyncio.gather(*(http.get("/x") for _ in range(10)))
    assert vendor.asked[-1].at - vendor.asked[0].at == pytest.approx(9, abs=0.1)


async def test_the_settings_override_the_pace(open_http, vendor):
    """requests_per_minute replaces the pace of the connection."""
    vendor.then().then()
    http = open_http(vendor.base_url, pace=60, requests_per_minute=6)
    await http.get("/x")
    await http.get("/x")
    assert vendor.waits() == [10]


async def test_a_narrower_budget_slows_its_own_paths_alone(open_http, vendor):
    """Paths below a budget's prefix keep its pace; others do not wait for it."""
    for _ in range(4):
        vendor.then()
    http = open_http(vendor.base_url, budgets={"/incremental": 6})
    await http.get("/incremental/tickets")
    await http.get("/tickets")
    await http.get("/tickets")
    await http.get("incremental/tickets")
    at = [asked.at for asked in vendor.asked]
    assert at[2] - at[0] < 1
    assert at[3] - at[0] == pytest.approx(10, abs=0.1)


async def test_a_throttled_budget_leaves_other_paths_alone(open_http, vendor):
    """A 429 on a path with a budget of its own does not hold the others."""
    vendor.then(429, headers={"Retry-After": "600"}).then()
    http = open_http(vendor.base_url, budgets={"incremental": 600})
    await failure_of(http.get("/incremental/x"))
    assert (await http.get("/tickets")).status == 200


async def test_no_more_requests_at_once_than_agreed(open_http, vendor, clock):
    """The concurrency of the connection is a bound on requests under way."""
    under_way = most = 0

    async def count(request):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way, http.requests_under_way)
        await clock.sleep(1)
        under_way -= 1
        return web.Response(text="{}")

    for _ in range(9):
        vendor.then_do(count)
    http = open_http(vendor.base_url, concurrency=3)
    await asyncio.gather(*(http.get("/x") for _ in range(9)))
    assert most == 3
    assert http.requests_under_way == 0


async def test_cancelling_leaves_nothing_under_way(http, vendor, clock):
    """A cancelled read gives its slot back."""

    async def hang(request):
        await asyncio.sleep(3600)

    vendor.then_do(hang)
    task = asyncio.create_task(http.get("/x"))
    await clock.sleep(1)
    assert http.requests_under_way == 1
    task.cancel()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    assert http.requests_under_way == 0


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500])
async def test_no_failure_holds_the_secret(http, vendor, status):
    """Neither the text nor the chain of an exception holds the secret, even when the vendor repeats it."""
    for _ in range(3):
        vendor.then(status, body=f'{{"message": "{SECRET}"}}', headers={"Location": f"http://other.test/{SECRET}"})
        if status not in {429, 500}:
            break
    error = await failure_of(http.get(f"/x?key={SECRET}"))
    assert SECRET not in everything_told(error)


async def test_a_garbled_answer_holds_no_secret(open_http, clock):
    """aiohttp's exception for a garbled answer carries the request's headers; ours does not."""

    async def garble(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SMTP 220 hello\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garble, "127.0.0.1", 0)
    error = await failure_of(open_http(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}").get("/x"))
    assert isinstance(error, RetryLater)
    assert SECRET not in everything_told(error)
    server.close()
    await server.wait_closed()


async def test_the_repr_names_the_host_alone(open_http):
    """A repr of the HTTP in a log shows where it goes and nothing else."""
    assert repr(open_http("https://acme.test/api/v2")) == "<VendorHttp acme.test>"


async def test_plain_http_is_for_loopback(open_http):
    """An address that would send the credentials in the clear is a mistake in the settings."""
    with pytest.raises(SettingsError, match="must begin with https"):
        open_http("http://acme.test")


async def test_closing_twice_is_harmless(http, vendor):
    """close() may be called again, and without any request before it."""
    await http.close()
    vendor.then()
    await http.get("/")
    await http.close()
    await http.close()


async def test_an_endless_body_is_given_up_at_the_cap(open_http, vendor):
    """Of a body of 500 MB no more than the cap is read, whatever its length says."""
    sent = 0

    async def flood(request):
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(500 * 1024 * 1024)})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" " * 65_536)
                sent += 65_536
        return response

    vendor.then_do(flood)
    with pytest.raises(UnexpectedAnswer, match="more than 1048576 bytes"):
        await open_http(vendor.base_url, largest_body_bytes=1024 * 1024).get("/a")
    assert sent < 50 * 1024 * 1024


@pytest.mark.parametrize(
    ("date", "at"),
    [
        ("Mon, 02 Mar 2026 09:01:00 GMT", datetime(2026, 3, 2, 9, 1, tzinfo=UTC)),
        ("Mon, 02 Mar 2026 09:01:00 -0000", datetime(2026, 3, 2, 9, 1, tzinfo=UTC)),
        ("Mon, 02 Mar 2026 10:01:00 +0100", datetime(2026, 3, 2, 9, 1, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_an_answer_tells_when_it_was_made(date, at):
    """The vendor's own clock is its `Date` header, read as an aware instant; what is none tells nothing."""
    assert Response(200, {"Date": date}, b"").answered_at == at
    assert Response(200, {}, b"").answered_at is None
