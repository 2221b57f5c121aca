"""Leases on PostgreSQL: which worker owns which system and api, by the database's clock, with an epoch that fences.

Every step is one short transaction. Taking locks the row FOR UPDATE and raises the epoch; whoever relies on a lease
locks it FOR KEY SHARE and looks for its own epoch. So a take-over and what the former owner commits exclude each
other, while renewing (an UPDATE of other columns) waits for neither. SQLite has one worker and no leases.
"""

import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, DateTime, delete, func, inspect, select, update
from sqlalchemy.sql.functions import Function

from syncd.model.errors import StoreError
from syncd.model.lease import Claim, Lease, Member, Muster, Subject, parse_subject
from syncd.store.database import Database, Operation
from syncd.store.moved import refuse_set_aside
from syncd.store.restored import attempt_counter
from syncd.store.statement import insert
from syncd.store.tables import lease, worker

T = TypeVar("T")
NEVER = datetime.min.replace(tzinfo=UTC)
REMEMBERED = timedelta(days=1)
"""How long the row of a worker that is gone stays, for those who look what happened."""


class LeaseLost(StoreError):
    """Another worker owns this now, so nothing of it is stored here any more."""


def _clock() -> Function[datetime]:
    return func.clock_timestamp(type_=DateTime(timezone=True))


def appear(connection: Connection, name: str, wants: Collection[Subject], seconds: float) -> None:
    """Say that a worker is alive for as long as a lease lasts, and what its settings let it own."""
    until = _clock() + timedelta(seconds=seconds)
    values = {"wants": json.dumps(sorted(map(str, wants))), "until_at": until}
    connection.execute(
        insert(connection, worker)
        .values(name=name, since_at=_clock(), **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )


def renew(connection: Connection, name: str, held: Iterable[Lease], seconds: float) -> frozenset[Lease]:
    """Renew leases, those too that ran out and that nobody took; return the ones that are still one's own."""
    asked = {str(one.subject): one for one in held}
    renewed = connection.execute(
        update(lease)
        .where(lease.c.owner == name, lease.c.subject.in_(asked))
        .values(until_at=_clock() + timedelta(seconds=seconds))
        .returning(lease.c.subject, lease.c.epoch)
    )
    return frozenset(asked[row.subject] for row in renewed if asked[row.subject].epoch == row.epoch)


def muster(connection: Connection) -> Muster:
    """Return who is alive and who owns what; nothing of it on SQLite, where one worker owns everything."""
    if connection.dialect.name != "postgresql":
        return Muster(NEVER)
    at: datetime = connection.execute(select(_clock())).scalar_one()
    alive = select(worker).where(worker.c.until_at > at).order_by(worker.c.name)
    claims = select(lease).order_by(lease.c.subject)
    return Muster(
        at,
        tuple(_member(row) for row in connection.execute(alive)),
        tuple(_claim(row, at) for row in connection.execute(claims)),
        attempt_counter(connection),
    )


def _member(row: Any) -> Member:
    return Member(row.name, frozenset(map(parse_subject, json.loads(row.wants))), row.since_at, row.until_at)


def _claim(row: Any, at: datetime) -> Claim:
    is_over = row.owner is None or row.until_at <= at
    return Claim(parse_subject(row.subject), row.owner, row.epoch, row.until_at, is_over)


def take(connection: Connection, subject: Subject, owner: str, seconds: float) -> Lease | None:
    """Take a lease that is over or was given back; None while another relies on it, or is committing with it."""
    # A worker that was frozen during the whole of `syncd db copy` must not begin again with what is elsewhere now.
    refuse_set_aside(connection, connection.engine.url.render_as_string(hide_password=True))
    text = str(subject)
    fresh = insert(connection, lease).values(subject=text, owner=None, epoch=0, until_at=_clock())
    connection.execute(fresh.on_conflict_do_nothing())
    # Not waited for: whoever holds it in a transaction may be frozen, and this worker has other leases to renew.
    row = connection.execute(
        select(lease.c.owner, lease.c.epoch, (lease.c.until_at <= _clock()).label("is_over"))
        .where(lease.c.subject == text)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None or (row.owner is not None and not row.is_over):
        return None
    until = _clock() + timedelta(seconds=seconds)
    connection.execute(
        update(lease).where(lease.c.subject == text).values(owner=owner, epoch=row.epoch + 1, until_at=until)
    )
    return Lease(subject, owner, row.epoch + 1)


def give_back(connection: Connection, held: Lease) -> None:
    """Let another worker take a lease at once; nothing happens if it is not one's own any more."""
    connection.execute(update(lease).where(*_is(held)).values(owner=None, until_at=_clock()))


def void_all(connection: Connection) -> None:
    """Make every lease void, as a take-over would: who slept through its end stores nothing more with it."""
    if connection.dialect.name != "postgresql":
        return
    connection.execute(select(lease.c.subject).with_for_update())
    connection.execute(update(lease).values(owner=None, epoch=lease.c.epoch + 1, until_at=_clock()))


def leave(connection: Connection, name: str) -> None:
    """Say that a worker is gone, and forget those that have been gone for long."""
    gone = (worker.c.name == name) | (worker.c.until_at < _clock() - REMEMBERED)
    connection.execute(delete(worker).where(gone))


def is_held(connection: Connection, held: Lease) -> bool:
    """Say whether a lease is still what it was, and let nobody take it before this transaction ends."""
    found = select(lease.c.epoch).where(*_is(held)).with_for_update(read=True, key_share=True)
    return connection.execute(found).first() is not None


def _is(held: Lease) -> tuple[Any, ...]:
    return (lease.c.subject == str(held.subject), lease.c.owner == held.owner, lease.c.epoch == held.epoch)


def refuse_workers(connection: Connection, where: str) -> None:
    """Refuse what must not be done while workers run, or may: on PostgreSQL the lock alone does not tell.

    Raises:
        StoreError: one is alive, or a lease is not over yet.
    """
    if connection.dialect.name != "postgresql" or not inspect(connection).has_table("worker"):
        return
    found = muster(connection)
    owners = {one.name: one.until_at for one in found.members}
    owners |= {claim.owner: claim.until_at for claim in found.claims if claim.owner is not None and not claim.is_over}
    if owners:
        seconds = max(1, round((max(owners.values()) - found.at).total_seconds()))
        raise StoreError(
            f"{', '.join(sorted(owners))} works on the database at {where}. Stop every worker first (systemctl stop "
            f"syncd, on each machine); one that was killed counts as gone in {seconds} s."
        )


class FencedDatabase(Database):
    """A database whose writes are kept only while a lease is held: for what an owner stores of its system."""

    def __init__(self, origin: Database, held: Lease) -> None:
        super().__init__(origin.backend, origin.where)
        self._origin = origin
        self._held = held

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation and commit it, if the lease is still held.

        Raises:
            LeaseLost: it is not; nothing was kept.
        """

        def fenced(connection: Connection) -> T:
            if not is_held(connection, self._held):
                raise LeaseLost(f"{self._held.subject} belongs to another worker now; nothing of it is stored here")
            return operation(connection)

        return await self._origin.write(fenced)
