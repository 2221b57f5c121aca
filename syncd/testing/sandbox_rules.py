"""What the sandbox holds a request body against: every rule of the contract, and what syncd promises beyond it.

Stricter than the contract: unknown and repeated fields are refused, texts hold no control characters but tabs and
line breaks, subject and content are not blank, and a time must exist in the zone it names.
"""

import json
import re
import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from syncd.model.communication import Channel, Direction, ThreadStatus

ZONED_TIME = re.compile(
    r"(?P<local>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.\d{1,9})?(?P<offset>Z|[+-]\d{2}:\d{2})"
    r"(?:\[(?P<zone>[A-Za-z0-9_+/-]+)\])?",
    re.ASCII,
)
REQUIRED = ("communicationThreadStatus", "subject", "content", "communicationDirection", "communicationChannel")
_ENUMS: dict[str, type[StrEnum]] = {
    "communicationThreadStatus": ThreadStatus,
    "communicationDirection": Direction,
    "communicationChannel": Channel,
}
_TEXTS = frozenset({"ticketNumber", "subject", "content", "ticketLink", "agent"})
_FIELDS = _TEXTS | _ENUMS.keys() | {"communicationDateTime"}


class Violation(Exception):
    """A rule that a body breaks: the field at fault (empty for the body as a whole) and what is wrong with it."""

    def __init__(self, reference: str, message: str) -> None:
        super().__init__(f"{reference or 'the body'} {message}")
        self.reference = reference


def parse_body(data: bytes) -> dict[str, Any]:
    """Return the fields of a request body.

    Raises:
        Violation: it is no JSON object in UTF-8, a field is repeated, or a rule of the contract is broken.
    """
    try:
        body = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    # UnicodeDecodeError and JSONDecodeError are ValueErrors. RecursionError: nested without end.
    except (ValueError, RecursionError):
        raise Violation("", "is not JSON in UTF-8") from None
    if not isinstance(body, dict):
        raise Violation("", "is not a JSON object")
    require_contract(body)
    return body


def require_contract(body: dict[str, Any]) -> None:
    """Raise Violation for the first rule that the fields break."""
    for name in body:
        if name not in _FIELDS:
            raise Violation(name, "is no field of the contract")
    for name in REQUIRED:
        if body.get(name) is None:
            raise Violation(name, "is required")
    for name, value in body.items():
        if not isinstance(value, str):
            raise Violation(name, "is not a string")
        _require_plain(name, value)
        if name in _ENUMS and value not in [member.value for member in _ENUMS[name]]:
            raise Violation(name, f"is none of {', '.join(_ENUMS[name])}")
        if name in {"subject", "content"} and not value.strip():
            raise Violation(name, "is blank")
        if name == "communicationDateTime":
            _require_zoned_time(name, value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Violation("", "repeats a field")
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _require_plain(name: str, text: str) -> None:
    for char in text:
        category = unicodedata.category(char)
        if category == "Cs" or (category == "Cc" and char not in "\t\n\r"):
            raise Violation(name, f"has the control character U+{ord(char):04X} in it")


def _require_zoned_time(name: str, text: str) -> None:
    match = ZONED_TIME.fullmatch(text)
    if match is None:
        raise Violation(name, "is not written as 2022-06-22T08:00:00.000+02:00[Europe/Berlin]")
    try:
        moment = datetime.fromisoformat(match["local"] + match["offset"])
        zone = ZoneInfo(match["zone"]) if match["zone"] else None
    # KeyError: ZoneInfoNotFoundError. OSError: a name that is a folder of the zones.
    except (ValueError, KeyError, OSError):
        raise Violation(name, "names a day, a time or a zone that does not exist") from None
    if zone is not None and moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment.replace(tzinfo=None):
        raise Violation(name, "has an offset that its zone does not have at that time")
