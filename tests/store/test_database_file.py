"""A SQLite file that is moved, removed or replaced under whoever has it open."""

import contextlib
import shutil
from pathlib import Path

import pytest
import pytest_asyncio

from syncd.model.errors import StoreError
from syncd.store import tables
from syncd.store.database import Database, Unacknowledged, open_database
from syncd.store.high_water import HighWater, Mark
from syncd.store.lost import refuse_lost
from syncd.store.schema import ensure_schema
from syncd.store.sqlite_file import DatabaseReplaced


def put(name: str):
    """Return an operation that inserts one row."""
    return lambda c: c.execute(tables.meta.insert().values(name=name, value="x")) and name


async def names(database: Database) -> set[str]:
    """Return the names of the rows that are there."""
    rows = await database.read(lambda c: c.execute(tables.meta.select()).all())
    return {row.name for row in rows} - {"database_id"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the database is."""
    return tmp_path / "syncd.db"


@pytest_asyncio.fixture
async def opened(file: Path):
    """Return a database with the schema and one row."""
    database = open_database(f"sqlite:///{file}")
    await ensure_schema(database, migrate=True)
    await database.write(put("first"))
    yield database
    with contextlib.suppress(RuntimeError):  # a test may have closed it
        await database.close()


async def test_a_file_that_was_moved_away_is_neither_written_nor_made_anew(opened: Database, file) -> None:
    """Nothing is written into what nobody would find; put back, all goes on with what it held."""
    away = file.with_name("away.db")
    file.rename(away)
    with pytest.raises(StoreError, match=r"syncd\.db is gone; nothing is sent until it is put back"):
        await opened.write(put("while it was away"))
    with pytest.raises(StoreError, match="is gone"):
        await names(opened)
    assert not file.exists()
    away.rename(file)
    assert await opened.write(put("second")) == "second"
    assert await names(opened) == {"first", "second"}
    assert not opened.replaced


async def test_another_file_in_its_place_is_not_written(opened: Database, file) -> None:
    """A copy that was put there is another file: only a new start may work with it."""
    copy = file.with_name("copy.db")
    shutil.copy(file, copy)
    copy.rename(file)
    before = file.read_bytes()
    with pytest.raises(DatabaseReplaced):
        await opened.write(put("second"))
    assert opened.replaced
    assert file.read_bytes() == before


async def test_a_file_that_goes_during_a_transaction_is_not_acknowledged(opened: Database, file) -> None:
    """What was committed into a file that is gone by then does not count as kept."""

    def lose(connection) -> None:
        put("second")(connection)
        file.rename(file.with_name("away.db"))

    with pytest.raises(Unacknowledged, match="is gone"):
        await opened.write(lose)


async def test_a_log_that_was_removed_stops_all_writing_and_is_saved_by_a_restart(opened: Database, file) -> None:
    """Without its write-ahead log nothing more is acknowledged; closing saves what the log had held."""
    await opened.close()
    database = open_database(f"sqlite:///{file}")
    await database.write(put("in the log"))
    file.with_name("syncd.db-wal").unlink()
    with pytest.raises(StoreError, match=r"syncd\.db-wal is gone; restart syncd"):
        await database.write(put("after it went"))
    await database.close()
    again = open_database(f"sqlite:///{file}")
    assert await names(again) == {"first", "in the log"}
    await again.close()


async def test_a_lost_database_is_not_made_anew(file) -> None:
    """Where the mark tells of a database and none is there, nothing is made; without a mark it is a first start."""
    mark = HighWater(file.with_name("mark"))
    database = open_database(f"sqlite:///{file}")
    await refuse_lost(database, file, mark)
    mark.open("a" * 32, 7)
    mark.close()
    with pytest.raises(StoreError, match=r"with 7 attempts\. Put it back"):
        await refuse_lost(database, file, mark)
    assert not file.exists()
    await ensure_schema(database, migrate=True)
    await refuse_lost(database, file, mark)
    await database.close()


def test_the_mark_of_a_database_outlives_another_one_in_its_place(file) -> None:
    """An empty database that was begun with must not hide that a backup of the first one is put back later."""
    mark = HighWater(file.with_name("mark"))
    for name, attempts in (("first", 70), ("second", 0)):
        mark.open(name * 6, attempts)
        mark.close()
    assert mark.read("first" * 6) == Mark("first" * 6, 70)
    assert mark.read("second" * 6) == Mark("second" * 6, 0)
    mark.open("first" * 6, 90)
    mark.close()
    assert mark.read("first" * 6) == Mark("first" * 6, 90)
    assert mark.read("third" * 6) == Mark("first" * 6, 90)
