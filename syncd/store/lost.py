"""A database that was there and is gone: it is not made anew under a mark that tells of it."""

from pathlib import Path

from syncd.model.errors import StoreError
from syncd.store.database import Database
from syncd.store.high_water import HighWater
from syncd.store.schema import read_version


async def refuse_lost(database: Database, file: Path | None, high_water: HighWater) -> None:
    """Refuse to begin with an empty database where there was another one. `file` is that of a SQLite database.

    A new one in its place would look as if all were well, and have nothing to do.

    Raises:
        StoreError: nothing is there, and the mark says that something was.
    """
    # Only to be opened if it is there: opening makes the file.
    if _may_be_there(file) and await database.read(read_version) is not None:
        return
    mark = high_water.read()
    if mark is None:
        return
    raise StoreError(
        f"the database at {database.where} is gone or empty, and {high_water.path} says that there was one, with "
        f"{mark.attempts} attempts. Put it back, a backup too; to begin with an empty one, run `syncd db upgrade`. "
        "Nothing was changed."
    )


def _may_be_there(file: Path | None) -> bool:
    return file is None or file.exists()
