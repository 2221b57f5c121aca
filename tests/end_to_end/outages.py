"""What takes a database away from syncd: a full disk, a cut line, a server that stops."""

import asyncio
import errno
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

SERVER = Path(__file__).parents[1] / "servers" / "postgresql.sh"


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


class Server:
    """A PostgreSQL server of its own, to be stopped and started again; it takes root."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.cluster = f"syncdoutage{self.port}"

    def start(self) -> str:
        """Start it, and return the address of its database."""
        environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYNCD_TEST_PG_CLUSTER": self.cluster}
        environ["SYNCD_TEST_PG_PORT"] = str(self.port)
        done = subprocess.run([SERVER, "start"], env=environ, capture_output=True, text=True, check=True)
        return done.stdout.strip().partition("=")[2]

    def stop(self) -> None:
        """Stop it at once, as a crash of its machine would."""
        subprocess.run(["pg_ctlcluster", self._version, self.cluster, "stop", "-m", "immediate"], check=True)

    def remove(self) -> None:
        """Leave nothing of it."""
        subprocess.run(["pg_dropcluster", "--stop", self._version, self.cluster], check=True)

    @property
    def _version(self) -> str:
        listed = subprocess.run(["pg_lsclusters", "-h"], capture_output=True, text=True, check=True).stdout
        return next(line.split()[0] for line in listed.splitlines() if line.split()[1] == self.cluster)


async def write_tickets(stage, count: int = 6, replies: int = 4) -> None:
    """Open linked tickets and write replies to them."""
    for number in range(count):
        ticket = stage.helpdesk.create_ticket("Locker", "first", at=stage.clock.now().replace(year=2025))
        await stage.link(ticket)
        for one in range(replies):
            stage.helpdesk.customer_reply(ticket.id, f"reply {number}.{one}")
