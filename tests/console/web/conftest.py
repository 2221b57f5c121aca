"""The server with everything it serves, at an address of its own, and whoever asks it."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from syncd.console.web.context import WebContext
from syncd.console.web.server import listening, make_app
from syncd.model.clock import Clock, SystemClock
from syncd.service.settings import Settings, load_settings
from syncd.store.database import Database, open_database
from syncd.store.schema import ensure_schema
from tests.planted import notes

TOKEN = "token-of-the-tests-0123456789"
OTHER_TOKEN = "another-one-of-them-9876543210"


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.text)

    def search(self) -> None:
        """Have it searched for secrets, and where it tells of a failure for contents too."""
        where = "a page" if self.status < 400 else "an answer that tells of a failure"
        notes.look_at(where, self.text, *(f"{name}: {value}" for name, value in self.headers.items()))


class Served:
    """A server on a database; `console` are the lines of its [console]."""

    def __init__(self, folder: Path, database: Database, clock: Clock) -> None:
        self.folder = folder
        self.database = database
        self.clock = clock
        self.poked: list[str] = []
        self.address = ""
        self.settings = self.load()
        self._open = AsyncExitStack()

    def load(self, console: str = f'token = "{TOKEN}"', listen: str = "127.0.0.1:0") -> Settings:
        """Return settings; they are those of now for the server once they are put into `settings`."""
        file = self.folder / "web.toml"
        file.write_text(
            f"""timezone = "Europe/Berlin"
            [database]
            url = "sqlite:///{self.folder}/syncd.db"
            [console]
            listen = "{listen}"
            {console}
            [api.berlin]
            base_url = "http://127.0.0.1:1"
            api_key = "key-berlin"
            [api.hamburg]
            base_url = "http://127.0.0.1:1"
            api_key = "key-hamburg"
            mode = "hold"
            [systems.desk]
            adapter = "in_memory"
            [systems.desk.options]
            base_url = "http://127.0.0.1:1"
            token = "helpdesk-token"
            [systems.other]
            adapter = "in_memory"
            [systems.other.options]
            base_url = "http://127.0.0.1:1"
            token = "helpdesk-token"
            """
        )
        file.chmod(0o600)
        return self.reload()

    def reload(self) -> Settings:
        """Return the settings as they stand in the file."""
        return load_settings(self.folder / "web.toml", {})

    def make(self) -> Any:
        """Return the application."""
        return make_app(WebContext(lambda: self.settings, self.database, self.clock, self.poked.append, list))

    async def start(self, console: str = f'token = "{TOKEN}"', listen: str = "127.0.0.1:0") -> "Served":
        """Listen, with these settings."""
        self.settings = self.load(console, listen)
        self.address = await self._open.enter_async_context(listening(self.make(), self.settings.console))
        return self

    async def close(self) -> None:
        """Stop listening."""
        await self._open.aclose()

    @property
    def port(self) -> int:
        """Return the port that it listens at."""
        return int(self.address.rpartition(":")[2])

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = TOKEN,
        body: Any = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        connector: aiohttp.BaseConnector | None = None,
    ) -> Answered:
        """Ask for something, with the token unless it is None; what leads elsewhere is not followed."""
        given = {} if token is None else {"Authorization": f"Bearer {token}"}
        if body is not None:
            data, given["Content-Type"] = json.dumps(body).encode(), "application/json"
        given |= headers or {}
        base = f"http://127.0.0.1:{self.port}" if connector is None else "http://localhost"
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(
                method, base + path, headers=given, data=data and BytesIO(data), allow_redirects=False
            ) as answer,
        ):
            answered = Answered(answer.status, answer.headers.copy(), await answer.text())
        answered.search()
        return answered

    async def get(self, path: str, **more: Any) -> Answered:
        """Ask for a page."""
        return await self.ask("GET", path, **more)

    async def say(self, *lines: str | bytes, body: bytes = b"") -> Answered:
        """Send lines as they are and return what comes back: for what no client would send."""
        host = "127.0.0.1" if "0.0.0.0" in self.address else self.address.split("//")[1].rpartition(":")[0].strip("[]")
        reader, writer = await asyncio.open_connection(host, self.port)
        raw = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
        writer.write(b"\r\n".join([*raw, b"Connection: close", b"", b""]) + body)
        whole = await reader.read()
        writer.close()
        head, _, text = whole.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        return Answered(int(first.split()[1]), dict(_fields(rest)), text.decode())


def _fields(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(": ")
        yield name, value


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with the schema, made once."""
    file = tmp_path_factory.mktemp("empty") / "syncd.db"

    async def make() -> None:
        opened = open_database(f"sqlite:///{file}")
        await ensure_schema(opened, migrate=True)
        await opened.close()

    asyncio.run(make())
    return file


@pytest_asyncio.fixture
async def small(tmp_path: Path, empty: Path) -> AsyncIterator[Database]:
    """Return a SQLite database with the schema."""
    shutil.copy(empty, tmp_path)
    opened = open_database(f"sqlite:///{tmp_path}/syncd.db")
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def unstarted(tmp_path: Path, small: Database, clock: Any) -> AsyncIterator[Served]:
    """Return a server on SQLite that does not listen yet, in virtual time."""
    made = Served(tmp_path, small, clock)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def served(unstarted: Served) -> Served:
    """Return a server on SQLite, with the token, at an address of this machine, in virtual time."""
    return await unstarted.start()


@pytest_asyncio.fixture
async def served_on_both(tmp_path: Path, database: Database) -> AsyncIterator[Served]:
    """Return a server, once on SQLite and once on PostgreSQL, in real time."""
    made = Served(tmp_path, database, SystemClock())
    yield await made.start()
    await made.close()
