"""HTML as a reader sees it."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.mapping.markup import DEEPEST_MARKUP, LARGEST_MARKUP, MOST_TAGS, html_to_text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Guten Tag,</p><p>bitte <b>k\u00fcndigen</b>.</p>", "Guten Tag,\n\nbitte k\u00fcndigen."),
        ("<div>eins</div><div>zwei</div><section>drei</section>", "eins\nzwei\ndrei"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("plain &amp; simple, 1 &lt; 2", "plain & simple, 1 < 2"),
        ("Platz 3 < 4", "Platz 3 < 4"),
        ("<pre>if x:\n    y()</pre>", "if x:\n    y()"),
        ('<div style="white-space: pre-wrap">a\n  b</div>', "a\n  b"),
        ("<p>a</p><p>&nbsp;</p><p>&nbsp;</p><p>&nbsp;</p><p>b</p>", "a\n\nb"),
        ("a<hr>b", "a\n---\nb"),
        ("", ""),
        ("<!-- nothing -->", ""),
    ],
    ids=[
        "paragraphs", "blocks", "breaks", "references", "bare sign", "pre", "pre-wrap", "empty paragraphs", "rule",
        "empty", "comment alone",
    ],
)  # fmt: skip
def test_structure_becomes_lines(markup: str, text: str) -> None:
    """Blocks and breaks are lines, blank ones do not pile up, and references are characters."""
    assert html_to_text(markup) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ('siehe <a href="https://x.de/kurs?id=7">unseren Kurs</a>.', "siehe unseren Kurs <https://x.de/kurs?id=7>."),
        ('<a href="https://www.x.de/">x.de</a>', "x.de"),
        ('<a href="https://evil.de">https://bank.de</a>', "https://bank.de <https://evil.de>"),
        ('<a href="mailto:max@x.de">max@x.de</a>', "max@x.de"),
        ('<a href="mailto:max@x.de">Max</a>', "Max <max@x.de>"),
        ('<a href="#a">oben</a> <a href="javascript:x()">hier</a>', "oben hier"),
        ('<a href="https://x.de"></a>da', "da"),
        ('<a href="https://x.de"><img src=a alt="Shop"></a>', "[Shop] <https://x.de>"),
        ("schreib an <max@example.com>", "schreib an <max@example.com>"),
    ],
    ids=["other", "same", "deceiving", "mail", "mail name", "no address", "empty", "image", "unescaped address"],
)
def test_links_stay_readable(markup: str, text: str) -> None:
    """A link shows its address when that says more than its text."""
    assert html_to_text(markup) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ('<img src=x alt="Foto der Theke">', "[Foto der Theke]"),
        ("<img src=x>", "[image]"),
        ('<img src=x width="1" height="1">a', "a"),
        ('<img src=x alt="">a', "a"),
    ],
    ids=["alt", "none", "pixel", "decoration"],
)
def test_images_are_named_by_their_alternative_text(markup: str, text: str) -> None:
    """A picture is mentioned, a counting pixel or a decoration is not."""
    assert html_to_text(markup) == text


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>x < y</script>",
        "<style>p { color: red }</style>",
        "<!-- x -->",
        "<template>x</template>",
        '<div style="DISPLAY: none">x <p>y</p></div>',
        '<span style="mso-hide:all">x</span>',
        "<p hidden>x</p>",
        "<head><title>x</title></head>",
    ],
)
def test_what_no_reader_sees_is_dropped(hidden: str) -> None:
    """Scripts, styles, comments and hidden parts go; the words around them stay."""
    assert html_to_text(f"vorher {hidden} nachher").split() == ["vorher", "nachher"]


def test_lists_are_readable() -> None:
    """Bullets, numbers, where they start and how deep they stand are seen."""
    markup = "<ul><li>eins<li>zwei<ol start=3><li>drei<li>vier</ol></ul>"
    assert html_to_text(markup) == "  * eins\n  * zwei\n     3. drei\n     4. vier"


def test_tables_of_data_are_columns() -> None:
    """Short cells stand in columns, whatever paragraphs a word processor puts into them."""
    markup = "<table><tr><th>Artikel<th>Preis</tr><tr><td><p>Beitrag</p><td>29,90</tr></table>Danke"
    assert html_to_text(markup) == "Artikel  Preis\nBeitrag  29,90\n\nDanke"


def test_tables_of_layout_are_blocks() -> None:
    """A page laid out in a table reads from top to bottom, and is not padded to the width of its longest cell."""
    long = "wort " * 30
    assert html_to_text(f"<table><tr><td>{long}</td><td>rechts</td></tr></table>") == f"{long.strip()}\nrechts"


def test_quotes_get_their_marks() -> None:
    """A quote in HTML looks like a quote in a text, and an answer between two quotes stands unquoted."""
    markup = "<blockquote>Frage 1<blockquote>davor</blockquote></blockquote>Antwort<blockquote>Frage 2</blockquote>"
    assert html_to_text(markup) == "> Frage 1\n>> davor\nAntwort\n> Frage 2"


def test_the_marks_of_quotes_cannot_be_forged() -> None:
    """The characters that stand for a quote inside are replaced when they come from outside, however written."""
    assert html_to_text("a&#xFDD0;b&#64977;c\ufdd0d") == "a\ufffdb\ufffdc\ufffdd"


@pytest.mark.parametrize(
    "opening",
    [
        '<div id="divRplyFwdMsg">',
        '<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm">',
    ],
    ids=["web", "desktop"],
)
def test_outlooks_line_above_the_original_is_shown(opening: str) -> None:
    """Where Outlook only draws a line, the words say that the original begins."""
    assert html_to_text(f"Danke{opening}<b>Von:</b> Max</div>") == "Danke\n-----Original Message-----\nVon: Max"


@pytest.mark.parametrize(
    "head", ['<?xml version="1.0" encoding="iso-8859-1"?>', '<meta charset="iso-8859-1">'], ids=["xml", "meta"]
)
def test_a_declared_encoding_does_not_spoil_the_text(head: str) -> None:
    """The text is already decoded, whatever the markup says of its encoding."""
    assert html_to_text(f"{head}<p>Gr\u00fc\u00dfe</p>") == "Gr\u00fc\u00dfe"


@pytest.mark.parametrize("depth", [DEEPEST_MARKUP + 1, 300, 100_000])
def test_words_below_the_deepest_level_arrive(depth: int) -> None:
    """Nesting that a parser would cut short, or that would fill the stack, costs the layout and no word."""
    assert html_to_text("<div>" * depth + "tief" + "</div>" * depth + "<p>danach") == "tief\n\n\ndanach"


def test_limits_choose_the_plain_way() -> None:
    """Too large or too many tags: no layout (no bullets), yet every word; just below, the layout."""
    item = "<ul><li>wort</ul>"
    assert html_to_text(item) == "  * wort"
    assert html_to_text(item + "x" * LARGEST_MARKUP) == "wort\nx" + "x" * (LARGEST_MARKUP - 1)
    assert html_to_text(item + "<i>" * MOST_TAGS) == "wort"


def test_an_inline_image_does_not_count_as_size() -> None:
    """A photograph inside the markup does not cost a short message its layout."""
    data = "QUJD" * LARGEST_MARKUP
    assert html_to_text(f'<ul><li>wort</ul><img alt="Foto" src="data:image/png;base64,{data}">') == "  * wort\n[Foto]"


@pytest.mark.parametrize(
    "style",
    ["margin-top:99999em", "padding-left:99999em", "margin-top:" + "9" * 400 + "em", "style:" * 5000 + "x"],
)
def test_styles_cannot_swell_or_break_the_layout(style: str) -> None:
    """A style with a margin of a thousand pages or with recursion in it changes nothing."""
    assert html_to_text(f'<ul><li>wort</ul><p style="{style}">a</p>') == "  * wort\n\na"


def test_a_wide_cell_is_not_multiplied_by_the_rows() -> None:
    """A table whose padding would fill the memory stays about as long as its markup."""
    markup = f"<table><tr><td>{'x' * 100_000}<td>y</tr>" + "<tr><td>a<td>b</tr>" * 5000 + "</table>"
    assert len(html_to_text(markup)) < len(markup)


@pytest.mark.parametrize(
    "unit", ["<", ">", '"', "<div>", "<td>", "<table>", "<ul><li>", "<a href=", "<!--", "&#", "<b>x"]
)
def test_a_megabyte_of_anything_ends(unit: str) -> None:
    """No megabyte overflows the stack or swells; it goes the plain way."""
    assert len(html_to_text(unit * (1_000_000 // len(unit)))) <= 1_000_000


PIECES = [
    "<p>", "</p>", "<div>", "</div>", "<table>", "<tr>", "<td>", "</td>", "</table>", "<ul>", "<ol start=2>",
    "<li value=9>", "</ul>", "<a href='https://x.de'>", "</a>", "<img alt=x>", "<br>", "<blockquote>",
    "</blockquote>", "<pre>", "</pre>", "<script>", "</script>", "<!--", "-->", "<style>", "<select><option>",
    "<svg>", "<html>", "<body>", "<head>", "<frameset>", "<", ">", "&", "&#0;", "&#xd800;", "&#xfdd0;", "\x00",
    "\ud800", "wort", " ", "\n", "<p style='white-space:pre'>", "<caption>", "<th>", "<thead>", "<form>", "<hr>",
    "<max@x.de>", "<?pi", "<![CDATA[", "<a href='", "\ufdd1",
]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES) | st.text(st.characters(codec=None), max_size=5), max_size=60).map("".join))
def test_any_soup_becomes_clean_text(markup: str) -> None:
    """Whatever the markup, the text encodes, holds no controls and no marks of ours."""
    text = html_to_text(markup)
    text.encode()
    assert not [char for char in text if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t"]
    assert "\ufdd0" not in text
    assert "\ufdd1" not in text


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.sampled_from([piece for piece in PIECES if not piece.startswith(("<s", "<!", "<?", "<a href='", "<head"))])
        | st.sampled_from(["<b>", "<span>", "<td><p>"]),
        max_size=30,
    ),
    st.lists(st.sampled_from(["<div>", "</div>", "<b>", "</td>", "</ul>", "<tr>"]), max_size=5),
)
def test_visible_words_survive_the_layout(before: list[str], after: list[str]) -> None:
    """A word outside of scripts, comments and open tags is in the text, however wrongly the tags nest."""
    markup = "".join(piece for piece in before if piece not in {"<", "\x00"}) + " Kennwort " + "".join(after)
    assert "Kennwort" in html_to_text(markup)
