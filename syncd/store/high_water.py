"""The high-water mark: how far attempts had come, kept outside the database, so that a restored backup is noticed.

A database that is behind the mark was put back from a backup: what was sent since is not in it, and would be sent
again. The mark is written after each commit of `sending`, before the body leaves. It goes into the page cache, so it
survives the process; a power cut may lose its last seconds, and then a backup of those very seconds goes unnoticed.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from syncd.model.errors import StoreError
from syncd.store.private_file import ensure_private_file

_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Mark:
    """Which database, and the number of its last attempt."""

    database_id: str
    attempts: int


class HighWater:
    """A small file `<database id> <attempts>` in the state directory, overwritten in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._prefix = b""
        self._highest = -1
        self.went_back = False

    def refuse_behind(self, attempts: int, reached: int) -> None:
        """Refuse a database that knows fewer attempts than it has acknowledged since this process began.

        `reached` is how `highest` was before the database was asked: other workers raise it at any time.
        A server that failed over to a copy that lags has lost some, and so has one whose backup is put back under a
        running worker. `went_back` says so from then on.

        Raises:
            StoreError: it does.
        """
        if attempts < reached:
            self.went_back = True
            raise StoreError(f"the database knows {attempts} attempts, and {reached} were made from it")

    def read(self, database_id: str | None = None) -> Mark | None:
        """Return the mark, None if there is none yet.

        That of a database by its id may have been set aside when another one took its place; without one of its own,
        the mark of that other one is returned.

        Raises:
            StoreError: the file is there and unreadable, or holds something else.
        """
        mark = _read(self.path)
        if database_id is None or (mark is not None and mark.database_id == database_id):
            return mark
        return _read(self._set_aside(database_id)) or mark

    def _set_aside(self, database_id: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{database_id[:12]}")

    def _keep_that_of_another(self, database_id: str) -> None:
        """Set the mark of another database aside: that one may be put back, from a backup too."""
        with contextlib.suppress(StoreError):
            mark = _read(self.path)
            if mark is not None and mark.database_id != database_id:
                self.path.replace(self._set_aside(mark.database_id))

    def open(self, database_id: str, attempts: int) -> None:
        """Begin to keep the mark of this database."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._keep_that_of_another(database_id)
            ensure_private_file(self.path)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._begin(self._descriptor, database_id, attempts)
        except OSError as error:
            raise StoreError(f"the high-water mark {self.path} cannot be written: {error.strerror}") from None

    def _begin(self, descriptor: int, database_id: str, attempts: int) -> None:
        self._prefix = f"{database_id} ".encode("ascii")
        self._highest = -1
        # Overwritten first and cut after it: a process that dies in between leaves a mark, never an empty file.
        self.note(attempts)
        os.ftruncate(descriptor, len(self._prefix) + _WIDTH + 1)
        os.fsync(descriptor)
        _sync_folder(self.path.parent)

    @property
    def highest(self) -> int:
        """Return the mark as it is kept by now, -1 if none is kept."""
        return self._highest

    def note(self, attempts: int) -> None:
        """Raise the mark; a lower number changes nothing.

        Raises:
            OSError: it cannot be written; then nothing may be sent.
        """
        if self._descriptor is None or attempts <= self._highest:
            return
        os.pwrite(self._descriptor, self._prefix + f"{attempts:0{_WIDTH}d}\n".encode("ascii"), 0)
        self._highest = attempts

    def close(self) -> None:
        """Leave the mark on disk."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


def _read(path: Path) -> Mark | None:
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise StoreError(f"the high-water mark {path} cannot be read; may this user read it?") from None
    name, _, number = text.strip().partition(" ")
    if not name or not number.isdecimal() or len(number) > _WIDTH:
        raise StoreError(f"the high-water mark {path} holds no mark; after a look, run `syncd db restored`")
    return Mark(name, int(number))


def _sync_folder(folder: Path) -> None:
    """Have the name of a new file on disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def mark_path(state_directory: Path, file: Path | None) -> Path:
    """Return where the mark of a database is kept; `file` is that of a SQLite database."""
    return state_directory / f"{'postgresql' if file is None else file.name}.high-water"


def is_behind(mark: Mark | None, database_id: str, attempts: int) -> bool:
    """Say whether a database is behind its mark: put back from a backup. Another database's mark says nothing."""
    return mark is not None and mark.database_id == database_id and attempts < mark.attempts
