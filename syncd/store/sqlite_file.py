"""The file of a SQLite database in use: whether what stands at its path is still what is open.

SQLite goes on writing into a file that was moved or removed under it, and what it says is kept is gone with the last
descriptor. So the files are looked at when a transaction begins and again once it is committed.
"""

from pathlib import Path

from syncd.model.errors import StoreError
from syncd.store.private_file import ensure_private_file

Identity = tuple[int, int]


class DatabaseReplaced(StoreError):
    """Another file stands where the database is: only a new start can tell what that one knows."""


class SQLiteFile:
    """A database file by its path, and which one it was when it was opened first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: Identity | None = None

    def before_connect(self) -> None:
        """Make the file before anything is open, readable by its owner alone; later only look that it is there.

        SQLite would make the file readable by everybody, and message contents are in it. One that has gone is not
        made anew: it may be put back.

        Raises:
            StoreError: it is gone, or another one.
        """
        if self._opened is None:
            ensure_private_file(self.path)
        else:
            self._verify(self.path, self._opened)

    def connected(self) -> Identity | None:
        """Return which write-ahead log a new connection has opened, None if it needs none.

        Raises:
            StoreError: the file is gone, or another one.
        """
        if self._opened is None:
            self._opened = _find_identity(self.path)
        else:
            self._verify(self.path, self._opened)
        return _find_identity(self._log)

    def verify(self, log: Identity | None) -> None:
        """Look whether both files are those that a connection has open.

        Raises:
            StoreError: one is gone.
            DatabaseReplaced: one is another.
        """
        if self._opened is not None:
            self._verify(self.path, self._opened)
        if log is not None:
            self._verify(self._log, log)

    @property
    def _log(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def _verify(self, path: Path, opened: Identity) -> None:
        there = _find_identity(path)
        if there is None and path == self.path:
            raise StoreError(f"the file {path} is gone; nothing is sent until it is put back")
        if there is None:
            raise StoreError(f"the file {path} is gone; restart syncd, which saves what it held")
        if there != opened:
            raise DatabaseReplaced(f"the file {path} is another one than the one that is open")


def _find_identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
