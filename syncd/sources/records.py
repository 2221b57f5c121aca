"""A vendor's JSON, read with suspicion: a field is of the type that is expected, or its record is refused by name.

What a field held never gets into a message: it may be somebody's text.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, TypeVar

from syncd.model.errors import UnexpectedAnswer
from syncd.sources.adapter import Response

T = TypeVar("T")

_LONGEST_ID_BITS = 128
_FLAGS: Mapping[str, bool] = {"1": True, "0": False, "true": True, "false": False}


class Record:
    """One JSON object of a vendor.

    `where` names it in messages: the path that answered it, with the field inside. `get_` insists on the field,
    `find_` returns None where it is missing, null or empty. Both raise `UnexpectedAnswer` for another type.
    """

    __slots__ = ("_fields", "where")

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise UnexpectedAnswer(f"{where} is {_kind(value)} where a JSON object is expected")
        self._fields: dict[str, Any] = value
        self.where = where

    def __repr__(self) -> str:
        return f"<Record {self.where}>"

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def raw(self, name: str) -> Any:
        """Return a field as it came, or None if there is none."""
        return self._fields.get(name)

    def find_key(self, name: str) -> str | None:
        """Return an id as text, whether the vendor sends it as a whole number or as text."""
        value = self.raw(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self._wrong(name, "an id")
        # Python refuses to write numbers of thousands of digits, and no vendor counts that far.
        if isinstance(value, int) and value.bit_length() > _LONGEST_ID_BITS:
            raise self._wrong(name, "an id")
        return str(value)

    def get_key(self, name: str) -> str:
        """Return an id as text; it must be there."""
        return self._there(name, self.find_key(name))

    def find_text(self, name: str) -> str | None:
        """Return a text."""
        value = self.raw(name)
        if value is not None and not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value or None

    def get_text(self, name: str) -> str:
        """Return a text; it must be there and not be empty."""
        return self._there(name, self.find_text(name))

    def find_int(self, name: str) -> int | None:
        """Return a whole number, which some vendors send as digits."""
        value = self.raw(name)
        if value is None or value == "":
            return None
        if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdecimal() and len(value) < 20:
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, "a whole number")
        return value

    def get_int(self, name: str) -> int:
        """Return a whole number; it must be there."""
        return self._there(name, self.find_int(name))

    def is_true(self, name: str) -> bool:
        """Tell whether a field is JSON's true; everything else, also what cannot be read, is False."""
        return self.raw(name) is True

    def find_flag(self, name: str) -> bool | None:
        """Return a yes or no, also as 1 and 0 or as text; None for anything that cannot be read as either."""
        value = self.raw(name)
        if isinstance(value, str):
            return _FLAGS.get(value.strip().lower())
        return bool(value) if isinstance(value, int) and value in {0, 1} else None

    def find_instant(self, name: str, zone: tzinfo = UTC) -> datetime | None:
        """Return an ISO time, aware; one without an offset is in `zone`."""
        text = self.find_text(name)
        if text is None:
            return None
        instant = find_instant_in(text, zone)
        if instant is None:
            raise self._wrong(name, "a time")
        return instant

    def get_instant(self, name: str, zone: tzinfo = UTC) -> datetime:
        """Return an ISO time, aware; it must be there."""
        return self._there(name, self.find_instant(name, zone))

    def find_epoch(self, name: str, per_second: int = 1) -> datetime | None:
        """Return a time given as Unix seconds (with `per_second=1000` as milliseconds), whole, broken or as text."""
        value = self.raw(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            raise self._wrong(name, "a time")
        try:
            return datetime.fromtimestamp(round(float(value) / per_second, 6), UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            raise self._wrong(name, "a time") from None

    def get_epoch(self, name: str, per_second: int = 1) -> datetime:
        """Return a time given as Unix seconds; it must be there."""
        return self._there(name, self.find_epoch(name, per_second))

    def find_record(self, name: str) -> "Record | None":
        """Return an object inside this one."""
        value = self.raw(name)
        return None if value is None else Record(value, f"{self.where}: {name}")

    def get_record(self, name: str) -> "Record":
        """Return an object inside this one; it must be there."""
        return self._there(name, self.find_record(name))

    def find_records(self, name: str) -> list["Record"]:
        """Return the objects of a list; none where it is missing or null."""
        return [] if self.raw(name) is None else self.get_records(name)

    def get_records(self, name: str) -> list["Record"]:
        """Return the objects of a list; it must be there, though it may be empty."""
        return records_in(self.raw(name), f"{self.where}: {name}")

    def get_texts(self, name: str) -> list[str]:
        """Return the texts of a list; it must be there, though it may be empty."""
        value = self.raw(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self._wrong(name, "a list of texts")
        return value

    def _there(self, name: str, value: T | None) -> T:
        if value is None:
            raise UnexpectedAnswer(f"{self.where} has no {name}")
        return value

    def _wrong(self, name: str, wanted: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(f"{self.where}: {name} is {_kind(self.raw(name))} where {wanted} is expected")


def record_of(response: Response) -> Record:
    """Return the JSON object of an answer.

    Raises:
        UnexpectedAnswer: no JSON, or JSON that is no object.
    """
    return Record(response.json(), response.path)


def records_of(response: Response) -> list[Record]:
    """Return the objects of an answer that is a JSON list.

    Raises:
        UnexpectedAnswer: no JSON, or anything but a list of objects.
    """
    return records_in(response.json(), response.path)


def records_in(value: Any, where: str) -> list[Record]:
    """Return the objects of a list that was parsed already."""
    if not isinstance(value, list):
        raise UnexpectedAnswer(f"{where} is {_kind(value)} where a list is expected")
    return [Record(one, f"{where}[{place}]") for place, one in enumerate(value)]


def find_instant_in(text: str, zone: tzinfo = UTC) -> datetime | None:
    """Return the instant of an ISO text, aware (in `zone` if it has no offset), or None if it is none."""
    try:
        instant = datetime.fromisoformat(text.strip())
        return (instant if instant.tzinfo is not None else instant.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _kind(value: Any) -> str:
    """Return what kind of JSON a value is, in words that hold nothing of it."""
    if value is None:
        return "missing or null"
    kinds = ((bool, "true or false"), (dict, "an object"), (list, "a list"), (int | float, "a number"))
    named = next((name for kind, name in kinds if isinstance(value, kind)), "a text")
    return f"{named} that cannot be read" if named == "a text" else named
