"""Every promise has a way to break it, and every way still fits the code. `make promises` walks them."""

import re
from pathlib import Path

import pytest

from tests.promises.breaks import BREAKS, Break

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promise.md").read_text(encoding="utf-8")


def test_every_promise_has_a_break():
    """A promise that nobody has tried to break is a claim."""
    promises = set(re.findall(r"^- \*\*(P\d+)\*\*", PAGE, re.MULTILINE))
    assert {one.promise for one in BREAKS} == promises


@pytest.mark.parametrize("one", BREAKS, ids=lambda one: f"{one.promise}-{one.file}")
def test_a_break_fits_the_code(one: Break):
    """What it changes stands there once, the change is one, and the tests that must notice are there."""
    for file, found, made in one.changes:
        assert (ROOT / file).read_text(encoding="utf-8").count(found) == 1
        assert found != made
    for test in one.tests:
        path, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8")
