"""What people install: the wheel, by itself, in an environment that knows nothing of this repository."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PLACES = """
import adapters, syncd
from syncd.console.web import rendering, server
print(syncd.__file__, adapters.__file__, server.__file__, rendering.__file__)
"""
pytestmark = pytest.mark.xdist_group("install")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built as `pip wheel` and `uv build` build it."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), at=ROOT)
    (built,) = folder.glob("syncd-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment of its own in which the wheel is installed, with what it says that it requires.

    That is lent by the environment of the tests, whose versions are those of the lock file, so nothing is fetched.
    What syncd uses and does not require is not there, nor are the sources of this repository.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = str(folder / "bin" / "python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "-q", str(wheel))
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (of_the_wheel,) = distributions(name="syncd", path=[str(own)])
    for name in required(of_the_wheel):
        lend(distribution(name), own)
    return folder


def required(by: Distribution, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return the names of all that a distribution requires on this machine, and what that requires in turn."""
    for one in map(Requirement, by.requires or ()):
        name = canonicalize_name(one.name)
        wanted = [one.marker is None or one.marker.evaluate({"extra": extra}) for extra in ("", "asyncio")]
        if any(wanted) and name not in known:
            known = required(distribution(name), known | {name})
    return known


def lend(lent: Distribution, own: Path) -> None:
    """Let an environment use a distribution of this one."""
    for top in {Path(str(file)).parts[0] for file in lent.files or ()} - {"..", "__pycache__"}:
        if not (own / top).exists():
            (own / top).symlink_to(Path(str(lent.locate_file(top))))


def run(*arguments: str, at: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Carry out a program, far from this repository and without its settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "PYTHON"))}
    done = subprocess.run(
        arguments, cwd=at or "/", env=kept | environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done


def shipped(suffixes: set[str]) -> set[str]:
    """Return the files of the sources that are no Python and have to be in the wheel."""
    return {
        str(path.relative_to(ROOT))
        for package in ("syncd", "adapters")
        for path in (ROOT / package).rglob("*")
        if path.suffix in suffixes
    }


def test_everything_that_is_needed_is_in_it(wheel: Path):
    """Templates, style, script and icons of the status page, shell completions, every migration, and the man page."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = shipped({".html", ".css", ".js", ".svg", ".bash", ".zsh", ".fish", ".json", ".py"})
    assert files <= names, files - names
    assert {"syncd/console/web/templates/base.html", "syncd/store/migrations/versions/0001_first_schema.py"} <= files
    assert any(name.endswith("share/man/man1/syncd.1") for name in names)
    assert not [name for name in names if name.startswith(("tests", "docs", ".")) or ".db" in name]


def test_it_runs_by_itself(installed: Path, tmp_path: Path):
    """The program is there, with its adapters; it makes a database by its own migrations, and its own files count."""
    program = str(installed / "bin" / "syncd")
    assert run(program, "--version").stdout.startswith("syncd ")
    listed = run(program, "adapters").stdout
    assert all(name in listed for name in ("zendesk", "request_tracker", "rest"))
    config = tmp_path / "config.toml"
    config.write_text(f'[database]\nurl = "sqlite:///{tmp_path}/syncd.db"\n', encoding="utf-8")
    assert "was created with schema" in run(program, "--config", str(config), "db", "upgrade").stdout
    version = json.loads(run(program, "--config", str(config), "db", "version", "--json").stdout)
    assert version["state"] == "current"
    places = run(str(installed / "bin" / "python"), "-c", PLACES).stdout.split()
    assert all(place.startswith(str(installed)) for place in places)
    assert (installed / "share" / "man" / "man1" / "syncd.1").is_file()


def test_the_demo_works(installed: Path):
    """`syncd demo`, the first thing that anybody tries, needs nothing of the repository."""
    shown = run(str(installed / "bin" / "syncd"), "demo").stdout
    assert "Counted" in shown
