"""What a long run must have shown. Pure."""

from tests.soak.soak import PACE, Report

MOST_GROWTH = 1.10
MOST_MORE_FILES = 3
WATCHDOG_SECONDS = 120.0
"""WatchdogSec of systemd/syncd.service."""
SLOWEST_RECOVERY = 1.15
"""How much longer than the pace alone would take."""
SLOW_START_MINUTES = 6.0
"""What an API that was away is waited for at most, and the way up to the pace."""


def problems_of(report: Report) -> list[str]:
    """Return what was not as promised, in sentences; empty if all was."""
    return [*_balance(report), *_watch(report), *_level(report), *_recovery(report)]


def _balance(report: Report) -> list[str]:
    counts = {
        "lost": report.lost,
        "twice": report.twice,
        "internal and sent": report.leaked,
        "of nobody": report.strangers,
    }
    return [f"{count} communications are {what}" for what, count in counts.items() if count]


def _watch(report: Report) -> list[str]:
    problems = [f"{lane} was stuck" for lane in report.stuck]
    if report.watchdog_gap_seconds > WATCHDOG_SECONDS:
        problems.append(f"the watchdog was not fed for {report.watchdog_gap_seconds:.0f} s")
    return problems


def _level(report: Report) -> list[str]:
    """Compare each day with the second one: the first has filled what is filled once."""
    if len(report.days) < 3:
        return ["too few days to tell whether anything grows"]
    _, first, *others = report.days
    problems = []
    for number, day in enumerate(others, 2):
        if day.blocks > first.blocks * MOST_GROWTH:
            problems.append(f"day {number} has {day.blocks} blocks of memory, day 1 had {first.blocks}")
        if day.descriptors > first.descriptors + MOST_MORE_FILES:
            problems.append(f"day {number} has {day.descriptors} files open, day 1 had {first.descriptors}")
        if day.tasks > first.tasks + MOST_MORE_FILES:
            problems.append(f"day {number} has {day.tasks} tasks, day 1 had {first.tasks}")
        if day.threads > first.threads + MOST_MORE_FILES:
            problems.append(f"day {number} has {day.threads} threads, day 1 had {first.threads}")
    return problems


def _recovery(report: Report) -> list[str]:
    bound = report.waited / PACE
    if report.recovery_minutes > bound * SLOWEST_RECOVERY + SLOW_START_MINUTES:
        return [f"{report.waited} took {report.recovery_minutes:.0f} min, the pace alone would take {bound:.0f}"]
    return []
