"""What the fuzzing is made of: texts and JSON as strangers write them, the odd ones more often than chance would."""

from hypothesis import strategies as st

ANY_CHARACTER = st.characters(codec=None)
"""Lone surrogates and controls too."""

# fmt: off
FRAGMENTS = (
    "<", ">", "</", "<!--", "-->", "<!", "<?", "]]>", "<![CDATA[", '"', "'", "=", "&", "&amp;", "&lt;", "&#0;",
    "&#x110000;",
    "&#xfdd0;", "&#64977;", "&#99999999999;", "&nbsp", "<p>", "</p>", "<div>", "</div>", "<blockquote>",
    "</blockquote>",
    "<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<td colspan=99999>", "<ul>", "<ol start=99999>",
    "<li value=7>", "</li>", "</ul>", "</ol>", "<pre>", "</pre>", "<br>", "<hr>", "<script>", "</script>", "<style>",
    "</style>", "<svg>", "<title>", "</title>", "<a href='http://x.example/?a=1&b=2#c'>",
    "<a href=javascript:x>", "</a>",
    "<img alt='picture'>", "<img>", "<p style='display:none'>", "<div style='white-space:pre'>", "<div hidden>",
    "<max@example.com>", "<o:p>", "<plaintext>", "<textarea>", "<body>", "<html>", "<head>", "<frameset>", "<template>",
    "<div id=divRplyFwdMsg>", "<div style='border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm'>",
    "\n", "\r", "\r\n", "\t", " ", "\u00a0", "\u2028", "\u0085", "\x0b", "\x00", "\x1b[31m", "\x7f", "\ud800", "\udfff",
    "\ufeff", "\ufffe", "\u202e", "\u2066", "\u200b", "\U0001f600", "\u0301", "\ufdfa", "\u00df", "\u0130",
    "\n> ", ">", ">> ", "\nOn Mon, 2 Mar 2026 at 09:00, Max <max@example.com> wrote:\n> ", "wrote:", "schrieb", ":\n",
    "\nAm 02.03.2026 um 09:00 schrieb Max Muster <max@example.com>:\n> ", "\n-----Original Message-----\n",
    "\nFrom: a@example.com\nSent: Monday\nTo: b@example.com\nSubject: Locker\n", "\n________________________________\n",
    "Re: ", "Fwd: ", "WG:", "below", "s. u.", "[", "](", "](http://x.example)", "![", "**", "_", "`", "```\n",
    "~~", "# ",
    "- ", "1. ", "| a | b |\n|---|---|\n", "http://x.example/?sig=", "://", "{", "}", "{status}", "%s",
    "%(x)s", "\\", "$",
    '="data:image/png;base64,', "A" * 250, "data:",
)
# fmt: on
WORDS = st.sampled_from(("Schrank", "locker", "Grüße", "привет", "مرحبا", "שלום", "漢字", "naïve", "7", "a"))

TEXTS = st.lists(st.one_of(st.sampled_from(FRAGMENTS), WORDS, st.text(ANY_CHARACTER, max_size=8)), max_size=25).map(
    "".join
)
"""Text with everything in it that a mail, a web form or a spoilt export may hold."""

ODD_NUMBERS = st.one_of(
    st.sampled_from((0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 0.1, -0.0, 1e308, 1.7e9, 1.7e12)),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)
ODD_TIMES = st.sampled_from(
    (
        "2026-03-02T09:00:00Z", "2026-03-02T09:00:00+14:00", "2026-03-02 09:00", "2026-03-02", "20260302T090000Z",
        "0001-01-01T00:00:00+14:00", "0001-01-01", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59", "2026-W10-1",
        "2026-02-30T00:00:00Z", "2026-03-29T02:30:00", "2026-10-25T02:30:00", "24:00", "", " ", "now", "-1",
        "1e9", "nan",
        "inf", "٢٠٢٦-٠٣-٠٢", "2026-03-02T09:00:00+99:99", "2026-03-02T09:00:60Z", "2026-03-02T09:00:00.123456789Z",
    )
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), ODD_NUMBERS, ODD_TIMES, st.text(ANY_CHARACTER, max_size=12), TEXTS)


def json_values(names: st.SearchStrategy[str], leaves: int = 12) -> st.SearchStrategy[object]:
    """Return JSON values whose objects have these names."""
    return st.recursive(
        SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=6)),
        max_leaves=leaves,
    )


def deep(opening: str, closing: str, depth: int) -> str:
    """Return something nested that deep."""
    return opening * depth + closing * depth
