"""How things are measured: rounds that alternate, medians, CPU of this process and of others."""

import os
import resource
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cost:
    """What some work took. CPU is of the whole process, its threads included, user and system."""

    wall_seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class Stopwatch:
    """Measures what lies between its construction and `stop`, of this process."""

    wall: float = 0.0
    cpu: float = 0.0

    def __post_init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def stop(self) -> Cost:
        """Return what it took since."""
        return Cost(time.perf_counter() - self.wall, time.process_time() - self.cpu)


def cpu_seconds_of(pid: int) -> float:
    """Return the CPU time of another process that lives, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def cpu_seconds_of_children() -> float:
    """Return the CPU time of all children that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def resident_megabytes(pid: int) -> float:
    """Return the memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES / 1e6


async def alternate(contenders: Mapping[str, Callable[[], Awaitable[Cost]]], rounds: int) -> dict[str, list[Cost]]:
    """Let each contender run once per round, in turn, so that what the machine does meanwhile meets all of them.

    A first round, in which everything is imported and warmed up, is not counted.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds + 1):
        # Turned round each time: whoever comes second finds warmer caches.
        for name in names if number % 2 else reversed(names):
            cost = await contenders[name]()
            if number:
                costs[name].append(cost)
    return costs


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of the rounds' ratios, and the extremes."""

    value: float
    low: float
    high: float


def ratio(ours: Sequence[float], floor: Sequence[float]) -> Ratio:
    """Return ours to the floor, round by round: what slows the machine in one round slows both."""
    each = [one / other for one, other in zip(ours, floor, strict=True)]
    return Ratio(median(each), min(each), max(each))
