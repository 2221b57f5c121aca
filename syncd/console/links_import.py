"""Many links at once, from CSV or JSON lines: every line is judged by itself, what is good is kept."""

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from syncd.console.context import CommandContext
from syncd.model.communication import Thread
from syncd.model.errors import UsageError
from syncd.model.link import NewLink
from syncd.model.ticket import TicketRef
from syncd.service.settings_places import nearest
from syncd.sources.links import LONGEST_LINK
from syncd.store import links
from syncd.store.database import Connection

COLUMNS = ("api", "customer_id", "thread_id", "system", "ticket_number", "ticket_link", "from")
REQUIRED = ("api", "customer_id", "thread_id", "system")
DELIMITERS = (",", ";", "\t")
LINES_AT_ONCE = 300
LONGEST_CELL = 200
LONGEST_SHOWN = 30
MOST_UNKNOWN = 5
LARGEST_BYTES = 512 * 1024 * 1024
_ID = re.compile(r"[0-9]{1,19}")
_SURROGATE = re.compile("[\ud800-\udfff]")

ParseFrom = Callable[[str, datetime, ZoneInfo], tuple[datetime, bool]]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number in the file, and its cells by column, or why it is none."""

    number: int
    cells: dict[str, str] = field(default_factory=dict)
    bad: str | None = None


@dataclass(slots=True)
class ImportResult:
    """What became of the lines; `bad` has number and reason of each bad one."""

    added: int = 0
    there: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)


def read_import(file: str) -> list[Line]:
    """Return the lines of a file (`-`: of standard input), each with its number.

    Raises:
        UsageError: it cannot be read, or its first line is no heading that is understood; nothing was changed.
    """
    raw = _bytes(file).removeprefix(b"\xef\xbb\xbf")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"{_name(file)} is UTF-16; save it as UTF-8")
    # What is no UTF-8 survives as lone surrogates, so that it makes its own line bad and no other.
    texts = raw.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = [(number, text) for number, text in enumerate(texts, 1) if text.strip(" \t,;")]
    if not lines:
        raise UsageError(f"{_name(file)} has no lines; the columns are {', '.join(COLUMNS)}")
    if lines[0][1].lstrip().startswith("{"):
        return [_json_line(number, text) for number, text in lines]
    return list(_csv_lines(lines, _name(file)))


def _name(file: str) -> str:
    return "standard input" if file == "-" else file


def _bytes(file: str) -> bytes:
    try:
        raw = sys.stdin.buffer.read(LARGEST_BYTES + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST_BYTES:
        raise UsageError(f"{_name(file)} is larger than {LARGEST_BYTES // 2**20} MiB; import it in pieces")
    return raw


def _csv_lines(lines: Sequence[tuple[int, str]], name: str) -> Iterator[Line]:
    heading, delimiter = _heading(lines[0][1], name)
    for number, text in lines[1:]:
        yield _csv_line(number, text, heading, delimiter)


def _heading(text: str, name: str) -> tuple[list[str], str]:
    """Return the columns in their order, and what separates them."""
    by_delimiter = {one: [cell.strip() for cell in _split(text, one)] for one in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda one: len(set(by_delimiter[one]) & set(COLUMNS)))
    columns = by_delimiter[delimiter]
    unknown = [column for column in columns if column not in COLUMNS]
    problems = [_unknown(column) for column in unknown[:MOST_UNKNOWN]]
    problems += [f"{len(unknown) - MOST_UNKNOWN} more are unknown"] if len(unknown) > MOST_UNKNOWN else []
    problems += [f"column {column} is there twice" for column in COLUMNS if columns.count(column) > 1]
    problems += [f"column {column} is missing" for column in REQUIRED if column not in columns]
    if not {"ticket_number", "ticket_link"} & set(columns):
        problems.append("column ticket_number (or ticket_link) is missing")
    if problems:
        raise UsageError(f"{name}, first line: {'; '.join(problems)}. The columns are {', '.join(COLUMNS)}")
    return columns, delimiter


def _unknown(column: str) -> str:
    """Say that a column is none. What is no text of ours may be of any length, and of any characters."""
    shown = column[:LONGEST_SHOWN]
    return f"unknown column {shown!a}{nearest(shown, COLUMNS)}"


def _split(text: str, delimiter: str) -> list[str]:
    # Line by line, so that a quote that is never closed makes one line bad and does not swallow the file.
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return [text]


def _csv_line(number: int, text: str, heading: Sequence[str], delimiter: str) -> Line:
    if _SURROGATE.search(text):
        return Line(number, bad="is not UTF-8 text")
    try:
        cells = next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return Line(number, bad=f"is no line of CSV: {error}")
    surplus = [cell for cell in cells[len(heading) :] if cell.strip()]
    if surplus or (len(cells) < len(heading) and len(cells) < _fewest(heading)):
        return Line(number, bad=f"has {len(cells)} cells where the first line has {len(heading)}")
    return Line(number, {column: cell.strip() for column, cell in zip(heading, cells, strict=False)})


def _fewest(heading: Sequence[str]) -> int:
    """Return how many cells a line has at least: what may be empty at its end may be left out."""
    return max(place for place, column in enumerate(heading, 1) if column in REQUIRED)


def _json_line(number: int, text: str) -> Line:
    if _SURROGATE.search(text):
        return Line(number, bad="is not UTF-8 text")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Line(number, bad="is no JSON")
    if not isinstance(value, dict):
        return Line(number, bad="is no JSON object")
    unknown = [name for name in value if name not in COLUMNS]
    if unknown:
        return Line(number, bad=_unknown(unknown[0]))
    cells = {name: _cell(one) for name, one in value.items() if one is not None}
    odd = [name for name, cell in cells.items() if cell is None]
    if odd:
        return Line(number, bad=f"{odd[0]} is neither a text nor a whole number")
    return Line(number, {name: cell for name, cell in cells.items() if cell is not None})


def _cell(value: Any) -> str | None:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value).strip()
    return None


def parse_line(context: CommandContext, line: Line, now: datetime, parse_from: ParseFrom) -> NewLink:
    """Return the link that a line asks for.

    Raises:
        UsageError: the reason why it is none.
    """
    if line.bad is not None:
        raise UsageError(line.bad)
    cells = {name: text for name, text in line.cells.items() if text}
    for name, text in cells.items():
        _check_cell(name, text)
    missing = [name for name in REQUIRED if name not in cells]
    if missing:
        raise UsageError(f"{missing[0]} is empty")
    context.get_api(cells["api"])
    context.get_system(cells["system"])
    number, web_link = cells.get("ticket_number"), cells.get("ticket_link")
    if (number is None) == (web_link is None):
        words = "neither ticket_number nor ticket_link" if number is None else "both ticket_number and ticket_link"
        raise UsageError(f"has {words}; one of them names the ticket")
    from_at, _ = parse_from(cells.get("from", "now"), now, context.zone)
    thread = _thread(cells["api"], cells["customer_id"], cells["thread_id"])
    return NewLink(thread, cells["system"], TicketRef(number=number, link=web_link), from_at)


def _check_cell(name: str, text: str) -> None:
    """Refuse what no name, number or link holds: a NUL, a lone surrogate, or a whole file after a lost quote."""
    longest = LONGEST_LINK if name == "ticket_link" else LONGEST_CELL
    if len(text) > longest:
        raise UsageError(f"{name} is longer than {longest} characters")
    if not text.isprintable():
        raise UsageError(f"{name} has a character in it that cannot be printed")


def _thread(api: str, customer_id: str, thread_id: str) -> Thread:
    for name, text in (("customer_id", customer_id), ("thread_id", thread_id)):
        if not _ID.fullmatch(text):
            raise UsageError(f"{name} {text[:40]!r} is no whole number")
    try:
        return Thread(api, int(customer_id), int(thread_id))
    except ValueError as error:
        raise UsageError(str(error)) from None


async def import_links(context: CommandContext, lines: Sequence[Line], parse_from: ParseFrom) -> ImportResult:
    """Register what the lines ask for, some hundred in a transaction; bad lines are noted and left out."""
    result = ImportResult()
    now = context.clock.now()
    wanted: list[tuple[int, NewLink]] = []
    for line in lines:
        try:
            wanted.append((line.number, parse_line(context, line, now, parse_from)))
        except UsageError as error:
            result.bad.append((line.number, str(error)))
    for start in range(0, len(wanted), LINES_AT_ONCE):
        some = wanted[start : start + LINES_AT_ONCE]
        added, there, bad = await context.database.write(lambda c: _add_all(c, some, now))  # noqa: B023 - awaited at once
        result.added += added
        result.there += there
        result.bad += bad
    result.bad.sort()
    return result


def _add_all(
    connection: Connection, wanted: Sequence[tuple[int, NewLink]], now: datetime
) -> tuple[int, int, list[tuple[int, str]]]:
    added = there = 0
    bad: list[tuple[int, str]] = []
    for number, new in wanted:
        try:
            created = links.add(connection, new, now).created
        except UsageError as error:
            bad.append((number, str(error)))
            continue
        added += created
        there += not created
    return added, there, bad
