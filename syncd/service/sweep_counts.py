"""What a sweep did, in counts: for the command that asked for it, and for the log."""

from dataclasses import asdict
from typing import Any

from loguru import logger

from syncd.sync.collect import System
from syncd.sync.poll import Sweep


def sweep_counts(done: Sweep | None) -> dict[str, Any]:
    """Return what a sweep did, as the answer to a request has it."""
    if done is None:
        return {}
    counts = {key: value for key, value in asdict(done).items() if key != "stored"}
    counts.pop("is_cut")
    stored = asdict(done.stored)
    stored.pop("taken_in")
    stored.pop("elsewhere")
    # `changed` of a sweep counts tickets, that of what was stored deliveries that waited.
    stored["updated"] = stored.pop("changed")
    return counts | stored


def log_sweep(system: System, done: Sweep, seconds: float) -> None:
    """Log a sweep with what it found; one that found nothing is for those who look for mistakes."""
    counts = {key: value for key, value in sweep_counts(done).items() if value}
    level = "INFO" if counts.keys() - {"pages"} else "DEBUG"
    logger.bind(system=system.name, milliseconds=round(seconds * 1000), **counts).log(level, "sweep ended")
