"""What is asked in a run: stand-ins as processes of their own, and empty databases on a PostgreSQL that is there."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

POSTGRESQL = "SYNCD_TEST_POSTGRESQL"
"""The variable that names a PostgreSQL server, as for the tests; without it SQLite alone is measured."""


@dataclass(frozen=True, slots=True)
class Server:
    """A stand-in that runs."""

    address: str
    pid: int


@asynccontextmanager
async def started(module: str, *arguments: str) -> AsyncIterator[Server]:
    """Start a module that prints its address once it listens; its process ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield Server((await process.stdout.readline()).decode().strip(), process.pid)
    finally:
        process.terminate()
        await process.wait()


def has_postgresql() -> bool:
    """Say whether PostgreSQL is measured too."""
    return bool(os.environ.get(POSTGRESQL))


@asynccontextmanager
async def empty_postgresql() -> AsyncIterator[str]:
    """Yield the address of a new database, which is dropped at the end."""
    server, name = os.environ[POSTGRESQL], f"bench_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()
