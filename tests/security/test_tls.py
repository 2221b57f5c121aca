"""Both clients as they are used: certificates are checked against the machine's authorities, and nothing below TLS 1.2
is spoken. A process of its own trusts the test's authority by SSL_CERT_FILE, as an operator's machine trusts others."""

import json
import os
import ssl
import subprocess
import sys
import warnings
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
import trustme

ASK = """
import asyncio, json, sys
from pydantic import SecretStr
from syncd.delivery.api import OpenApi
from syncd.model.clock import SystemClock
from syncd.model.communication import Thread
from syncd.sources.adapter import Connection, HeaderAuthentication
from syncd.sources.http import VendorHttp


class Clock(SystemClock):
    async def sleep(self, seconds):  # the waits between tries
        await asyncio.sleep(0)


async def by_api(url):
    api = OpenApi(url, SecretStr("key-4711-hush"), clock=Clock(), timeout_seconds=5)
    evidence = await api.put(Thread("berlin", 1, 2), b"{}", lambda: asyncio.sleep(0))
    await api.close()
    return str(evidence.status or evidence.failure)


async def by_vendor(url):
    connection = Connection(url, HeaderAuthentication(SecretStr("key-4711-hush")), 60_000)
    http = VendorHttp(connection, clock=Clock(), timeout_seconds=5)
    try:
        return str((await http.get("/x")).status)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        await http.close()


async def ask():
    return {name: [await by_api(url), await by_vendor(url)] for name, url in json.loads(sys.argv[1]).items()}


print(json.dumps(asyncio.run(ask())))
"""


class Answers(StreamRequestHandler):
    """Answers 200 to every request, and keeps the first lines: what of a request was readable."""

    def handle(self) -> None:
        while (line := self.rfile.readline(65536)).strip():
            self.server.lines.append(line)  # type: ignore[attr-defined]
            while self.rfile.readline(65536).strip():
                pass
            self.rfile.read(2 if line.startswith(b"PUT") else 0)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


class Server(ThreadingTCPServer):
    """One server with one certificate."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.lines: list[bytes] = []
        self._context = context

    def finish_request(self, request, client_address) -> None:
        """Speak TLS if there is a certificate."""
        request.settimeout(10)
        try:
            if self._context is None:
                self.lines.append(request.recv(65536))
                request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            else:
                with self._context.wrap_socket(request, server_side=True) as secured:
                    super().finish_request(secured, client_address)
        except OSError:  # the client does not like what it sees
            return


def _context(authority: trustme.CA, name: str, **more: datetime) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **more).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], list[bytes]]]:
    """What both clients say of each server, and what the server could read."""
    authority, stranger = trustme.CA(), trustme.CA()
    old = _context(authority, "127.0.0.1")
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that these are deprecated is why they are here
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    contexts = {
        "good": _context(authority, "127.0.0.1"),
        "another host's": _context(authority, "elsewhere.example"),
        "self-signed": _context(stranger, "127.0.0.1"),
        "expired": _context(authority, "127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1)),
        "TLS 1.1": old,
        "plain text": None,
    }
    trusted = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with ExitStack() as open_servers:
        servers = {name: open_servers.enter_context(Server(context)) for name, context in contexts.items()}
        for server in servers.values():
            Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        urls = {name: f"https://127.0.0.1:{server.server_address[1]}" for name, server in servers.items()}
        ran = subprocess.run(
            [sys.executable, "-c", ASK, json.dumps(urls)],
            env={**os.environ, "SSL_CERT_FILE": str(trusted), "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        for server in servers.values():
            server.shutdown()
    assert ran.returncode == 0, ran.stderr
    return {name: (said, servers[name].lines) for name, said in json.loads(ran.stdout).items()}


def test_a_good_certificate_is_spoken_with(answers):
    """Both clients are answered, so that the refusals below are about the certificates."""
    said, lines = answers["good"]
    assert said == ["200", "200"]
    assert len(lines) == 2


@pytest.mark.parametrize("name", ["another host's", "self-signed", "expired"])
def test_a_bad_certificate_is_refused(answers, name: str):
    """Of another host, of an unknown authority, or ended yesterday: nothing is sent, and it is said what it is."""
    (api, vendor), lines = answers[name]
    assert api == "ClientConnectorCertificateError"
    assert vendor.startswith("PauseSystem: the certificate of 127.0.0.1 is not accepted")
    assert lines == []


@pytest.mark.parametrize("name", ["TLS 1.1", "plain text"])
def test_what_is_no_good_tls_is_refused(answers, name: str):
    """A server of before TLS 1.2, or one that speaks plain text, reads nothing of a request."""
    (api, vendor), lines = answers[name]
    assert api == "ClientConnectorSSLError"
    assert vendor.startswith("RetryLater")
    assert "does not speak TLS as it should" in vendor
    assert not any(b"HTTP/1.1" in line for line in lines)
