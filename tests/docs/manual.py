"""The manual page and the table of commands for shells, both made of the commands themselves.

`make docs` runs it; a test holds both files against the commands.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from syncd import __version__
from syncd.console.group import program
from syncd.console.main import ABOUT, COMMANDS, PROGRAM, program_help

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs" / "man" / "syncd.1"
TABLE = ROOT / "syncd" / "console" / "shells" / "commands.json"

CHOICES = re.compile(r"[<\[]([\w.-]+(?:\|[\w.-]+)+)[>\]]")
TABLES = {"system": "systems", "api": "api"}
NAMES = {"apis": "api", "systems": "systems"}
HELP = {"words": ["--help"], "help": "Show this message and exit.", "value": "", "choices": [], "table": None}
VERSION = {**HELP, "words": ["--version"], "help": "Show the version and exit."}
CONFIG = {**HELP, "words": ["--config"], "help": "The settings file.", "value": "PATH"}


def commands() -> dict[str, Any]:
    """Return every command with its options and arguments."""
    group: Any = program(COMMANDS, program_help)
    inner = {name: _node(group.get_command(None, name), [name], text) for name, (_, text) in COMMANDS.items()}
    return {"help": ABOUT, "commands": inner, "options": [CONFIG, VERSION, HELP], "arguments": []}


def _node(command: Any, path: list[str], text: str) -> dict[str, Any]:
    inner = {
        name: _node(one, [*path, name], _first_sentence(one.help or ""))
        for name, one in getattr(command, "commands", {}).items()
        if not one.hidden
    }
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    # The library adds its own to groups that end without a command.
    options = [_option(command, one, path) for one in shown if one.param_type_name == "option" and one.name != "help"]
    arguments = [_argument(command, one, path) for one in shown if one.param_type_name == "argument"]
    node = {
        "help": text,
        "text": _paragraphs(command.help or text),
        "options": [*options, HELP],
        "arguments": arguments,
    }
    return node | ({"commands": inner} if inner else {})


def _option(command: Any, option: Any, path: list[str]) -> dict[str, Any]:
    said = str(option.get_help_record(_context(command))[0])
    takes_value = not option.is_flag and not option.count
    return {
        "words": [*option.opts, *option.secondary_opts],
        "help": option.help or "",
        "value": (said.rpartition(" ")[2].strip("<>[]") if takes_value else ""),
        **_values(said if takes_value else "", option, path),
    }


def _argument(command: Any, argument: Any, path: list[str]) -> dict[str, Any]:
    said = str((argument.get_help_record(_context(command)) or [""])[0])
    name = (argument.metavar or argument.name.upper()).strip("[]").removesuffix("...")
    many = argument.nargs == -1
    return {"name": name, "help": argument.help or "", "required": argument.required, "many": many} | _values(
        said, argument, path
    )


def _values(said: str, parameter: Any, path: list[str]) -> dict[str, Any]:
    found = CHOICES.search(said)
    table = TABLES.get(parameter.name)
    if parameter.param_type_name == "argument":
        table = NAMES.get(path[0]) if parameter.name == "name" else None
    return {"choices": found[1].split("|") if found else [], "table": table}


def _context(command: Any) -> Any:
    return command.make_context(PROGRAM, [], resilient_parsing=True)


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n", 1)[0].split()).split(". ", 1)[0].rstrip(".") + "."


def _paragraphs(text: str) -> list[str]:
    return [" ".join(one.split()) for one in text.split("\n\n") if one.strip()]


def table() -> str:
    """Return the table of commands for shells."""
    return json.dumps(_without_texts(commands()), indent=1, ensure_ascii=False) + "\n"


def _without_texts(node: dict[str, Any]) -> dict[str, Any]:
    inner = {name: _without_texts(one) for name, one in node.get("commands", {}).items()}
    return {key: value for key, value in node.items() if key != "text"} | ({"commands": inner} if inner else {})


def manual() -> str:
    """Return the manual page, in the language of man(7)."""
    return "\n".join(_lines(commands())) + "\n"


def _lines(whole: dict[str, Any]) -> Iterator[str]:
    yield '.\\" Made of the commands by `make docs`; do not edit.'
    yield f'.TH SYNCD 1 "" "syncd {__version__}" "User Commands"'
    yield from (".SH NAME", f"{PROGRAM} \\- {_man(whole['help'][0].lower() + whole['help'][1:].rstrip('.'))}")
    yield from (".SH SYNOPSIS", f".B {PROGRAM}", r"[\fB\-\-config\fR \fIPATH\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]")
    yield from (".SH DESCRIPTION", _man(whole["help"]))
    yield "The service itself is \\fBsyncd run\\fR; all other commands may be called beside it at any time."
    yield from (".SH OPTIONS", *_parameters(whole["options"], []))
    yield ".SH COMMANDS"
    for name, node in whole["commands"].items():
        yield from _command([name], node)
    yield from (".SH EXIT STATUS", ".TP", "0", "Good.", ".TP", "1", "Something failed or needs a person.")
    yield from (".TP", "2", "Usage or settings.")
    yield from (".SH ENVIRONMENT", ".TP", ".B SYNCD_CONFIG", "The settings file, where \\-\\-config is not given.")
    yield from (".TP", r".BR SYNCD_ \fIPLACE\fR", "A setting of that place, such as SYNCD_API__BERLIN__API_KEY.")
    yield from (".SH FILES", ".TP", ".I /etc/syncd/config.toml", "The settings, with conf.d/*.toml beside them.")
    yield from (".TP", ".I /var/lib/syncd/syncd.db", "The database, unless the settings name another.")


def _command(path: list[str], node: dict[str, Any]) -> Iterator[str]:
    arguments = " ".join(
        (f"\\fI{_man(one['name'])}\\fR" if one["required"] else f"[\\fI{_man(one['name'])}\\fR]")
        + ("..." if one["many"] else "")
        for one in node["arguments"]
    )
    yield f".SS {PROGRAM} {_man(' '.join(path))} {arguments}".rstrip()
    for place, paragraph in enumerate(node["text"]):
        yield from ([".PP"] if place else [])
        yield _man(paragraph)
    yield from _parameters([one for one in node["options"] if one not in (HELP, CONFIG)], node["arguments"])
    for name, inner in node.get("commands", {}).items():
        yield from _command([*path, name], inner)


def _parameters(options: list[dict[str, Any]], arguments: list[dict[str, Any]]) -> Iterator[str]:
    for one in arguments:
        yield from (".TP", f".I {_man(one['name'])}", _man(one["help"] or "|".join(one["choices"])))
    for one in options:
        words = ", ".join(f"\\fB{_man(word)}\\fR" for word in one["words"])
        value = f" \\fI{_man('|'.join(one['choices']) or one['value'])}\\fR" if one["value"] else ""
        yield from (".TP", f"{words}{value}", _man(one["help"]))


def _man(text: str) -> str:
    """Return a text in which nothing is taken for a command of the page's language."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped)


def main() -> None:
    """Write both files."""
    MANUAL.parent.mkdir(exist_ok=True)
    MANUAL.write_text(manual(), encoding="utf-8")
    TABLE.write_text(table(), encoding="utf-8")


if __name__ == "__main__":
    main()
