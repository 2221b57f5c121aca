"""`make promises`: break each promise in a copy of the tree, and see its tests fail.

    python -m tests.promises [P13 ...]

A break whose tests pass all the same is a promise that is claimed and not shown: exit code 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.promises.breaks import BREAKS, Break

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
PASSED, FAILED = 0, 1


def copy_tree(folder: Path) -> Path:
    """Copy what the tests need."""
    copy = folder / "tree"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    return copy


def run_tests(copy: Path, tests: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    """Run tests of the copy until one fails."""
    environ = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=copy, env=environ, capture_output=True, text=True, check=False)


def is_noticed(copy: Path, one: Break) -> bool:
    """Break a promise in the copy, look whether the tests notice, and put it right again."""
    sound = {file: (copy / file).read_text() for file, _, _ in one.changes}
    broken = dict(sound)
    for file, found, made in one.changes:
        assert broken[file].count(found) == 1, f"{one.promise}: not to be found once in {file}: {found!r}"
        broken[file] = broken[file].replace(found, made)
    try:
        for file, text in broken.items():
            (copy / file).write_text(text)
        ended = run_tests(copy, one.tests).returncode
    finally:
        for file, text in sound.items():
            (copy / file).write_text(text)
    assert ended in {PASSED, FAILED}, f"{one.promise}: pytest ended with {ended}, so the tests did not run"
    return ended == FAILED


def main(wanted: list[str]) -> int:
    """Break what is wanted, everything by default; return the exit code."""
    unnoticed = []
    with tempfile.TemporaryDirectory(prefix="syncd-promises-") as folder:
        copy = copy_tree(Path(folder))
        chosen = [one for one in BREAKS if not wanted or one.promise in wanted]
        tests = sorted({test for one in chosen for test in one.tests})
        sound = run_tests(copy, tuple(tests))
        if sound.returncode != PASSED:
            print(sound.stdout[-3000:], "the tests fail with nothing broken, so they would say nothing", sep="\n")  # noqa: T201
            return 1
        for one in chosen:
            began = time.monotonic()
            noticed = is_noticed(copy, one)
            seconds = time.monotonic() - began
            said = "noticed" if noticed else "NOT NOTICED"
            print(f"{one.promise:4} {said:12} {seconds:5.1f} s  {one.file}", flush=True)  # noqa: T201
            if not noticed:
                unnoticed.append(one.promise)
    print("every break was noticed" if not unnoticed else f"not noticed: {', '.join(unnoticed)}")  # noqa: T201
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
