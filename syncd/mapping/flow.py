"""Laying out what merely flows: blocks, lines and text, which most replies are made of.

It comes to the very text that inscriptis makes of it, at a quarter of the time; see there for its rules, which
tests/mapping/test_flow.py holds this to. Lists, tables, preformatted text and the like are left to inscriptis.
"""

from collections.abc import Mapping
from html import unescape

from inscriptis.html_properties import Display, WhiteSpace  # type: ignore[import-untyped]  # inscriptis ships no types
from inscriptis.model.html_element import HtmlElement  # type: ignore[import-untyped]
from lxml import etree  # type: ignore[import-untyped]  # lxml ships no types
from lxml.etree import Element  # type: ignore[import-untyped]

_LAID_OUT_ELSEWHERE = frozenset(("table", "tr", "td", "th", "ul", "ol", "li", "img"))
_TOP = 1000
"""The margin above the first line: no block wants more, so that no empty line is put there."""


class Flow:
    """How tags flow by a style sheet of inscriptis: as blocks with a margin, or within the line."""

    def __init__(self, css: Mapping[str, HtmlElement]) -> None:
        self._margins: dict[str, int] = {}
        self._others = {"q", "pre", *_LAID_OUT_ELSEWHERE}
        for tag, style in css.items():
            is_text = style.display is not Display.none and style.whitespace is not WhiteSpace.pre
            is_plain = not (style.prefix or style.suffix or style.padding_inline)
            if not is_text or not is_plain or style.margin_before != style.margin_after:
                self._others.add(tag)
            elif style.display is Display.block:
                self._margins[tag] = style.margin_after
        self._others.discard("body")

    def find_text(self, tree: Element) -> str | None:
        """Return the text of a tree whose elements have no attributes, None if it holds what does not merely flow."""
        lines = _Lines()
        around = [0]  # the margins of the elements that are open
        for event, element in etree.iterwalk(tree, events=("start", "end", "comment", "pi")):
            tag = element.tag
            margin = self._margins.get(tag)
            if event == "start":
                if tag in self._others:
                    return None
                if margin is not None:
                    lines.break_off(max(margin, around[-1]))
                elif tag == "br":
                    lines.end_line()
                around.append(margin or 0)
                if text := element.text:
                    lines.write(text)
            elif event == "end":
                around.pop()
                if margin is not None:
                    lines.break_off(margin)
                if tail := element.tail:
                    lines.write(tail)
            else:
                return None
        return lines.text()


class _Lines:
    """The lines so far, and the one that is being written."""

    __slots__ = ("_done", "_ends_blank", "_line", "_margin")

    def __init__(self) -> None:
        self._done: list[str] = []
        self._line = ""
        self._ends_blank = True
        self._margin = _TOP

    def write(self, text: str) -> None:
        """Add text to the line; each run of blanks is one, and none at its beginning."""
        words = " ".join(text.split())
        if not words:
            if not self._ends_blank:
                self._line += " "
                self._ends_blank = True
            return
        begins = " " if not self._ends_blank and text[0].isspace() else ""
        self._ends_blank = text[-1].isspace()
        self._line += unescape(f"{begins}{words} " if self._ends_blank else begins + words)

    def break_off(self, margin: int) -> None:
        """End the line where a block begins or ends, with a margin to what comes next."""
        self._flush()
        if margin > self._margin:
            self._done.append("\n" * (margin - self._margin - 1))
            self._margin = margin

    def end_line(self) -> None:
        """End the line, even an empty one."""
        if not self._flush():
            self._done.append("")
            self._line, self._ends_blank = "", True

    def text(self) -> str:
        """Return all lines."""
        self._flush()
        return "\n".join(self._done)

    def _flush(self) -> bool:
        if self._ends_blank:
            self._line = self._line.removesuffix(" ")
        if not self._line:
            return False
        self._done.append(self._line.removesuffix(" ") if self._ends_blank else self._line)
        self._line, self._ends_blank, self._margin = "", True, 0
        return True
