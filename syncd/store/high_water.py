"""The high-water mark: how far attempts had come, kept outside the database, so that a restored backup is noticed.

A database that is behind the mark was put back from a backup: what was sent since is not in it, and would be sent
again. The mark is written after each commit of `sending`, before the body leaves. It goes into the page cache, so it
survives the process; a power cut may lose its last seconds, and then a backup of those very seconds goes unnoticed.
"""

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

    def read(self) -> Mark | None:
        """Return the mark, None if there is none yet.

        Raises:
            StoreError: the file is there and unreadable, or holds something else.
        """
        try:
            text = self.path.read_text("ascii")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            raise StoreError(f"the high-water mark {self.path} cannot be read; may this user read it?") from None
        name, _, number = text.strip().partition(" ")
        if not name or not number.isdecimal():
            raise StoreError(f"the high-water mark {self.path} holds no mark; after a look, run `syncd db restored`")
        return Mark(name, int(number))

    def open(self, database_id: str, attempts: int) -> None:
        """Begin to keep the mark of this database."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            ensure_private_file(self.path)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the high-water mark {self.path} cannot be written: {error.strerror}") from None
        self._prefix = f"{database_id} ".encode("ascii")
        self._highest = -1
        # Overwritten first and cut after it: a process that dies in between leaves a mark, never an empty file.
        self.note(attempts)
        os.ftruncate(self._descriptor, len(self._prefix) + _WIDTH + 1)
        os.fsync(self._descriptor)

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


def is_behind(mark: Mark | None, database_id: str, attempts: int) -> bool:
    """Say whether a database is behind its mark: put back from a backup. Another database's mark says nothing."""
    return mark is not None and mark.database_id == database_id and attempts < mark.attempts
