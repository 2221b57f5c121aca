"""A disk that loses what was not synced: what syncd writes to its files is written down, and the files rebuilt.

The calls are seen by a small library that is built with gcc and preloaded (disk.c). A name of a file counts as kept
once the file itself was synced, as it is on the file systems that databases are put on.
"""

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("disk.c")
KINDS = (".db", ".db-wal", ".high-water", ".db-journal")
HEAD = struct.Struct("<cBQQ")
SECTOR = 512
MARK = 3
"""The kind of the high-water mark."""


@dataclass(frozen=True)
class Write:
    """One call: `w`ritten, cu`t` to a length (the offset), or `s`ynced. `end` is where it ends in the journal."""

    what: str
    kind: int
    offset: int
    data: bytes
    end: int


class Disk:
    """The library at work in a folder, its journal, and the switch that makes writing fail."""

    def __init__(self, library: Path, folder: Path, place: Path) -> None:
        place.mkdir()
        self.folder, self.library = folder, library
        self.journal, self._fault = place / "journal", place / "fault"
        self.journal.touch()

    @property
    def environ(self) -> dict[str, str]:
        """Return what a process needs to be seen."""
        return {
            "LD_PRELOAD": str(self.library),
            "DISK_FOLDER": str(self.folder),
            "DISK_JOURNAL": str(self.journal),
            "DISK_FAULT": str(self._fault),
        }

    @property
    def written(self) -> int:
        """Return how long the journal is."""
        return self.journal.stat().st_size

    def fail(self, number: int) -> None:
        """Let writing fail with this errno from now on."""
        self._fault.write_text(str(number))

    def mend(self) -> None:
        """Let writing work again."""
        self._fault.unlink()

    def writes(self) -> list[Write]:
        """Return every call so far."""
        return list(_parse(self.journal.read_bytes()))


def _parse(journal: bytes) -> Iterator[Write]:
    place = 0
    while place + HEAD.size <= len(journal):
        what, kind, offset, length = HEAD.unpack_from(journal, place)
        place += HEAD.size
        data = journal[place : place + length] if what == b"w" else b""
        place += len(data)
        yield Write(what.decode(), kind, offset, data, place)


def images_at_start(file: Path) -> dict[int, bytes]:
    """Return what stands in the files before anything is written, by kind; all of it counts as synced."""
    paths = {kind + 1: file.with_name(file.name.removesuffix(".db") + end) for kind, end in enumerate(KINDS)}
    paths[MARK] = file.with_name(file.name + KINDS[MARK - 1])
    return {kind: path.read_bytes() for kind, path in paths.items() if path.exists()}


def rebuild(start: Mapping[int, bytes], writes: Sequence[Write], dice: random.Random | None = None) -> dict[int, bytes]:
    """Return the files as a power cut after these calls leaves them.

    What was synced is there. Of the rest nothing is, or, with dice, whatever they say: whole writes, parts of them up
    to a sector's end, in any order of arrival.
    """
    images = {kind: bytearray(data) for kind, data in start.items()}
    waiting: dict[int, list[Write]] = {}
    for write in writes:
        if write.what == "s":
            for one in waiting.pop(write.kind, []):
                _apply(images, one)
            images.setdefault(write.kind, bytearray())
        else:
            waiting.setdefault(write.kind, []).append(write)
    if dice is not None:
        for rest in waiting.values():
            for one in rest:
                if dice.random() < 0.5:
                    _apply(images, _torn(one, dice))
    return {kind: bytes(image) for kind, image in images.items()}


def _torn(write: Write, dice: random.Random) -> Write:
    if write.what == "t" or dice.random() < 0.7:
        return write
    end = dice.randrange(len(write.data) + 1) // SECTOR * SECTOR
    return Write(write.what, write.kind, write.offset, write.data[:end], write.end)


def _apply(images: dict[int, bytearray], write: Write) -> None:
    image = images.setdefault(write.kind, bytearray())
    if write.what == "t":
        del image[write.offset :]
        image.extend(bytes(write.offset - len(image)))
        return
    image.extend(bytes(max(0, write.offset - len(image))))
    image[write.offset : write.offset + len(write.data)] = write.data


def put_down(images: Mapping[int, bytes], file: Path) -> None:
    """Write the files of a database anew, in an empty folder."""
    file.parent.mkdir(exist_ok=True)
    for kind, data in images.items():
        name = file.name + KINDS[MARK - 1] if kind == MARK else file.name.removesuffix(".db") + KINDS[kind - 1]
        path = file.with_name(name)
        path.write_bytes(data)
        path.chmod(0o600)


def build(folder: Path) -> Path:
    """Return the built library; skip where there is no compiler."""
    library = folder / "disk.so"
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        assert os.environ.get("SYNCD_TEST_SERVERS") != "required", "gcc is needed here"
        pytest.skip("no C compiler: a disk that loses what was not synced needs gcc")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library
