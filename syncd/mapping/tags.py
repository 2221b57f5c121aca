"""Tags off, the plain way: for markup that is too large, too deep or too broken to be laid out.

One pass over the text, no tree, no recursion, no expression that goes back: the time is linear whatever comes.
"""

import html
import re
from dataclasses import dataclass, field

from syncd.mapping.text import REPLACEMENT

# fmt: off
BLOCK_TAGS = frozenset((
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "dir",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "legend", "li", "main", "menu", "nav", "ol", "optgroup", "option", "p", "pre", "section",
    "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
))
# fmt: on
"""Tags that begin a new line."""

UNSEEN_TAGS = frozenset(("iframe", "noframes", "script", "style", "svg", "template", "title", "xml"))
"""Tags whose contents no reader sees."""

_NAME = re.compile(r"/?[A-Za-z][A-Za-z0-9:-]{0,30}")
_HREF = re.compile(r"""\shref\s{0,9}=\s{0,9}["']?([^"'\s>]{1,2048})""", re.IGNORECASE)
_LONGEST_TAG = 4096
_LONG_REFERENCE = re.compile(r"&#x?[0-9a-f]{9,};?", re.IGNORECASE)


def unescape(text: str) -> str:
    """Return the text with character references resolved; one of absurd length becomes U+FFFD, not an error."""
    return html.unescape(_LONG_REFERENCE.sub(REPLACEMENT, text))


def link_address(href: str) -> str | None:
    """Return what of a link's target tells a reader something: a web or mail address or a telephone number."""
    address = "".join(href.split())
    scheme, _, rest = address.partition(":")
    if scheme.lower() in {"mailto", "tel"}:
        return rest.partition("?")[0] or None
    return address if scheme.lower() in {"http", "https"} and rest.strip("/") else None


def tells_more(address: str, shown: str) -> bool:
    """Tell whether an address says more than the text that it is shown under."""
    return _bare(address) not in {_bare(shown), ""}


def _bare(address: str) -> str:
    return "".join(address.split()).casefold().rpartition("://")[2].removeprefix("www.").rstrip("/")


@dataclass(slots=True)
class _Stripper:
    """What is known between two `<`: what was written, and what is being passed over."""

    written: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    until: str = ""
    address: str | None = None

    def take(self, piece: str) -> None:
        """Read what follows one `<`, up to the next one."""
        if self.until:
            self._skip(piece)
        elif piece.startswith("!--"):
            self._begin_skipping("-->", piece)
        elif name := _NAME.match(piece):
            self._tag(name.group().lower(), piece)
        elif piece.startswith(("!", "?", "/")) and ">" in piece:
            self.written.append(piece.partition(">")[2])
        else:
            self.written.append("<" + piece)

    def _begin_skipping(self, until: str, piece: str) -> None:
        self.until, self.skipped = until, []
        if until == "-->":
            self._skip(piece)

    def _skip(self, piece: str) -> None:
        self.skipped.append("<" + piece)
        if self.until == "-->":
            before, _, rest = piece.partition("-->")
            found = before != piece
        else:
            found = piece[: len(self.until)].lower() == self.until
            rest = piece.partition(">")[2]
        if found:
            self.until, self.skipped = "", []
            self.written.append(rest)

    def _tag(self, name: str, piece: str) -> None:
        inside, closed, rest = piece.partition(">")
        if not closed:
            self.written.append("<" + piece)
            return
        if name in UNSEEN_TAGS and not inside.endswith("/"):
            self._begin_skipping("/" + name, piece)
            return
        if "@" in inside.partition(" ")[0]:
            self.written.append(f"<{inside}>")
        elif name.removeprefix("/") in BLOCK_TAGS:
            self.written.append("\n")
        elif name in {"a", "/a"}:
            self._link(inside)
        self.written.append(rest)

    def _link(self, inside: str) -> None:
        if self.address:
            self.written.append(f" <{self.address}>")
        target = _HREF.search(inside[:_LONGEST_TAG])
        self.address = link_address(unescape(target.group(1))) if target else None

    def text(self) -> str:
        """Return what was written, and the words of what was skipped to an end that never came."""
        pieces = self.skipped if self.until else []
        return "".join(self.written + [piece.partition(">")[2] if ">" in piece else piece for piece in pieces])


def strip_tags(markup: str) -> str:
    """Return the text of HTML without laying it out: tags go, blocks begin lines, links keep their addresses."""
    first, *pieces = markup.split("<")
    stripper = _Stripper([first])
    for piece in pieces:
        stripper.take(piece)
    return unescape(stripper.text())
