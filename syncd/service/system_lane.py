"""The lane of one system: a sweep when it is triggered, what commands ask for, a slice of the full sweep."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from loguru import logger

from syncd.model.errors import PauseSystem, RetryLater, StoreError
from syncd.model.health import SystemState
from syncd.model.lease import Leave
from syncd.model.meter import Meter, SweepResult, Unmetered
from syncd.service.asked import follow, make_due
from syncd.service.audit_task import AuditTask
from syncd.service.backfill_task import BackfillTask
from syncd.service.full_slice import go_on
from syncd.service.reading_again import read_again_for_others
from syncd.service.sweep_counts import log_sweep, sweep_counts
from syncd.sources.adapter import Capability
from syncd.store import health, hooks, link_changes, requests
from syncd.store.requests import Request, RequestKind, RequestState
from syncd.sync import poll
from syncd.sync.collect import System
from syncd.sync.full_sweep import FullSweep
from syncd.sync.hooked import collect_hooked

LONGEST_RETRY_SECONDS = 900.0
PAUSED_RETRY = timedelta(minutes=5)
HOOKED_AT_ONCE = 20
"""So many links at most are read because of webhooks alone; where more wait, a sweep follows and reads them all."""


@dataclass(slots=True)
class SystemLane:
    """Polls one system. One task runs it; a backfill is a task of its own beside it.

    `on_taken_in` is called when a sweep has put something into the outbox, so that it goes out at once.
    """

    system: System
    allowed: Leave
    known_capabilities: frozenset[Capability] | None = None
    progressed_at: float = 0.0
    busy: bool = False
    last_sweep: poll.Sweep | None = None
    meter: Meter = field(default_factory=Unmetered)
    on_taken_in: Callable[[], Awaitable[None]] | None = None
    _trigger: asyncio.Event = field(default_factory=asyncio.Event)
    _sweep_due: bool = False
    _backfill: BackfillTask = field(init=False)
    _audit: AuditTask = field(init=False)
    _full: FullSweep | None = None
    _stopping: bool = False

    def __post_init__(self) -> None:
        """Count progress from now."""
        self.progressed_at = self.system.clock.monotonic()
        self._audit = AuditTask(self.system, lambda: self.busy)
        self._backfill = BackfillTask(self.system)

    def trigger(self) -> None:
        """Sweep as soon as the one that runs has ended; several triggers are one."""
        self._sweep_due = True
        self._trigger.set()

    def hooked(self) -> None:
        """Read what webhooks have made due, as soon as a sweep that runs has ended; that takes no sweep of its own."""
        self._trigger.set()

    def is_at_work_on(self, kind: RequestKind) -> bool:
        """Say whether a request of that kind, which takes long, is being carried out; another one waits for it."""
        if kind is RequestKind.AUDIT:
            return self._audit.is_running
        return kind is RequestKind.BACKFILL and self._backfill.is_running

    @property
    def is_cut(self) -> bool:
        """Say whether the last sweep was cut short, so that another one is due at once."""
        return self.last_sweep is not None and self.last_sweep.is_cut

    async def run(self) -> None:
        """Sweep whenever triggered, until cancelled; each step stores its own progress, so that costs nothing."""
        try:
            # The requests to the vendor are made in this task and in those that it begins: their lines name it too.
            with logger.contextualize(system=self.system.name):
                await self._run()
        finally:
            await self._end_long_work()

    async def _run(self) -> None:
        while not self._stopping:
            await self._trigger.wait()
            self._trigger.clear()
            sweep_due, self._sweep_due = self._sweep_due, False
            if not sweep_due:
                await self._guarded(self._hooked_turn)
            elif await self.turn() and self.is_cut:
                self.trigger()

    async def once(self) -> bool:
        """Make one turn and finish the backfill that it began; return whether that went well.

        A system that a person has paused is left alone, which is well.
        """
        try:
            went_well = await self.turn()
            while went_well and self.is_cut:
                went_well = await self.turn()
            await self._backfill.wait()
            await self._audit.wait()
            state = await self.system.database.read(lambda c: health.get_system(c, self.system.name))
        finally:
            await self._end_long_work()
        return went_well or state.paused_by == health.PERSON

    async def _end_long_work(self) -> None:
        await self._audit.end()
        await self._backfill.end()

    async def turn(self) -> bool:
        """Make one sweep if it is due, and what was asked for; return whether the sweep went well."""
        return await self._guarded(self._turn)

    async def _guarded(self, turn: Callable[[], Awaitable[bool]]) -> bool:
        self.busy = True
        try:
            return await turn()
        except StoreError as error:
            logger.bind(system=self.system.name).error("sweep not made: {}", error)
            return False
        finally:
            self.busy = False
            self.progressed_at = self.system.clock.monotonic()

    async def _turn(self) -> bool:
        name, now = self.system.name, self.system.clock.now()
        state = await self.system.database.read(lambda c: health.get_system(c, name))
        asked = await self.system.database.read(lambda c: requests.open_requests(c, name))
        polls = [request for request in asked if request.kind is RequestKind.POLL]
        follows = [request for request in asked if request.kind is RequestKind.FOLLOW]
        if not self.allowed.is_set() or not await self._may_sweep(state, polls + follows):
            return False
        asked_for = await make_due(self.system, polls) + await self.system.database.write(lambda c: hooks.take(c, name))
        for request in follows:
            await self._answer([request], await follow(self.system, request))
        await read_again_for_others(self.system, [one for one in asked if one.kind is RequestKind.REFRESH])
        failure = await self._sweep(state, asked_for)
        await self._answer(polls, failure)
        if failure is None:
            self._backfill.begin([request for request in asked if request.kind is RequestKind.BACKFILL])
            self._audit.begin([request for request in asked if request.kind is RequestKind.AUDIT])
            self._full = await go_on(self.system, self._full, state)
        logger.bind(system=name).debug("turn ended, {} s", (self.system.clock.now() - now).total_seconds())
        return failure is None

    async def _hooked_turn(self) -> bool:
        """Read the tickets that webhooks were about; where that may not be now, they stay due for the next sweep."""
        system = self.system
        if not self.allowed.is_set():
            return False
        state = await system.database.read(lambda c: health.get_system(c, system.name))
        hooked = await system.database.write(lambda c: hooks.take(c, system.name))
        if not hooked or state.paused_by == health.PERSON or not await self._may_sweep(state, []):
            return False
        if len(hooked) > HOOKED_AT_ONCE:
            self.trigger()
        return await self._sweep(state, hooked[:HOOKED_AT_ONCE], hooked=True) is None

    async def _may_sweep(self, state: SystemState, polls: list[Request]) -> bool:
        if state.paused_by == health.PERSON:
            await self._answer(polls, f"the system is paused: {state.reason}")
            return False
        waiting = state.retry_at is not None and state.retry_at > self.system.clock.now()
        return bool(polls) or not waiting

    async def _sweep(self, state: SystemState, first: list[int], *, hooked: bool = False) -> str | None:
        """Make a sweep, of these links first, or of them alone if `hooked`; return what failed, None if nothing did."""
        system = self.system
        began = system.clock.monotonic()
        try:
            async with asyncio.timeout(system.policy.sweep_deadline_seconds):
                await self._learn_capabilities()
                done = await (collect_hooked(system, first) if hooked else poll.sweep(system, first))
        except PauseSystem as error:
            self._count(SweepResult.REFUSED, began)
            # Mended credentials may see more or less than those before.
            self.known_capabilities = None
            return await self._pause(str(error))
        except RetryLater as error:
            self._count(SweepResult.LATER, began)
            return await self._retry(state, str(error), error.wait_seconds)
        except TimeoutError:
            self._count(SweepResult.OUT_OF_TIME, began)
            return await self._retry(state, f"no end after {system.policy.sweep_deadline_seconds:g} s", None)
        except StoreError:
            self._count(SweepResult.NOT_STORED, began)
            raise
        except Exception as error:  # noqa: BLE001 - a bug in an adapter fails its sweep, never the daemon
            self._count(SweepResult.BUG, began)
            logger.bind(system=system.name).opt(exception=error).error("sweep failed")
            return await self._retry(state, f"{type(error).__name__}; see the log", None)
        if self.on_taken_in is not None and (done.stored.new or done.stored.changed or done.notes):
            await self.on_taken_in()
        if hooked:
            log_sweep(system, done, system.clock.monotonic() - began)
            return None
        self.last_sweep = done
        now = system.clock.now()
        await system.database.write(lambda c: health.note_sweep(c, system.name, now))
        self._count(SweepResult.GOOD, began)
        log_sweep(system, done, system.clock.monotonic() - began)
        return None

    def _count(self, result: SweepResult, began: float) -> None:
        self.meter.swept(self.system.name, result, self.system.clock.monotonic() - began)

    async def _learn_capabilities(self) -> None:
        if self.known_capabilities is not None:
            return
        system = self.system
        self.known_capabilities = await system.adapter.available()
        system.has_feed = Capability.CHANGE_FEED in self.known_capabilities
        if not system.has_feed:
            now = system.clock.now()
            closed_after = now - timedelta(days=system.policy.closed_watch_days)
            await system.database.write(lambda c: link_changes.ensure_due(c, system.name, closed_after, now))

    async def _pause(self, reason: str) -> str:
        system, now = self.system, self.system.clock.now()
        await system.database.write(
            lambda c: health.pause_system(c, system.name, health.SYNCD, reason, now, now + PAUSED_RETRY)
        )
        logger.bind(system=system.name).error("system paused: {}", reason)
        return reason

    async def _retry(self, state: SystemState, reason: str, wait_seconds: float | None) -> str:
        system, now = self.system, self.system.clock.now()
        growing = min(system.policy.poll_seconds * 2 ** min(state.failures, 10), LONGEST_RETRY_SECONDS)
        retry_at = now + timedelta(seconds=max(growing, wait_seconds or 0.0))
        await system.database.write(lambda c: health.note_sweep_failure(c, system.name, reason, retry_at, now))
        logger.bind(system=system.name, retry_at=retry_at.isoformat()).warning("sweep failed: {}", reason)
        return reason

    async def _answer(self, polls: list[Request], failure: str | None) -> None:
        result: dict[str, Any] = {"failure": failure} if failure is not None else sweep_counts(self.last_sweep)
        ended = RequestState.DONE if failure is None else RequestState.FAILED
        for request in polls:
            await self._end_request(request, ended, result)

    async def _end_request(self, request: Request, state: RequestState, result: dict[str, Any]) -> None:
        now = self.system.clock.now()
        await self.system.database.write(lambda c: requests.end(c, request.id, state, result, now))
