"""What the real ticketing systems for tests share: their scripts, their fixtures and a plain way to call their APIs."""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

FOLDER = Path(__file__).parent
PATIENCE = 120  # seconds in which another run of the tests may give a server back


class RequestRefused(Exception):
    """The ticketing system answered with an error; `status` is its HTTP status and `text` what it said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:500]}")
        self.status = status
        self.text = text


class ScriptedServer:
    """A ticketing system that a script beside this file installs, starts and stops. All methods are synchronous.

    `values` holds what the script printed: addresses, ids, logins and keys.
    """

    script: ClassVar[str]
    title: ClassVar[str]

    def __init__(self) -> None:
        self.values = self.run_script("start")
        self.base_url = self.values["BASE_URL"]

    @classmethod
    def run_script(cls, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """Run the script and return the KEY=VALUE lines it printed; its complaints are in the error."""
        done = subprocess.run(
            [FOLDER / cls.script, *arguments],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            timeout=900,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{cls.script} {' '.join(arguments)} failed: {done.stderr.strip()}")
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    @classmethod
    def serve(cls) -> Iterator[Self]:
        """Yield an empty running server, or skip if it is not installed; it is stopped again, unless it ran before."""
        values = cls.run_script("status")
        before = values["STATUS"]
        if before == "missing" and os.environ.get("SYNCD_TEST_SERVERS") != "required":
            pytest.skip(f"{cls.title} is not installed; tests/servers/{cls.script} install")
        with _alone_with(cls.title, Path(f"{values['STATE']}.tests")):
            server = cls()
            server.reset()
            yield server
            server.close()
            if before != "running":
                server.stop()

    def stop(self) -> None:
        """Stop the server; what it holds stays."""
        self.run_script("stop")

    def start(self) -> None:
        """Start the server again."""
        self.run_script("start")

    def reset(self) -> None:
        """Forget all tickets; accounts and keys stay, and ids begin anew."""
        self.run_script("reset")

    def close(self) -> None:
        """End what this object has started beside the server."""

    def user_id(self, by: str) -> int:
        """Return the id of an account: agent, customer, reader or root."""
        return int(self.values[f"{by.upper()}_ID"])

    def login(self, by: str) -> str:
        """Return the login of an account."""
        return self.values[f"{by.upper()}_USER"]

    def send(self, method: str, path: str, headers: Mapping[str, str], body: Any = None) -> Any:
        """Call the API and return the parsed answer, or None for an empty one; bytes are sent as they are."""
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = Request(f"{self.base_url}{path}", data, {"Content-Type": kind, **headers}, method=method)
        try:
            with urlopen(request, timeout=60) as answer:
                text = answer.read()
        except HTTPError as error:
            with error:
                raise RequestRefused(error.code, error.read().decode(errors="replace")) from None
        return json.loads(text) if text.strip() else None


@contextmanager
def _alone_with(title: str, lock: Path) -> Iterator[None]:
    """Keep a server to one process of tests; a second one would have its tickets forgotten and its server stopped."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    pytest.fail(
                        f"other tests use {title}: has each of them the mark xdist_group, or is it another run?"
                    )
                time.sleep(0.2)
        yield
