"""What may stand next on a command line: for the shells, which ask at each press of the tabulator.

It has to be there at once, so no command is imported: commands and options stand in a file that is made of them
(tests/docs/manual.py). Names of systems and apis come from the settings files as they are, unchecked, so that they
are there also while something else in those is wrong.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

CONFIG = "--config"

Node = Mapping[str, Any]
"""A command as the file has it: its help, and its commands, options and arguments."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One word that may stand there, and what it means."""

    word: str
    help: str = ""


def complete(words: Sequence[str]) -> str:
    """Return a line for each word that may stand in place of the last one: the word, a tabulator, what it means."""
    *typed, begun = [word for word in words if word != "="] or [""]
    found = (one for one in candidates(typed, begun, read_commands()) if one.word.startswith(begun))
    return "".join(f"{one.word}\t{' '.join(one.help.split())}\n" for one in found)


def read_commands() -> Node:
    """Return every command with its options and arguments."""
    read: Node = json.loads((files("syncd.console") / "shells" / "commands.json").read_text(encoding="utf-8"))
    return read


def candidates(typed: Sequence[str], begun: str, commands: Node) -> Iterator[Candidate]:
    """Yield what may follow the words that were typed; nothing where a file or a free text stands."""
    rest, config = _without_config(typed)
    if typed and typed[-1] == CONFIG:
        return
    node = commands
    while rest and rest[0] in node.get("commands", {}):
        node = node["commands"][rest.pop(0)]
    waiting = next((one for one in node["options"] if rest and rest[-1] in one["words"] and one["value"]), None)
    if waiting is not None:
        yield from _values(waiting, config)
    elif begun.startswith("-"):
        yield from (Candidate(word, one["help"]) for one in node["options"] for word in one["words"])
    else:
        place = _arguments_typed(node["options"], rest)
        if not place:
            yield from (Candidate(name, one["help"]) for name, one in node.get("commands", {}).items())
        arguments = node["arguments"]
        if arguments and (place < len(arguments) or arguments[-1]["many"]):
            yield from _values(arguments[min(place, len(arguments) - 1)], config)


def _without_config(typed: Sequence[str]) -> tuple[list[str], Path | None]:
    """Return the words without `--config PATH`, and that path."""
    words, config = list(typed), None
    while CONFIG in words:
        place = words.index(CONFIG)
        config = Path(words[place + 1]) if place + 1 < len(words) else None
        del words[place : place + 2]
    return words, config


def _arguments_typed(options: Iterable[Mapping[str, Any]], rest: Sequence[str]) -> int:
    valued = {word for one in options if one["value"] for word in one["words"]}
    return sum(
        not word.startswith("-") and (place == 0 or rest[place - 1] not in valued) for place, word in enumerate(rest)
    )


def _values(parameter: Mapping[str, Any], config: Path | None) -> Iterator[Candidate]:
    """Yield the values that a parameter may have, as far as they can be known."""
    words = parameter["choices"] or (_configured(parameter["table"], config) if parameter["table"] else [])
    yield from map(Candidate, words)


def _configured(table: str, config: Path | None) -> list[str]:
    """Return the names of systems or apis in the settings; none if those cannot be read."""
    from syncd.model.errors import SettingsError  # noqa: PLC0415 - only where names are asked for
    from syncd.service.settings_files import find_settings_path, read_settings_files  # noqa: PLC0415
    from syncd.service.settings_places import Findings  # noqa: PLC0415

    try:
        tree = read_settings_files(find_settings_path(config, os.environ), Findings())
    except SettingsError:
        return []
    found = tree.get(table, {})
    return sorted(found) if isinstance(found, Mapping) else []
