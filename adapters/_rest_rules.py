"""One field after the other: an expression, what may come of it, and what an operator who tries it out is told."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from adapters._rest_expressions import Expression, Unfit
from syncd.model.errors import UnexpectedAnswer
from syncd.sources.trial import TriedField, made_text

Word = TypeVar("Word", bound=StrEnum)


def no_doubt(found: Any) -> str | None:  # noqa: ARG001 - the signature of all doubts
    """Return None: whatever can be read is good."""
    return None


@dataclass(frozen=True, slots=True)
class Rule:
    """One field of a record.

    `place` is where its expression stands in the settings; `make` turns what that gives into a value, or raises
    `Unfit`; `doubt` says what an operator should hear about a value that can be read and is hardly meant, and `table`
    is where a word is looked up that is kept as the vendor's.
    """

    place: str
    expression: Expression
    make: Callable[[Any], Any]
    doubt: Callable[[Any], str | None] = field(default=no_doubt)
    table: "WordTable | None" = None

    @property
    def name(self) -> str:
        """Return the last part of the place."""
        return self.place.rpartition(".")[2]

    def value(self, scope: Any, about: str) -> Any:
        """Return the value of the field in a record.

        Raises:
            UnexpectedAnswer: there is none; the message names the place and what the record is `about`, no contents.
        """
        try:
            return self.make(self.expression.find(scope))
        except Unfit as error:
            reason = str(error)
        raise UnexpectedAnswer(f"{self.place} {reason} ({about})")

    def tried(self, scope: Any, place: str) -> TriedField:
        """Return what the field becomes, whatever it is."""
        found: Any = None
        try:
            found = self.expression.find(scope)
            made, problem = made_text(self.make(found)), self.doubt(found)
            meant = self.table.find(found) if self.table else None
            made += f" = {meant}" if meant else ""
        except Unfit as error:
            made, problem = "", str(error)
        return TriedField(f"{place}.{self.name}", made, self.expression.text, found, problem)


def kind_of(found: Any) -> str:
    """Return what kind of JSON a value is, in words that hold nothing of it."""
    if found is None:
        return "nothing"
    kinds = ((bool, "true or false"), (str, "a text"), (dict, "an object"), (list, "a list"), (int | float, "a number"))
    return next((name for kind, name in kinds if isinstance(found, kind)), "something else")


def as_key(found: Any) -> str:
    """Return an id, whether it came as a whole number or as a text."""
    key = as_optional_key(found)
    if key is None:
        raise Unfit("gives nothing where an id is needed")
    return key


def as_optional_key(found: Any) -> str | None:
    """Return an id, or None where there is none (0 and false mean none, too)."""
    if isinstance(found, bool | int | str | None) and not found:
        return None
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise Unfit(f"gives {kind_of(found)} where an id is needed")
    return str(found)


def as_text(found: Any) -> str | None:
    """Return a text, or None where there is none."""
    if isinstance(found, bool) or not isinstance(found, str | int | float | None):
        raise Unfit(f"gives {kind_of(found)} where a text is needed")
    return None if found is None or found == "" else str(found)


def as_body(found: Any) -> str:
    """Return a text that must be there, though it may be empty."""
    if not isinstance(found, str):
        raise Unfit(f"gives {kind_of(found)} where a text is needed")
    return found


def as_word(found: Any) -> str | None:
    """Return what is looked up in a table, as text: numbers as they are written, true and false as these words."""
    if isinstance(found, bool):
        return str(found).lower()
    return as_text(found)


def is_true(found: Any) -> bool:
    """Tell whether something is exactly true."""
    return found is True


def doubt_flag(found: Any) -> str | None:
    """Doubt what is neither true nor false."""
    return None if isinstance(found, bool) else f"gives {kind_of(found)}, which counts as false"


def doubt_mark(found: Any) -> str | None:
    """Doubt what is neither true nor false nor missing."""
    return None if found is None else doubt_flag(found)


def as_rows(found: Any) -> list[dict[str, Any]]:
    """Return a list of records."""
    if not isinstance(found, list):
        raise Unfit(f"gives {kind_of(found)} where a list is needed")
    odd = next((one for one in found if not isinstance(one, dict)), None)
    if odd is not None or None in found:
        raise Unfit(f"gives a list with {kind_of(odd)} in it where objects are needed")
    return found


def as_record(found: Any) -> dict[str, Any]:
    """Return a record."""
    if not isinstance(found, dict):
        raise Unfit(f"gives {kind_of(found)} where an object is needed")
    return found


def as_keys(found: Any) -> list[str]:
    """Return a list of ids."""
    if not isinstance(found, list):
        raise Unfit(f"gives {kind_of(found)} where a list of ids is needed")
    return [as_key(one) for one in found]


@dataclass(frozen=True, slots=True)
class WordTable:
    """A table from a vendor's words to ours; upper and lower case make no difference. `place` is where it stands."""

    place: str
    words: Mapping[str, Any]

    @classmethod
    def of(cls, place: str, words: Mapping[str, Word], own: Iterable[Word] = ()) -> "WordTable":
        """Return the table of the settings; `own` words stand for themselves, unless the settings say otherwise."""
        known = {one.value.casefold(): one for one in own}
        return cls(place, known | {word.casefold(): meant for word, meant in words.items()})

    def find(self, found: Any) -> Any:
        """Return what a word means, or None."""
        word = as_word(found)
        return None if word is None else self.words.get(word.casefold())

    def doubt(self, found: Any) -> str | None:
        """Doubt a word that is not there."""
        if found is None:
            return "gives nothing"
        return None if self.find(found) is not None else f"is a word that {self.place} does not have"
