"""`python -m tests.soak`: the long run, with a report at its end; exit code 1 if anything is not as promised."""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from syncd.service.log import configure_log
from syncd.testing.virtual_clock import VirtualClock, run_virtual
from tests.soak.judging import problems_of
from tests.soak.soak import Plan, Report, Soak

SHARED_MEMORY = Path("/dev/shm")


def main() -> int:
    """Run, print, judge."""
    options = _options()
    plan = Plan(options.days, options.day_hours, options.threads, options.replies_a_day, options.waiting)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        report = _run(plan, Path(folder))
    problems = problems_of(report)
    if options.json:
        print(json.dumps({**asdict(report), "problems": problems}))
    else:
        print("\n".join(_lines(report, time.monotonic() - began)))
        print("\n".join(["", *(f"PROBLEM: {one}" for one in problems)] if problems else ["", "All as promised."]))
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--days", type=int, default=5, help="ordinary days before the long outage")
    parser.add_argument("--day-hours", type=int, default=24, choices=range(12, 25), help="how long such a day is")
    parser.add_argument("--threads", type=int, default=500, help="linked tickets")
    parser.add_argument("--replies-a-day", type=int, default=800)
    parser.add_argument("--waiting", type=int, default=20_000, help="replies that pile up in the long outage")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    return parser.parse_args()


def _run(plan: Plan, folder: Path) -> Report:
    # Logs go into a pipe whose reader leaves at once, as a log collector does that is restarted: nothing may stop.
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", encoding="utf-8", buffering=1)
    configure_log("INFO", "json", stream)
    try:
        return run_virtual(lambda clock: _soak(clock, folder, plan))
    finally:
        with suppress(BrokenPipeError):
            stream.close()


async def _soak(clock: VirtualClock, folder: Path, plan: Plan) -> Report:
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", file=sys.stderr, flush=True)

    return await Soak(clock, folder, plan, tell).run()


def _lines(report: Report, wall_seconds: float) -> list[str]:
    plan = report.plan
    days, minutes = len(report.days), wall_seconds / 60
    lines = [
        f"{days} days, an outage of {report.outage_hours:.0f} h, {plan.threads} tickets; {minutes:.1f} min in all",
        f"{report.written} replies written, {report.delivered} delivered, {report.status_notes} status notes",
        f"{report.restarts} clean restarts, {report.kills} abrupt ones; {report.in_doubt} in doubt",
        f"{report.lost} lost, {report.twice} twice, {report.leaked} internal notes out, {report.strangers} of nobody",
        f"watchdog fed {report.watchdog_fed} times, longest gap {report.watchdog_gap_seconds:.0f} s",
        f"stuck: {', '.join(report.stuck) or 'nothing'}",
        f"{report.waited} waited for the API; the first left {report.first_after_seconds:.0f} s after it was back",
        f"the last left {report.recovery_minutes:.1f} min later: {_per_minute(report):.0f} a minute",
        f"requests to the helpdesk meanwhile: {report.vendor_requests_in_recovery}",
        "",
        "day     delivered      blocks    memory MB  files  tasks  threads",
    ]
    for number, (day, delivered) in enumerate(zip(report.days, report.delivered_by_day, strict=True)):
        lines.append(
            f"{number:3d}  {delivered:12d}  {day.blocks:10d}  {day.resident_bytes / 1e6:11.1f}  {day.descriptors:5d}"
            f"  {day.tasks:5d}  {day.threads:7d}"
        )
    return lines


def _per_minute(report: Report) -> float:
    return report.waited / report.recovery_minutes if report.recovery_minutes else 0.0


if __name__ == "__main__":
    sys.exit(main())
