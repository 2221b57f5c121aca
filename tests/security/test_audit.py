"""The audit of dependencies fails on what it finds, and never passes silently for having checked nothing."""

import json
import re
from pathlib import Path

import pytest

from tests.security.audit import LOCK, judge

GOOD = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
BAD = {
    "name": "aiohttp",
    "version": "3.9.0",
    "vulns": [{"id": "PYSEC-2024-24", "fix_versions": ["3.9.2"], "aliases": [], "description": "..."}],
}
SKIPPED = {"name": "aiohttp", "skip_reason": "Dependency not found on PyPI and could not be audited: aiohttp (3.9.0)"}
AWAY = "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded"


@pytest.mark.parametrize(
    ("packages", "environ", "passes", "said"),
    [
        ([GOOD, GOOD], {}, True, "2 dependencies"),
        ([GOOD, BAD], {}, False, "aiohttp 3.9.0: PYSEC-2024-24, mended in 3.9.2"),
        ([GOOD, SKIPPED], {}, False, "does not know"),
        ([SKIPPED, SKIPPED], {}, True, "NOT AUDITED"),
        ([SKIPPED, SKIPPED], {"SYNCD_AUDIT": "required"}, False, "NOT AUDITED"),
    ],
)
def test_a_report_is_judged_by_what_was_checked(packages, environ, passes, said):
    """A finding fails, a package that nobody knows fails, and a report that checked nothing says so."""
    verdict = judge(1 if BAD in packages else 0, json.dumps({"dependencies": packages, "fixes": []}), "", environ)
    assert verdict.passes == passes
    assert said in verdict.said


@pytest.mark.parametrize(("err", "passes"), [(AWAY, True), ("KeyError: 'x'", False), ("", False)])
def test_without_a_report_only_a_missing_network_passes(err: str, passes: bool):
    """A crash of the tool is no pass."""
    verdict = judge(1, "", err, {})
    assert verdict.passes == passes
    assert ("NOT AUDITED" in verdict.said) == passes


def test_every_package_of_the_lock_is_pinned_and_hashed():
    """What is installed is what was reviewed: one version each, with the hashes of its files."""
    text = LOCK.read_text()
    pinned = re.findall(r"^([a-z0-9][a-z0-9._-]*)==\S+", text, re.MULTILINE)
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(entries) == len(pinned) > 50
    assert all(
        "--hash=sha256:" in part for part in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE) if "==" in part
    )


def test_the_audit_is_part_of_lint():
    """`make lint`, and so CI, asks."""
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (Path(LOCK).parent / "Makefile").read_text(), re.MULTILINE)
    assert lint is not None
    assert "-m tests.security.audit" in lint[1]
