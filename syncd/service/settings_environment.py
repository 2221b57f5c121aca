"""Environment variables over the settings files: `SYNCD_API__BERLIN__API_KEY` is `api.berlin.api_key`.

`__` goes one level down; letters of any case are the same; `_` in a variable also stands for a `-` in a name, so
`SYNCD_API__BERLIN_MITTE__API_KEY` reaches `[api.berlin-mitte]`. Names therefore never hold `__`. A variable that
reaches nothing is a mistake, with the nearest known place, and so is one that two configured names answer to.
A list is written with commas or as a JSON array, a table as a JSON object.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from syncd.model.errors import Problem
from syncd.service.settings_places import Findings, Outline, Place, Tree, nearest, table_at, write_place

PREFIX = "SYNCD_"
LEVEL = "__"
NOT_SETTINGS = ("SYNCD_CONFIG", "SYNCD_BACKFILL_ARGS", "SYNCD_TEST_")
FOUNDING_KEYS = {"api": "base_url", "systems": "adapter"}
"""The key without which a variable cannot found an api or a system that no file knows."""

Variables = dict[str, Place]


def find_variables(environ: Mapping[str, str]) -> Variables:
    """Return our variables, each with its levels in small letters; names are not yet those of the files."""
    return {
        variable: tuple(variable[len(PREFIX) :].lower().split(LEVEL))
        for variable in sorted(environ)
        if variable.upper().startswith(PREFIX) and not variable.upper().startswith(NOT_SETTINGS)
    }


def name_variables(variables: Variables, tree: Tree, findings: Findings) -> Variables:
    """Return the variables with the names of apis and systems as they are configured; those without one are noted."""
    founded = {place[:2] for place in variables.values() if len(place) == 3 and FOUNDING_KEYS.get(place[0]) == place[2]}
    named: Variables = {}
    for variable, place in variables.items():
        if place[0] not in FOUNDING_KEYS or len(place) < 2 or not place[1]:
            named[variable] = place
            continue
        configured = list(table_at(tree, place[0]))
        found = _answering(place[1], configured)
        if len(found) == 1:
            named[variable] = (place[0], found[0], *place[2:])
        elif found:
            names = " and ".join(f"{place[0]}.{name}" for name in found)
            findings.problems.append(Problem(variable, f"may mean {names}; set the key in a file, or rename one"))
        elif place[:2] in founded:
            named[variable] = place
        else:
            hint = nearest(place[1], configured)
            founding = f"{PREFIX}{place[0]}__{place[1]}__{FOUNDING_KEYS[place[0]]}".upper()
            message = f"no [{place[0]}.{place[1]}] is configured{hint or f' (a new one needs {founding} too)'}"
            findings.problems.append(Problem(variable, message))
    return named


def read_environment(
    variables: Variables, environ: Mapping[str, str], outline: Outline, tree: Tree, findings: Findings
) -> Tree:
    """Return the tree of the variables, whose places were named by `name_variables`."""
    read: Tree = {}
    for variable, place in variables.items():
        resolved = _resolve(place, outline, tree)
        if resolved is None:
            _note_unknown(variable, place, outline, findings)
        elif _known(read, resolved) or not _is_open(read, resolved):
            findings.add(resolved, f"is set by {variable} and by another variable; leave one of them")
        else:
            findings.origins[resolved] = variable
            _insert(read, resolved, _value(environ[variable], resolved, outline, findings))
    return read


def _resolve(place: Place, outline: Outline, tree: Tree) -> Place | None:
    """Return the place with every key as it is spelled, or None if there can be nothing."""
    resolved: Place = ()
    for key in place:
        known = outline.keys_at(resolved)
        if known:
            found = _answering(key, known)
        else:
            found = _answering(key, table_at(tree, *resolved)) or [key] if outline.kind_at((*resolved, key)) else []
        if not key or len(found) != 1:
            return None
        resolved = (*resolved, found[0])
    return resolved


def _answering(word: str, known: Iterable[str]) -> list[str]:
    """Return which known keys a level of a variable stands for."""
    return [one for one in known if one.lower().replace("-", "_") == word.replace("-", "_")]


def _note_unknown(variable: str, place: Place, outline: Outline, findings: Findings) -> None:
    for depth in range(len(place)):
        known = outline.keys_at(place[:depth])
        if known and place[depth] not in known:
            hint = nearest(place[depth], known)
            break
    else:
        hint = ""
    problem = Problem(variable, f"{write_place(place)} is no setting{hint}")
    # A single level may be a variable of somebody else; with `__` in it, it was meant for us.
    (findings.problems if len(place) > 1 else findings.warnings).append(problem)


def _known(tree: Tree, place: Place) -> bool:
    return place[-1] in table_at(tree, *place[:-1])


def _is_open(tree: Tree, place: Place) -> bool:
    """Tell whether there are tables, or nothing yet, on the way to a place."""
    found: Any = tree
    for key in place[:-1]:
        if key not in found:
            return True
        found = found[key]
        if not isinstance(found, dict):
            return False
    return True


def _insert(tree: Tree, place: Place, value: Any) -> None:
    for key in place[:-1]:
        tree = tree.setdefault(key, {})
    tree[place[-1]] = value


def _value(text: str, place: Place, outline: Outline, findings: Findings) -> Any:
    """Return a text as it is, except where a list or a table stands. Numbers are read where they are validated."""
    many, table = outline.holds_many(place), outline.holds_table(place)
    if table and len(place) < 3:
        findings.add(
            place, f"is a table; set its keys one by one, such as {PREFIX}{LEVEL.join(place).upper()}{LEVEL}KEY"
        )
        return {}
    if table or (many and text.lstrip().startswith("[")):
        try:
            read = orjson.loads(text)
        except orjson.JSONDecodeError:
            read = None
        if isinstance(read, dict if table else list):
            return read
        findings.add(place, f"must be written as a JSON {'object' if table else 'array'}")
        return {} if table else []
    return [part.strip() for part in text.split(",") if part.strip()] if many else text
