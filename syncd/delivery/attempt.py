"""One attempt: from a due head to a recorded outcome. What is uncertain is recorded as such.

The order is the promise. The row is `sending` on disk before a byte may leave; the outcome is on disk before the
thread's next delivery may start; a commit that is not acknowledged counts as not done before sending, and is done
again after it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import orjson
from loguru import logger

from syncd.delivery.api import OpenApi
from syncd.delivery.decide import Next, Verdict, decide, judge
from syncd.delivery.health import throttle_seconds
from syncd.delivery.hops import find_hops
from syncd.model.clock import Clock
from syncd.model.communication import thread_update
from syncd.model.delivery import (
    STALE_AFTER,
    THREAD_RETRY,
    DeliveryState,
    Evidence,
    Outcome,
    Reached,
    retry_delay,
)
from syncd.model.errors import StoreError
from syncd.model.lease import Tenure
from syncd.model.meter import Meter, Unmetered
from syncd.model.policy import ApiPolicy, Order
from syncd.store import holding, leases, marking, outbox, restored
from syncd.store.database import Connection, Database
from syncd.store.high_water import HighWater
from syncd.store.marking import Mark, Marked, mark_all
from syncd.store.outbox import Outgoing, Record
from syncd.store.recording import Recording, record_all

COMMIT_AGAIN_SECONDS = 1.0
MARK_AGAIN = timedelta(seconds=5)
NOTE_SUCCESS_EVERY = timedelta(seconds=30)


class NotAcknowledged(Exception):
    """Nothing may be sent: the row is not `sending` on disk, or no longer to be sent."""


class Gate(Protocol):
    """The dispatcher's say at the very last moment before a body may leave."""

    async def pass_or_refuse(self) -> None:
        """Wait for the pace and count the request.

        Raises:
            NotAcknowledged: nothing may be sent now.
        """
        ...


@dataclass(slots=True)
class Sender:
    """What sending needs, for one api. `tenure`: this worker owns the api for a time, and others are there.

    `store_failed`: the last that was to be stored was not.
    """

    policy: ApiPolicy
    api: OpenApi
    database: Database
    clock: Clock
    worker: str
    high_water: HighWater
    refresh: Callable[[Outgoing], Awaitable[float | None]]
    jitter: Callable[[], float]
    tenure: Tenure | None = None
    uncommitted: int = 0
    store_failed: bool = False
    success_noted_at: datetime | None = None
    meter: Meter = field(default_factory=Unmetered)


@dataclass(slots=True)
class Attempt:
    """One attempt on its way. `sent_at` is monotonic, set when the body was about to leave."""

    sender: Sender
    gate: Gate
    trial: bool = False
    sent_at: float | None = None
    _marking: "asyncio.Future[Marked | None] | None" = None
    _attempt_id: int | None = None
    _is_mark_told: bool = False

    async def run(self, read: Outgoing) -> Verdict | None:
        """Send a due delivery as it was read just now; return the verdict, None if it was not to be sent after all."""
        outgoing = await self._ready(read)
        if outgoing is None:
            return None
        policy = self.sender.policy
        body = orjson.dumps(thread_update(outgoing.message, outgoing.status, policy.zone))

        async def before_body() -> None:
            await self._mark(outgoing)

        try:
            evidence = await self.sender.api.put(outgoing.thread, body, before_body)
        except NotAcknowledged:
            await self._unmark(outgoing)
            return None
        answered_at = self.sender.clock.monotonic()
        verdict = judge(evidence, outgoing.thread, policy.on_500)
        following = decide(verdict, failures=outgoing.failures, doubts=outgoing.doubts, policy=policy.in_doubt)
        await self._record(outgoing, evidence, verdict, following)
        _log(outgoing, evidence, verdict, following)
        hops = find_hops(outgoing, self.sent_at, answered_at, self.sender.clock)
        self.sender.meter.attempted(
            policy.name, verdict.outcome, hops if verdict.outcome is Outcome.DELIVERED else None
        )
        return verdict

    async def _ready(self, outgoing: Outgoing) -> Outgoing | None:
        """Return the delivery if it may be sent now; what has waited long is read again first."""
        sender = self.sender
        now = sender.clock.now()
        if outgoing.reply_id is None or now - outgoing.read_at <= STALE_AFTER:
            return outgoing
        wait_seconds = await sender.refresh(outgoing)
        if wait_seconds is not None:
            until = now + timedelta(seconds=wait_seconds)
            await sender.database.write(
                lambda connection: holding.postpone(connection, outgoing.delivery_id, outgoing.thread_key, until)
            )
            return None
        return await sender.database.read(lambda connection: outbox.find_outgoing(connection, outgoing.delivery_id))

    async def _mark(self, outgoing: Outgoing) -> None:
        """Commit `sending`, with what others mark at the same time."""
        await self.gate.pass_or_refuse()
        sender = self.sender
        mark = Mark(
            outgoing,
            sender.clock.now(),
            sender.worker,
            sender.high_water,
            None if sender.tenure is None else sender.tenure.lease,
            # The ticket may have been read since, and something older of it be parked.
            strict=sender.policy.order is Order.STRICT,
            trial=self.trial,
        )
        self._marking = sender.database.write_item(mark_all, mark)
        attempt_id = await self._marked(outgoing)
        now = sender.clock.monotonic()
        # Asked after the commit, however long that took: from here on nothing stands before the first byte.
        if attempt_id is None or not self._is_owner(now):
            raise NotAcknowledged
        self.sent_at = now

    def _is_owner(self, now: float) -> bool:
        tenure = self.sender.tenure
        return tenure is None or tenure.is_safe(now)

    async def _marked(self, outgoing: Outgoing) -> int | None:
        """Return the attempt's id once the mark is on disk; None if there is no mark, or none that is acknowledged.

        Whoever cancels this cannot cancel the commit, only not learn of it.
        """
        if self._marking is None or self._is_mark_told:
            return self._attempt_id
        sender = self.sender
        try:
            marked = await asyncio.shield(self._marking)
            if marked is not None:
                # With the number of the last one of the commit, so that the first to come writes it for all.
                sender.high_water.note(marked.counter)
                self._attempt_id = marked.attempt_id
            sender.store_failed = False
        except (StoreError, OSError) as error:
            sender.store_failed = True
            logger.bind(api=sender.policy.name, delivery=outgoing.delivery_id).error("nothing is sent: {}", error)
        self._is_mark_told = True
        return self._attempt_id

    async def _unmark(self, outgoing: Outgoing) -> None:
        """Take back a mark whose commit was not acknowledged, in case it was kept: nothing was sent."""
        if self._marking is None:
            return
        await self._marked(outgoing)

        def unmark(connection: Connection) -> None:
            attempt_id = outbox.find_open_attempt(connection, outgoing.delivery_id, self.sender.worker)
            if attempt_id is not None:
                record = _unsent(outgoing, attempt_id, "nothing was sent: the mark was not acknowledged in time")
                now = self.sender.clock.now()
                # Not at once: where the mark can never be kept, each try would leave a row behind.
                record_all(connection, [Recording(replace(record, due_at=now + MARK_AGAIN), now)])

        await self._commit(lambda: self.sender.database.write(unmark))

    async def _record(self, outgoing: Outgoing, evidence: Evidence, verdict: Verdict, following: Next) -> None:
        """Commit the outcome, however long that takes; the api starts nothing meanwhile."""
        attempt_id = await self._marked(outgoing)
        now = self.sender.clock.now()
        database = self.sender.database

        def recording(attempt_id: int) -> Recording:
            result = self._result(attempt_id, outgoing, evidence, verdict, following, now)
            return self._recording(result, verdict, now)

        def record(connection: Connection) -> None:
            opened = self._open(connection, outgoing, now)
            if opened is not None:
                record_all(connection, [recording(opened)])

        if attempt_id is None:
            await self._commit(lambda: database.write(record))
        else:
            done = recording(attempt_id)
            await self._commit(lambda: database.write_item(record_all, done))
        self.sender.store_failed = False

    def _open(self, connection: Connection, outgoing: Outgoing, now: datetime) -> int | None:
        """Return the attempt of a mark that is not known to be kept, or open one where nothing was to be marked."""
        if self._marking is not None:
            # It was not acknowledged, and may have been kept.
            opened = outbox.find_open_attempt(connection, outgoing.delivery_id, self.sender.worker)
            if opened is not None:
                return opened
        # It failed before a connection was there. The attempt is a row all the same. In a database that has gone back
        # such rows would make up for those that it lacks, and hide that; and what another worker owns by now may be
        # on its wire.
        if self._has_gone_back(connection) or not self._still_owns(connection):
            return None
        return marking.open_unsent(connection, outgoing, now, self.sender.worker)

    def _recording(self, result: Record, verdict: Verdict, now: datetime) -> Recording:
        throttled_until = None
        if verdict.outcome is Outcome.THROTTLED:
            throttled_until = now + timedelta(seconds=throttle_seconds(verdict.retry_after_seconds))
        return Recording(
            result,
            now,
            self.sender.policy.name,
            notes_success=verdict.outcome is Outcome.DELIVERED and self._notes_success(now),
            throttled_until=throttled_until,
        )

    def _still_owns(self, connection: Connection) -> bool:
        tenure = self.sender.tenure
        return tenure is None or leases.is_held(connection, tenure.lease)

    def _has_gone_back(self, connection: Connection) -> bool:
        high_water = self.sender.high_water
        reached = high_water.highest
        try:
            high_water.refuse_behind(restored.attempt_counter(connection), reached)
        except StoreError:
            return True
        return False

    def _notes_success(self, now: datetime) -> bool:
        """Say whether the api's last success is noted anew: not with each one."""
        noted = self.sender.success_noted_at
        is_due = noted is None or now - noted > NOTE_SUCCESS_EVERY or now < noted
        if is_due:
            self.sender.success_noted_at = now
        return is_due

    async def _commit(self, write: Callable[[], Awaitable[object]]) -> None:
        """Commit until it is acknowledged, whatever the failure: nobody else would ever take care of the row."""
        sender = self.sender
        failures = 0
        try:
            while True:
                try:
                    await write()
                except Exception as error:  # noqa: BLE001 - a bug too must not leave a row `sending` that nobody owns
                    failures += 1
                    sender.store_failed = True
                    sender.uncommitted += failures == 1
                    bound = logger.bind(api=sender.policy.name, failure=type(error).__name__)
                    told = str(error) if isinstance(error, StoreError) else "see the frames"
                    bound.opt(exception=None if isinstance(error, StoreError) else error).error(
                        "outcome is not stored yet; tried again: {}", told
                    )
                    await sender.clock.sleep(COMMIT_AGAIN_SECONDS)
                else:
                    return
        finally:
            sender.uncommitted -= failures > 0

    def _result(
        self, attempt_id: int, outgoing: Outgoing, evidence: Evidence, verdict: Verdict, following: Next, now: datetime
    ) -> Record:
        error = verdict.error
        due_at = None
        if following.retry_after is not None:
            due_at = now + following.retry_after * (1.0 + self.sender.jitter())
        retry_at = None
        if following.suspends_thread:
            retry_at = now + retry_delay(THREAD_RETRY, outgoing.refusals + 1)
        return Record(
            attempt_id=attempt_id,
            delivery_id=outgoing.delivery_id,
            thread_key=outgoing.thread_key,
            reached=evidence.reached,
            outcome=verdict.outcome,
            state=following.state,
            reason=following.reason,
            http_status=evidence.status,
            error_text=None if verdict.outcome is Outcome.DELIVERED and not verdict.flags else verdict.message,
            error_code=None if error is None else error.code,
            trace_id=None if error is None else error.trace_id,
            duration_ms=round(evidence.duration_seconds * 1000),
            request_bytes=evidence.request_bytes,
            answer_bytes=len(evidence.body),
            communication_id=verdict.communication_id,
            flags=verdict.flags,
            due_at=due_at,
            counts_as_failure=following.counts_as_failure,
            thread_retry_at=retry_at,
        )


def _unsent(outgoing: Outgoing, attempt_id: int, text: str) -> Record:
    return Record(
        attempt_id=attempt_id,
        delivery_id=outgoing.delivery_id,
        thread_key=outgoing.thread_key,
        reached=Reached.CONNECTED,
        outcome=Outcome.NOT_SENT,
        state=DeliveryState.PENDING,
        reason=text,
        error_text=text,
    )


def _log(outgoing: Outgoing, evidence: Evidence, verdict: Verdict, following: Next) -> None:
    bound = logger.bind(
        api=outgoing.thread.api,
        system=outgoing.system,
        ticket=outgoing.ticket_number,
        reply=outgoing.reply_id,
        delivery=outgoing.delivery_id,
        attempt=outgoing.attempts + 1,
        kind=outgoing.kind.value,
        outcome=verdict.outcome.value,
        state=following.state.value,
        status=evidence.status,
        communication_id=verdict.communication_id,
        milliseconds=round(evidence.duration_seconds * 1000),
    )
    level = "INFO" if verdict.outcome is Outcome.DELIVERED and not verdict.flags else "WARNING"
    bound.log(level, "delivery attempted")
