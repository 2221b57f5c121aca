"""The threat model names tests that are there, and the page on security leads to it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_the_tests_that_are_named_are_there():
    """What is said to be shown by a test is shown by one."""
    named = set(re.findall(r"tests/[\w/.]*\w", PAGE))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_threat_has_something_that_stops_it_and_shows_it():
    """No row of a table is a wish."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    threats = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.count("|") == 4]
    assert len(threats) > 25
    assert [row for row in threats if row[0] != "threat" and ("tests/" not in row[2] or not row[1])] == []


def test_the_page_on_security_is_of_use():
    """It says how to report without inventing an address, leads to the model, and its links lead somewhere."""
    assert "private security advisory" in SECURITY
    assert "@" not in SECURITY
    for target in re.findall(r"\]\(([^)]+)\)", SECURITY):
        assert (ROOT / target).exists(), target
