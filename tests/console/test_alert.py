"""`syncd alert test`: whether alerts reach somebody, and what is refused as their way."""

import asyncio
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import aiohttp
import pytest

from syncd.console.context import Invocation
from syncd.console.run import make_daemon
from syncd.model.health import PauseCause
from syncd.store import health
from tests.console.conftest import Syncd, _own_log
from tests.planted import notes

SOCKET = '[console]\nlisten = "unix:{}/web"'
SECRET_PATH = "/hooks/this-is-the-secret-of-the-room"


def tell(syncd: Syncd, *lines: str) -> None:
    """Add [alerts] to the settings."""
    syncd.configure()
    syncd.config.write_text(syncd.config.read_text() + "\n[alerts]\n" + "\n".join(lines))


@pytest.fixture
def room():
    """Return a webhook's address, what was posted there, and what it answers."""
    posted: list[dict[str, object]] = []
    statuses = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses[-1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}{SECRET_PATH}", posted, statuses
    server.shutdown()
    server.server_close()


def test_a_trial_alert_arrives_by_each_way(syncd, tmp_path, room) -> None:
    """Command and webhook get the same message, each is said to have taken it, and the code is 0."""
    address, posted, _ = room
    tell(syncd, f'command = ["/bin/sh", "-c", "cat > {tmp_path}/said"]', f'webhook = "{address}"')
    ran = syncd("alert", "test")
    assert (ran.code, ran.out.splitlines()) == (0, ["command: taken", "webhook: taken"])
    assert [json.loads((tmp_path / "said").read_text())] == posted
    assert posted[0]["alerts"][0]["kind"] == "test"
    assert "nothing is wrong" in posted[0]["text"]


def test_what_fails_is_said_and_fails(syncd, room) -> None:
    """One way that does not work makes it a failure, however well the other does; the address is not shown."""
    address, posted, statuses = room
    statuses.append(404)
    tell(syncd, 'command = ["/bin/true"]', f'webhook = "{address}"')
    ran = syncd("alert", "test")
    assert (ran.code, ran.out.splitlines()) == (1, ["command: taken", "webhook: status 404"])
    assert len(posted) == 1
    tell(syncd, f'webhook = "http://127.0.0.1:1{SECRET_PATH}"')
    ran = syncd("alert", "test")
    assert (ran.code, "webhook: no answer" in ran.out, SECRET_PATH in ran.out + ran.err) == (1, True, False)


def test_without_anybody_to_tell_it_says_what_to_set(syncd) -> None:
    """That is a mistake of the settings, and no success."""
    ran = syncd("alert", "test")
    assert ran.code == 2
    assert "[alerts]" in ran.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('webhook = "http://chat.test/hooks/what-nobody-else-knows"', "must be an address that begins with https://"),
        ('webhook = "https://us:password-of-the-room@chat.test/"', "without user and password"),
        ('webhook = "https://chat.test/what-nobody-else-knows#part"', "has a #"),
        ('command = ["tell", "x"]', "absolute path"),
        ('command = "/bin/true"', "tuple"),
        ("intervals = 0.5", "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_a_way_is_refused_by_name(syncd, line, words) -> None:
    """Each mistake names its key and what would be right, and never the address."""
    tell(syncd, line)
    ran = syncd("alert", "test")
    assert ran.code == 2
    assert f"alerts.{line.partition(' ')[0]}" in ran.err
    assert words in ran.err
    assert "nobody-else-knows" not in ran.err
    assert "password-of-the-room" not in ran.err


def test_the_webhook_may_be_a_credential(syncd, tmp_path, room) -> None:
    """It is a secret like the others: a file of the place's name beside the settings."""
    address, posted, _ = room
    syncd.configure()
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "alerts.webhook").write_text(address)
    (folder / "alerts.webhook").chmod(0o600)
    ran = syncd("alert", "test")
    assert (ran.code, ran.out, len(posted)) == (0, "webhook: taken\n", 1)


async def test_a_running_syncd_tells_and_is_scraped(ends, tmp_path) -> None:
    """The whole process at once: an api that was paused is told, and metrics and health say so too."""
    ends.configure(more=f'[alerts]\ncommand = ["/bin/sh", "-c", "cat > {tmp_path}/said"]\n{SOCKET.format(tmp_path)}')
    ticket, now = ends.ticket(), ends.clock.now()
    await ends.link(ticket)
    pause = (PauseCause.KEY, "the key was refused", now)
    await asyncio.to_thread(ends.program.stored, lambda c: health.pause_api(c, "berlin", *pause))
    ends.helpdesk.customer_reply(ticket.id, "where is the key of my locker?")
    with _own_log():
        daemon = make_daemon(Invocation(ends.program.config, {}))
        running = asyncio.create_task(daemon.serve())
        async with asyncio.timeout(60):
            while not _text(tmp_path / "said"):  # noqa: ASYNC110 - a file of another process has no event
                await asyncio.sleep(0.02)
            scraped, ready = [await _ask(tmp_path / "web", path) for path in ("/metrics", "/readyz")]
        daemon.end()
        await running
    said = _text(tmp_path / "said")
    notes.look_at("scraped", scraped, ready, said)
    assert 'syncd_api_paused{api="berlin",cause="key"} 1.0' in scraped
    assert 'syncd_owned{kind="api",name="berlin"} 1.0' in scraped
    assert 'syncd_attempts_total{api="berlin",outcome="delivered"} 0.0' in scraped
    assert "syncd_database_writes_total" in scraped
    assert ("api berlin", "api_paused") in {(one["subject"], one["kind"]) for one in json.loads(ready)["warnings"]}
    assert [one["kind"] for one in json.loads(said)["alerts"]] == ["api_paused"]


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def _ask(socket: Path, path: str) -> str:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get(f"http://localhost{path}") as answer,
    ):
        return await answer.text()
