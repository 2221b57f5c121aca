"""HTML to readable text: what is hidden is dropped, links show their addresses, quotes get their `>`.

The tree is prepared here, so that only text, structure and a few harmless attributes reach inscriptis, which lays it
out. Markup past the limits below goes through `strip_tags` instead: the parser (libxml2) silently drops everything
that is nested 256 deep, and the layout would take its time or its stack.
"""

import re
from collections.abc import Iterable
from copy import copy

from inscriptis.css_profiles import CSS_PROFILES  # type: ignore[import-untyped]  # inscriptis ships no types
from inscriptis.html_engine import Inscriptis  # type: ignore[import-untyped]
from inscriptis.html_properties import Display  # type: ignore[import-untyped]
from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped]
from inscriptis.model.html_element import HtmlElement  # type: ignore[import-untyped]
from lxml import etree  # type: ignore[import-untyped]  # lxml ships no types
from lxml.etree import Element, HTMLParser  # type: ignore[import-untyped]

from syncd.mapping.flow import Flow
from syncd.mapping.history import ORIGINAL_MESSAGE
from syncd.mapping.tags import BLOCK_TAGS, UNSEEN_TAGS, link_address, strip_tags, tells_more
from syncd.mapping.text import clean, is_blank, one_line, tidy

LARGEST_MARKUP = 500_000
"""Characters, without inline images, up to which HTML is laid out: about a third of a second of one core."""
MOST_TAGS = 30_000
"""Tags up to which HTML is laid out."""
DEEPEST_MARKUP = 100
"""Levels of nesting up to which HTML is laid out; inscriptis takes a frame of the stack for each."""
LARGEST_SWELLING = 4
"""How many times longer than its markup a laid-out text may be; padding and indentation can swell it."""
WIDEST_CELL = 60
MOST_COLUMNS = 12
MOST_CELL_ELEMENTS = 10
"""A table within these three bounds is laid out in columns. Any other is a page layout: its cells are blocks."""
DEEPEST_LIST = 8
_PUT_AROUND = 10

# Non-characters: `clean` has removed them from the markup and `_FORGED` from its references, so they are ours.
_QUOTE_BEGINS, _QUOTE_ENDS = "\ufdd0", "\ufdd1"
_FORGED = re.compile(r"&#(?:x0*fdd[01]|0*6497[67])(?![0-9a-f]);?", re.IGNORECASE)
_INLINE_DATA = re.compile(r"""(?<==["'])data:[a-z]+/[^"'<>\s]{200,}""", re.IGNORECASE)
_HIDING = re.compile(r"display:none|visibility:hidden|mso-hide:all")
_KEPT_SPACE = re.compile(r"white-space:(?:pre|break-spaces)")
# Outlook writes its quotes without a mark but with this line above the header of the original.
_OUTLOOK_LINE = re.compile(r"border-top:solid#[0-9a-f]{3,6}[0-9.]+pt;padding:[0-9.]+pt0(?:cm|in|mm)?0", re.IGNORECASE)
_TINY = re.compile(r"[0-2](?:px)?")
_NUMBER = re.compile(r"[0-9]{1,6}")
_PARSER_OPTIONS = {"encoding": "utf-8", "remove_comments": True, "remove_pis": True}
_TABLE_TAGS = ("table", "thead", "tbody", "tfoot", "tr", "td", "th")
_KNOWN_BLOCKS = BLOCK_TAGS.difference(CSS_PROFILES["strict"], _TABLE_TAGS, {"br"})
_CSS = dict(CSS_PROFILES["strict"]) | {tag: HtmlElement(display=Display.block) for tag in _KNOWN_BLOCKS}
_FLOW = Flow(_CSS)
_LAYOUT_FAILURES = (
    etree.LxmlError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def html_to_text(markup: str) -> str:
    """Return the text of HTML as a reader sees it, tidied; never raises, whatever the markup."""
    markup = _without_tricks(clean(markup))
    if len(markup) > LARGEST_MARKUP or markup.count("<") > MOST_TAGS:
        return tidy(clean(strip_tags(markup)))
    try:
        text = _laid_out(markup)
    except _LAYOUT_FAILURES:
        # What a foreign parser makes of foreign markup is not ours to foresee; its words must arrive all the same.
        text = None
    return tidy(clean(strip_tags(markup) if text is None else text))


def _without_tricks(markup: str) -> str:
    if "data:" in markup.lower():
        markup = _INLINE_DATA.sub("", markup)
    return _FORGED.sub("\ufffd", markup) if "&#" in markup else markup


def _laid_out(markup: str) -> str | None:
    if is_blank(markup):
        return ""
    # The elements of lxml itself: those of lxml.html are looked up in Python, one by one, and are not needed.
    tree = etree.fromstring(markup.encode(), parser=HTMLParser(**_PARSER_OPTIONS))
    if tree is None:
        return None
    # Nothing is deeper than there are tags, but for the few that the parser puts around them.
    if markup.count("<") > DEEPEST_MARKUP - _PUT_AROUND and _depth(tree) > DEEPEST_MARKUP:
        return None
    has_attributes = _prepare(tree)
    text = None if has_attributes else _FLOW.find_text(tree)
    if text is None:
        text = _by_inscriptis(tree)
    if len(text) > LARGEST_SWELLING * len(markup) + 1000:
        return None
    has_quotes = _QUOTE_BEGINS in text or _QUOTE_ENDS in text
    return _with_quote_marks(text.split("\n")) if has_quotes else text


def _by_inscriptis(tree: Element) -> str:
    # inscriptis writes into the body's style, so each layout has its own: two may run in two threads.
    css = _CSS | {"body": copy(_CSS["body"])}
    text: str = Inscriptis(tree, ParserConfig(css=css)).get_text()
    return text


def _depth(tree: Element) -> int:
    depth = deepest = 0
    for event, _ in etree.iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest


def _prepare(tree: Element) -> bool:
    """Rewrite the tree into text and structure; return whether attributes are left. Children come before parents."""
    has_attributes = False
    elements = [element for element in tree.iter() if isinstance(element.tag, str)]
    columns: set[Element] = set()
    for element in reversed(elements):
        attributes = element.attrib
        style = "".join((attributes.get("style") or "").lower().split()) if attributes else ""
        if element.tag in UNSEEN_TAGS or (attributes and ("hidden" in attributes or _HIDING.search(style))):
            element.clear(keep_tail=True)
            element.tag = "span"
            continue
        _show(element)
        if element.tag == "table" and _is_data(element):
            columns.update(element.iter(*_TABLE_TAGS))
        elif element.tag == "div" and attributes and _is_outlook_line(element, style):
            _insert_first(element, ORIGINAL_MESSAGE)
        if attributes:
            _keep_attributes(element, style)
            has_attributes |= bool(element.attrib)
    for element in elements:
        if _is_plain_block(element, columns):
            element.tag = "div"
    return has_attributes


def _is_outlook_line(element: Element, style: str) -> bool:
    return element.get("id") == "divRplyFwdMsg" or _OUTLOOK_LINE.search(style) is not None


def _is_plain_block(element: Element, columns: set[Element]) -> bool:
    if element.tag in _TABLE_TAGS:
        return element not in columns
    if element.tag in {"ul", "ol"}:
        return sum(1 for _ in element.iterancestors("ul", "ol")) >= DEEPEST_LIST
    # A paragraph's margins would spread the row of a table over several lines.
    return element.tag == "p" and element.getparent() in columns


def _show(element: Element) -> None:
    """Turn into text what a tag shows by its attributes."""
    if "@" in element.tag:
        # `<max@example.com>`, written without escaping, is an address and not a tag.
        element.text = f"<{element.tag}>{element.text or ''}"
        element.tag = "span"
    elif element.tag == "img":
        element.text, element.tag = _image_text(element), "span"
    elif element.tag == "hr":
        element.text, element.tag = "---", "div"
    elif element.tag == "a":
        address = link_address(clean(element.get("href") or ""))
        shown = "".join(element.itertext())
        if address and not is_blank(shown) and tells_more(address, shown):
            _append(element, f" <{address}>")
    elif element.tag == "blockquote":
        _insert_first(element, _QUOTE_BEGINS)
        _insert_last(element, _QUOTE_ENDS)


def _image_text(image: Element) -> str:
    """Return `[alternative text]`; an empty one says that the image is decoration, a missing one `[image]`."""
    alternative = image.get("alt")
    if alternative is None:
        tiny = any(_TINY.fullmatch(image.get(side) or "") for side in ("width", "height"))
        return "" if tiny else "[image]"
    return "" if is_blank(alternative) else f"[{one_line(alternative)}]"


def _append(element: Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text


def _insert_first(element: Element, line: str) -> None:
    block = Element("div")
    block.text, block.tail, element.text = line, element.text, None
    element.insert(0, block)


def _insert_last(element: Element, line: str) -> None:
    block = Element("div")
    block.text = line
    element.append(block)


def _keep_attributes(element: Element, style: str) -> None:
    """Leave what inscriptis may read: it trusts styles with margins of any width and with recursion."""
    start, value = element.get("start") or "", element.get("value") or ""
    element.attrib.clear()
    if _KEPT_SPACE.search(style):
        element.set("style", "white-space: pre")
    if element.tag == "li" and _NUMBER.fullmatch(value):
        element.set("value", value)
    elif element.tag == "ol" and _NUMBER.fullmatch(start) and len(element) and element[0].tag == "li":
        element[0].set("value", start)


def _is_data(table: Element) -> bool:
    """Tell whether a table holds short cells in a few columns, rather than the layout of a page."""
    if next(table.iterdescendants("table", "blockquote", "ul", "ol", "pre"), None) is not None:
        return False
    most = 0
    for row in table.iter("tr"):
        cells = [cell for cell in row if cell.tag in {"td", "th"}]
        most = max(most, len(cells))
        if most > MOST_COLUMNS or not all(map(_is_short, cells)):
            return False
    return most > 1


def _is_short(cell: Element) -> bool:
    elements = sum(1 for _ in cell.iter())
    return elements <= MOST_CELL_ELEMENTS and len(one_line("".join(cell.itertext()))) <= WIDEST_CELL


def _with_quote_marks(lines: Iterable[str]) -> str:
    """Return the lines with a `>` for each quote around them, in place of the marks that `_show` has left."""
    marked: list[str] = []
    depth = 0
    for line in lines:
        begins, ends = line.count(_QUOTE_BEGINS), line.count(_QUOTE_ENDS)
        depth += begins
        text = line.replace(_QUOTE_BEGINS, "").replace(_QUOTE_ENDS, "") if begins or ends else line
        if text.strip() or not (begins or ends):
            marked.append(">" * depth + " " + text if depth else text)
        depth = max(0, depth - ends)
    return "\n".join(marked)
