"""Processes between both ends, on a disk that may lose what was not synced, and on both databases."""

from pathlib import Path

import pytest

from tests.crash.disk import Disk, build
from tests.end_to_end.conftest import stage, until_true

__all__ = ["stage", "until_true"]


@pytest.fixture(scope="session")
def disk_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library that writes down what is written."""
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture
def disk(disk_library: Path, tmp_path: Path) -> Disk:
    """Return the disk on which the database of the stage lies."""
    return Disk(disk_library, tmp_path, tmp_path / "seen")
