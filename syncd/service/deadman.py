"""A dead man's switch: a thread that tells when the event loop stands still, and nothing in it can tell any more.

The loop says now and then that it turns. The thread has a timer of its own, and sends from a loop of its own. What it
cannot tell is a process that does not run at all: that is for the service manager's watchdog, and for whoever scrapes.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from loguru import logger

from syncd.model.clock import Clock

LIMIT_SECONDS = 60.0
"""Half of the watchdog's time in syncd.service, so that it is told before the process is killed."""


@dataclass(slots=True)
class DeadMan:
    """Watches one loop.

    `on_change` is called in the thread: with True when the loop stands still, with False when it turns again. It
    returns whether somebody has taken that; if not it is called again after another `limit_seconds`.
    """

    clock: Clock
    on_change: Callable[[bool], bool]
    limit_seconds: float = LIMIT_SECONDS
    _turned_at: float = field(init=False)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        """Count from now."""
        self._turned_at = self.clock.monotonic()
        # Ended with the process: whoever stands still may never come to end it.
        self._thread = threading.Thread(target=self._watch, name="dead man", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def end(self) -> None:
        """Watch no more."""
        self._ended.set()

    async def keep_saying(self) -> None:
        """Say that the loop turns, until cancelled."""
        while True:
            self._turned_at = self.clock.monotonic()
            await self.clock.sleep(self.limit_seconds / 10)

    def _watch(self) -> None:
        told, every, not_before = False, self.limit_seconds / 10, float("-inf")
        looked_at = self.clock.monotonic()
        while not self._ended.wait(every):
            now = self.clock.monotonic()
            if now - looked_at > self.limit_seconds / 2:
                self._turned_at = now  # this thread did not run either: the whole process was stopped
            looked_at = now
            stands_still = now - self._turned_at > self.limit_seconds
            if stands_still is not told and now >= not_before:
                told = stands_still if self._is_taken(stands_still) else told
                looked_at = self.clock.monotonic()
                not_before = looked_at + self.limit_seconds if told is not stands_still else float("-inf")

    def _is_taken(self, stands_still: bool) -> bool:
        try:
            return self.on_change(stands_still)
        except Exception as error:  # noqa: BLE001 - nobody else would tell of the next time
            logger.opt(exception=error).error("what the loop does could not be told")
            return False
