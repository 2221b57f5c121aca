"""Tags off without laying out."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.mapping.tags import link_address, strip_tags, tells_more, unescape

BROKEN = ["<", ">", "<!--", "<div>", "<script>", '<a href="', "&#", "</", "<a@b>", "--><", "<?x"]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Hallo <b>Welt</b></p>Ende", "\nHallo Welt\nEnde"),
        ("a<br>b<BR/>c", "a\nb\nc"),
        ("1 < 2 &amp; 3 > 2", "1 < 2 & 3 > 2"),
        ("a<!-- <b>x</b> -->b<style>p {}</style>c<SCRIPT>x<y</SCRIPT>d", "abcd"),
        ('<a class=x href="https://x.de/a?b=1&amp;c=2">hier</a>.', "hier <https://x.de/a?b=1&c=2>."),
        ('<a href="javascript:alert(1)">hier</a>', "hier"),
        ("an <max@example.com>", "an <max@example.com>"),
        ("<!DOCTYPE html><?xml x?>a", "a"),
        ("Hallo <!-- und mehr <i>Worte", "Hallo <!-- und mehr Worte"),
        ("a <b", "a <b"),
    ],
    ids=[
        "tags", "breaks", "signs", "unseen", "link", "script link", "address", "prolog", "open comment", "open tag"
    ],
)  # fmt: skip
def test_strip_tags(markup: str, text: str) -> None:
    """Tags and what is unseen go, blocks begin lines, links keep addresses, what never closes keeps its words."""
    assert strip_tags(markup) == text


def test_a_reference_of_absurd_length_is_no_error() -> None:
    """A number with a million digits becomes one replacement character, known references their characters."""
    assert unescape(f"&#{'9' * 1_000_000};") == "\ufffd"
    assert unescape("&uuml;&#x20ac;&#8364;&nosuch;") == "\u00fc\u20ac\u20ac&nosuch;"


@pytest.mark.parametrize(
    ("href", "address"),
    [
        ("https://x.de/a b\n", "https://x.de/ab"),
        ("mailto:max@x.de?subject=Hi", "max@x.de"),
        ("tel:+4930123", "+4930123"),
        ("#top", None),
        ("/relative", None),
        ("javascript:x()", None),
        ("data:text/html,x", None),
        ("https://", None),
    ],
)
def test_only_addresses_that_a_reader_can_use_are_shown(href: str, address: str | None) -> None:
    """Web, mail and telephone addresses are shown; scripts, anchors and relative links are not."""
    assert link_address(href) == address


@pytest.mark.parametrize(
    ("address", "shown", "more"),
    [
        ("https://www.x.de/", "x.de", False),
        ("https://x.de/a", "HTTPS://X.de/a", False),
        ("https://evil.de/", "https://x.de", True),
        ("https://x.de/kurs", "zum Kurs", True),
    ],
)
def test_an_address_is_shown_when_it_says_more(address: str, shown: str, more: bool) -> None:
    """The same address in other clothes is not repeated; another one behind it always shows."""
    assert tells_more(address, shown) is more


@pytest.mark.parametrize("unit", BROKEN)
def test_the_steps_grow_with_the_size(unit: str, count_steps: Callable[[Callable[[], object]], int]) -> None:
    """Twice the broken markup takes at most about twice the steps, and a megabyte ends."""
    once = count_steps(lambda: strip_tags(unit * 2_000))
    twice = count_steps(lambda: strip_tags(unit * 4_000))
    assert twice <= 2.1 * once + 100
    assert len(strip_tags(unit * (1_000_000 // len(unit)))) <= 1_000_000


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([*BROKEN, "wort ", "</script>", "-->", "<p>", "&amp;"]), max_size=40).map("".join))
def test_any_soup_becomes_text(markup: str) -> None:
    """No order of broken pieces raises or makes the text longer than the markup (a link is written as it stands)."""
    assert len(strip_tags(markup)) <= len(markup) + 40
