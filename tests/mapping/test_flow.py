"""What merely flows comes to the very text that inscriptis makes of it."""

import random

import pytest
from lxml import etree

from syncd.mapping import markup
from syncd.mapping.text import is_blank

TAGS = (
    *("div", "p", "br", "span", "b", "h1", "h3", "blockquote", "center", "figure", "hr", "font", "article", "body"),
    *("html", "o:p", "address", "form", "dd", "dl", "title", "details", "img alt=x", "a href='https://x.example/a'"),
)
TEXTS = (
    "a",
    " ",
    "  b ",
    "\n",
    "c\n d",
    "&nbsp;",
    "&amp;#32;",
    "&amp;amp;",
    "x&lt;y",
    "\u2003",
    "e ",
    "\u00e9",
    "&#8203;",
)
NEVER_CLOSED = ("br", "hr", "img")


def _some_markup(chance: random.Random, depth: int = 0) -> str:
    pieces = []
    for _ in range(chance.randrange(5)):
        if chance.random() < 0.45 or depth > 5:
            pieces.append(chance.choice(TEXTS))
            continue
        tag = chance.choice(TAGS)
        name = tag.split()[0]
        inside = "" if name in NEVER_CLOSED else _some_markup(chance, depth + 1)
        is_closed = name not in NEVER_CLOSED and chance.random() > 0.1
        pieces.append(f"<{tag}>{inside}" + (f"</{name}>" if is_closed else ""))
    return "".join(pieces)


def _prepared(text: str):
    tree = etree.fromstring(text.encode(), parser=etree.HTMLParser(**markup._PARSER_OPTIONS))
    markup._prepare(tree)
    return tree


def test_what_flows_is_laid_out_as_by_inscriptis() -> None:
    """Whatever blocks, lines, blanks and references markup is made of, both lay it out to the same text."""
    chance = random.Random(20260302)
    flowed = 0
    for text in (_some_markup(chance) for _ in range(1500)):
        if is_blank(text):
            continue
        tree = _prepared(text)
        laid_out = markup._FLOW.find_text(tree)
        if laid_out is not None:
            flowed += 1
            assert laid_out == markup._by_inscriptis(tree), text
    assert flowed > 700


@pytest.mark.parametrize("text", ["<ul><li>a</ul>", "<table><tr><td>a<td>b</table>", "<pre>a</pre>", "<q>a</q>"])
def test_what_does_not_merely_flow_is_left_alone(text: str) -> None:
    """Lists, tables, preformatted text and quotation marks are laid out by inscriptis."""
    assert markup._FLOW.find_text(_prepared(f"<p>b</p>{text}")) is None


def test_kept_space_does_not_flow() -> None:
    """What a style keeps from flowing is told by what is left of the attributes."""
    tree = etree.HTML(b"<div style='white-space: pre'>a  b</div>")
    assert markup._prepare(tree)
    assert markup.html_to_text("<div style='white-space: pre'>a  b</div>") == "a  b"
    assert not markup._prepare(etree.HTML(b"<div style='color: red' class='c'>a  b</div>"))
