"""Taking what was erased out of the files of the database too.

SQLite overwrites what is erased (`secure_delete`, on every connection), and yet keeps it in two places: in the
write-ahead log until that is emptied, and, seldom, in the unused middle of a page that was split. PostgreSQL keeps the
old version of a changed row until the space is used again. Both leave it behind when they write their tables anew.
"""

import asyncio
import re
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from syncd.model.clock import Clock
from syncd.store.tables import api_state, attempt, decision, delivery, link, request

WAIT_SECONDS = 10.0
CONNECT_SECONDS = 10.0
AGAIN_SECONDS = 0.5
TABLES = tuple(table.name for table in (delivery, attempt, link, decision, request, api_state))
"""Those that hold texts."""


class NotOwned(Exception):
    """PostgreSQL has left a table out, with a warning that nobody sees."""


async def empty_log(url: str, wait_seconds: float = WAIT_SECONDS) -> bool:
    """Empty SQLite's write-ahead log; return whether it is empty. On PostgreSQL autovacuum does what can be done."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return True
    return await asyncio.to_thread(_scrub_sqlite, parsed, wait_seconds, rewrite=False) is None


async def rewrite(url: str, clock: Clock, wait_seconds: float = WAIT_SECONDS) -> str | None:
    """Write the tables that hold texts anew, so that nothing erased is left in a file; return why not, if not.

    Whoever writes meanwhile waits; this waits `wait_seconds` for others, at most.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return await asyncio.to_thread(_scrub_sqlite, parsed, wait_seconds, rewrite=True)
    return await _rewrite_postgresql(parsed, clock, wait_seconds)


def _scrub_sqlite(url: URL, wait_seconds: float, *, rewrite: bool) -> str | None:
    if not Path(str(url.database)).is_file():
        return "there is no such file"
    engine = create_engine(
        url.set(drivername="sqlite"), connect_args={"timeout": wait_seconds}, isolation_level="AUTOCOMMIT"
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            if rewrite:
                connection.exec_driver_sql("VACUUM")
            is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    except SQLAlchemyError as error:
        return _first_line(getattr(error, "orig", None) or error)
    finally:
        engine.dispose()
    return "another process is reading" if is_busy else None


async def _rewrite_postgresql(url: URL, clock: Clock, wait_seconds: float) -> str | None:
    import asyncpg  # noqa: PLC0415 - megabytes that a worker on SQLite does not need

    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            # Whoever waits for a lock keeps all others waiting behind it.
            await connection.execute(f"SET lock_timeout = {max(1, round(wait_seconds * 1000))}")
            until = clock.monotonic() + wait_seconds
            for table in TABLES:
                while await _kept_rows(connection, table):
                    if clock.monotonic() >= until:
                        return "a transaction that began before still sees what was erased"
                    await clock.sleep(AGAIN_SECONDS)
                # The planner's statistics hold samples of what stood in the columns.
                await connection.execute(f'ANALYZE "{table}"')
        finally:
            await connection.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, NotOwned) as error:
        return _first_line(error)
    return None


async def _kept_rows(connection: Any, table: str) -> int:
    """Write a table anew; return how many old rows it had to take along, as some transaction still sees them."""
    told: list[str] = []

    def listen(_connection: Any, message: Any) -> None:
        told.append(message.detail or "")

    connection.add_log_listener(listen)
    try:
        await connection.execute(f'VACUUM (FULL, VERBOSE) "{table}"')
    finally:
        connection.remove_log_listener(listen)
    # In every language the first number of the detail is that of the dead rows that cannot be removed yet.
    kept = [int(number[0]) for detail in told if (number := re.search(r"\d+", detail))]
    if not kept:
        raise NotOwned(f'this role may not write the table "{table}" anew; let the owner of the tables run it')
    return sum(kept)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
