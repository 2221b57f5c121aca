"""SQLite on threads: one that writes, a few that read; a batch is one hop, not one per statement."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from syncd.model.errors import StoreError
from syncd.store.sqlite_file import SQLiteFile
from syncd.store.transaction import CommitFailed, NotBegun, Operation, run_in_transaction

T = TypeVar("T")

BUSY_SECONDS = 5
READERS = 4
WRITER_CACHE_KILOBYTES, READER_CACHE_KILOBYTES = 2000, 500
"""Of the pages that a connection keeps, those of the writer stay right; a reader's go with each commit."""

READER_STATEMENTS, WRITER_STATEMENTS = 32, 128
"""So many statements a connection keeps prepared, of some ten kilobytes each."""

_LOG = "write-ahead log"


class SQLiteBackend:
    """A SQLite file. A transaction counts only if the file is, after it, still the one that stands at its path."""

    dialect = "sqlite"

    def __init__(self, url: URL) -> None:
        self._file = SQLiteFile(Path(str(url.database)))
        self._engine = _engine(url, self._file, READERS, READER_CACHE_KILOBYTES, READER_STATEMENTS)
        # One connection for all that is written: it knows its statements, and its pages are the newest.
        writer = _engine(url, self._file, 1, WRITER_CACHE_KILOBYTES, WRITER_STATEMENTS)
        self._writing = writer.execution_options(sqlite_begin="IMMEDIATE")
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

        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transact, operations)

    def _transact(self, operations: list[Operation[Any]]) -> list[Any]:
        try:
            connection = self._writing.connect()
        except StoreError as error:
            raise NotBegun(error) from None
        with connection:
            results = run_in_transaction(connection, operations)
            try:
                self._file.verify(connection.info[_LOG])
            except StoreError as error:
                raise CommitFailed(error) from None
            return results

    async def close(self) -> None:
        """Close every connection and end the threads."""
        for engine in (self._engine, self._writing):
            await asyncio.get_running_loop().run_in_executor(self._writer, engine.dispose)
        self._writer.shutdown()
        self._readers.shutdown()


def _engine(url: URL, file: SQLiteFile, connections: int, cache_kilobytes: int, statements: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=connections,
        pool_use_lifo=True,  # the others are used, and filled, only while it is
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "cached_statements": statements},
    )

    @event.listens_for(engine, "do_connect")
    def before_connect(_dialect: Any, _record: Any, _arguments: Any, _options: Any) -> None:
        file.before_connect()

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        # sqlite3's own transactions break savepoints and repeatable reads; SQLAlchemy begins them itself.
        connection.isolation_level = None
        cursor = connection.cursor()
        cache = f"cache_size=-{cache_kilobytes}"
        for pragma in (cache, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        # The log is opened by the first look into the database.
        cursor.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        cursor.close()
        record.info[_LOG] = file.connected()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        # A connection that fails here stays open: closed, it would take away the log of the file that is there now.
        file.verify(connection.info[_LOG])
        # A DEFERRED transaction that reads and then writes fails at once when another process wrote in between.
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine
