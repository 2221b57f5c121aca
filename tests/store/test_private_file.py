"""Files beside the database are private, and belong to whoever owns the folder."""

import os
import stat
from pathlib import Path

import pytest

from syncd.store.private_file import ensure_private_file


def test_a_new_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask, nobody else reads it."""
    file = tmp_path / "syncd.db"
    before = os.umask(0)
    ensure_private_file(file)
    os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file to another user takes root")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    """The service can open what a command of root made before the service first started."""
    os.chown(tmp_path, 12_345, 12_346)
    file = tmp_path / "syncd.db"
    ensure_private_file(file)
    assert (file.stat().st_uid, file.stat().st_gid) == (12_345, 12_346)


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Its contents and its mode are left alone."""
    file = tmp_path / "syncd.db"
    file.write_text("something")
    file.chmod(0o640)
    ensure_private_file(file)
    assert file.read_text() == "something"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
