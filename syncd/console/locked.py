"""A database that a command changes as a whole: no worker may run on it meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncd.model.clock import Clock
from syncd.store import leases
from syncd.store.database import Database
from syncd.store.lock import take_lock


@asynccontextmanager
async def locked(url: str, database: Database, clock: Clock) -> AsyncIterator[None]:
    """Hold the worker's lock of a database, so that no worker runs meanwhile.

    Raises:
        StoreError: one runs.
    """
    lock = await take_lock(url, database.where, clock)
    try:
        await database.read(lambda c: leases.refuse_workers(c, database.where))
        yield
    finally:
        await lock.release()
