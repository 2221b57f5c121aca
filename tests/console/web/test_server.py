"""Where the server listens, what every answer has, and what comes of requests that nobody would send."""

import asyncio
import os
import socket
import stat
from pathlib import Path

import aiohttp
import pytest

from syncd.console.web.guards import HEADERS
from syncd.console.web.server import IDLE_SECONDS, LARGEST_BODY_BYTES, listening
from syncd.model.errors import SyncdError
from tests.console.web.conftest import TOKEN

BEARER = f"Authorization: Bearer {TOKEN}"
HOST = "Host: localhost"


@pytest.fixture
def short(tmp_path):
    """Return a path for a socket that is short enough for one, whatever the test is called."""
    folder = Path("/tmp") / f"syncd-{os.getpid()}-{abs(hash(tmp_path)) % 10**6}"
    folder.mkdir()
    yield folder / "console.sock"
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()


async def test_every_answer_has_the_headers(served):
    """Pages, files, JSON, refusals and failures alike keep browsers from doing more than they should."""
    answers = {
        path: await served.get(path)
        for path in (
            "/",
            "/login",
            "/static/syncd.css",
            "/static/none",
            "/static/",
            "/none",
            "/api/v1/links",
            "/api/none",
        )
    }
    answers |= {
        "405": await served.ask("POST", "/api/v1/links"),
        "401": await served.ask("POST", "/api/v1/polls", token="wrong"),
        "421": await served.get("/", headers={"Host": "evil.example"}),
        "303": await served.ask("POST", "/logout"),
        "422": await served.get("/api/v1/links?limit=0"),
        "HEAD": await served.ask("HEAD", "/"),
    }
    for what, answer in answers.items():
        assert (what, {name: answer.headers.get(name) for name in HEADERS}) == (what, HEADERS)
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_failures_are_json_for_programs_and_pages_for_people(served):
    """Below /api/ everything is JSON; a browser gets a page; neither says anything of the inside."""
    for path in ("/api/v1/none", "/api/v1/links/x", "/api/"):
        answer = await served.get(path)
        assert (answer.status, answer.json) == (404, {"error": "there is nothing here"})
    page = await served.get("/none<script>", headers={"Accept": "text/html"})
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<script>" not in page.text


async def test_a_method_that_is_not_there_names_those_that_are(served):
    """The standard wants them named."""
    answer = await served.ask("POST", "/api/v1/links")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, PUT")
    assert "GET, HEAD, PUT" in answer.json["error"]


async def test_no_path_leads_out_of_the_static_files(served):
    """However it is written, nothing but our own files is served below /static/."""
    assert (await served.get("/static/syncd.css")).status == 200
    paths = ["/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/server.py", "/static/..%5cserver.py"]
    paths += ["/static//etc/passwd", "/static/%00", "/static/....//server.py", "/static/../templates/base.html"]
    for path in paths:
        answer = await served.say(f"GET {path} HTTP/1.1", HOST)
        assert (path, answer.status in {403, 404}) == (path, True)
        assert "root:" not in answer.text


async def test_no_way_of_writing_a_path_gets_past_the_guard(served):
    """Some paths take no token; no other is reached by writing it like one of those."""
    ways = [
        "/hooks/../api/v1/links",
        "/static/../api/v1/links",
        "/hooks/%2e%2e/api/v1/links",
        "/static/..%2fapi/v1/links",
    ]
    ways += ["//api/v1/links", "/login/../api/v1/links", "/API/v1/links", "/api/v1/links/", "/healthz/../api/v1/links"]
    for path in ways:
        for line in (f"GET {path} HTTP/1.1", f"GET http://localhost{path} HTTP/1.1"):
            answer = await served.say(line, HOST, "Via: 1.1 proxy")
            assert (line, answer.status in {400, 401, 403, 404}) == (line, True)
            assert '"links"' not in answer.text


async def test_requests_that_are_none(served, caplog):
    """Rubbish is refused as the standard has it; it is no bug, fills no log, and the server goes on."""
    rubbish = [
        ("GET / HTTP/9.9", HOST),
        ("GET / HTTP/1.1", HOST, "X: " + "x" * 20_000),
        (f"GET /{'x' * 20_000} HTTP/1.1", HOST),
        ("GET / HTTP/1.1", HOST, "no colon"),
        ("GET / HTTP/1.1", HOST, "Content-Length: -1"),
        ("GET / HTTP/1.1", HOST, "Content-Length: 1", "Transfer-Encoding: chunked"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",),
    ]
    for lines in rubbish:
        assert (await served.say(*lines)).status in {400, 413, 414, 431}
    assert (await served.say("GET /", HOST)).status == 401
    assert (await served.get("/")).status == 200
    assert caplog.records == []


async def test_a_large_body_is_refused(served):
    """Nobody fills the memory: neither with a body that says how long it is nor with one that does not."""
    first = ("PUT /api/v1/links HTTP/1.1", HOST, BEARER, "Content-Type: application/json")
    body = b" " * (LARGEST_BODY_BYTES + 1)
    assert (await served.say(*first, f"Content-Length: {len(body)}", body=body)).status == 413
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert (await served.say(*first, "Transfer-Encoding: chunked", body=chunked)).status == 413


async def test_a_body_that_breaks_off(served):
    """Who goes away in the middle, or sends what is no chunk, changes nothing, and is no bug."""
    first = ("PUT /api/v1/links HTTP/1.1", HOST, BEARER, "Content-Type: application/json")
    answer = await served.say(*first, "Transfer-Encoding: chunked", body=b"not a chunk\r\n")
    assert answer.status == 400
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write("\r\n".join([*first, "Content-Length: 100", "", '{"api"']).encode())
    await writer.drain()
    writer.close()
    assert (await served.get("/")).status == 200


async def test_a_body_that_does_not_come(served):
    """Who sends the beginning of a body and then nothing is not waited for for ever."""
    first = ("PUT /api/v1/links HTTP/1.1", HOST, BEARER, "Content-Type: application/json")
    answer = await served.say(*first, "Content-Length: 100", body=b"{")
    assert answer.status == 408


async def test_a_request_that_does_not_come(served):
    """A connection that says nothing, or never ends its headers, is closed: each takes one of the worker's files."""
    for sent in (b"", b"GET / HTTP/1.1\r\n"):
        began = served.clock.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(sent)
        assert await reader.read() == b""
        assert served.clock.monotonic() - began < 2 * IDLE_SECONDS
        writer.close()


async def test_texts_that_a_database_cannot_hold(served_on_both):
    """A NUL or a day before the first is a mistake of who asks, and not a database that cannot be used."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in (
        "/links?ticket=%00",
        "/links?system=%00",
        "/needs-person?api=%00",
        "/needs-person?kind=parked&system=%00",
    ):
        assert (path, (await served_on_both.get(path)).status) == (path, 400)
    for at in ("0001-01-01T00:00:00%2b14:00", "9999-12-31T23:59:59-14:00"):
        assert (await served_on_both.get(f"/needs-person?kind=parked&after={at}~1")).status == 400
    paused = await served_on_both.ask("POST", "/apis/berlin/pause", data=b"reason=a%00b", headers=form)
    assert paused.status == 400


async def test_a_port_in_use(unstarted, served):
    """It is said where, and what is wrong there."""
    taken = served.settings.console.model_copy(update={"listen": f"127.0.0.1:{served.port}"})
    with pytest.raises(SyncdError, match=rf"\[console\] cannot listen at 127.0.0.1:{served.port}: .*in use"):
        async with listening(unstarted.make(), taken):
            pass
    assert SyncdError.exit_code == 1


def test_the_worker_ends_where_it_cannot_listen(syncd):
    """A worker that was told to listen and cannot does not run without: it says why and ends with 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        syncd.config.write_text(f'{syncd.config.read_text()}\n[console]\nlisten = "{where}"\n')
        ran = syncd.process("run")
    assert ran.code == 1
    assert f"[console] cannot listen at {where}" in ran.err
    assert "Traceback" not in ran.err


async def test_an_ipv6_address(unstarted):
    """It listens at one, and says so as addresses are written."""
    try:
        served = await unstarted.start(listen="[::1]:0")
    except SyncdError as error:  # a machine without IPv6
        pytest.skip(str(error))
    assert served.address.startswith("http://[::1]:")
    assert (await served.say("GET /api/v1/links HTTP/1.1", f"Host: [::1]:{served.port}")).status == 200


async def test_a_socket(unstarted, short):
    """At a Unix socket its group may ask, nobody else; it is gone at the end."""
    served = await unstarted.start(listen=f"unix:{short}")
    assert served.address == f"unix:{short}"
    assert stat.S_IMODE(short.stat().st_mode) == 0o660
    for token in (None, TOKEN):
        answer = await served.get("/api/v1/links", token=token, connector=aiohttp.UnixConnector(str(short)))
        assert answer.status == 200
    refused = await served.ask(
        "POST", "/api/v1/polls", token=None, body={}, connector=aiohttp.UnixConnector(str(short))
    )
    assert refused.status == 401
    await served.close()
    assert not short.exists()


async def test_a_socket_that_a_killed_worker_left_is_replaced(unstarted, short):
    """Nobody has to remove it by hand before syncd starts again."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(short))
    left.close()
    served = await unstarted.start(listen=f"unix:{short}")
    assert (await served.get("/login", connector=aiohttp.UnixConnector(str(short)))).status == 200


async def test_what_is_at_the_place_of_a_socket_stays(unstarted, short):
    """A file, a link or a socket that somebody listens at is left alone, and said."""
    console = unstarted.load(listen=f"unix:{short}").console
    target = short.parent / "target"
    target.write_text("precious")
    for make in (lambda: short.write_text("precious"), lambda: short.symlink_to(target)):
        make()
        with pytest.raises(SyncdError, match="another process listens there, or it is no socket"):
            async with listening(unstarted.make(), console):
                pass
        assert short.read_text() == "precious"
        short.unlink()


async def test_a_second_one_does_not_take_the_first_ones_socket(unstarted, short):
    """The first one goes on answering."""
    served = await unstarted.start(listen=f"unix:{short}")
    with pytest.raises(SyncdError, match="another process listens there"):
        async with listening(unstarted.make(), served.settings.console):
            pass
    assert (await served.get("/login", connector=aiohttp.UnixConnector(str(short)))).status == 200


async def test_a_place_where_no_socket_can_be(unstarted):
    """A folder that is not there is said."""
    console = unstarted.load(listen="unix:/nowhere/console.sock").console
    with pytest.raises(SyncdError, match="cannot listen at unix:/nowhere"):
        async with listening(unstarted.make(), console):
            pass


async def test_a_bug_says_nothing_of_the_inside(unstarted):
    """What nobody foresaw is a sentence, and nothing of what it was about."""

    async def broken(_request):
        raise RuntimeError("contents of a reply")

    unstarted.settings = unstarted.load()
    app = unstarted.make()
    app.router.add_get("/api/v1/broken", broken)
    async with listening(app, unstarted.settings.console) as unstarted.address:
        answer = await unstarted.get("/api/v1/broken")
    assert (answer.status, answer.json) == (500, {"error": "a bug of syncd; its log has the details"})
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


async def test_a_database_that_is_away_is_said(served):
    """Whoever asks is told that it is the database, and when to ask again."""
    (served.folder / "syncd.db").write_bytes(b"no database")
    for suffix in ("-wal", "-shm"):
        (served.folder / f"syncd.db{suffix}").unlink(missing_ok=True)
    answer = await served.get("/api/v1/links")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "database" in answer.json["error"]
