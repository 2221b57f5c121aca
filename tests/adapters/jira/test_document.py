"""Documents of Jira Cloud as Markdown."""

import pytest

from adapters._jira_document import DEEPEST, file_names, markdown_of


def node(kind, *content, **attributes):
    """Return a node."""
    return {"type": kind, "attrs": attributes, "content": list(content)}


def words(text, **mark):
    """Return a text, with a mark if one is given."""
    return {"type": "text", "text": text, "marks": [mark] if mark else []}


def paragraph(*content):
    """Return a paragraph of texts and nodes."""
    return node("paragraph", *(words(one) if isinstance(one, str) else one for one in content))


def link(text, href):
    """Return a text with a link behind it."""
    return words(text, type="link", attrs={"href": href})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([paragraph("one"), paragraph("two")], "one\n\ntwo"),
        ([paragraph("a", node("hardBreak"), "b")], "a\nb"),
        ([paragraph(words("bold", type="strong"), " plain")], "bold plain"),
        ([node("heading", words("Title"), level=2)], "## Title"),
        ([node("heading", words("Title"), level="many")], "# Title"),
        ([paragraph(link("here", "https://a.test"))], "[here](https://a.test)"),
        ([paragraph(link("https://a.test", "https://a.test"))], "https://a.test"),
        ([paragraph(link("a@b.test", "mailto:a@b.test"))], "a@b.test"),
        (
            [paragraph("Hi ", node("mention", id="1", text="@Anna"), node("emoji", shortName=":smile:", text="😄"))],
            "Hi @Anna😄",
        ),
        ([paragraph(node("emoji", shortName=":custom:"))], ":custom:"),
        ([paragraph(node("inlineCard", url="https://a.test/1"))], "https://a.test/1"),
        ([node("blockCard", url="https://a.test/2")], "https://a.test/2"),
        ([paragraph(node("date", timestamp="1732838400000"))], "2024-11-29"),
        ([paragraph(node("date", timestamp="soon"))], "soon"),
        ([paragraph(node("status", text="DONE", color="green"))], "DONE"),
        ([node("codeBlock", words("x = 1\ny"), language="python")], "```\nx = 1\ny\n```"),
        ([node("blockquote", paragraph("a"), paragraph("b"))], "> a\n>\n> b"),
        ([paragraph("a"), node("rule"), paragraph("b")], "a\n\n---\n\nb"),
        ([node("bulletList", node("listItem", paragraph("a")), node("listItem", paragraph("b")))], "- a\n- b"),
        (
            [node("orderedList", node("listItem", paragraph("a")), node("listItem", paragraph("b")), order=3)],
            "3. a\n4. b",
        ),
        (
            [
                node(
                    "bulletList", node("listItem", paragraph("a"), node("bulletList", node("listItem", paragraph("b"))))
                )
            ],
            "- a\n  - b",
        ),
        (
            [node("taskList", node("taskItem", words("a"), state="DONE"), node("taskItem", words("b"), state="TODO"))],
            "- [x] a\n- [ ] b",
        ),
        ([node("decisionList", node("decisionItem", words("yes")))], "- yes"),
        (
            [node("table", node("tableRow", node("tableHeader", paragraph("A")), node("tableCell", paragraph("1"))))],
            "| A | 1 |",
        ),
        ([node("mediaSingle", node("media", id="u", type="file", alt="plan.pdf"))], "[plan.pdf]"),
        ([node("mediaGroup", node("media", id="u"), node("media", id="v"))], "[file]\n[file]"),
        ([node("expand", paragraph("inside"), title="More")], "More\n\ninside"),
        ([node("panel", paragraph("note"), panelType="info")], "note"),
        ([words("loose"), paragraph("a")], "loose\n\na"),
    ],
)
def test_nodes(content, text):
    """Each node that Jira's editor makes is readable."""
    assert markdown_of(node("doc", *content)) == text


def test_unknown_nodes_show_what_is_in_them():
    """A node type that is not known is shown by its texts, in a line as well as between paragraphs."""
    line = paragraph("a ", node("sparkle", words("b"), words(" c")), node("shiny", text="d"))
    assert markdown_of(node("doc", line, node("layout", node("column", paragraph("e"))))) == "a b cd\n\ne"


@pytest.mark.parametrize(
    "odd",
    [
        *(None, 7, "text", [], {}, {"type": []}, {"type": "doc", "content": "x"}),
        {"type": "doc", "content": [None, 7, "x"]},
        {"type": "text", "text": "a", "marks": "x", "attrs": 7},
        {"type": "text", "text": "a", "marks": [7, {}]},
        {"type": "paragraph", "content": [{"type": "text"}]},
        {"type": "table", "content": [{"type": "tableRow", "content": [7]}]},
        {"type": "heading", "attrs": {"level": True}},
        {"type": "orderedList", "attrs": {"order": "²"}, "content": [{"type": "listItem"}]},
    ],
)
def test_nothing_fails(odd):
    """Whatever stands in the place of a document, there is a text and no failure."""
    assert isinstance(markdown_of(odd), str)
    assert isinstance(file_names(odd), tuple)


def test_deep_documents_are_read():
    """A document that is nested without end is read as its texts, not by a recursion that breaks."""
    deep = words("bottom")
    for _ in range(20 * DEEPEST):
        deep = node("panel", deep)
    assert markdown_of(deep) == "bottom"


def test_just_deep_enough():
    """A document within the limit is still read as one, with its line ends."""
    nested = paragraph("a", node("hardBreak"), "b")
    for _ in range(DEEPEST - 3):
        nested = node("panel", nested)
    assert markdown_of(nested) == "a\nb"


def test_file_names_come_in_order():
    """The files that a text shows are named once each, in the order of reading."""
    media = [node("media", alt="b.png"), node("media", alt="a.png"), node("media", alt="b.png"), node("media")]
    assert file_names(node("doc", node("mediaGroup", *media))) == ("b.png", "a.png")
