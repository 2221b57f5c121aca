"""The typed arguments of the contract's error body: seventeen kinds of values, none of them trusted.

The contract says only `{value: object, type: <one of 17>}`. What a value looks like inside is read leniently: as
plain JSON, or wrapped in an object with the one field `value`. What does not fit its type has no `value`, and still
a `text`.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any

LONGEST_TEXT = 500
MOST_ITEMS = 32
DEEPEST_NESTING = 4

# Of ECMA-48: control sequences (colours, cursor), strings (titles, links) that end, and any other escape.
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]P^_X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_MONTH_DAY = re.compile(r"(?:--)?(\d{2})-(\d{2})")
_CURRENCY = re.compile(r"[A-Z]{3}")


class TypedArgType(StrEnum):
    """The types that the contract names."""

    TIMESTAMP = "TIMESTAMP"
    BOOLEAN = "BOOLEAN"
    DATE = "DATE"
    MONTH_DAY = "MONTH_DAY"
    TIME = "TIME"
    TERM = "TERM"
    TERM_LIST = "TERM_LIST"
    INTEGER = "INTEGER"
    DECIMAL = "DECIMAL"
    STRING = "STRING"
    MONEY = "MONEY"
    LIMITABLE_CONFIG_PROPERTY = "LIMITABLE_CONFIG_PROPERTY"
    I18N_KEY = "I18N_KEY"
    I18N_KEY_LIST = "I18N_KEY_LIST"
    PERMISSION_LIST = "PERMISSION_LIST"
    ENUM = "ENUM"
    AVAILABILITY_LIST = "AVAILABILITY_LIST"


@dataclass(frozen=True, slots=True)
class MonthDay:
    """A day of any year."""

    month: int
    day: int

    def __str__(self) -> str:
        """Say it as ISO 8601 does."""
        return f"--{self.month:02}-{self.day:02}"


@dataclass(frozen=True, slots=True)
class Term:
    """A span as a contract of membership has it: 12 MONTH."""

    value: int
    unit: str

    def __str__(self) -> str:
        """Say number and unit."""
        return f"{self.value} {self.unit}"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with its currency (three letters)."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        """Say amount and currency."""
        return f"{self.amount} {self.currency}"


@dataclass(frozen=True, slots=True)
class TypedArg:
    """One argument: `type` as the API wrote it, `value` None if it does not fit the type, `text` always readable.

    Value and text may hold personal data and stay out of the repr.
    """

    type: str
    value: object = field(repr=False)
    text: str = field(repr=False)


def plain_text(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return foreign text as one harmless line: no escape sequences, no controls, no surrogates, capped."""
    # Cut first, so that what is cleaned is small however large the answer was.
    cut = _ESCAPE_SEQUENCE.sub("", text[: longest * 4])
    clean = "".join(_harmless(char) for char in cut)
    line = " ".join(clean.split())
    return line if len(line) <= longest and len(text) <= longest * 4 else f"{line[: longest - 1]}…"


def _harmless(char: str) -> str:
    if char.isspace():
        return " "
    # C*: controls, formats (which can turn the direction of a line), surrogates, private and unassigned ones.
    return "\ufffd" if unicodedata.category(char)[0] == "C" else char


def plain_json(value: object, depth: int = DEEPEST_NESTING) -> object:
    """Return a JSON value with its texts made harmless, its lists and objects capped, and its depth limited."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value.bit_length() <= 256 else "…"
    if isinstance(value, list):
        return [plain_json(item, depth - 1) for item in value[:MOST_ITEMS]] if depth else "…"
    if isinstance(value, dict):
        if not depth:
            return "…"
        return {plain_text(name, 100): plain_json(item, depth - 1) for name, item in list(value.items())[:MOST_ITEMS]}
    return value


def parse_typed_arg(raw: object) -> TypedArg:
    """Return one typed argument; never fails, whatever JSON it is handed."""
    fields: Mapping[str, Any] = raw if isinstance(raw, dict) else {"value": raw}
    name = fields.get("type")
    kind = plain_text(name, 50) if isinstance(name, str) else "unknown"
    parse = _PARSERS.get(kind)
    for candidate in _unwrapped(fields.get("value")):
        try:
            value = parse(candidate) if parse else None
        # ArithmeticError: years that no date holds, text that is no decimal. OSError: seconds past the machine's time.
        except (ValueError, TypeError, LookupError, ArithmeticError, OSError):
            continue
        if value is not None:
            return TypedArg(kind, value, _text(value))
    return TypedArg(kind, None, _text(plain_json(fields.get("value"))))


def _unwrapped(value: object) -> tuple[object, ...]:
    if isinstance(value, dict) and len(value) == 1 and "value" in value:
        return value, value["value"]
    return (value,)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return plain_text(", ".join(_text(item) for item in value))
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, dict | list):
        return plain_text(json.dumps(value, ensure_ascii=False))
    if isinstance(value, date | time):
        return value.isoformat()
    return plain_text(str(value))


def _string(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return plain_text(raw)


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    return {"true": True, "false": False}[_string(raw).lower()]


def _integer(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str) or len(str(raw)) > 40:
        raise TypeError
    return int(raw)


def _decimal(raw: object) -> Decimal:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str) or len(str(raw)) > 80:
        raise TypeError
    number = Decimal(str(raw))
    if not number.is_finite():
        raise ValueError
    return number


def _timestamp(raw: object) -> datetime:
    """Read ISO 8601 or milliseconds since 1970; without a zone it is UTC."""
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return datetime.fromtimestamp(raw / 1000, UTC)
    # The zone's name in brackets, as the contract writes times, only repeats what the offset says.
    moment = datetime.fromisoformat(_string(raw).partition("[")[0])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _numbers(raw: object) -> list[int]:
    if not isinstance(raw, list) or len(raw) > 7:
        raise TypeError
    return [_integer(item) for item in raw]


def _date(raw: object) -> date:
    if not isinstance(raw, list):
        return date.fromisoformat(_string(raw))
    year, month, day = _numbers(raw)
    return date(year, month, day)


def _time(raw: object) -> time:
    if not isinstance(raw, list):
        return time.fromisoformat(_string(raw))
    hour, minute, *rest = _numbers(raw)
    return time(hour, minute, rest[0] if rest else 0)


def _month_day(raw: object) -> MonthDay:
    if isinstance(raw, dict):
        month, day = _integer(raw["month"]), _integer(raw["day"])
    elif match := _MONTH_DAY.fullmatch(_string(raw)):
        month, day = int(match[1]), int(match[2])
    else:
        raise ValueError
    date(2000, month, day)  # a leap year: every day that exists
    return MonthDay(month, day)


def _term(raw: object) -> Term:
    if not isinstance(raw, dict):
        raise TypeError
    return Term(_integer(raw["value"]), _string(raw["unit"]))


def _money(raw: object) -> Money:
    if not isinstance(raw, dict):
        raise TypeError
    currency = _string(raw["currency"])
    if not _CURRENCY.fullmatch(currency):
        raise ValueError
    return Money(_decimal(raw["amount"]), currency)


def _any_json(raw: object) -> object:
    return plain_json(raw)


def _list_of(parse: Callable[[Any], object]) -> Callable[[Any], tuple[object, ...]]:
    def parse_list(raw: object) -> tuple[object, ...]:
        if not isinstance(raw, list):
            raise TypeError
        return tuple(parse(item) for item in raw[:MOST_ITEMS])

    return parse_list


_PARSERS: Mapping[str, Callable[[Any], object]] = {
    TypedArgType.TIMESTAMP: _timestamp,
    TypedArgType.BOOLEAN: _boolean,
    TypedArgType.DATE: _date,
    TypedArgType.MONTH_DAY: _month_day,
    TypedArgType.TIME: _time,
    TypedArgType.TERM: _term,
    TypedArgType.TERM_LIST: _list_of(_term),
    TypedArgType.INTEGER: _integer,
    TypedArgType.DECIMAL: _decimal,
    TypedArgType.STRING: _string,
    TypedArgType.MONEY: _money,
    TypedArgType.LIMITABLE_CONFIG_PROPERTY: _any_json,
    TypedArgType.I18N_KEY: _string,
    TypedArgType.I18N_KEY_LIST: _list_of(_string),
    TypedArgType.PERMISSION_LIST: _list_of(_string),
    TypedArgType.ENUM: _string,
    TypedArgType.AVAILABILITY_LIST: _list_of(_any_json),
}
