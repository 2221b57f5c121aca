"""The dispatcher of one api: which delivery starts when, as pace, health and pauses allow.

It knows due heads and finished attempts. What an attempt is stands in attempt.py, what follows from its outcome in
decide.py and health.py.
"""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from loguru import logger

from syncd.delivery.api import KeyState
from syncd.delivery.attempt import Attempt, NotAcknowledged, Sender
from syncd.delivery.decide import Verdict
from syncd.delivery.health import Health
from syncd.delivery.turns import Turns
from syncd.model.delivery import Outcome
from syncd.model.errors import StoreError
from syncd.model.health import ApiState, PauseCause
from syncd.model.lease import Leave
from syncd.model.pace import Pace
from syncd.model.policy import Mode, Order
from syncd.store import health as stored_health
from syncd.store import holding
from syncd.store.database import Operation
from syncd.store.heads import Head, due_heads, find_next_due

TICK_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
"""How long a dispatcher waits for `wake` before it looks again; whoever adds work, or a timer, calls that."""

LONGEST_THROTTLE_SECONDS = 86_400.0
PROBE_EVERY = timedelta(seconds=30)
TRIAL_EVERY = timedelta(minutes=5)
SET_ASIDE = timedelta(minutes=1)
HEADS_AT_ONCE = 64


@dataclass(slots=True)
class Dispatcher:
    """Sends what is due at one api until it is stopped. One task runs it; attempts are tasks of their own.

    `idle`: it has looked, nothing is on its way, and nothing may start now.
    """

    sender: Sender
    allowed: Leave
    health: Health = field(init=False)
    pace: Pace = field(init=False)
    progressed_at: float = field(init=False)
    state: ApiState = field(init=False)
    idle: bool = False
    _heads: deque[Head] = field(default_factory=deque)
    _running: dict[int, tuple[Attempt, asyncio.Task[None]]] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _starting: int = 0
    _stopping: bool = False
    _tried: set[int] = field(default_factory=set)
    _turns: Turns = field(default_factory=Turns)
    _is_first_step: bool = True
    _look_failed: bool = False

    def __post_init__(self) -> None:
        """Begin with an empty bucket and a careful number of requests at once."""
        now = self.sender.clock.monotonic()
        self.health = Health(self.sender.policy.in_flight)
        self.pace = Pace.starting_at(now, self.sender.policy.requests_per_minute)
        self.progressed_at = now
        self.state = ApiState(self.name)

    @property
    def name(self) -> str:
        """Return the api's name."""
        return self.sender.policy.name

    @property
    def in_flight(self) -> int:
        """Return how many attempts are under way."""
        return len(self._running)

    @property
    def is_hindered(self) -> bool:
        """Say whether nothing can be begun for want of a database that keeps it, or of leave."""
        return self._look_failed or self.sender.store_failed or not self.allowed.is_set()

    @property
    def stopping(self) -> bool:
        """Say whether nothing more may start."""
        return self._stopping

    def started(self) -> None:
        """Count one start less: its request has been counted by the pace, or there will be none."""
        self._starting -= 1

    def wake(self) -> None:
        """Say that something may be due; costs nothing if nothing is."""
        self._wake.set()

    async def run(self) -> None:
        """Send what is due until stopped; failures of the database are waited out."""
        while not self._stopping:
            try:
                wait_seconds = await self._step()
                self._look_failed = False
            except StoreError as error:
                self._look_failed = True
                logger.bind(api=self.name).error("nothing is sent: {}", error)
                wait_seconds = 5.0
            self.progressed_at = self.sender.clock.monotonic()
            # Never longer: who waits for an api that is away makes progress, and must not look stuck to the watchdog.
            await self._pause(min(wait_seconds, LONGEST_PAUSE_SECONDS))

    async def stop(self) -> None:
        """Start nothing more and wait for what is on the wire and its outcome."""
        self._stopping = True
        self._wake.set()
        while self._running:
            await asyncio.gather(*(task for _, task in self._running.values()), return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _step(self) -> float:
        """Start what may start; return how long until another look."""
        now = self.sender.clock.now()
        # Looked up anew each time, so that a live reply does not wait behind backfilled ones that were due before it.
        self._heads.clear()
        self.state = await self.sender.database.read(lambda c: stored_health.get_api(c, self.name))
        if self._is_first_step:
            self._heed_throttle(now)
            if self.sender.policy.order is Order.RELAXED:
                # It may have been strict until now, and nothing else would look at what that held back.
                await self._write(lambda c: holding.let_go(c, self.name))
            self._is_first_step = False
        if self.state.paused_cause is not None:
            return await self._paused(self.state, now)
        if self.sender.policy.mode is Mode.HOLD and self.state.released_at is None:
            self.idle = True
            return LONGEST_PAUSE_SECONDS
        return await self._start_due(now)

    def _heed_throttle(self, now: datetime) -> None:
        """Go on waiting where an earlier process was throttled.

        Once: later a clock that was set back would make an old throttle look like a new one.
        """
        if self.state.throttled_until is not None and self.state.throttled_until > now:
            left = (self.state.throttled_until - now).total_seconds()
            monotonic = self.sender.clock.monotonic()
            self.health.throttled_until = max(
                self.health.throttled_until, monotonic + min(left, LONGEST_THROTTLE_SECONDS)
            )

    async def _start_due(self, now: datetime) -> float:
        while not self._stopping and self.state.paused_cause is None:
            wait_seconds = self._blocked_seconds()
            if wait_seconds is not None:
                self.idle = not self._running and self.health.wait_seconds(self.sender.clock.monotonic()) > 0
                return wait_seconds
            head = await self._next_head(now)
            self.idle = head is None and not self._running
            if head is None:
                return await self._until_due(now)
            self._start(head, trial=False)
        return TICK_SECONDS

    def _blocked_seconds(self) -> float | None:
        """Return how long nothing may start, None if something may."""
        now = self.sender.clock.monotonic()
        if not self.allowed.is_set() or self.sender.uncommitted or self.sender.high_water.went_back:
            return TICK_SECONDS
        wait_seconds = self.health.wait_seconds(now)
        if wait_seconds > 0:
            return wait_seconds
        sent = [attempt.sent_at for attempt, _ in self._running.values() if attempt.sent_at is not None]
        if not self.health.may_start(self.in_flight, min(sent, default=None), now):
            return TICK_SECONDS
        if self._starting >= self.pace.burst:
            # The bucket never holds more than they take. Whoever started now would stand in line before it is known
            # whose turn it is, and whether something live has come.
            return 60 / self.pace.requests_per_minute
        wait_seconds = self.pace.wait_seconds(now, self._starting + 1)
        return wait_seconds if wait_seconds > 0 else None

    async def _next_head(self, now: datetime) -> Head | None:
        while self._heads:
            head = self._heads.popleft()
            if head.thread_key not in self._running:
                return head
        on_their_way = self.in_flight
        limit = HEADS_AT_ONCE + on_their_way
        due = await self.sender.database.read(lambda c: due_heads(c, self.name, now, limit, on_their_way))
        self._heads.extend(self._turns.order([head for head in due if head.thread_key not in self._running]))
        return self._heads.popleft() if self._heads else None

    async def _until_due(self, now: datetime) -> float:
        due_at = await self.sender.database.read(lambda c: find_next_due(c, self.name))
        if due_at is not None and due_at <= now:
            return TICK_SECONDS
        return _until(due_at, now)

    def _start(self, head: Head, *, trial: bool) -> None:
        gate = _Gate(self)
        attempt = Attempt(self.sender, gate, trial=trial)
        self._turns.take(head)
        self._starting += 1
        task = asyncio.create_task(self._attempt(attempt, gate, head), name=f"deliver {head.delivery_id}")
        self._running[head.thread_key] = (attempt, task)

    async def _attempt(self, attempt: Attempt, gate: "_Gate", head: Head) -> None:
        try:
            # The mark asks too; asked here it costs no reading of the ticket, and no connection that may fail.
            if self.sender.policy.order is Order.STRICT and await self._held_back(head):
                return
            verdict = await attempt.run(head.delivery_id)
            if verdict is not None:
                await self._learn(verdict, head.thread_key, trial=attempt.trial)
        except StoreError as error:
            self.sender.store_failed = True
            logger.bind(api=self.name, delivery=head.delivery_id).error("attempt not begun or not heeded: {}", error)
        except Exception as error:  # noqa: BLE001 - a bug in one attempt must not end the others
            logger.bind(api=self.name, delivery=head.delivery_id).opt(exception=error).error("attempt failed")
            await self._set_aside(head)
        finally:
            gate.leave()
            del self._running[head.thread_key]
            self._wake.set()

    async def _set_aside(self, head: Head) -> None:
        """Let a delivery wait whose attempt a bug has ended, so that it is not begun again at once, and for ever."""
        until = self.sender.clock.now() + SET_ASIDE
        with contextlib.suppress(StoreError):
            await self._write(lambda c: holding.postpone(c, head.delivery_id, head.thread_key, until))

    async def _held_back(self, head: Head) -> bool:
        return await self.sender.database.write(lambda c: holding.hold_back(c, head.thread_key))

    async def _learn(self, verdict: Verdict, thread_key: int, *, trial: bool) -> None:
        now, monotonic = self.sender.clock.now(), self.sender.clock.monotonic()
        self.health.learn(verdict.outcome, thread_key, monotonic, verdict.retry_after_seconds)
        match verdict.outcome:
            case Outcome.DELIVERED if trial:
                await self._resume()
            case Outcome.THROTTLED:
                until = now + timedelta(seconds=self.health.throttled_until - monotonic)
                await self._write(lambda c: stored_health.throttle_api(c, self.name, until))
                logger.bind(api=self.name, until=until.isoformat()).warning("api throttled")
            case Outcome.KEY_AT_FAULT:
                await self._stop_sending(PauseCause.KEY, verdict.message, now + PROBE_EVERY)
            case Outcome.NOT_THE_API:
                await self._stop_sending(PauseCause.NOT_THE_API, verdict.message, None)
            case Outcome.THREAD_AT_FAULT if trial or self._refuses_everyone:
                refused = list({*self.health.refused, thread_key})
                self.state = replace(self.state, paused_cause=PauseCause.THREADS)
                await self._write(lambda c: holding.put_back(c, refused, now))
                self.health.refused.clear()
                await self._stop_sending(PauseCause.THREADS, verdict.message, now + TRIAL_EVERY)
            case _:
                pass

    @property
    def _refuses_everyone(self) -> bool:
        return self.health.refuses_everyone or self.state.paused_cause is PauseCause.THREADS

    async def _stop_sending(self, cause: PauseCause, reason: str, retry_at: datetime | None) -> None:
        now = self.sender.clock.now()
        # At once, so that nothing starts while it is being stored.
        self.state = replace(self.state, paused_cause=cause)
        self._heads.clear()
        await self._write(lambda c: stored_health.pause_api(c, self.name, cause, reason, now, retry_at))
        logger.bind(api=self.name, cause=cause.value).error("api paused: {}", reason)

    async def _resume(self) -> None:
        is_resumed = await self.sender.database.write(lambda c: stored_health.recover_api(c, self.name))
        self.health.start_carefully()
        self._tried.clear()
        if is_resumed:
            logger.bind(api=self.name).info("api resumed")

    async def _write(self, operation: Operation[object]) -> None:
        await self.sender.database.write(operation)

    async def _paused(self, state: ApiState, now: datetime) -> float:
        """Look whether a paused api has recovered: its key by HEAD, refused threads by one delivery now and then."""
        self.idle = True
        self._heads.clear()
        self.health.limit = 1
        if self._running:
            return TICK_SECONDS
        if state.retry_at is None or state.retry_at > now:
            return _until(state.retry_at, now)
        if state.paused_cause is PauseCause.KEY:
            if await self.sender.api.probe() is KeyState.GOOD:
                await self._resume()
                return 0.0
            await self._stop_sending(PauseCause.KEY, state.reason or "", now + PROBE_EVERY)
        elif state.paused_cause is PauseCause.THREADS:
            return await self._try_one(now)
        return TICK_SECONDS

    async def _try_one(self, now: datetime) -> float:
        """Try one real delivery of a paused api, each time of another thread."""
        due = await self.sender.database.read(lambda c: due_heads(c, self.name, now, HEADS_AT_ONCE))
        fresh = [head for head in due if head.thread_key not in self._tried]
        if not fresh:
            self._tried.clear()
            fresh = due
        if fresh and self._blocked_seconds() is None:
            self._tried.add(fresh[0].thread_key)
            self._start(fresh[0], trial=True)
        return TICK_SECONDS


def _until(instant: datetime | None, now: datetime) -> float:
    """Return the seconds until an instant, if there is one."""
    return LONGEST_PAUSE_SECONDS if instant is None else max((instant - now).total_seconds(), 0.01)


@dataclass(slots=True)
class _Gate:
    """The last moment before a body may leave: pace, throttle and stop are asked here."""

    dispatcher: Dispatcher
    starting: bool = True

    def leave(self) -> None:
        """Take no place among the starting ones any more."""
        if self.starting:
            self.starting = False
            self.dispatcher.started()

    async def pass_or_refuse(self) -> None:
        """Wait for the pace and count the request."""
        dispatcher = self.dispatcher
        clock = dispatcher.sender.clock
        while True:
            now = clock.monotonic()
            throttled = dispatcher.health.throttled_until > now
            if dispatcher.stopping or throttled or not dispatcher.allowed.is_set():
                raise NotAcknowledged
            wait_seconds = dispatcher.pace.wait_seconds(now)
            if wait_seconds <= 0:
                break
            await clock.sleep(min(wait_seconds, TICK_SECONDS))
        dispatcher.pace.take(now)
        self.leave()
