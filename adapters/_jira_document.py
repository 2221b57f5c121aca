"""Atlassian Document Format, the JSON that texts of Jira Cloud are made of, as Markdown. Pure, and never failing.

https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/

Node types come and go: one that is not known is shown by the texts inside it. Emphasis is left out, because the text
goes where nobody renders it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Node = dict[str, Any]

DEEPEST = 50
"""A document nested deeper than this is read as its texts alone, line by line."""

INLINE = frozenset(
    {"text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status", "mediaInline", "inlineExtension"}
)
CARDS = frozenset({"inlineCard", "blockCard", "embedCard"})
FILES = frozenset({"media", "mediaInline"})
LISTS = frozenset({"bulletList", "orderedList", "taskList", "decisionList"})


def markdown_of(document: Any) -> str:
    """Return the text of a document; whatever is no document is nothing."""
    if _is_deeper(document, DEEPEST):
        return "\n".join(str(node["text"]) for node in _walk(document) if isinstance(node.get("text"), str))
    return "\n\n".join(_blocks([document] if isinstance(document, dict) else [])).strip()


def file_names(document: Any) -> tuple[str, ...]:
    """Return the names of the files that a document shows, in its order."""
    names = (_attribute(node, "alt") for node in _walk(document) if _kind(node) in FILES)
    return tuple(dict.fromkeys(name for name in names if name))


def _walk(document: Any) -> Iterator[Node]:
    """Yield all nodes in the order of reading, however deep they are."""
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += reversed(_content(node))


def _is_deeper(document: Any, limit: int) -> bool:
    level: list[Any] = [document]
    for _ in range(limit):
        level = [child for node in level if isinstance(node, dict) for child in _content(node)]
        if not level:
            return False
    return True


def _content(node: Node) -> list[Any]:
    content = node.get("content")
    return content if isinstance(content, list) else []


def _kind(node: Node) -> str:
    kind = node.get("type")
    return kind if isinstance(kind, str) else ""


def _attribute(node: Node, name: str) -> str:
    attributes = node.get("attrs")
    value = attributes.get(name) if isinstance(attributes, dict) else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _blocks(nodes: Iterable[Any]) -> list[str]:
    """Return blocks as texts; what stands in a line between them is a block of its own."""
    blocks: list[str] = []
    line = ""
    for node in nodes:
        if not isinstance(node, dict):
            continue
        if _kind(node) in INLINE:
            line += _inline(node)
            continue
        blocks += [line, _block(node)]
        line = ""
    return [block for block in [*blocks, line] if block.strip()]


def _block(node: Node) -> str:
    kind = _kind(node)
    if kind in CARDS | FILES or isinstance(node.get("text"), str):
        return _inline(node)
    show = _BLOCKS.get(kind)
    return show(node) if show else "\n\n".join(_blocks(_content(node))) or _word(node)


def _paragraph(node: Node) -> str:
    return _line(_content(node))


def _heading(node: Node) -> str:
    level = _attribute(node, "level")
    return f"{'#' * (int(level) if level in {*'123456'} else 1)} {_paragraph(node)}"


def _code(node: Node) -> str:
    return f"```\n{_paragraph(node)}\n```"


def _quote(node: Node) -> str:
    return _indented("\n\n".join(_blocks(_content(node))), "> ", "> ")


def _rows(node: Node) -> str:
    return "\n".join(_blocks(_content(node)))


def _row(node: Node) -> str:
    cells = (" ".join(" ".join(_blocks(_content(cell))).split()) for cell in _nodes(_content(node)))
    return f"| {' | '.join(cells)} |"


def _titled(node: Node) -> str:
    return "\n\n".join(filter(None, [_attribute(node, "title"), *_blocks(_content(node))]))


def _list(node: Node) -> str:
    return "\n".join(_items(node))


def _items(node: Node) -> Iterator[str]:
    start = _attribute(node, "order")
    number = int(start) if start.isascii() and start.isdecimal() and len(start) < 6 else 1
    for item in _nodes(_content(node)):
        if _kind(item) in LISTS:
            yield _indented(_block(item), "  ", "  ")
            continue
        mark = f"{number}. " if _kind(node) == "orderedList" else "- "
        if _kind(item) == "taskItem":
            mark = "- [x] " if _attribute(item, "state") == "DONE" else "- [ ] "
        yield _indented("\n".join(_blocks(_content(item))), mark, "  ")
        number += 1


def _line(nodes: Iterable[Any]) -> str:
    return "".join(map(_inline, _nodes(nodes)))


def _inline(node: Node) -> str:
    if isinstance(node.get("text"), str):
        return _linked(node["text"], node)
    show = _INLINES.get(_kind(node))
    return show(node) if show else _line(_content(node)) or _word(node)


def _linked(text: str, node: Node) -> str:
    marks = node.get("marks")
    for mark in _nodes(marks if isinstance(marks, list) else []):
        href = _attribute(mark, "href") if _kind(mark) == "link" else ""
        if href and href not in {text, f"mailto:{text}"}:
            return f"[{text}]({href})"
    return text


def _day(node: Node) -> str:
    timestamp = _attribute(node, "timestamp")
    try:
        return datetime.fromtimestamp(int(timestamp) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return timestamp


def _word(node: Node) -> str:
    return _attribute(node, "text") or _attribute(node, "shortName")


def _address(node: Node) -> str:
    return _attribute(node, "url")


def _file(node: Node) -> str:
    return f"[{_attribute(node, 'alt') or 'file'}]"


def _line_end(node: Node) -> str:  # noqa: ARG001 - one of the ways to show a node
    return "\n"


def _ruler(node: Node) -> str:  # noqa: ARG001 - one of the ways to show a node
    return "---"


def _indented(text: str, first: str, others: str) -> str:
    lines = text.split("\n")
    return "\n".join([f"{first}{lines[0]}", *(f"{others}{line}".rstrip() for line in lines[1:])])


def _nodes(values: Iterable[Any]) -> list[Node]:
    return [value for value in values if isinstance(value, dict)]


_Show = Callable[[Node], str]
_BLOCKS: Mapping[str, _Show] = {
    "paragraph": _paragraph,
    "heading": _heading,
    "codeBlock": _code,
    "blockquote": _quote,
    "rule": _ruler,
    "table": _rows,
    "mediaGroup": _rows,
    "tableRow": _row,
    "expand": _titled,
    "nestedExpand": _titled,
    **dict.fromkeys(LISTS, _list),
}
_INLINES: Mapping[str, _Show] = {
    "hardBreak": _line_end,
    "emoji": _word,
    "mention": _word,
    "status": _word,
    "date": _day,
    **dict.fromkeys(CARDS, _address),
    **dict.fromkeys(FILES, _file),
}
