"""One run: vendor, worker and API, what people do to them, and at the end the books that must add up."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from syncd.service.settings import load_settings
from syncd.service.start import find_missing
from syncd.store import lists
from syncd.testing.sandbox_faults import Break, Fault, broken_success, redirect, refusal, stranger
from syncd.testing.virtual_clock import VirtualClock
from tests.machine.books import Books
from tests.machine.killable import Trap
from tests.machine.people import People

API_FAULTS: dict[str, Fault] = {
    "close before reading": Break.CLOSE_BEFORE_READING,
    "close": Break.CLOSE_AFTER_READING,
    "apply and close": Break.APPLY_THEN_CLOSE,
    "hang": Break.HANG,
    "apply and hang": Break.APPLY_THEN_HANG,
    "garbage": Break.GARBAGE,
    "apply and garbage": Break.APPLY_THEN_GARBAGE,
    "throttle": Break.THROTTLE,
    "400": refusal(400),
    "422": refusal(422),
    "403": refusal(403),
    "403 for all": refusal(403),
    "404": refusal(404),
    "409": refusal(409),
    "401": refusal(401),
    "408": refusal(408),
    "404 of a proxy": stranger(404),
    "redirect": redirect("/elsewhere"),
    "500": refusal(500),
    "503": refusal(503),
    "503 of a proxy": stranger(503, applied=True),
    "502": stranger(502),
    "502 applied": stranger(502, applied=True),
    "odd 200": broken_success(),
}
RELOADS: tuple[dict[str, object], ...] = (
    {"api_in_doubt": "hold"},
    {"api_in_doubt": "hold"},
    {"api_in_doubt": "resend"},
    {"api_in_doubt": "assume_delivered"},
    {"api_requests_per_minute": 12},
    {"api_requests_per_minute": 600},
    {"api_mode": "hold"},
    {"api_mode": "send"},
    {"api_order": "strict"},
    {"api_order": "relaxed"},
    {"on_edit": "correction"},
    {"on_edit": "ignore"},
    {"on_merge": "follow"},
    {"status_notes": "all"},
    {"api_in_flight": 1},
    {},
)
JUMPS = (0, 20, -20, 660, -660, 7200, -3600, 0)


class Run(People):
    """What can be done in a run, as plain methods; `check` after each, `settle` at the end."""

    def __init__(self, clock: VirtualClock, folder: Path, reached: Counter[str], **more: Any) -> None:
        self.chosen: dict[str, object] = {
            "api_requests_per_minute": more.pop("rate", 60),
            "api_timeout_seconds": 5,
            "adapter": "in_memory" if more.pop("feed", True) else "in_memory_plain",
            "on_merge": more.pop("on_merge", "follow"),
            "on_edit": more.pop("on_edit", "ignore"),
            "api_in_doubt": more.pop("in_doubt", "hold"),
            "api_order": more.pop("order", "relaxed"),
        }
        delay = more.pop("delay", 0.0)
        super().__init__(clock, folder, reached, **more)
        self.sandbox.answer_delay = lambda: delay
        self.merged_at = {}
        self.books = Books(self)
        clock.loop.run_until_complete(self.open())
        for number in range(3):
            self._ticket(number * 17)

    # What the worker does

    def up(self) -> None:
        """Begin a life if there is none."""
        if not self.is_up:
            self.take_in(self.chosen)
            self.start(**self.chosen)

    def take_in(self, changes: dict[str, Any]) -> None:
        """Let the audit and the wire know what the settings say from now on."""
        policy = changes.get("api_in_doubt", "hold")
        self.audit.policies = {"berlin": policy}
        self.audit.strict = {"berlin"} if changes.get("api_order") == "strict" else set()
        if policy == "resend":
            self.wire.policy_resends.add("berlin")
        self.wire.corrects |= changes.get("on_edit") == "correction"
        now = self.clock.monotonic()
        self.wire.limits["berlin"].append((now, float(changes["api_requests_per_minute"])))
        self.wire.limits["hamburg"].append((now, 900.0))

    def work(self, seconds: float) -> None:
        """Poll, and let what is due go out for so long."""
        self.up()
        if self.is_up:
            self.do(self.sync(seconds))

    def crash(self, point: str, after: int, *, kept: bool, seconds: float) -> None:
        """Work until the worker dies at this point, or at the end of the work if there is something on the wire."""
        self.up()
        trap = Trap(point, after, kept)
        self.traps.append(trap)
        self.work(seconds)
        if trap in self.traps:
            self.traps.remove(trap)
        if self.is_up and (kept or self.dispatcher.in_flight):
            self.kill("at rest" if not self.dispatcher.in_flight else "on the wire")
            self.do(asyncio.sleep(0))

    def stumble(self, point: str, after: int, *, kept: bool, seconds: float) -> None:
        """Work on while one commit is not acknowledged."""
        self.up()
        trap = Trap(point, after, kept, kills=False)
        self.traps.append(trap)
        self.work(seconds)
        if trap in self.traps:
            self.traps.remove(trap)

    def rest(self) -> None:
        """Stop the worker as systemd does."""
        if self.is_up:
            self.stop()

    def jump_to(self, number: int) -> None:
        """Set the worker's clock."""
        seconds = JUMPS[number % len(JUMPS)]
        if seconds != self.clock.wall_offset.total_seconds():
            # A worker that is down notices no jump: what it waited for has passed, as if time had.
            self.up()
            self.jump(timedelta(seconds=seconds))

    def reload(self, changes: dict[str, object]) -> None:
        """Take in changed settings, as SIGHUP does; an api with open work cannot be taken away."""
        self.chosen |= changes
        self.up()
        if self.is_up:
            before, after = self.audit.strict, dict(self.chosen)
            self.take_in(after)
            self.audit.strict &= before
            self.reached["reload with requests on the wire"] += self.dispatcher.in_flight > 0
            self.do(self._reload())
            self.take_in(after)

    async def _reload(self) -> None:
        settings = self.settings(**self.chosen)
        await self.parts.replace(settings)
        file = self.folder / "fewer.toml"
        text = (self.folder / "config.toml").read_text()
        begin, end = text.index("[api.hamburg]"), text.index("[systems.desk]")
        file.write_text(text[:begin] + text[end:])
        missing = await find_missing(self.database, load_settings(file, {}))
        apis, _ = await self.database.read(lists.count_open_work)
        if ("hamburg" in apis) != bool(missing):
            self.violations.append("an api with open work may vanish from the settings")
        self.reached["an api taken away is refused"] += bool(missing)

    def let_api_fail(self, faults: list[str]) -> None:
        """Let the next requests meet these faults."""
        for fault in faults:
            self.reached[f"api: {fault}"] += 1
            self.unread += fault == "close before reading"
            self.sandbox.plan(API_FAULTS[fault], times=4 if fault == "403 for all" else 1)
