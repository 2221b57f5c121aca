"""Figures as values: what was measured, against what, what is to be reached, and how a table and JSON show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Better(StrEnum):
    """In which direction a figure gets better."""

    MORE = "more"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `value` is a ratio to `against` in the same run, or a count if `against` is empty.

    `low` and `high` are the extremes over the rounds; `parts` the absolute medians that the ratio was made of, which
    hold for this machine and this minute alone. `tolerance` is by what share the value may be worse than the one
    that is kept, before that counts as a regression: 0 for counts that do not depend on the machine.
    """

    name: str
    value: float
    unit: str
    against: str = ""
    target: float | None = None
    better: Better = Better.MORE
    low: float | None = None
    high: float | None = None
    tolerance: float = 0.25
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_reached(self) -> bool | None:
        """Say whether the target is reached; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.better is Better.MORE else self.value <= self.target

    def is_worse_than(self, kept: float) -> bool:
        """Say whether this is worse than the kept value by more than the tolerance."""
        if self.better is Better.MORE:
            return self.value < kept * (1 - self.tolerance)
        return self.value > kept * (1 + self.tolerance)

    def as_json(self) -> dict[str, Any]:
        """Return the figure as JSON keeps it."""
        return {
            "name": self.name,
            "value": rounded(self.value),
            "unit": self.unit,
            "against": self.against,
            "target": self.target,
            "better": self.better.value,
            "reached": self.is_reached,
            "low": None if self.low is None else rounded(self.low),
            "high": None if self.high is None else rounded(self.high),
            "parts": {name: rounded(value) for name, value in self.parts.items()},
        }


def rounded(value: float) -> float:
    """Return a value with three digits that count."""
    return float(f"{value:.3g}") if abs(value) < 1000 else round(value)


def table(figures: Sequence[Figure]) -> str:
    """Return figures as a table for a terminal."""
    head = ("figure", "value", "of the rounds", "to reach", "")
    rows = [head, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    unit = f"{figure.unit} of {figure.against}" if figure.against else figure.unit
    spread = "" if figure.low is None or figure.high is None else f"{figure.low:.3g} to {figure.high:.3g}"
    sign = "at least" if figure.better is Better.MORE else "at most"
    target = "" if figure.target is None else f"{sign} {figure.target:g}"
    verdict = {None: "", True: "reached", False: "NOT REACHED"}[figure.is_reached]
    return (figure.name, f"{figure.value:.3g} {unit}".strip(), spread, target, verdict)
