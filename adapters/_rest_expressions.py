"""What an operator writes in the settings of `rest` beside plain values: JMESPath, patterns, templates, times.

Each is checked when the settings are loaded, so that a mistake is told with its place before anything is asked.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError, LexerError, ParseError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult
from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from syncd.sources.records import find_instant_in

TICKET = "_ticket"
"""The name under which an expression about a reply finds the record of its ticket."""

_KINDS = {
    **dict.fromkeys(("NoneType", "null"), "nothing"),
    **dict.fromkeys(("dict", "object"), "an object"),
    **dict.fromkeys(("list", "array"), "a list"),
    **dict.fromkeys(("str", "string"), "a text"),
    **dict.fromkeys(("int", "float", "number"), "a number"),
    **dict.fromkeys(("bool", "boolean"), "true or false"),
}
"""The library's words for types, in ours."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADERS_OF_HTTP = frozenset({"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade"})

_PROBE = datetime(2026, 11, 24, 17, 48, 59, tzinfo=UTC)


class Unfit(Exception):
    """What an expression gives cannot be used; the message says why in words that hold nothing of it."""


def mistake(message: str) -> PydanticCustomError:
    """Return a mistake in the settings; pydantic adds its place."""
    return PydanticCustomError("rest", "{message}", {"message": message})


class Table(BaseModel):
    """A table of the settings: unknown keys are refused with their place."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Expression:
    """A JMESPath expression (jmespath.org), compiled."""

    text: str
    _parsed: ParsedResult = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """Return the expression in a text; one that could never be evaluated is refused."""
        try:
            return cls._parse(text)
        except RecursionError:
            raise mistake("JMESPath: the expression is nested too deep") from None

    @classmethod
    def _parse(cls, text: str) -> "Expression":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a literal that is no JSON is a text today, and an error tomorrow
                parsed = jmespath.compile(text)
        except Warning:
            raise mistake("JMESPath: what stands between ` is no JSON; a text is written 'text'") from None
        except ParseError as error:
            raise mistake(f"JMESPath: {_what_is_wrong(error, text)} at column {error.lex_position + 1}") from None
        except JMESPathError:
            raise mistake("JMESPath: the expression is empty") from None
        for node in _nodes(parsed.parsed):
            if node["type"] == "function_expression":
                _check_function(node["value"], len(node["children"]))
        return cls(text, parsed)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic read it from a text, and write it as one."""
        return core_schema.no_info_after_validator_function(
            cls.parse, core_schema.str_schema(strict=True), serialization=core_schema.to_string_ser_schema()
        )

    def __str__(self) -> str:
        return self.text

    @property
    def asks_for_ticket(self) -> bool:
        """Tell whether it needs the record of the ticket beside the one of the reply."""
        return any(node["type"] == "field" and node["value"] == TICKET for node in _nodes(self._parsed.parsed))

    @property
    def is_constant(self) -> bool:
        """Tell whether it is a value that is written out, whatever the record holds."""
        return bool(self._parsed.parsed["type"] == "literal")

    def find(self, scope: Any) -> Any:
        """Return what it gives on a record; None where there is nothing.

        Raises:
            Unfit: a function in it cannot do with what it was given.
        """
        try:
            return self._parsed.search(scope)
        except JMESPathTypeError as error:
            kind = _KINDS.get(error.actual_type, error.actual_type)
            reason = f"cannot be evaluated: {error.function_name}() was given {kind}"
        except Exception as error:  # noqa: BLE001 - whatever it meets in foreign data is about this field alone
            reason = f"cannot be evaluated ({type(error).__name__})"
        raise Unfit(reason)


def _what_is_wrong(error: ParseError, text: str) -> str:
    if error.lex_position >= len(text):
        return "the expression ends too early"
    return "a character that cannot stand there" if isinstance(error, LexerError) else "not expected"


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _nodes(child)


def _check_function(name: str, given: int) -> None:
    known = Functions.FUNCTION_TABLE.get(name)
    if known is None:
        raise mistake(f"JMESPath: there is no function {name}()")
    wanted = known["signature"]
    variadic = bool(wanted) and bool(wanted[-1].get("variadic"))
    if given < len(wanted) or (given > len(wanted) and not variadic):
        least = "at least " if variadic else ""
        raise mistake(f"JMESPath: {name}() takes {least}{len(wanted)} values and is given {given}")


def check_visible(expression: Expression) -> Expression:
    """Return an expression that says what is public: one that is true without any reason would let notes out."""
    try:
        is_public = expression.find({TICKET: {}}) is True
    except Unfit:
        is_public = False
    if is_public and not expression.is_constant:
        raise mistake("gives true where a record tells nothing, so that a note would count as public")
    return expression


def check_pattern(text: str) -> str:
    """Return the text of a regular expression."""
    try:
        re.compile(text, re.ASCII)
    except re.error as error:
        at = "" if error.pos is None else f" at column {error.pos + 1}"
        raise mistake(f"is no regular expression: {error.msg}{at}") from None
    return text


def check_link_pattern(text: str) -> str:
    """Return the text of a regular expression that finds a ticket in a link."""
    if not {"id", "number"} & set(re.compile(check_pattern(text), re.ASCII).groupindex):
        raise mistake("needs a group (?P<number>...) or (?P<id>...) for what names the ticket")
    return text


def check_zone(name: str) -> str:
    """Return the name of a time zone."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # its own error for an unknown zone is a KeyError
        raise mistake("is no time zone that is known here, such as Europe/Berlin") from None
    return name


def check_time_format(text: str) -> str:
    """Return the name or the strptime format of a way to write times."""
    if text in {"iso", "epoch", "epoch_ms"}:
        return text
    try:
        read = datetime.strptime(_PROBE.strftime(text), text)  # noqa: DTZ007 - only the date is looked at
    except ValueError:
        read = None
    if read is None or read.date() != _PROBE.date() or read.hour not in {0, _PROBE.hour}:
        raise mistake(
            "must be iso, epoch, epoch_ms or a format such as %Y-%m-%d.%H:%M:%S that holds a whole date, and tells "
            "morning from evening if it holds hours"
        )
    return text


def check_header(name: str) -> str:
    """Return the name of a header that may be set: one that leads to another host would take the credentials there."""
    if not _HEADER.fullmatch(name) or name.lower() in _HEADERS_OF_HTTP:
        raise mistake("is no name of a header that can be set")
    return name


VisibleExpression = Annotated[Expression, AfterValidator(check_visible)]
HeaderName = Annotated[str, AfterValidator(check_header)]
Pattern = Annotated[str, AfterValidator(check_pattern)]
LinkPattern = Annotated[str, AfterValidator(check_link_pattern)]
Zone = Annotated[str, AfterValidator(check_zone)]
TimeFormat = Annotated[str, AfterValidator(check_time_format)]


@dataclass(frozen=True, slots=True)
class Times:
    """A way to write times: `iso`, `epoch`, `epoch_ms` or a strptime format, with the zone where none is written."""

    format: str
    zone: str

    def parse(self, value: Any) -> datetime:
        """Return the instant, aware.

        Raises:
            Unfit: it cannot be read so.
        """
        if value is None:
            raise Unfit("gives nothing where a time is needed")
        if self.format in {"epoch", "epoch_ms"}:
            instant = _find_epoch(value, 1000 if self.format == "epoch_ms" else 1)
        else:
            instant = self._find_written(value) if isinstance(value, str) else None
        if instant is None:
            raise Unfit(f"cannot be read as a time ({self.format})")
        return instant

    def render(self, instant: datetime) -> str:
        """Return an instant as it is written in a question; what the format has no room for is cut off."""
        if self.format == "epoch":
            return str(int(instant.timestamp()))
        if self.format == "epoch_ms":
            return str(int(instant.timestamp() * 1000))
        local = instant.astimezone(ZoneInfo(self.zone)).replace(microsecond=0)
        if self.format == "iso":
            return local.isoformat().replace("+00:00", "Z")
        if local.fold == 0 and local.utcoffset() != local.replace(fold=1).utcoffset():
            local -= timedelta(hours=1)  # an hour that comes twice may be taken for the later one: ask from before it
        return local.strftime(self.format)

    def _find_written(self, text: str) -> datetime | None:
        zone = ZoneInfo(self.zone)
        if self.format == "iso":
            return find_instant_in(text, zone)
        try:
            instant = datetime.strptime(text.strip(), self.format)  # noqa: DTZ007 - the zone is added below
            return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None


def _find_epoch(value: Any, per_second: int) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(float(value) / per_second * 1_000_000))
    except (ValueError, OverflowError):
        return None


def check_template(text: str, known: frozenset[str]) -> str:
    """Return a text with places such as {id} in it; only known ones, without formats or attributes."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        raise mistake("has a { or } that stands alone; write {{ or }} for the character itself") from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in known or spec or conversion):
            places = ", ".join(f"{{{one}}}" for one in sorted(known)) or "nothing"
            raise mistake(f"has a place that cannot be filled in; here can stand: {places}")
    return text


def places_in(text: str) -> set[str]:
    """Return the names of the places in a template."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
