"""Asking the worker, or doing it oneself: what a ticketing system is asked by hand goes through one owner.

`carry_out` leaves a request in the database and watches it. Where a worker runs, that one carries it out; where none
does, the command takes its place (seat.py) and runs the system's lane itself, until the request has ended. A worker
that goes away meanwhile is replaced by the command, so nothing waits for ever; nor where the command has lost that
place, having been stopped for long: it asks whoever has it now, and takes it again once that one is gone.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from syncd.console.context import CommandContext
from syncd.console.output import notice
from syncd.console.seat import Seat, find_seat
from syncd.model.errors import Conflict, StoreError
from syncd.store import health, requests
from syncd.store.requests import OPEN_STATES, Request, RequestKind, RequestState

LOOK_SECONDS = 0.25
LOCK_SECONDS = 2.0

Show = Callable[[Request], None]
"""Shows how far a request has come; called whenever something about it changed."""


def silent(_request: Request) -> None:
    """Show nothing."""


def has_ended(request: Request) -> bool:
    """Say whether a request was carried out, well or not, or stopped."""
    return request.state not in OPEN_STATES


def failure_of(request: Request) -> str | None:
    """Return why a request failed, None if it did not (or has not ended)."""
    if request.state is not RequestState.FAILED:
        return None
    return str(request.result.get("failure") or "some of it failed; see `syncd status` and the log")


async def carry_out(
    context: CommandContext,
    kind: RequestKind,
    system_name: str,
    arguments: dict[str, Any],
    show_progress: Show = silent,
    *,
    wait_seconds: float | None = None,
) -> Request:
    """Ask a system's owner for something and wait for it; return the request as it stands then.

    Without `wait_seconds` it has ended then: done or failed, `result` tells. With them it may still wait or run; it
    stays asked for, and a worker carries it out. The same request that waits already is joined.

    Raises:
        UsageError: there is no such system, or a person has paused it.
        StoreError: the database cannot be used.
    """
    context.get_system(system_name)
    await refuse_paused(context, system_name)
    now = context.clock.now()
    request_id = await context.database.write(
        lambda connection: requests.ask(connection, kind, system_name, arguments, context.who, now)
    )
    watch = _Watch(context, system_name, request_id, show_progress)
    deadline = None if wait_seconds is None else context.clock.monotonic() + wait_seconds
    return await watch.until_ended(deadline)


async def refuse_paused(context: CommandContext, system_name: str) -> None:
    """Refuse to ask a system for something while a person has paused it.

    Raises:
        Conflict: with how to resume it.
    """
    state = await context.database.read(lambda connection: health.get_system(connection, system_name))
    if state.paused_by == health.PERSON:
        raise Conflict(
            f"{system_name} is paused ({state.reason}), so nothing is asked of it; `syncd systems resume {system_name}`"
        )


@dataclass(slots=True)
class _Watch:
    """Watches one request, and sees to it that somebody carries it out."""

    context: CommandContext
    system_name: str
    request_id: int
    show_progress: Show
    _shown: Request | None = None
    _told: str | None = None

    async def until_ended(self, deadline: float | None) -> Request:
        """Return the request once it has ended, or at the deadline (monotonic seconds)."""
        while True:
            async with find_seat(self.context, self.system_name) as seat:
                if seat is None:
                    end = self.context.clock.monotonic() + LOCK_SECONDS
                    request = await self._look_until(end if deadline is None else min(end, deadline))
                else:
                    async with _own_lane(self.context, self.system_name, seat) as lane:
                        request = await self._look_until(deadline, lane)
                    if seat.is_lost() and not has_ended(request):
                        notice(f"the lease of {self.system_name} ran out; whoever has it goes on, or this command does")
            if has_ended(request) or (deadline is not None and self.context.clock.monotonic() >= deadline):
                return request

    async def _look_until(self, deadline: float | None, lane: "_OwnLane | None" = None) -> Request:
        clock = self.context.clock
        while True:
            request = await self._look()
            if has_ended(request) or (deadline is not None and clock.monotonic() >= deadline):
                return request
            if lane is not None and lane.seat.is_lost():
                return request
            if lane is not None:
                lane.go_on(clock.monotonic())
            await clock.sleep(LOOK_SECONDS)

    async def _look(self) -> Request:
        request = await self.context.database.read(lambda connection: requests.find(connection, self.request_id))
        if request is None:
            raise StoreError(f"request {self.request_id} is gone from the database at {self.context.database.where}")
        if request != self._shown:
            self._shown = request
            self.show_progress(request)
        await self._tell_why_it_waits()
        return request

    async def _tell_why_it_waits(self) -> None:
        state = await self.context.database.read(lambda connection: health.get_system(connection, self.system_name))
        reason = state.reason if state.failures or state.paused_by is not None else None
        if reason is not None and reason != self._told:
            notice(f"{self.system_name} waits: {reason}")
        self._told = reason


@dataclass(slots=True)
class _OwnLane:
    """The lane of one system, run by this command."""

    seat: Seat
    task: "asyncio.Task[None]"
    trigger: Callable[[], None]
    every_seconds: float
    triggered_at: float = float("-inf")

    def go_on(self, now: float) -> None:
        """Have the lane make a turn, as often as a worker would; say so if it ended.

        Raises:
            Exception: whatever ended it.
        """
        if self.task.done():
            self.task.result()
            raise RuntimeError("the lane ended by itself")
        if now - self.triggered_at >= self.every_seconds:
            self.triggered_at = now
            self.trigger()


@asynccontextmanager
async def _own_lane(context: CommandContext, system_name: str, seat: Seat) -> AsyncIterator[_OwnLane]:
    """Run the lane of a system in its owner's place, and end it after."""
    from syncd.service.wiring import make_system  # noqa: PLC0415 - a third of a second: the vendor's HTTP

    part = make_system(system_name, context.get_system(system_name), seat.database, context.clock, seat.leave)
    task = asyncio.create_task(part.lane.run(), name=f"system {system_name}")
    try:
        yield _OwnLane(seat, task, part.lane.trigger, part.settings.poll_seconds)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await part.opened.close()
