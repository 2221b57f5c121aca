"""However large and however odd a text is, the work grows with its length, and a megabyte of anything comes to an end.

Steps are counted, not timed: twice the text may take little more than twice the calls. What happens inside one call of
a C function is not seen by that, so a lot of each kind goes through everything, too, under a limit of the
processor's time that is dozens of times what it takes.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from syncd.console.links_import import read_import
from syncd.mapping.history import is_forward, without_history
from syncd.mapping.mapper import fingerprint, map_reply
from syncd.mapping.markup import LARGEST_MARKUP, html_to_text
from syncd.mapping.tags import strip_tags
from syncd.mapping.text import clean, tidy
from syncd.model.api_error import LARGEST_BODY, parse_api_error
from syncd.model.errors import UsageError
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Author, AuthorKind, Body, BodyFormat, Reply, Ticket, Visibility
from syncd.model.typed_arg import plain_text
from syncd.sources.retry import asked_wait_seconds
from tests.counted_calls import calls_of
from tests.fuzz.runs import EXAMPLES

MEGABYTE = 1_000_000
LARGE = MEGABYTE if EXAMPLES else MEGABYTE // 10
"""How much goes through in one go: a tenth in CI."""
LIMIT_CPU_SECONDS = 60.0
MOST_GROWTH = 2.6
"""Twice the text is twice the work, and a little for what is rounded."""
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
TICKET = Ticket(id="1", number="HD-1", subject="Locker", vendor_status="open", updated_at=AT)
ATTRIBUTION = "On Mon, 2 Mar 2026 at 09:00, Max <max@example.com> wrote:\n> a\n"

# A kind of text: what it begins with, what is repeated, what it ends with.
KINDS = {
    "less": ("", "<", ""),
    "greater": ("a\n", ">", ""),
    "quotes": ("<a href=", "\"'", ">"),
    "ampersands": ("", "&", ""),
    "references": ("", "&#", ";"),
    "long reference": ("&#", "9", ";"),
    "quoted lines": ("a\n", "> ", "\n> b"),
    "quoted empty lines": ("a\n", "\n>", ""),
    "deeper and deeper quotes": ("a", "\n>>>>>>>>>>>>>>>>>>>>", ""),
    "blanks": ("a", " ", "b"),
    "tabs in a tag": ("<a", "\t", ">"),
    "line ends": ("a", "\n", "b"),
    "returns": ("a", "\r", "b"),
    "blank lines": ("a", " \n", "b"),
    "attributions": ("a\n", ATTRIBUTION, ""),
    "almost attributions": ("a\n", "On Mon, 2 Mar 2026 at 09:00, a b c d e wrote\n> a\n", ""),
    "attribution of many words": ("a\nOn Mon, 2 Mar 2026 at 09:00, ", "a ", "wrote:\n> a"),
    "separators": ("a\n", "-----Original Message-----\n", ""),
    "headers": ("a\n", "From: a\nTo: b\n", ""),
    "underscores": ("a\n", "_", "\nFrom: a\nSent: b\nTo: c\nSubject: d"),
    "below": ("", "below ", "\n-----Original Message-----\nFrom: a\nSent: b\nTo: c\nSubject: d"),
    "divs": ("", "<div>", "a"),
    "closed divs": ("", "<div>a</div>", ""),
    "blockquotes": ("", "<blockquote>", "a"),
    "closed blockquotes": ("", "<blockquote>a</blockquote>", ""),
    "tables": ("", "<table><tr><td>", "a"),
    "rows": ("<table>", "<tr><td>a</td><td>b</td></tr>", "</table>"),
    "cells": ("<table><tr>", "<td>a</td>", "</tr></table>"),
    "lists": ("", "<ul><li>", "a"),
    "items": ("<ol>", "<li>a", "</ol>"),
    "links": ("", "<a href='http://x.example/'>a</a>", ""),
    "links in links": ("", "<a href='http://x.example/'>", "a"),
    "bold": ("", "<b>", "a"),
    "crossed tags": ("", "<b><i>a</b></i>", ""),
    "comments": ("", "<!--", "a"),
    "scripts": ("", "<script>", "a"),
    "declarations": ("", "<!", ""),
    "one long tag": ("<p ", "a=b ", ">a"),
    "one long style": ("<p style='", "a:b;", "'>a"),
    "inline image": ('<img src="data:image/png;base64,', "A", '">a'),
    "data addresses": ("", '="data:a', ""),
    "addresses": ("", "http://x.example/?a=", ""),
    "brackets": ("", "[", ""),
    "links of markdown": ("", "](", ""),
    "stars": ("", "*", ""),
    "backticks": ("", "`", "a"),
    "table of markdown": ("", "| a ", "|\n|---|"),
    "long line": ("", "a", ""),
    "long line of words": ("", "a b ", ""),
    "marks without shape": ("", "\u200b", ""),
    "surrogates": ("", "\ud800", ""),
    "escape sequences": ("", "\x1b[", "m"),
    "combining marks": ("a", "\u0301", ""),
    "controls": ("", "\x00", ""),
}
DEEP = {
    "divs in divs, with many inside": ("<div>" * 90, "<p>a</p>", "</div>" * 90),
    "lists in lists, with many inside": ("<ul><li>" * 40, "<li>a", "</ul>" * 40),
    "quotes in quotes, with many inside": ("<blockquote>" * 45, "<br>a", "</blockquote>" * 45),
    "tables in tables, with many inside": ("<table><tr><td>" * 30, "<p>a</p>", "</td></tr></table>" * 30),
    "tables of tables": (
        "<table><tr><td>" * 15,
        "<table><tr><td>a</td><td>b</td></tr></table>",
        "</td></tr></table>" * 15,
    ),
    "links around much": ("<a href='http://x.example/'>", "<i>a</i>", "</a>"),
}


def text_of(kind: tuple[str, str, str], length: int) -> str:
    """Return a text of a kind, that long."""
    before, repeated, after = kind
    return before + repeated * max(1, (length - len(before) - len(after)) // len(repeated)) + after


def reply_of(text: str, body_format: BodyFormat) -> Reply:
    """Return a reply with a text."""
    return Reply("1", Author(AuthorKind.CUSTOMER, "Max"), Visibility.PUBLIC, Body(text, body_format), AT)


@contextmanager
def limited() -> Iterator[None]:
    """End what would never come to an end: regular expressions heed signals as well as Python does."""

    def give_up(_number: int, _frame: object) -> None:
        raise AssertionError(f"no end after {LIMIT_CPU_SECONDS:g} seconds of the processor's time")

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lot_of_anything_comes_to_an_end(kind: str) -> None:
    """A megabyte (in CI a tenth of it) of one thing becomes a communication, in each format, and nothing raises."""
    text = text_of(KINDS[kind], LARGE)
    policy = SystemPolicy("desk")
    with limited():
        for body_format in (BodyFormat.HTML, BodyFormat.TEXT):
            assert map_reply(reply_of(text, body_format), TICKET, policy).content
        is_forward(text)
        plain_text(text)
        fingerprint(reply_of(text[: MEGABYTE // 4], BodyFormat.HTML))
        parse_api_error(json.dumps({"errorMessage": text[: LARGEST_BODY // 8]}).encode())
        asked_wait_seconds(429, {"Retry-After": text[:8190]}, AT)


@pytest.mark.parametrize("kind", DEEP)
def test_as_much_as_is_laid_out_comes_to_an_end(kind: str) -> None:
    """The largest HTML that is laid out, as deep as it is laid out, comes to an end."""
    with limited():
        assert "a" in html_to_text(text_of(DEEP[kind], LARGEST_MARKUP // 5))


@pytest.mark.parametrize("kind", KINDS | DEEP)
def test_twice_the_text_is_twice_the_work(kind: str) -> None:
    """No kind of text takes more than its share of calls, whether it is laid out, stripped or cut."""
    texts = [text_of((KINDS | DEEP)[kind], length) for length in (2_000, 4_000)]
    for work in (html_to_text, strip_tags, lambda text: without_history(tidy(clean(text)))):
        small, large = (calls_of(lambda work=work, text=text: work(text)) for text in texts)
        assert large < MOST_GROWTH * small + 200


@pytest.mark.parametrize("content", [b"a,", b'"', b"{", b'{"a":', b"\x00", b"\r", b"\xff"])
def test_a_file_of_anything_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    """A megabyte of one thing is no import, and that is soon said."""
    file = tmp_path / "links.csv"
    file.write_bytes(content * (MEGABYTE // len(content)))
    with limited():
        try:
            assert all(line.bad for line in read_import(str(file)))
        except UsageError as error:
            assert str(error)
