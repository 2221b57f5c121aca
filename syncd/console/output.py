"""What people and programs read: tables, JSON, notices and errors. Foreign text is made harmless here.

On a terminal tables are drawn to its width; anywhere else they are plain columns, neither wrapped nor cut.
"""

import json
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo


def shown(text: str) -> str:
    """Return a text in which nothing can end a line, colour a terminal or turn the direction of writing."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown_lines(text: str) -> list[str]:
    """Return the lines of a text, each harmless."""
    return [shown(line) for line in text.replace("\r\n", "\n").split("\n")]


def say(text: str = "") -> None:
    """Write one line of the answer."""
    print(shown(text))


def notice(text: str) -> None:
    """Write one line beside the answer, on stderr: progress, hints, warnings."""
    print(shown(text), file=sys.stderr, flush=True)


def report_error(message: str, heading: str = "") -> None:
    """Write why a command failed, on stderr."""
    lines = shown_lines(message)
    if heading:
        print(f"Error: {heading}", file=sys.stderr)
        lines = [f"  {line}" for line in lines]
    else:
        # What follows is indented, so that a line end in foreign text makes no line that looks like ours.
        lines = [f"Error: {lines[0]}", *(f"  {line}" for line in lines[1:])]
    for line in lines:
        print(line, file=sys.stderr)


def report_unexpected(error: BaseException) -> None:
    """Write type and place of a failure that nobody expected; its text may hold what nobody may read."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "syncd" in frame.filename or "adapters" in frame.filename] or list(frames)
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    place = f" at {own[-1].filename}:{own[-1].lineno} in {own[-1].name}" if own else ""
    report_error(f"a bug of syncd or of an adapter: {kind}{place}. Please report it with these words.")


def print_json(value: Any) -> None:
    """Write a value as JSON, in ASCII alone: so no text in it can do anything to a terminal, and nothing is lost."""
    print(json_text(value))


def json_text(value: Any) -> str:
    """Return a value as JSON in ASCII; instants and words of ours become texts."""
    return json.dumps(value, default=_plain, indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON can hold")


@dataclass(frozen=True, slots=True)
class Shown:
    """How values become cells: instants in one time zone, nothing as a dash."""

    zone: ZoneInfo

    def cell(self, value: Any) -> str:
        """Return a value as a cell of a table."""
        if value is None or value == "":
            return "-"
        if isinstance(value, datetime):
            return value.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")
        if isinstance(value, bool):
            return "yes" if value else "no"
        return shown(str(value.value if isinstance(value, Enum) else value))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write a table."""
        cells = [[self.cell(value) for value in row] for row in rows]
        if sys.stdout.isatty():
            _draw(columns, cells)
            return
        widths = [max(len(line[place]) for line in [list(columns), *cells]) for place in range(len(columns))]
        for line in [list(columns), *cells]:
            print("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip())

    def fields(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Write names with their values, one on a line; those without a value are left out."""
        there = [(name, self.cell(value)) for name, value in pairs if value is not None and value != ""]
        width = max((len(name) for name, _ in there), default=0)
        for name, text in there:
            print(f"{name:<{width}}  {text}")


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415 - a tenth of a second that only a terminal needs
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for line in cells:
        table.add_row(*(Text(text) for text in line))
    Console(highlight=False).print(table)


def span(seconds: float | timedelta) -> str:
    """Return a span in its two largest units: `3 h 12 min`."""
    left = int(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 link`, `2 links`, `3 deliveries`."""
    plural = many or (f"{one[:-1]}ies" if one.endswith("y") else f"{one}s")
    return f"{number} {one if number == 1 else plural}"
