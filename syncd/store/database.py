"""The database: reads, and writes that share a commit with those that wait at the same time.

An operation is a plain function of a connection, `(Connection) -> T`, written once for both databases. It must do
nothing but SQL: it may be run twice when another operation of the same commit failed. See docs/adr/0001.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from syncd.model.errors import StoreError, SyncdError
from syncd.store.sqlite import BUSY_SECONDS, READERS, SQLiteBackend
from syncd.store.sqlite_file import DatabaseReplaced
from syncd.store.transaction import CommitFailed, NotBegun, Operation, run_in_transaction

__all__ = ["Connection", "Database", "Operation", "Unacknowledged", "open_database"]

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item
BatchOperation = Callable[[Connection, Sequence[I]], Sequence[T]]
"""An operation that takes all items that wait for it at the same time, and returns a result for each, in order."""

LARGEST_GROUP = 256
DEADLOCK = "40P01"
COMMAND_SECONDS = 60.0
IDLE_SECONDS = 10.0


class Unacknowledged(StoreError):
    """A write may or may not have been kept: the commit itself failed or was cut off."""


@dataclass(slots=True)
class _Waiting:
    """An operation that waits for its commit, or an item of one that takes many."""

    operation: Operation[Any] | BatchOperation[Any, Any]
    done: asyncio.Future[Any]
    items: tuple[Any, ...] = ()


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
    # These quote values: of a key that is there already, of an argument that the driver cannot send, or of a column
    # that is no text.
    if any(
        word in detail.lower() for word in ("violates", "constraint", "query argument", "with text", "invalid input")
    ):
        detail = type(cause).__name__
    return f"the database at {where} does not answer as it should: {detail[:200]}"


@dataclass(slots=True)
class Database:
    """A database in use. `where` names it for people, without a password.

    `replaced`: another file stands where it was; nothing can be read or written any more. `around_commit` is given
    the number of writes that share a transaction, and lasts as long as it does.
    """

    backend: Backend
    where: str
    replaced: bool = False
    around_commit: Callable[[int], AbstractContextManager[None]] = lambda _writes: nullcontext()
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
        except NotBegun as failure:
            raise self._named(failure.error) from None
        except DatabaseReplaced:
            self.replaced = True
            raise
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(_describe(error, self.where)) from None

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation and commit it; what waits at the same time shares the commit.

        Raises:
            StoreError: the operation failed; nothing of it was kept.
            Unacknowledged: the commit failed; it may have been kept.
        """
        done: asyncio.Future[T] = self._submit(_Waiting(operation, asyncio.get_running_loop().create_future()))
        return await done

    def write_item(self, operation: BatchOperation[I, T], item: I) -> "asyncio.Future[T]":
        """Let a batch operation deal with an item and commit it, together with the others that wait for it.

        The future has its result, or fails as `write` does. Unless it is cancelled before its transaction begins, the
        item is committed whether anybody waits for that or not.
        """
        return self._submit(_Waiting(operation, asyncio.get_running_loop().create_future(), (item,)))

    def _submit(self, waiting: _Waiting) -> "asyncio.Future[Any]":
        self._waiting.append(waiting)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_groups(), name="group commit")
        return waiting.done

    async def _commit_groups(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
            group = [waiting for waiting in group if not waiting.done.cancelled()]
            if group:
                await self._commit(group)

    async def _commit(self, group: list[_Waiting], *, is_second_try: bool = False) -> None:
        try:
            with self.around_commit(len(group)):
                results = await self._transact(group)
        except CommitFailed as failure:
            _fail(group, Unacknowledged(str(self._named(failure.error))))
        except NotBegun as failure:
            _fail(group, self._named(failure.error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits is told
            is_worth_it = len(group) > 1 or (_is_deadlock(error) and not is_second_try)
            if not is_worth_it or _is_lost(error):
                known = isinstance(error, SQLAlchemyError | OSError)
                _fail(group, StoreError(_describe(error, self.where)) if known else error)
            else:
                # One bad operation must not take the others with it: each again, by itself.
                for waiting in group:
                    await self._commit([waiting], is_second_try=len(group) == 1)
        else:
            for waiting, result in zip(group, results, strict=True):
                if not waiting.done.done():
                    waiting.done.set_result(result)

    async def _transact(self, group: list[_Waiting]) -> list[Any]:
        """Run a group in one transaction, the items of each batch operation together; return their results in order."""
        batches: dict[Any, list[_Waiting]] = {}
        for waiting in group:
            # An operation that takes no items is never shared: two that are equal are both run.
            batches.setdefault(waiting.operation if waiting.items else id(waiting), []).append(waiting)
        results = await self.backend.transact([_operation_of(batch) for batch in batches.values()])
        by_waiting: dict[int, Any] = {}
        for batch, result in zip(batches.values(), results, strict=True):
            each = result if batch[0].items else [result]
            by_waiting.update((id(waiting), one) for waiting, one in zip(batch, each, strict=True))
        return [by_waiting[id(waiting)] for waiting in group]

    def _named(self, error: Exception) -> StoreError:
        """Return an error as those who wait are told it."""
        self.replaced |= isinstance(error, DatabaseReplaced)
        return error if isinstance(error, StoreError) else StoreError(_describe(error, self.where))

    async def close(self) -> None:
        """Commit what waits, then close."""
        if self._committer is not None:
            await self._committer
        await self.backend.close()


def _operation_of(batch: list[_Waiting]) -> Operation[Any]:
    """Return the operation that deals with all that wait for the same one."""
    operation: Any = batch[0].operation
    items = [item for waiting in batch for item in waiting.items]
    return (lambda connection: operation(connection, items)) if items else operation


def _is_lost(error: Exception) -> bool:
    """Say whether the connection broke, so that none of a group can be blamed, nor helped by another try at once."""
    return isinstance(error, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated)


def _is_deadlock(error: Exception) -> bool:
    """Say whether PostgreSQL has ended this transaction in favour of another worker's; nothing is wrong with it."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == DEADLOCK


def _fail(group: list[_Waiting], error: BaseException) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)


class PostgreSQLBackend:
    """PostgreSQL through asyncpg; operations run in a greenlet that awaits each statement."""

    dialect = "postgresql"

    def __init__(self, url: URL, command_seconds: float, idle_seconds: float) -> None:
        # A worker that is frozen within a transaction must not keep its locks: the server ends it, uncommitted.
        idle = str(max(1, round(idle_seconds * 1000)))
        # SQLAlchemy hands sslmode and its kin to asyncpg by name, which knows them in an address alone.
        secured = {name: value for name, value in url.query.items() if name.startswith("ssl")}
        self._engine: AsyncEngine = create_async_engine(
            url.difference_update_query(secured).set(drivername="postgresql+asyncpg"),
            pool_size=READERS + 1,
            pool_pre_ping=True,
            connect_args={
                "timeout": BUSY_SECONDS,
                "command_timeout": command_seconds,
                "server_settings": {"idle_in_transaction_session_timeout": idle},
                "dsn": URL.create("postgresql", query=secured).render_as_string(),
            },
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
            return await connection.run_sync(run_in_transaction, operations)

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
        raise NotBegun(error) from None
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


def open_database(
    url: str, *, command_seconds: float = COMMAND_SECONDS, idle_seconds: float = IDLE_SECONDS
) -> Database:
    """Return the database of an address; nothing is connected yet.

    On PostgreSQL a statement may take `command_seconds`, and a transaction may stand still for `idle_seconds`.

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
        return Database(
            PostgreSQLBackend(parsed, command_seconds, idle_seconds), parsed.render_as_string(hide_password=True)
        )
    raise SyncdError("database.url must be sqlite:////path/to/file or postgresql://user@host/database")
