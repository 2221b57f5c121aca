"""The dispatcher of one api: which delivery starts when, as pace, health and pauses allow.

It knows due heads and finished attempts. What an attempt is stands in attempt.py, what follows from its outcome in
decide.py and health.py.
"""

import asyncio
import contextlib
from collections.abc import Sequence
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
from syncd.store.database import Connection, Operation
from syncd.store.heads import Head, due_heads, find_next_due
from syncd.store.outbox import Outgoing, find_all_outgoing

TICK_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
"""How long a dispatcher waits for `wake` before it looks again; whoever adds work, or a timer, calls that."""

LONGEST_THROTTLE_SECONDS = 86_400.0
PROBE_EVERY = timedelta(seconds=30)
TRIAL_EVERY = timedelta(minutes=5)
SET_ASIDE = timedelta(minutes=1)
HEADS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look into the store has found: the api's state, what is due in its turn, else when something will be.

    `is_whole`: it was looked for what is due, as something might have started.
    """

    state: ApiState
    due: Sequence[tuple[Head, Outgoing]] = ()
    next_due_at: datetime | None = None
    is_whole: bool = True


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
    _running: dict[int, tuple[Attempt, asyncio.Task[None]]] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _starting: int = 0
    _stopping: bool = False
    _pauses: int = 0
    _pausing: int = 0
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
        if self._is_first_step:
            await self._begin(now)
        while not self._stopping and not self._pausing:
            # With something on its way its end comes here again, so nothing is looked up in vain.
            if self._running and self.state.paused_cause is None:
                wait_seconds = self._blocked_seconds()
                if wait_seconds is not None:
                    self.idle = False
                    return wait_seconds
            is_busy, pauses = bool(self._running), self._pauses
            look = await self._look(now)
            if pauses != self._pauses:
                continue  # what the look has seen was before that
            self.state = look.state
            if self.state.paused_cause is not None:
                return await self._paused(self.state, now)
            if self._is_held:
                self.idle = True
                return LONGEST_PAUSE_SECONDS
            wait_seconds = self._blocked_seconds()
            if wait_seconds is not None:
                self.idle = not self._running and self.health.wait_seconds(self.sender.clock.monotonic()) > 0
                return wait_seconds
            if not look.is_whole:
                continue
            if not look.due:
                # What ended during the look may have left something due that the look has not seen.
                self.idle = not is_busy
                return 0.0 if is_busy and not self._running else self._until_due(look.next_due_at, now)
            self.idle = False
            if not self._start_all(look.due):
                break
        return TICK_SECONDS

    async def _begin(self, now: datetime) -> None:
        """Take up what an earlier process has left behind."""
        self.state = await self.sender.database.read(lambda c: stored_health.get_api(c, self.name))
        self._heed_throttle(now)
        if self.sender.policy.order is Order.RELAXED:
            # It may have been strict until now, and nothing else would look at what that held back.
            await self._write(lambda c: holding.let_go(c, self.name))
        self._is_first_step = False

    @property
    def _is_held(self) -> bool:
        return self.sender.policy.mode is Mode.HOLD and self.state.released_at is None

    async def _look(self, now: datetime) -> _Look:
        """Look up as much of what is due as may start now.

        No more than that, and anew each time, so that a live reply does not wait behind backfilled ones that were due
        before it.
        """
        room = self._room()
        # A head that is on its way is one until it is marked.
        unmarked = {key for key, (attempt, _) in self._running.items() if attempt.sent_at is None}

        def look(connection: Connection) -> _Look:
            state = stored_health.get_api(connection, self.name)
            if state.paused_cause is not None or not room:
                return _Look(state, is_whole=False)
            found = due_heads(connection, self.name, now, room, len(unmarked))
            heads = self._turns.order([head for head in found if head.thread_key not in unmarked])[:room]
            outgoing = find_all_outgoing(connection, [head.delivery_id for head in heads])
            due = [(head, outgoing[head.delivery_id]) for head in heads if head.delivery_id in outgoing]
            return _Look(state, due, None if due else find_next_due(connection, self.name))

        return await self.sender.database.read(look)

    def _room(self) -> int:
        """Return how many may start now, by the number in flight and by the pace; 0 if none may."""
        if self._blocked_seconds() is not None:
            return 0
        tokens = int(self.pace.available(self.sender.clock.monotonic()) + 1e-6)
        return max(1, min(self.health.limit - self.in_flight, tokens - self._starting, HEADS_AT_ONCE))

    def _start_all(self, due: Sequence[tuple[Head, Outgoing]]) -> int:
        """Start what is due as long as something may start; return how many that were."""
        started = 0
        for head, outgoing in due:
            if head.thread_key not in self._running and self._blocked_seconds() is None:
                self._start(head, outgoing, trial=False)
                started += 1
        return started

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

    def _until_due(self, due_at: datetime | None, now: datetime) -> float:
        return TICK_SECONDS if due_at is not None and due_at <= now else _until(due_at, now)

    def _start(self, head: Head, outgoing: Outgoing, *, trial: bool) -> None:
        gate = _Gate(self)
        attempt = Attempt(self.sender, gate, trial=trial)
        self._turns.take(head)
        self._starting += 1
        task = asyncio.create_task(self._attempt(attempt, gate, outgoing), name=f"deliver {head.delivery_id}")
        self._running[head.thread_key] = (attempt, task)

    async def _attempt(self, attempt: Attempt, gate: "_Gate", outgoing: Outgoing) -> None:
        try:
            # The mark asks too; asked here it costs no reading of the ticket, and no connection that may fail.
            if self.sender.policy.order is Order.STRICT and await self._held_back(outgoing):
                return
            verdict = await attempt.run(outgoing)
            if verdict is not None:
                await self._learn(verdict, outgoing.thread_key, trial=attempt.trial)
        except StoreError as error:
            self.sender.store_failed = True
            logger.bind(api=self.name, delivery=outgoing.delivery_id).error(
                "attempt not begun or not heeded: {}", error
            )
        except Exception as error:  # noqa: BLE001 - a bug in one attempt must not end the others
            logger.bind(api=self.name, delivery=outgoing.delivery_id).opt(exception=error).error("attempt failed")
            await self._set_aside(outgoing)
        finally:
            gate.leave()
            del self._running[outgoing.thread_key]
            self._wake.set()

    async def _set_aside(self, outgoing: Outgoing) -> None:
        """Let a delivery wait whose attempt a bug has ended, so that it is not begun again at once, and for ever."""
        until = self.sender.clock.now() + SET_ASIDE
        with contextlib.suppress(StoreError):
            await self._write(lambda c: holding.postpone(c, outgoing.delivery_id, outgoing.thread_key, until))

    async def _held_back(self, outgoing: Outgoing) -> bool:
        return await self.sender.database.write(lambda c: holding.hold_back(c, outgoing.thread_key))

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
        self._pauses += 1
        self._pausing += 1
        try:
            await self._write(lambda c: stored_health.pause_api(c, self.name, cause, reason, now, retry_at))
        finally:
            self._pausing -= 1
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
            found = await self.sender.database.read(lambda c: find_all_outgoing(c, [fresh[0].delivery_id]))
            for outgoing in found.values():
                self._start(fresh[0], outgoing, trial=True)
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
