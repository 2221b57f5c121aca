"""What becomes of characters and lines."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.mapping.text import clean, is_blank, one_line, tidy

ANY_TEXT = st.text(st.characters(codec=None), max_size=300)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("Preis:\t5 \u20ac", "Preis:\t5 \u20ac"),
        ("a\x00b\x01c\x1bd\x7fe\x9ff", "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        ("a\ufdd0b\ufffec\U0001ffffd\U0010fffe", "a\ufffdb\ufffdc\ufffdd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("Gr\u00fc\u00dfe \U0001f468\u200d\U0001f469", "Gr\u00fc\u00dfe \U0001f468\u200d\U0001f469"),
    ],
    ids=["line ends", "tab", "controls", "lone surrogates", "non-characters", "split pair", "letters and emoji"],
)
def test_clean_replaces_what_cannot_travel_and_nothing_else(sent: str, expected: str) -> None:
    """Line ends become one kind, what cannot be sent becomes U+FFFD, letters stay."""
    assert clean(sent) == expected


def test_reordering_controls_are_left_out() -> None:
    """A file name cannot be made to look like another by an override, and Hebrew keeps its letters and marks."""
    assert clean("invoice\u202efdp.exe") == "invoicefdp.exe"
    assert clean("\u2067\u05e9\u05dc\u05d5\u05dd\u2069\u200f!") == "\u05e9\u05dc\u05d5\u05dd\u200f!"


def test_one_line_folds_every_run_of_blanks() -> None:
    """A subject that was folded over lines is one line."""
    assert one_line("  Re:\r\n\t Rechnung\u00a0 Mai\n") == "Re: Rechnung Mai"


@pytest.mark.parametrize("text", ["", " \n\t", "\u00a0", "\u200b\ufeff", "\u2060 \u00ad"])
def test_what_has_no_shape_is_blank(text: str) -> None:
    """Spaces of any width and characters without a shape show a reader nothing."""
    assert is_blank(text)


@pytest.mark.parametrize("text", ["x", "\U0001f600", "\ufffd", "."])
def test_what_has_a_shape_is_not_blank(text: str) -> None:
    """One visible character is content."""
    assert not is_blank(text)


def test_tidy_keeps_indentation_and_two_blank_lines() -> None:
    """Trailing blanks, blank edges and the third blank line go; indentation stays."""
    assert tidy("\n \n  a \t\n\n\n\n\nb\n  c\n\n") == "  a\n\n\nb\n  c"


@settings(deadline=None, max_examples=150)
@given(ANY_TEXT)
def test_clean_text_always_encodes_and_holds_no_controls(text: str) -> None:
    """Whatever comes, the result is UTF-8 without controls, and cleaning it again changes nothing."""
    result = clean(text)
    result.encode()
    assert not [char for char in result if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t"]
    assert clean(result) == result


@settings(deadline=None, max_examples=100)
@given(st.text("a \t\n", max_size=200))
def test_tidy_loses_no_letter(text: str) -> None:
    """Only blanks are taken away, and a tidy text stays as it is."""
    result = tidy(text)
    assert result.count("a") == text.count("a")
    assert "\n\n\n\n" not in result
    assert tidy(result) == result
