"""Logs: one line per unit of work, a constant text and bound fields; never message contents or secrets.

    logger.bind(system="support", pages=3, new=12).info("Swept")

Human lines on a terminal, JSON lines elsewhere, with the priority that the journal reads (sd-daemon(3)) when the
stream leads there. Of an exception only its type and frames are written: texts of foreign libraries quote what they
worked on (SQLAlchemy its parameters), so only messages of our own errors are shown. For the same reason the
standard library's records show their text before the arguments are put in.
"""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from errno import errorcode
from functools import lru_cache
from typing import Any, TextIO

import loguru
import orjson
from loguru import logger

from syncd.model.errors import SyncdError

LONGEST_TEXT = 2000
DEEPEST_VALUE = 4
LARGEST_NUMBER = 2**63
LONGEST_CHAIN = 5
MOST_FRAMES = 40
OWN_KEYS = frozenset({"time", "level", "message", "exception"})
PRIORITIES = {"DEBUG": 7, "INFO": 6, "SUCCESS": 5, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
COLOURS = {"DEBUG": "2", "INFO": "32", "SUCCESS": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
SPEAKING_LIBRARIES = ("apscheduler",)
"""Loggers whose arguments are names that we gave ourselves, and so may be shown."""


def configure_log(
    level: str = "INFO",
    form: str = "auto",
    stream: TextIO = sys.stderr,
    environ: Mapping[str, str] = os.environ,
    verbose: Collection[str] = (),
) -> None:
    """Send every log line of the process to a stream: ours from `level` on, those of libraries from WARNING on.

    `form` is auto (human on a terminal, else JSON), human or json. Of the systems and apis in `verbose` every line is
    written, whatever the level.
    """
    human = form == "human" or (form == "auto" and stream.isatty())
    render = _Human(coloured=stream.isatty() and "NO_COLOR" not in environ) if human else _json_line
    sink = _Sink(stream, render, for_journal=leads_to_journal(stream, environ))
    logger.remove()
    least = "DEBUG" if verbose else level
    wanted = _Wanted(logger.level(level).no, frozenset(verbose)) if verbose else None
    logger.add(sink, level=least, format=_no_text, filter=wanted, backtrace=False, diagnose=False, catch=False)
    logging.root.handlers = [_ToLoguru()]
    logging.root.setLevel(logging.WARNING)


def leads_to_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether a stream is the one that $JOURNAL_STREAM names (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream in memory has no descriptor
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def neutral(text: str) -> str:
    """Return a text in which nothing can end a line, colour a terminal or turn the direction of writing."""
    cut = text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)


def describe_exception(error: BaseException, depth: int = 1) -> dict[str, Any]:
    """Return type, frames (`file:line:function`) and causes of an exception, and its message if it is one of ours."""
    kind = type(error)
    found: dict[str, Any] = {
        "type": kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    }
    if isinstance(error, SyncdError):
        found["message"] = neutral(str(error))
    elif isinstance(error, OSError) and error.errno is not None:
        found["errno"] = errorcode.get(error.errno, str(error.errno))
    steps = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)][-MOST_FRAMES:]
    found["frames"] = [neutral(f"{code.co_filename}:{line}:{code.co_name}") for code, line in steps]
    if depth >= LONGEST_CHAIN:
        return found
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        found["cause"] = describe_exception(cause, depth + 1)
    if isinstance(error, BaseExceptionGroup):
        found["group"] = [describe_exception(one, depth + 1) for one in error.exceptions[:LONGEST_CHAIN]]
    return found


class _Wanted:
    """Lets lines pass that are severe enough, or that are about what somebody looks into."""

    def __init__(self, least: int, verbose: frozenset[str]) -> None:
        self._least = least
        self._verbose = verbose

    def __call__(self, record: "loguru.Record") -> bool:
        if record["level"].no >= self._least:
            return True
        extra = record["extra"]
        return extra.get("system") in self._verbose or extra.get("api") in self._verbose


class _Sink:
    """Writes records to the stream. A line that cannot be written is lost: logging must not stop the work."""

    def __init__(self, stream: TextIO, render: "Callable[[loguru.Record], str]", *, for_journal: bool) -> None:
        self._stream = stream
        self._render = render
        self._for_journal = for_journal

    def __call__(self, message: "loguru.Message") -> None:
        record = message.record
        try:
            text = self._render(record)
        except Exception as error:  # noqa: BLE001 - a field with a failing __str__ must not fail the work it tells of
            text = (
                f'{{"level":"error","message":"A log line could not be written","exception":"{type(error).__name__}"}}'
            )
        if self._for_journal:
            prefix = f"<{PRIORITIES.get(record['level'].name, 6)}>"
            text = "\n".join(prefix + line for line in text.split("\n"))
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a closed pipe, a closed stream
            return


def _no_text(_record: "loguru.Record") -> str:
    """Leave the text to our own forms: loguru's would hold the exception's message, whoever came to print it."""
    return ""


def _json_line(record: "loguru.Record") -> str:
    line: dict[str, Any] = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record["level"].name.lower(),
        "message": neutral(record["message"]),
    }
    for key, value in record["extra"].items():
        line[_field(key)] = neutral(value) if type(value) is str else _plain(value)
    if (found := record["exception"]) is not None and found.value is not None:
        line["exception"] = describe_exception(found.value)
    return orjson.dumps(line).decode()


@lru_cache(maxsize=1024)
def _field(key: str) -> str:
    """Return the name of a field in a line: those that we give ourselves come again and again."""
    return neutral(f"{key}_" if key in OWN_KEYS else key)


class _Human:
    def __init__(self, *, coloured: bool) -> None:
        self._coloured = coloured

    def __call__(self, record: "loguru.Record") -> str:
        level = record["level"].name
        shown = f"\x1b[{COLOURS.get(level, '0')}m{level:<8}\x1b[0m" if self._coloured else f"{level:<8}"
        fields = [f"{neutral(str(key))}={_word(_plain(value))}" for key, value in record["extra"].items()]
        lines = ["  ".join([record["time"].strftime("%H:%M:%S"), shown + neutral(record["message"]), *fields])]
        if (found := record["exception"]) is not None and found.value is not None:
            lines += _exception_lines(describe_exception(found.value), "  ")
        return "\n".join(lines)


def _exception_lines(found: Mapping[str, Any], indent: str) -> Iterator[str]:
    about = found.get("message") or found.get("errno")
    yield indent + found["type"] + (f": {about}" if about else "")
    for frame in found["frames"]:
        yield f"{indent}  {frame}"
    for other in [*([found["cause"]] if "cause" in found else []), *found.get("group", [])]:
        yield from _exception_lines(other, indent + "  ")


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if text and not any(char in ' "=' for char in text) else orjson.dumps(text).decode()


def _plain(value: Any, depth: int = 1) -> Any:
    """Return a field's value as JSON can carry it: numbers as they are, everything else as harmless text."""
    if type(value) is int and -LARGEST_NUMBER < value < LARGEST_NUMBER:
        return value
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < LARGEST_NUMBER):
        return value
    if depth < DEEPEST_VALUE and isinstance(value, Mapping):
        return {neutral(str(key)): _plain(one, depth + 1) for key, one in value.items()}
    if depth < DEEPEST_VALUE and isinstance(value, list | tuple | set | frozenset):
        return [_plain(one, depth + 1) for one in value]
    return neutral(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    if isinstance(value, BaseException) and not isinstance(value, SyncdError):
        return type(value).__name__
    return str(value)


class _ToLoguru(logging.Handler):
    """Hands records of the standard library's logging on; of a text that was composed already, the first line."""

    def emit(self, record: logging.LogRecord) -> None:
        speaking = record.name.split(".")[0] in SPEAKING_LIBRARIES
        try:
            text = record.getMessage() if speaking else str(record.msg)
        except (TypeError, ValueError):  # arguments that do not fit the text
            text = str(record.msg)
        level = record.levelname if record.levelname in PRIORITIES else record.levelno
        error = record.exc_info[1] if record.exc_info else None
        # Braces are safe: loguru fills them in only when it is given arguments.
        logger.bind(logger=record.name).opt(exception=error).log(level, text.split("\n")[0])
