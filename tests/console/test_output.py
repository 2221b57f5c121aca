"""Tables, JSON and errors: on a terminal and elsewhere, with text that nobody can trust."""

import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from syncd.console.output import Shown, counted, print_json, report_error, report_unexpected, shown, span

BERLIN = Shown(ZoneInfo("Europe/Berlin"))
HOSTILE = "a\x1b[31mred\x07\r\n\u202eb\x9b2J\x00\udc80"


def on_terminal(config, *arguments, answer=b""):
    """Call syncd with a terminal of 100 columns for input and output; return its exit code and what was shown."""
    leader, follower = pty.openpty()
    environ = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "syncd", "--config", str(config), *map(str, arguments)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environ,
    )
    os.close(follower)
    os.write(leader, answer)
    out = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # how Linux says that the other side is gone
            break
        if not piece:
            break
        out += piece
    os.close(leader)
    return process.wait(30), out.decode()


def test_foreign_text_becomes_harmless():
    """Escape sequences, line ends and marks that turn the direction are spelled out; letters stay."""
    assert shown("Köln 日本 ✓") == "Köln 日本 ✓"
    assert shown(HOSTILE) == r"a\x1b[31mred\x07\r\n\u202eb\x9b2J\x00\udc80"


def test_a_plain_table_is_neither_wrapped_nor_cut(capsys):
    """Away from a terminal every row is one line, in columns; nothing is a dash, instants are local."""
    instant = datetime(2026, 7, 1, 12, tzinfo=UTC)
    BERLIN.table(("id", "text", "at"), [(1, "x" * 300, instant), (22, None, None), (3, HOSTILE, instant)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1] == f"1   {'x' * 300}  2026-07-01 14:00:00"
    assert lines[2].split() == ["22", "-", "-"]


def test_an_empty_table_has_its_heading(capsys):
    """So that a reader of columns finds them."""
    BERLIN.table(("id", "state"), [])
    assert capsys.readouterr().out == "id  state\n"


def test_json_is_ascii_and_loses_nothing(capsys):
    """Whatever is in a text comes back the same, and nothing of it reaches the terminal."""
    value = {"text": HOSTILE, "at": datetime(2026, 7, 1, 12, tzinfo=UTC), "kinds": {"b", "a"}}
    print_json(value)
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out) == {"text": HOSTILE, "at": "2026-07-01T12:00:00+00:00", "kinds": ["a", "b"]}
    with pytest.raises(TypeError):
        print_json(object())


def test_an_error_is_one_clear_message(capsys):
    """Several lines are kept as lines, under a heading or behind the first; none looks like ours."""
    report_error("one\x1b\ntwo")
    assert capsys.readouterr().err == "Error: one\\x1b\n  two\n"
    report_error("one\ntwo", heading="all wrong:")
    assert capsys.readouterr().err == "Error: all wrong:\n  one\n  two\n"


def test_an_unexpected_error_tells_its_place_and_not_its_text(capsys):
    """The text of a foreign exception may quote what nobody may read."""
    try:
        json.loads("{secret")
    except ValueError as error:
        report_unexpected(error)
    told = capsys.readouterr().err
    assert "json.decoder.JSONDecodeError at" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (3600, "1 h"), (3725, "1 h 2 min"), (timedelta(days=2, seconds=5), "2 d 5 s")],
)
def test_spans_are_said_in_their_two_largest_units(seconds, words):
    """Nobody reads 187200 seconds."""
    assert span(seconds) == words


def test_nouns_follow_their_numbers():
    """One delivery, two deliveries."""
    assert [counted(1, "delivery"), counted(2, "delivery"), counted(0, "link")] == [
        "1 delivery",
        "2 deliveries",
        "0 links",
    ]


def test_a_terminal_gets_a_table_that_fits_it(syncd):
    """Rows fold at the width of the terminal, and vendor text is harmless there too."""
    syncd.link(number="HD-" + "x" * 160 + "\x1b[2J")
    code, out = on_terminal(syncd.config, "links", "list")
    assert code == 0
    assert "\x1b[2J" not in out
    assert out.count("x") >= 160
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in out.splitlines()) <= 100


def test_a_terminal_is_asked_before_a_link_is_removed(syncd):
    """No means no: exit code 1, and nothing was changed; yes removes."""
    link_id = syncd.link()
    code, out = on_terminal(syncd.config, "links", "remove", link_id, answer=b"n\n")
    assert (code, "nothing was changed" in out) == (1, True)
    assert syncd("links", "show", link_id, "--json").json["state"] == "active"
    code, _ = on_terminal(syncd.config, "links", "remove", link_id, answer=b"y\n")
    assert (code, syncd("links", "show", link_id, "--json").json["state"]) == (0, "removed")
