"""`syncd demo` plays its story against the real daemon, and its proof is counted, not claimed."""

import re

import pytest

from syncd.console.demo_view import print_proof
from syncd.testing.balance import Balance


@pytest.mark.xdist_group("service")
def test_the_story_adds_up(syncd, tmp_path):
    """A short demo tells every event in plain lines, leaves nothing behind, and proves lost 0 and twice 0."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    ran = syncd.process("demo", "--seconds", "1", TMPDIR=str(scratch))
    assert ran.code == 0, ran.err
    counts = {name: int(number) for name, number in re.findall(r"^  ([a-z ]+?) +(\d+)\b", ran.out, re.MULTILINE)}
    assert counts["seen"] == counts["delivered"] + counts["withheld"] + counts["skipped"]
    assert counts["delivered"] == len(re.findall(r"-> added as \d+ after", ran.out)) > 8
    assert counts["withheld"] == len(re.findall("stays: an internal note", ran.out)) > 0
    assert counts["lost"] == counts["twice"] == counts["leaked"] == counts["strangers"] == counts["behind"] == 0
    assert "It adds up." in ran.out
    assert "\x1b" not in ran.out
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("wrong", ["lost", "twice", "leaked", "strangers", "behind"])
def test_what_does_not_add_up_is_said(wrong, capsys):
    """One of a kind that may not be, and the proof says so."""
    balance = Balance(seen=1, due=1, withheld=0, automatic=0, delivered=1, status_notes=0, **{wrong: ("7",)})
    assert not balance.adds_up
    print_proof(balance)
    assert "It does NOT add up." in capsys.readouterr().out
