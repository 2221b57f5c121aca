"""Files that hold secrets or contents are their owner's alone, and whoever left one open is told."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.model.clock import SystemClock
from syncd.store.database import open_database
from syncd.store.high_water import HighWater
from syncd.store.lock import take_lock
from syncd.store.schema import database_id, ensure_schema

UNITS = [Path(__file__).parents[2] / "systemd" / name for name in ("syncd.service", "syncd-backfill@.service")]


@pytest.fixture
def bare(syncd):
    """The program with an api alone, which answers nothing: no system is tried again and again."""
    syncd.systems.clear()
    syncd.configure()
    return syncd


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that closes nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def _modes(folder: Path) -> dict[str, str]:
    return {file.name: f"{stat.S_IMODE(file.stat().st_mode):04o}" for file in folder.iterdir()}


async def test_all_files_of_the_database_are_private(tmp_path: Path, careless: None):
    """Database, write-ahead log, its index, lock and high-water mark have mode 0600, whatever the umask."""
    url = f"sqlite:///{tmp_path}/syncd.db"
    lock = await take_lock(url, "here", SystemClock())
    database = open_database(url)
    await ensure_schema(database, migrate=True)
    mark = HighWater(tmp_path / "high-water")
    mark.open(await database.read(database_id), 0)
    modes = _modes(tmp_path)
    await database.close()
    await lock.release()
    mark.close()
    assert {"syncd.db", "syncd.db-wal", "syncd.db-shm", "syncd.db.lock", "high-water"} <= set(modes)
    assert set(modes.values()) == {"0600"}, modes


def test_a_settings_file_with_a_key_that_all_can_read_is_told(bare):
    """`check` and the log of the service both say so; a closed one is not worth a word."""
    assert "readable by everybody" not in bare("check").out
    bare.config.chmod(0o644)
    assert "holds a secret and is readable by everybody" in bare("check").out
    assert "holds a secret and is readable by everybody" in bare("run", "--once").err


@pytest.mark.parametrize("place", ["conf.d", "api_key_file", "credentials"])
def test_secrets_elsewhere_that_all_can_read_are_told(bare, place: str):
    """Parts of the settings, files of secrets and credentials by hand are held to the same."""
    folder = bare.directory / place
    folder.mkdir()
    if place == "conf.d":
        file = folder / "key.toml"
        file.write_text('[api.munich]\nbase_url = "http://127.0.0.1:1"\napi_key = "key-munich-hush"')
    else:
        file = folder / "api.munich.api_key"
        file.write_text("key-munich-hush")
        more = f'api_key_file = "{file}"' if place == "api_key_file" else ""
        bare.config.write_text(f'{bare.config.read_text()}\n[api.munich]\nbase_url = "http://127.0.0.1:1"\n{more}')
    for mode, word in ((0o640, None), (0o644, "readable by everybody"), (0o622, "can be changed by everybody")):
        file.chmod(mode)
        told = bare("check").out
        assert (f"{file}: " in told) == (word is not None), told
        assert word is None or word in told


def test_what_the_service_manager_hands_over_is_fine(bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """systemd's own directory of credentials (0440) is nothing to warn about."""
    directory = tmp_path / "handed"
    directory.mkdir()
    (directory / "credentials_api.berlin.api_key").write_text("key-berlin-hush")
    (directory / "credentials_api.berlin.api_key").chmod(0o440)
    bare.config.write_text(bare.config.read_text().replace('api_key = "key-berlin"', ""))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    assert "everybody" not in bare("check").out


@pytest.mark.parametrize("name", ["syncd.db", "syncd.db.lock"])
def test_an_open_file_of_the_database_is_told(bare, name: str):
    """A copy that was put back with a wide mode is found by `check`."""
    bare.link()
    file = bare.directory / name
    file.touch(mode=0o600)
    assert "open to other users" not in bare("check").out
    file.chmod(0o644)
    told = bare("check").out
    assert f"{file} " in told
    assert "open to other users (mode 0644)" in told


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_service_makes_files_for_itself_alone(unit: Path):
    """Whatever is made beside all that, such as a core dump or a backup by hand, is closed by the umask."""
    lines = unit.read_text().splitlines()
    assert "UMask=0077" in lines
    assert "StateDirectoryMode=0700" in lines
