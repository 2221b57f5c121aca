"""Every command line in the documentation is one that the program takes, and every file and anchor is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.console.context import Invocation
from syncd.console.group import program
from syncd.console.main import COMMANDS, PROGRAM, program_help

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OTHERS = [ROOT / "config.example.toml", *sorted((ROOT / "systemd").iterdir())]
PLACEHOLDERS = {"%i": "support"}


def named(path: Path) -> str:
    """Return how a file is called in the repository."""
    return str(path.relative_to(ROOT))


def fences(text: str, language: str) -> Iterator[str]:
    """Yield the fenced blocks of a language."""
    yield from re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def full_lines(path: Path) -> Iterator[str]:
    """Yield the command lines that a reader would copy: of shell blocks, and of units."""
    text = path.read_text(encoding="utf-8")
    for block in fences(text, "sh"):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"^Exec\w+=(.*)$", text, re.MULTILINE)


def stages(line: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line: what stands between pipes, redirections and the like."""
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    reader.whitespace_split = True
    words: list[str] = []
    for word in [*reader, "|"]:
        if set(word) <= set("|&;<>"):
            yield words
            words = []
        else:
            words.append(word)


def full_commands() -> list[tuple[str, list[str]]]:
    """Return every whole call of the program that stands in the documentation: its file, its arguments."""
    found = []
    for path in [*PAGES, *OTHERS]:
        for words in (words for line in full_lines(path) for words in stages(line)):
            given = ["1"] if words[:1] == ["xargs"] else []  # the id that comes through the pipe
            while words and words[0] in {"sudo", "xargs", "-n", "1"}:
                words.pop(0)
            if words and Path(words[0]).name == PROGRAM:
                arguments = [PLACEHOLDERS.get(word, word) for word in words[1:] if not word.startswith("$")]
                found.append((named(path), arguments + given))
    return found


def mentioned_commands() -> list[tuple[str, list[str]]]:
    """Return every call that is named within a sentence, where arguments may be left out."""
    found = []
    for path in [*PAGES, *OTHERS]:
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for span in re.findall(r"`([^`]+)`", re.sub(r"\n#? *", " ", text)):
            words = span.split()
            if words[:1] == [PROGRAM] and len(words) > 1 and words[1] != "COMMAND":
                found.append((named(path), words[1:]))
    return found


def context() -> Any:
    """Return the program's own context, as if nothing but its name had been typed."""
    group: Any = program(COMMANDS, program_help)
    found = group.make_context(PROGRAM, ["run"])
    found.obj = Invocation()
    return found


def unique(commands: list[tuple[str, list[str]]]) -> list[Any]:
    """Return each of them once, as parameters with an id."""
    return [
        pytest.param(words, id=" ".join([place, *words]))
        for place, words in {str(one): one for one in commands}.values()
    ]


@pytest.mark.parametrize("words", unique(full_commands()))
def test_a_command_line_is_understood(words: list[str]):
    """Command, options, values and arguments are what the program takes; nothing is missing and nothing is too much."""
    parent, command = context(), program(COMMANDS, program_help)
    while hasattr(command, "resolve_command") and (words or not command.invoke_without_command):
        name, command, words = command.resolve_command(parent, words)
        assert command is not None
        parent = command.make_context(name, list(words), parent=parent)
        words = [*getattr(parent, "_protected_args", []), *parent.args]


@pytest.mark.parametrize("words", unique(mentioned_commands()))
def test_a_command_that_is_mentioned_exists(words: list[str]):
    """The command that a sentence names is there, with the options that it names."""
    parent, command = context(), program(COMMANDS, program_help)
    words = list(words)
    while hasattr(command, "resolve_command"):
        if not words:
            return  # a group alone: `syncd links`
        if words[0].startswith("-") and getattr(command, "invoke_without_command", False):
            break  # a group that is a command as well: `syncd backfill --dry-run`
        found = command.get_command(parent, words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    known.add("--help")
    assert {word for word in words if word.startswith("-")} <= known


def test_the_search_finds_commands():
    """The two tests above look at something: an own installation, decisions, and a unit are among it."""
    lines = [words for _, words in full_commands()]
    assert ["check"] in lines
    assert any(words[:2] == ["deliveries", "resolve"] for words in lines)
    assert any(place.startswith("systemd/") for place, _ in full_commands())
    assert len(mentioned_commands()) > 30


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path):
    """A link to a file of the repository leads to one, and one to a heading leads to that heading."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target
