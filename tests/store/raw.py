"""What stands in the files of a database, byte for byte, and who waits in it, whatever its tables say."""

import asyncio
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url


async def files_with(url: str, text: str) -> list[str]:
    """Return the files of a database in which a text stands, the log of SQLite among them.

    Of PostgreSQL these are the files of tables and indexes but those of its statistics, whose old rows wait for
    autovacuum; its log keeps everything until it is used again.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(str(parsed.database))
        return [path.name for path in sorted(file.parent.glob(f"{file.name}*")) if text.encode() in path.read_bytes()]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CHECKPOINT")
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 't', 'i') AND relname NOT LIKE 'pg_statistic%'"
            " AND pg_relation_filepath(oid) IS NOT NULL"
            " AND position($1::bytea IN pg_read_binary_file(pg_relation_filepath(oid))) > 0",
            text.encode(),
        )
    finally:
        await connection.close()
    return [row["relname"] for row in rows]


async def until_one_waits(url: str) -> None:
    """Wait until a transaction of a PostgreSQL database waits for a lock of another."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(10):
            while not await connection.fetchval(waiting):  # noqa: ASYNC110 - another process brings it about
                await asyncio.sleep(0.01)
    finally:
        await connection.close()
