"""A full disk and a vanished PostgreSQL, with requests on the wire: nothing lost, nothing twice, nothing in doubt."""

import asyncio
import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import pytest_asyncio

pytestmark = pytest.mark.xdist_group("service")


class Line:
    """A line to PostgreSQL that can be cut and mended; what comes through it is passed on."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    async def mend(self) -> str:
        """Listen, on the same port as before, and return the address that leads through this line."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        user = self._target.username or "postgres"
        return urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{self._port}"))

    async def cut(self) -> None:
        """Break every connection and take no new one."""
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._writers -= {writer, back}

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the line was cut
        writer.close()


@pytest_asyncio.fixture
async def line(postgresql_url: str) -> AsyncIterator[Line]:
    """Return a line to an empty PostgreSQL database."""
    made = Line(postgresql_url)
    yield made
    await made.cut()


async def write_tickets(stage, count: int = 6, replies: int = 4) -> None:
    """Open linked tickets and write replies to them."""
    for number in range(count):
        ticket = stage.helpdesk.create_ticket("Locker", "first", at=stage.clock.now().replace(year=2025))
        await stage.link(ticket)
        for one in range(replies):
            stage.helpdesk.customer_reply(ticket.id, f"reply {number}.{one}")


class SmallDisk:
    """A disk of four megabytes that can be filled to the last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no room for another byte, whatever was freed meanwhile."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def make_room(self) -> None:
        """Take away what filled it."""
        (self.folder / "filler").unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Return a small disk of its own; that takes root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        assert os.environ.get("SYNCD_TEST_SERVERS") != "required", mounted.stderr
        pytest.skip("no disk of its own to fill: mounting one takes root")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_stops_sending_and_recovers_by_itself(stage, small_disk, until_true) -> None:
    """With no room for another byte the outcomes wait in memory and nothing more leaves; with room again all arrive."""
    stage.url = f"sqlite:///{small_disk.folder}/syncd.db"
    stage.write_settings()
    await write_tickets(stage)
    stage.sandbox.answer_delay = lambda: 0.5
    worker = await stage.start()
    await until_true(lambda: stage.sandbox.requests >= 4, "requests are on the wire")

    def refused(times: int) -> bool:
        small_disk.fill()
        return worker.log.read_text().count("outcome is not stored yet") >= times

    await until_true(lambda: refused(1), "an outcome could not be stored")
    while_full = stage.sandbox.requests
    await until_true(lambda: refused(6), "it was tried again")
    assert stage.sandbox.requests <= while_full + 3, "what was on its way may still leave; nothing new may start"
    assert not worker.ended
    small_disk.make_room()
    stage.sandbox.answer_delay = None
    await stage.until_delivered()
    assert await worker.stop() == 0
    assert await stage.states() == {"delivered": 24}
    assert stage.sandbox.requests == len(stage.sandbox.communications) == 24
    assert "Traceback" not in worker.log.read_text()


@pytest.mark.postgresql
async def test_a_vanished_postgresql_stops_sending_and_recovers_by_itself(stage, line, until_true) -> None:
    """Cut off with requests on the wire, the worker sends nothing more; mended, it records what came and goes on."""
    stage.url = await line.mend()
    stage.write_settings()
    await write_tickets(stage)
    stage.sandbox.answer_delay = lambda: 0.5
    worker = await stage.start()
    await until_true(lambda: stage.sandbox.requests >= 4, "requests are on the wire")
    await line.cut()
    await until_true(lambda: "outcome is not stored yet" in worker.log.read_text(), "an outcome could not be stored")
    while_cut = stage.sandbox.requests
    await until_true(lambda: worker.log.read_text().count("outcome is not stored yet") >= 6, "it was tried again")
    assert stage.sandbox.requests <= while_cut + 3, "what was on its way may still leave; nothing new may start"
    assert not worker.ended
    await line.mend()
    stage.sandbox.answer_delay = None
    await stage.until_delivered()
    assert await worker.stop() == 0
    assert await stage.states() == {"delivered": 24}
    assert stage.sandbox.requests == len(stage.sandbox.communications) == 24
    assert "Traceback" not in worker.log.read_text()
