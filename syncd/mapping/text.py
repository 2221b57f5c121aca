"""Characters and lines: whatever a vendor sends becomes text that every reader, database and encoder can take."""

import re
from urllib.parse import urlsplit

REPLACEMENT = "\ufffd"

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LAST_OF_PLANES = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_UNSENDABLE = re.compile(f"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef{_LAST_OF_PLANES}]")
# Embeddings, overrides and isolates reorder what stands around them: `invoice<RLO>fdp.exe` is shown as
# `invoiceexe.pdf`. They are no letters, and Arabic and Hebrew read right without them; the harmless marks U+200E,
# U+200F and U+061C stay.
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
# What is not whitespace to Python and yet leaves a reader with an empty page.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)
_MOST_BLANK_LINES = 2


def clean(text: str) -> str:
    r"""Return the text with `\n` for every kind of line end and without characters that cannot travel.

    NUL and the other controls but tab, lone surrogates and non-characters become U+FFFD; bidirectional embeddings,
    overrides and isolates are left out. The result encodes to UTF-8. Linear in the length of the text.
    """
    # All that is mended below is no printable character: where there is none, three looks are spared.
    if text.replace("\n", "").replace("\t", "").replace("\xa0", "").isprintable():
        return text
    text = _LINE_ENDS.sub("\n", text)
    if _SURROGATE.search(text):
        # A pair of surrogates that was never joined is a character; only a lone one is broken.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _UNSENDABLE.sub(REPLACEMENT, _REORDERING.sub("", text))


def one_line(text: str) -> str:
    """Return the cleaned text on one line: every run of blanks and line ends is one space."""
    return " ".join(clean(text).split())


def find_web_address(text: str | None) -> str | None:
    """Return an address that a reader may safely click on, None if it is no such: another scheme, no host, a user name
    or password, blanks, or characters that steer what shows it."""
    address = (text or "").strip()
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"https", "http"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return None
    return address if usable and address.isprintable() and " " not in address else None


def is_blank(text: str) -> bool:
    """Tell whether a reader would see nothing: blanks, and characters without a shape."""
    return not (text if text.isascii() else _INVISIBLE.sub("", text)).strip()


def tidy(text: str) -> str:
    """Return the lines without trailing blanks, at most two empty ones in a row and none at either end."""
    lines: list[str] = []
    empty = 0
    for raw in text.split("\n"):
        line = raw.rstrip()
        empty = 0 if line else empty + 1
        if line or (lines and empty <= _MOST_BLANK_LINES):
            lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines)
