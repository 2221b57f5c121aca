"""The place of a system's owner, taken by a command while no worker is there to have it.

On SQLite that is the lock of the one worker. On PostgreSQL it is the lease of the system and of nothing else, so that
workers may start meanwhile; it is renewed as long as the command works.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from syncd.console.context import CommandContext
from syncd.model.errors import StoreError
from syncd.model.lease import Kind, Lease, Leave, OwnersLeave, Subject, Tenure
from syncd.store import leases
from syncd.store.database import Connection, Database, open_database
from syncd.store.lock import WorkerLock, find_lock

RENEWALS_PER_LEASE = 10
MARGIN_PER_LEASE = 1 / 6


@dataclass(frozen=True, slots=True)
class Seat:
    """A system that this command owns: the database to store into, and whether it may go on.

    `is_lost`: it was away for longer than its lease, such as by Ctrl-Z, and another one has taken it since.
    """

    database: Database
    leave: Leave
    is_lost: Callable[[], bool] = lambda: False


@asynccontextmanager
async def find_seat(context: CommandContext, system_name: str) -> AsyncIterator[Seat | None]:
    """Yield the place of a system's owner, None if a worker has it or is there to take it; give it back after."""
    lock = await find_lock(context.database_url)
    if lock is None:
        yield None
        return
    if context.database.dialect == "sqlite":
        try:
            yield Seat(context.database, _always())
        finally:
            await lock.release()
        return
    async with _leased(context, Subject(Kind.SYSTEM, system_name), lock) as seat:
        yield seat


async def worker_runs(context: CommandContext) -> bool:
    """Say whether a worker is there."""
    lock = await find_lock(context.database_url)
    if lock is None:
        return True
    await lock.release()
    return bool((await context.database.read(leases.muster)).members)


def _always() -> asyncio.Event:
    leave = asyncio.Event()
    leave.set()
    return leave


@asynccontextmanager
async def _leased(context: CommandContext, subject: Subject, lock: WorkerLock) -> AsyncIterator[Seat | None]:
    from syncd.service.wiring import worker_name  # noqa: PLC0415 - a third of a second: the vendor's HTTP

    seconds = context.settings.database.lease_seconds
    asked_at = context.clock.monotonic()

    def take(connection: Connection) -> Lease | None:
        if any(subject in member.wants for member in leases.muster(connection).members):
            return None
        return leases.take(connection, subject, worker_name(), seconds)

    try:
        lease = await context.database.write(take)
    finally:
        # Held for the taking alone: neither `db restored` nor a syncd from before leases is at work.
        await lock.release()
    if lease is None:
        yield None
        return
    tenure = Tenure(lease, asked_at + seconds, seconds * MARGIN_PER_LEASE)
    renewing = asyncio.create_task(_renew(context, tenure, seconds), name=f"renew {subject}")
    try:
        fenced = leases.FencedDatabase(context.database, lease)
        yield Seat(fenced, OwnersLeave(_always(), tenure, context.clock), renewing.done)
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await context.database.write(lambda c: leases.give_back(c, lease))


async def _renew(context: CommandContext, tenure: Tenure, seconds: float) -> None:
    """Renew a lease until cancelled or lost; a connection of its own keeps that from waiting for anything else."""
    own = open_database(context.database_url, command_seconds=seconds / 2, idle_seconds=seconds / 2)
    try:
        while True:
            await context.clock.sleep(seconds / RENEWALS_PER_LEASE)
            asked_at = context.clock.monotonic()
            with contextlib.suppress(StoreError):
                lease = tenure.lease
                if not await own.write(lambda c: leases.renew(c, lease.owner, [lease], seconds)):  # noqa: B023 - awaited at once
                    return
                tenure.ends_at = asked_at + seconds
    finally:
        await own.close()
