"""`python -m bench [GROUP...]`: measure, print tables, write JSON, and hold the ratios to those that are kept."""

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import uvloop

from bench.figures import Figure, table

GROUPS = (
    "delivery",
    "pace",
    "reading",
    "sweeping",
    "quiet",
    "backfill",
    "claiming",
    "memory",
    "starting",
    "latency",
)
"""Each is a module of this package with `async def run(rounds: int) -> list[Figure]`."""

KEPT = Path(__file__).parent / "kept.json"
RESULT = Path(".bench/figures.json")


def main() -> int:
    """Measure; return 1 if a ratio has become worse than the kept one."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; all of them if none")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are counted, of which medians are taken")
    parser.add_argument("--json", type=Path, default=RESULT, metavar="FILE", help="where the figures are written")
    parser.add_argument("--keep", action="store_true", help="let the check hold later runs to these figures")
    parser.add_argument("--check", action="store_true", help="fail if a figure is worse than the kept one")
    options = parser.parse_args()
    if unknown := [name for name in options.groups if name not in GROUPS]:
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    figures: list[Figure] = []
    for name in options.groups or GROUPS:
        print(f"== {name}", flush=True)
        found = uvloop.run(importlib.import_module(f"bench.{name}").run(options.rounds))
        print(table(found), flush=True)
        figures += found
    write(options.json, figures)
    if options.keep:
        keep(figures)
    worse = regressions(figures) if options.check else []
    print("\n".join(worse), file=sys.stderr)
    return 1 if worse else 0


def write(path: Path, figures: Sequence[Figure]) -> None:
    """Write figures as JSON, with what they were measured on."""
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    told = {"machine": machine, "figures": [figure.as_json() for figure in figures]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")


def keep(figures: Sequence[Figure]) -> None:
    """Keep these values for later checks; those of other groups stay."""
    kept = read_kept() | {figure.name: figure.as_json()["value"] for figure in figures}
    KEPT.write_bytes(orjson.dumps(dict(sorted(kept.items())), option=orjson.OPT_INDENT_2) + b"\n")


def read_kept() -> dict[str, float]:
    """Return the values that are kept, by figure."""
    kept: dict[str, float] = orjson.loads(KEPT.read_bytes()) if KEPT.exists() else {}
    return kept


def regressions(figures: Sequence[Figure]) -> list[str]:
    """Return what has become worse, a sentence each; a figure that was never kept is told too."""
    kept = read_kept()
    return [
        f"{figure.name}: nothing is kept to hold it to; see --keep"
        if figure.name not in kept
        else f"{figure.name}: {figure.value:.3g}, and {kept[figure.name]:g} is kept"
        for figure in figures
        if figure.name not in kept or figure.is_worse_than(kept[figure.name])
    ]


if __name__ == "__main__":
    sys.exit(main())
