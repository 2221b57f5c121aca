"""Places in the settings: how they are written, which keys exist where, and which of them are secrets."""

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr

from syncd.model.errors import Problem

Place = tuple[str, ...]
"""The keys from the top down: `("systems", "support", "poll_seconds")`."""

Tree = dict[str, Any]
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
FILE_SUFFIX = "_file"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known word that is nearest, or nothing."""
    by_lower = {one.lower(): one for one in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[found[0]]}?" if found else ""


def write_place(place: Sequence[str]) -> str:
    """Return a place as TOML would write it: keys that need quotes get them."""
    return ".".join(key if BARE_KEY.fullmatch(key) else '"' + _printable(key) + '"' for key in place)


def _printable(key: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in key)[:100]


def table_at(tree: Mapping[str, Any], *place: str) -> Tree:
    """Return the table at a place, or an empty one where there is none (or something else)."""
    found: Any = tree
    for key in place:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def leaves(tree: Tree, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield every value that is not a table, with its place."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*place, key))
        else:
            yield (*place, key), value


@dataclass
class Findings:
    """What loading found: mistakes, things worth a warning, and where each value came from."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    origins: dict[Place, str] = field(default_factory=dict)
    _placed: set[Place] = field(default_factory=set)

    def add(self, place: Place, message: str) -> None:
        """Note a mistake; a second one at the same place is left out, being a consequence of the first."""
        if place not in self._placed:
            self._placed.add(place)
            self.problems.append(Problem(self.shown(place), message))

    def settle(self, place: Place) -> None:
        """Leave out later mistakes at a place: they would follow from one that was noted elsewhere."""
        self._placed.add(place)

    def shown(self, place: Place) -> str:
        """Return the place with where it was written, if that is not plain."""
        origin = next((self.origins[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.origins), "")
        return write_place(place) + (f" ({origin})" if origin else "")


class Outline:
    """Which keys exist where: those of the settings model, and the options of the adapters that are configured."""

    def __init__(self, model: type[BaseModel], options: Mapping[str, type[BaseModel]]) -> None:
        self._model = model
        self._options = options

    def kind_at(self, place: Place) -> Any:
        """Return the annotation of what stands at a place; None where nothing can; `Any` where all can."""
        kind: Any = self._model
        for depth, key in enumerate(place):
            if depth == 2 and place[0] == "systems" and key == "options":
                kind = self._options.get(place[1], Any)
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                known = kind.model_fields.get(key)
                kind = _bare(known.annotation) if known and not known.exclude else None
            elif _is_table(kind):
                kind = _bare((get_args(kind) or (str, Any))[1])
            elif kind is not Any:
                return None
        return kind

    def keys_at(self, place: Place) -> list[str]:
        """Return the keys that a table may have, `..._file` ones included; none where any may stand."""
        kind = self.kind_at(place)
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        names = [name for name, known in kind.model_fields.items() if not known.exclude]
        return names + [name + FILE_SUFFIX for name in names if self.is_secret((*place, name))]

    def is_secret(self, place: Place) -> bool:
        """Tell whether the value at a place is a secret."""
        return self.kind_at(place) in (SecretStr, SecretBytes)

    def secret_of_file(self, place: Place) -> Place | None:
        """Return the place of the secret that a `..._file` key stands for, or None if it is no such key."""
        name = place[-1]
        if not name.endswith(FILE_SUFFIX) or self.kind_at(place) is not None:
            return None
        secret = (*place[:-1], name.removesuffix(FILE_SUFFIX))
        return secret if self.is_secret(secret) else None

    def holds_many(self, place: Place) -> bool:
        """Tell whether a list stands at a place."""
        return get_origin(self.kind_at(place)) in (list, tuple, set, frozenset)

    def holds_table(self, place: Place) -> bool:
        """Tell whether a table stands at a place."""
        kind = self.kind_at(place)
        return _is_table(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def _is_table(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _bare(annotation: Any) -> Any:
    """Return the annotation without `| None` and what `Annotated` adds."""
    while hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        return _bare(others[0]) if len(others) == 1 else annotation
    return annotation
