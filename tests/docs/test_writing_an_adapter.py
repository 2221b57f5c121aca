"""The page for adapter authors is right: its files run, and what it names is there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from syncd.model import errors
from syncd.sources import adapter
from syncd.sources.adapter import Adapter, Capability
from syncd.sources.registry import validate_options
from syncd.testing.vendor import Vendor

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "writing-an-adapter.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write the files of the page into a folder, as its reader would."""
    folder = tmp_path_factory.mktemp("corner_desk")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(folder, *command):
    """Run a Python tool in a folder; return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_page_has_the_files_that_it_speaks_of():
    """Adapter, tests, conftest, packaging and settings are all on the page."""
    assert set(FILES) == {"corner_desk.py", "test_corner_desk.py", "conftest.py", "pyproject.toml", "config.toml"}


def test_its_adapter_passes_the_suite_with_its_test(written):
    """The adapter and the stand-in of the page pass; skipped is only what the stand-in does not offer."""
    code, said = run(written, "pytest", "-q", "-ra", "-p", "no:cacheprovider", "-W", "error")
    assert code == 0, said
    passed, skipped = re.search(r"(\d+) passed, (\d+) skipped", said).groups()
    assert int(passed) >= 25
    reasons = set(re.findall(r"SKIPPED .*?: (the .*)", said))
    assert reasons == {
        "the adapter has no change feed",
        "the stand-in adds no replies by customers",
        "the stand-in always makes sense",
        "the stand-in closes no tickets",
        "the stand-in deletes no tickets",
        "the stand-in does not hang",
        "the stand-in does not redirect",
    }
    assert int(skipped) >= len(reasons)


def test_its_adapter_passes_the_type_checker(written):
    """The page's adapter is typed as strictly as those of this repository."""
    code, said = run(written, "mypy", "--strict", "--cache-dir", str(written / "cache"), "corner_desk.py")
    assert code == 0, said


def test_its_settings_fit_its_adapter(written, monkeypatch):
    """The entry point names the class, and the options of the example are good options."""
    monkeypatch.syspath_prepend(str(written))
    entry_points = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]["syncd.adapters"]
    system = tomllib.loads(FILES["config.toml"])["systems"]["corner"]
    module, _, name = entry_points[system["adapter"]].partition(":")
    found = getattr(__import__(module), name)
    assert issubclass(found, Adapter)
    assert validate_options(found, system["options"])


def test_its_adapter_imports_what_an_adapter_may():
    """The adapter sees the interface, what reads answers, and the vocabulary alone."""
    imported = set(re.findall(r"^from (syncd[\w.]*) import", FILES["corner_desk.py"], re.MULTILINE))
    allowed = re.compile(r"syncd\.(sources\.(adapter|links|paging|records)|model\.\w+)")
    assert [name for name in imported if not allowed.fullmatch(name)] == []


def test_all_capabilities_authentications_and_abilities_are_named():
    """What an author can choose from is on the page, all of it."""
    optional = {
        name
        for name, value in vars(Vendor).items()
        if callable(value) and not name.startswith("_") and name not in Vendor.__abstractmethods__
    }
    names = {capability.name for capability in Capability} | (optional - {"unknown_number"})
    names |= {name for name in vars(adapter) if name.endswith("Authentication") and name != "Authentication"}
    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []


def test_every_failure_in_its_table_exists():
    """The failures in the table are those of the vocabulary."""
    table = re.findall(r"^\| `(\w+)` \| .* \| .* \|$", PAGE, re.MULTILINE)
    assert table == ["RetryLater", "PauseSystem", "TicketUnavailable", "InvalidTicketRef", "UnexpectedAnswer"]
    assert all(issubclass(getattr(errors, name), errors.SyncdError) for name in table)


def test_the_files_it_points_to_are_there():
    """A file of this repository that the page names exists."""
    assert [path for path in re.findall(r"`(syncd/[\w/]+\.py)`", PAGE) if not (ROOT / path).is_file()] == []
