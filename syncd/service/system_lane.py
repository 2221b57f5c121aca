"""The lane of one system: a sweep when it is triggered, what commands ask for, a slice of the full sweep."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from loguru import logger

from syncd.model.errors import PauseSystem, RetryLater, StoreError, SyncdError
from syncd.model.health import SystemState
from syncd.model.lease import Leave
from syncd.model.link import LinkState
from syncd.service.audit_task import AuditTask
from syncd.service.reading_again import read_again_for_others
from syncd.service.sweep_counts import log_sweep, sweep_counts
from syncd.sources.adapter import Capability
from syncd.store import health, link_changes, links, requests
from syncd.store.requests import Request, RequestKind, RequestState
from syncd.sync import backfill, full_sweep, poll, resolving
from syncd.sync.backfill import Progress, Wanted
from syncd.sync.collect import System

LONGEST_RETRY_SECONDS = 900.0
PAUSED_RETRY = timedelta(minutes=5)
REPORT_EVERY_SECONDS = 0.5


@dataclass(slots=True)
class SystemLane:
    """Polls one system. One task runs it; a backfill is a task of its own beside it."""

    system: System
    allowed: Leave
    known_capabilities: frozenset[Capability] | None = None
    progressed_at: float = 0.0
    busy: bool = False
    last_sweep: poll.Sweep | None = None
    _trigger: asyncio.Event = field(default_factory=asyncio.Event)
    _backfill: "asyncio.Task[None] | None" = None
    _audit: AuditTask = field(init=False)
    _full: full_sweep.FullSweep | None = None
    _stopping: bool = False

    def __post_init__(self) -> None:
        """Count progress from now."""
        self.progressed_at = self.system.clock.monotonic()
        self._audit = AuditTask(self.system, lambda: self.busy)

    def trigger(self) -> None:
        """Sweep as soon as the one that runs has ended; several triggers are one."""
        self._trigger.set()

    def is_at_work_on(self, kind: RequestKind) -> bool:
        """Say whether a request of that kind, which takes long, is being carried out; another one waits for it."""
        if kind is RequestKind.AUDIT:
            return self._audit.is_running
        return kind is RequestKind.BACKFILL and self._backfill is not None and not self._backfill.done()

    @property
    def is_cut(self) -> bool:
        """Say whether the last sweep was cut short, so that another one is due at once."""
        return self.last_sweep is not None and self.last_sweep.is_cut

    async def run(self) -> None:
        """Sweep whenever triggered, until cancelled; each step stores its own progress, so that costs nothing."""
        try:
            while not self._stopping:
                await self._trigger.wait()
                self._trigger.clear()
                if await self.turn() and self.is_cut:
                    self.trigger()
        finally:
            await self._end_long_work()

    async def once(self) -> bool:
        """Make one turn and finish the backfill that it began; return whether that went well.

        A system that a person has paused is left alone, which is well.
        """
        try:
            went_well = await self.turn()
            while went_well and self.is_cut:
                went_well = await self.turn()
            if self._backfill is not None:
                await self._backfill
            await self._audit.wait()
            state = await self.system.database.read(lambda c: health.get_system(c, self.system.name))
        finally:
            await self._end_long_work()
        return went_well or state.paused_by == health.PERSON

    async def _end_long_work(self) -> None:
        await self._audit.end()
        if self._backfill is not None:
            self._backfill.cancel()
            await asyncio.gather(self._backfill, return_exceptions=True)

    async def turn(self) -> bool:
        """Make one sweep if it is due, and what was asked for; return whether the sweep went well."""
        self.busy = True
        try:
            return await self._turn()
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
        asked_for = await self._make_due(polls)
        for request in follows:
            await self._answer([request], await self._follow(request))
        await read_again_for_others(self.system, [one for one in asked if one.kind is RequestKind.REFRESH])
        failure = await self._sweep(state, asked_for)
        await self._answer(polls, failure)
        if failure is None:
            self._begin_backfill([request for request in asked if request.kind is RequestKind.BACKFILL])
            self._audit.begin([request for request in asked if request.kind is RequestKind.AUDIT])
            await self._full_slice(state)
        logger.bind(system=name).debug("turn ended, {} s", (self.system.clock.now() - now).total_seconds())
        return failure is None

    async def _may_sweep(self, state: SystemState, polls: list[Request]) -> bool:
        if state.paused_by == health.PERSON:
            await self._answer(polls, f"the system is paused: {state.reason}")
            return False
        waiting = state.retry_at is not None and state.retry_at > self.system.clock.now()
        return bool(polls) or not waiting

    async def _make_due(self, polls: list[Request]) -> list[int]:
        """Make the links of the tickets that were asked for due; return their ids."""
        now = self.system.clock.now()
        asked_for: list[int] = []
        for request in polls:
            await self.system.database.write(lambda c: requests.report(c, request.id, {}))  # noqa: B023 - awaited at once
            numbers = request.arguments.get("tickets", [])
            for number in numbers:
                found = await self.system.database.read(
                    lambda c: links.listed(c, system=self.system.name, ticket=number)  # noqa: B023 - awaited at once
                )
                ids = [link.id for link in found]
                await self.system.database.write(lambda c: link_changes.mark_links_due(c, ids, now))  # noqa: B023
                asked_for += ids
        return asked_for

    async def _follow(self, request: Request) -> str | None:
        """Retarget the link of a merged ticket, as a person asked; return what failed, None if nothing did."""
        link = await self.system.database.read(lambda c: links.find(c, int(request.arguments["link"])))
        if link is None or link.state is not LinkState.SUSPENDED or link.merged_into is None:
            return "the link is not suspended because of a merge"
        try:
            await resolving.follow_merge(self.system, link, link.merged_into, link.active_at or link.from_at)
        except SyncdError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - a bug in an adapter fails what was asked, never the daemon
            logger.bind(system=self.system.name, link=link.id).opt(exception=error).error("merge not followed")
            return f"{type(error).__name__}; see the log"
        return None

    async def _sweep(self, state: SystemState, first: list[int]) -> str | None:
        """Make a sweep, of these links first; return what failed, None if nothing did."""
        system = self.system
        began = system.clock.monotonic()
        try:
            async with asyncio.timeout(system.policy.sweep_deadline_seconds):
                await self._learn_capabilities()
                done = await poll.sweep(system, first)
        except PauseSystem as error:
            # Mended credentials may see more or less than those before.
            self.known_capabilities = None
            return await self._pause(str(error))
        except RetryLater as error:
            return await self._retry(state, str(error), error.wait_seconds)
        except TimeoutError:
            return await self._retry(state, f"no end after {system.policy.sweep_deadline_seconds:g} s", None)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in an adapter fails its sweep, never the daemon
            logger.bind(system=system.name).opt(exception=error).error("sweep failed")
            return await self._retry(state, f"{type(error).__name__}; see the log", None)
        self.last_sweep = done
        now = system.clock.now()
        await system.database.write(lambda c: health.note_sweep(c, system.name, now))
        log_sweep(system, done, system.clock.monotonic() - began)
        return None

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

    def _begin_backfill(self, asked: list[Request]) -> None:
        if asked and (self._backfill is None or self._backfill.done()):
            self._backfill = asyncio.create_task(self.run_backfill(asked[0]), name=f"backfill {self.system.name}")

    async def run_backfill(self, request: Request) -> None:
        """Carry out a backfill, reporting as it goes; what is stopped goes on at the next turn."""
        system = self.system
        reported_at = -REPORT_EVERY_SECONDS

        async def report(progress: Progress) -> None:
            nonlocal reported_at
            now = system.clock.monotonic()
            if now - reported_at >= REPORT_EVERY_SECONDS:
                reported_at = now
                await system.database.write(lambda c: requests.report(c, request.id, progress.as_dict()))

        wanted = Wanted.from_arguments(request.arguments)
        # A dry run reads as much and stores nothing: without the request's id it is only counted.
        request_id = None if request.arguments.get("dry_run") else request.id
        try:
            done = await backfill.run_backfill(
                system, wanted, report, request_id=request_id, stop=lambda: self._stopping
            )
            if not self._stopping:
                state = RequestState.FAILED if done.failed else RequestState.DONE
                await self._end_request(request, state, done.as_dict())
        except (RetryLater, PauseSystem, StoreError) as error:
            logger.bind(system=system.name, request=request.id).warning("backfill waits: {}", error)
            return
        except Exception as error:  # noqa: BLE001 - a bug in an adapter fails what was asked, never the daemon
            logger.bind(system=system.name, request=request.id).opt(exception=error).error("backfill failed")
            with contextlib.suppress(StoreError):
                await self._end_request(
                    request, RequestState.FAILED, {"failure": f"{type(error).__name__}; see the log"}
                )
            return
        logger.bind(system=system.name, request=request.id, **done.as_dict()).info("backfill ended")

    async def _end_request(self, request: Request, state: RequestState, result: dict[str, Any]) -> None:
        now = self.system.clock.now()
        await self.system.database.write(lambda c: requests.end(c, request.id, state, result, now))

    async def _full_slice(self, state: SystemState) -> None:
        """Go on with the full sweep, if one is due or under way, within its share of the budget."""
        system, now = self.system, self.system.clock.now()
        if state.last_full_sweep_at is None and self._full is None:
            # A first one would only repeat what every link's first reading has just done.
            await system.database.write(lambda c: health.note_full_sweep(c, system.name, now, 0, 0))
            return
        if self._full is None and full_sweep.is_due(state.last_full_sweep_at, now, system.policy.full_sweep_hours):
            self._full = full_sweep.FullSweep(now)
        if self._full is None:
            return
        try:
            async with asyncio.timeout(system.policy.sweep_deadline_seconds):
                await full_sweep.sweep_slice(system, self._full)
        except (RetryLater, PauseSystem) as error:
            logger.bind(system=system.name).warning("full sweep waits: {}", error)
        except TimeoutError:
            logger.bind(system=system.name, links=self._full.links).warning("full sweep did not end in time")
            await full_sweep.make_narrower(system, self._full)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in an adapter fails its slice, never the daemon
            logger.bind(system=system.name).opt(exception=error).error("full sweep waits")
            await full_sweep.make_narrower(system, self._full)
        if self._full.ended:
            self._full = None
