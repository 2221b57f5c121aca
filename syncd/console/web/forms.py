"""What a form or an address says, as values; what makes no sense is refused with a sentence."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from multidict import MultiMapping

from syncd.console.web.login import safe_path
from syncd.model.errors import UsageError
from syncd.store.waiting import Place

V = TypeVar("V")
MOST_CHOSEN = 100
LONGEST_REASON = 1000
_LARGEST_ID = 2**63 - 1


def text_of(form: MultiMapping[object] | Mapping[str, object], name: str) -> str:
    """Return a field, empty if it is not there or is a file."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def asked_of(query: Mapping[str, str], name: str) -> str:
    """Return what an address asks for, empty if it says nothing.

    Raises:
        UsageError: PostgreSQL refuses to look for it.
    """
    text = query.get(name, "").strip()
    if "\0" in text:
        raise UsageError(f"{name} has a NUL in it, which no text can have")
    return text


def reason_of(form: MultiMapping[object]) -> str:
    """Return the reason of a decision, in one piece.

    Raises:
        UsageError: it is too long; one that says nothing is refused where it is recorded.
    """
    reason = " ".join(text_of(form, "reason").split())
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"a reason has {LONGEST_REASON} letters at most")
    return reason


def one_of(choices: Mapping[str, V], name: str, what: str) -> V:
    """Return what a word stands for.

    Raises:
        UsageError: it is none of the words.
    """
    if name not in choices:
        raise UsageError(f"{what} has to be one of {', '.join(choices)}")
    return choices[name]


def ids_of(texts: Iterable[object]) -> list[int]:
    """Return ids, each once.

    Raises:
        UsageError: one is none, or there are too many.
    """
    ids = [id_of(str(text)) for text in dict.fromkeys(texts)]
    if len(ids) > MOST_CHOSEN:
        raise UsageError(f"so many cannot be decided at once on this page: choose {MOST_CHOSEN} at most")
    return ids


def id_of(text: str) -> int:
    """Return an id.

    Raises:
        UsageError: it is none.
    """
    number = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(_LARGEST_ID)) + 1 else -1
    if not 0 <= number <= _LARGEST_ID:
        raise UsageError("an id is a whole number")
    return number


def seen_of(texts: Iterable[object]) -> dict[int, tuple[str, int]]:
    """Return what was looked at: ids with the state and version that each had.

    Raises:
        UsageError: it cannot be read.
    """
    seen = {}
    for text in texts:
        number, _, rest = str(text).partition(":")
        state, _, version = rest.partition(":")
        seen[id_of(number)] = state, id_of(version)
    ids_of(seen)
    return seen


def place_of(text: str) -> Place | None:
    """Return the point in a list that an address names; None for its beginning.

    Raises:
        UsageError: it cannot be read.
    """
    if not text:
        return None
    instant, _, number = text.rpartition("~")
    since = _find_instant(instant)
    if since is None:
        raise UsageError("this address names no point in the list; begin at its first page")
    return Place(since, id_of(number))


def _find_instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
        return None if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):  # in UTC it may be before the first day that there is
        return None


def place_text(place: Place) -> str:
    """Return how an address names a point in a list."""
    return f"{place.since.isoformat()}~{place.id}"


def back_of(form: MultiMapping[object] | Mapping[str, object], otherwise: str) -> str:
    """Return the page to go back to."""
    return safe_path(text_of(form, "back") or otherwise)
