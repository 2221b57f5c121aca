"""How far long work has come: a bar on a terminal, plain lines now and then anywhere else. Both on stderr.

A line is written when another piece of work begins, when one is done, and else seldom: they stay in journals.
"""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from syncd.console.output import notice
from syncd.model.clock import Clock

if TYPE_CHECKING:  # a tenth of a second that only a terminal needs
    from rich.progress import Progress, TaskID

LINE_EVERY_SECONDS = 30.0


class ProgressDisplay:
    """Shows one piece of work after the other. Use it with `with`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told_at = float("-inf")
        self._told: tuple[str, int, int | None, str] | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - see above
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(
                *columns, TextColumn("{task.fields[more]}", markup=False), console=Console(stderr=True)
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, name: str, done: int, of: int | None, more: str) -> None:
        """Show how far `name` is: `done` of `of` (None while that is not known), and some words."""
        if self._bar is not None:
            if name not in self._tasks:
                self._tasks[name] = self._bar.add_task(name, total=of, more=more)
            fields: dict[str, Any] = {"completed": done, "total": of, "more": more}
            self._bar.update(self._tasks[name], **fields)
            return
        now, told = self._clock.monotonic(), (name, done, of, more)
        is_change = self._told is None or name != self._told[0] or done == of
        if of is not None and told != self._told and (is_change or now - self._told_at >= LINE_EVERY_SECONDS):
            self._told_at, self._told = now, told
            notice(f"{name}: {done} of {of}, {more}")
