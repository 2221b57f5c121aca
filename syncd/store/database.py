"""The database: reads, and writes that share a commit with those that wait at the same time.

An operation is a plain function of a connection, `(Connection) -> T`, written once for both databases. It must do
nothing but SQL: it may be run twice when another operation of the same commit failed. See docs/adr/0001.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from syncd.model.errors import StoreError, SyncdError
from syncd.store.private_file import ensure_private_file

__all__ = ["Connection", "Database", "Operation", "Unacknowledged", "open_database"]

T = TypeVar("T")
Operation = Callable[[Connection], T]

BUSY_SECONDS = 5
READERS = 4
LARGEST_GROUP = 256


class Unacknowledged(StoreError):
    """A write may or may not have been kept: the commit itself failed or was cut off."""


@dataclass(slots=True)
class _Waiting:
    operation: Operation[Any]
    done: asyncio.Future[Any]


class Backend(Protocol):
    """What differs between the databases: how a batch of operations is run in one transaction."""

    dialect: str

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that does not write."""
        ...

    async def transact(self, operations: list[Operation[Any]]) -> list[Any]:
        """Run operations in one transaction and commit; all or nothing."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


def _describe(error: BaseException, where: str) -> str:
    # str() of an SQLAlchemy error holds the statement and its parameters, and so message contents.
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    detail = str(cause).splitlines()[0] if isinstance(error, DBAPIError) and str(cause) else type(cause).__name__
    # These quote values: of a key that is there already, or of an argument that the driver cannot send.
    if "violates" in detail or "constraint" in detail.lower() or "query argument" in detail:
        detail = type(cause).__name__
    return f"the database at {where} does not answer as it should: {detail[:200]}"


@dataclass(slots=True)
class Database:
    """A database in use. `where` names it for people, without a password."""

    backend: Backend
    where: str
    _waiting: list[_Waiting] = field(default_factory=list)
    _committer: asyncio.Task[None] | None = None

    @property
    def dialect(self) -> str:
        """Return `sqlite` or `postgresql`."""
        return self.backend.dialect

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation on a consistent snapshot.

        Raises:
            StoreError: the database does not answer.
        """
        try:
            return await self.backend.read(operation)
        except _NotBegun as failure:
            raise StoreError(_describe(failure.error, self.where)) from None
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(_describe(error, self.where)) from None

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation and commit it; what waits at the same time shares the commit.

        Raises:
            StoreError: the operation failed; nothing of it was kept.
            Unacknowledged: the commit failed; it may have been kept.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(operation, done))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_groups(), name="group commit")
        return await done

    async def _commit_groups(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
            group = [waiting for waiting in group if not waiting.done.cancelled()]
            if group:
                await self._commit(group)

    async def _commit(self, group: list[_Waiting]) -> None:
        try:
            results = await self.backend.transact([waiting.operation for waiting in group])
        except _CommitFailed as failure:
            _fail(group, Unacknowledged(_describe(failure.error, self.where)))
        except _NotBegun as failure:
            _fail(group, StoreError(_describe(failure.error, self.where)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits is told
            if len(group) == 1 or _is_lost(error):
                known = isinstance(error, SQLAlchemyError | OSError)
                _fail(group, StoreError(_describe(error, self.where)) if known else error)
            else:
                # One bad operation must not take the others with it: each again, by itself.
                for waiting in group:
                    await self._commit([waiting])
        else:
            for waiting, result in zip(group, results, strict=True):
                if not waiting.done.done():
                    waiting.done.set_result(result)

    async def close(self) -> None:
        """Commit what waits, then close."""
        if self._committer is not None:
            await self._committer
        await self.backend.close()


def _is_lost(error: Exception) -> bool:
    """Say whether the connection broke, so that none of a group can be blamed, nor helped by another try at once."""
    return isinstance(error, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated)


def _fail(group: list[_Waiting], error: BaseException) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)


class _CommitFailed(Exception):
    def __init__(self, error: Exception) -> None:
        self.error = error


class _NotBegun(Exception):
    """No transaction could be begun: the database is locked or away, and no operation is at fault."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _run(connection: Connection, operations: list[Operation[Any]]) -> list[Any]:
    try:
        transaction = connection.begin()
    except SQLAlchemyError as error:
        raise _NotBegun(error) from None
    try:
        results = [operation(connection) for operation in operations]
    except BaseException:
        transaction.rollback()
        raise
    try:
        transaction.commit()
    except Exception as error:  # noqa: BLE001 - whatever failed, the commit is not acknowledged
        connection.invalidate(error)
        raise _CommitFailed(error) from None
    return results


class SQLiteBackend:
    """SQLite on threads: one that writes, a few that read; a batch is one hop, not one per statement."""

    dialect = "sqlite"

    def __init__(self, url: URL) -> None:
        self._engine = _sqlite_engine(url)
        self._writing = self._engine.execution_options(sqlite_begin="IMMEDIATE")
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._readers = ThreadPoolExecutor(READERS, "sqlite-reader")

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation on a snapshot."""

        def run() -> T:
            with self._engine.connect() as connection:
                return operation(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def transact(self, operations: list[Operation[Any]]) -> list[Any]:
        """Run operations in one IMMEDIATE transaction on the writer thread."""

        def run() -> list[Any]:
            with self._writing.connect() as connection:
                return _run(connection, operations)

        return await asyncio.get_running_loop().run_in_executor(self._writer, run)

    async def close(self) -> None:
        """Close every connection and end the threads."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._engine.dispose)
        self._writer.shutdown()
        self._readers.shutdown()


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "do_connect")
    def before_connect(_dialect: Any, _record: Any, _arguments: Any, _options: Any) -> None:
        # SQLite would make the file readable by everybody, and message contents are in it.
        ensure_private_file(Path(str(url.database)))

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # sqlite3's own transactions break savepoints and repeatable reads; SQLAlchemy begins them itself.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        # A DEFERRED transaction that reads and then writes fails at once when another process wrote in between.
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


class PostgreSQLBackend:
    """PostgreSQL through asyncpg; operations run in a greenlet that awaits each statement."""

    dialect = "postgresql"

    def __init__(self, url: URL) -> None:
        self._engine: AsyncEngine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            pool_size=READERS + 1,
            pool_pre_ping=True,
            connect_args={"timeout": BUSY_SECONDS, "command_timeout": 60},
        )
        self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._checked = False

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation on a snapshot."""
        async with _connected(self._reading) as connection:
            return await connection.run_sync(operation)

    async def transact(self, operations: list[Operation[Any]]) -> list[Any]:
        """Run operations in one transaction whose commit is on disk when it returns."""
        async with _connected(self._engine) as connection:
            if not self._checked:
                self._checked = await connection.run_sync(_check_synchronous)
            return await connection.run_sync(_run, operations)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


@contextlib.asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection; one that cannot be made is nobody's fault in particular."""
    connection = engine.connect()
    try:
        await connection.start()
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no connection
        raise _NotBegun(error) from None
    try:
        yield connection
    finally:
        # Whoever is cancelled here must not leave a connection behind.
        await asyncio.shield(asyncio.create_task(connection.close()))


def _check_synchronous(connection: Connection) -> bool:
    setting = connection.execute(text("SHOW synchronous_commit")).scalar_one()
    connection.rollback()
    if setting == "off":
        raise StoreError(
            "PostgreSQL runs with synchronous_commit = off: a power cut would lose what was just marked as sent, and "
            "it would be sent twice. Turn it on for this database (ALTER DATABASE ... SET synchronous_commit = on)."
        )
    return True


def open_database(url: str) -> Database:
    """Return the database of an address; nothing is connected yet.

    Raises:
        SyncdError: an address of another kind than sqlite:////path or postgresql://...
    """
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        raise SyncdError("database.url is no database address; write sqlite:////path or postgresql://...") from None
    backend: Backend
    if parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        backend = SQLiteBackend(parsed.set(drivername="sqlite"))
        return Database(backend, str(parsed.database))
    if parsed.get_backend_name() == "postgresql":
        return Database(PostgreSQLBackend(parsed), parsed.render_as_string(hide_password=True))
    raise SyncdError("database.url must be sqlite:////path/to/file or postgresql://user@host/database")
