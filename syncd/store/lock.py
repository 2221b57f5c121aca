"""One at a time on a database: a lock that dies with its process, never a row that outlives it.

On SQLite it is flock on a file beside the database, held by the one worker for as long as it runs. On PostgreSQL it
is an advisory lock of a session of its own, held while a worker starts and while the database is changed as a whole;
who works there is told by leases (leases.py). Workers of before leases held it for as long as they ran.
"""

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from syncd.model.clock import Clock
from syncd.model.errors import StoreError
from syncd.store.private_file import ensure_private_file

PATIENCE_SECONDS = 2.0
ADVISORY_KEY = 0x73796E6364  # "syncd"


@dataclass(slots=True)
class WorkerLock:
    """A lock that is held until it is released or the process ends."""

    _release: Callable[[], Awaitable[None]]

    async def release(self) -> None:
        """Let another worker take it."""
        await self._release()


async def find_lock(url: str) -> WorkerLock | None:
    """Return the lock of this database, None if another process holds it."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _flock(Path(str(parsed.database)))
    return await _advisory(parsed.set(drivername="postgresql").render_as_string(hide_password=False))


async def take_lock(url: str, where: str, clock: Clock, patience_seconds: float = PATIENCE_SECONDS) -> WorkerLock:
    """Return the lock of this database. Others may hold it for a moment, so it is tried for a while.

    Raises:
        StoreError: another process holds it.
    """
    until = clock.monotonic() + patience_seconds
    lock = await find_lock(url)
    while lock is None and clock.monotonic() < until:
        await clock.sleep(0.1)
        lock = await find_lock(url)
    if lock is None and make_url(url).get_backend_name() == "postgresql":
        raise StoreError(
            f"another syncd holds the database at {where}: `syncd db` changes it just now, or a syncd from before "
            "leases works on it. Stop that one first (systemctl stop syncd)."
        )
    if lock is None:
        raise StoreError(
            f"another syncd works on the database at {where}; one worker at a time. "
            "Stop that one first (systemctl stop syncd), or give this one a database of its own."
        )
    return lock


def _flock(database: Path) -> WorkerLock | None:
    # One file has one lock, by whichever of its names it is opened.
    file = database.resolve()
    path = file.with_name(file.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ensure_private_file(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"the lock {path} cannot be opened: {error.strerror}; may this user write there?") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None

    async def release() -> None:
        os.close(descriptor)

    return WorkerLock(release)


async def _advisory(url: str) -> WorkerLock | None:
    import asyncpg  # noqa: PLC0415 - megabytes that a worker on SQLite does not need

    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StoreError(f"PostgreSQL does not answer: {type(error).__name__}") from None
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_KEY):
        await connection.close()
        return None

    async def release() -> None:
        try:
            await asyncio.wait_for(connection.close(), 5)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()

    return WorkerLock(release)
