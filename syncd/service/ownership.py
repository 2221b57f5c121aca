"""Owning systems and apis, where several workers share one PostgreSQL: leases renewed, taken, handed over, lost.

Deciding is in spread.py, the rows are in store/leases.py. This one acts: it begins the parts of what it takes, and
ends them before it gives anything back. It works on a database connection of its own, so that a long commit of the
parts keeps no lease from being renewed.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta

from loguru import logger

from syncd.model.clock import Clock
from syncd.model.errors import StoreError
from syncd.model.lease import Kind, Lease, Muster, Subject, Tenure
from syncd.service.parts import Parts
from syncd.service.spread import next_moves
from syncd.store import leases, standing
from syncd.store.database import Connection, Database
from syncd.store.high_water import HighWater

TURNS_PER_LEASE = 10
"""So many times a lease is renewed before it would run out."""

MARGIN_PER_LEASE = 1 / 6
"""Within this last part of a lease its owner begins nothing more: what it has begun has time to reach the wire."""

OUT_OF_TOUCH = 3
"""Whoever could not renew so many times was out of touch, and so may others have been whose leases ran out."""

CLOCKS_APART = timedelta(seconds=5)
SHUT_WITHIN = 10.0


@dataclass(slots=True)
class Ownership:
    """What this worker owns. `run` keeps it; `close` gives everything back. Instants are monotonic seconds."""

    seconds: float
    database: Database
    parts: Parts
    clock: Clock
    high_water: HighWater
    tenures: dict[Subject, Tenure] = field(default_factory=dict)
    _leaving: dict[Subject, "asyncio.Task[None]"] = field(default_factory=dict)
    _in_touch_since: float | None = None
    _in_touch_at: float = float("-inf")
    _running: "asyncio.Task[None] | None" = None
    _closing: bool = False
    _for_one_pass: bool = False
    _told: bool = False
    _clocks_told: bool = False

    @property
    def every(self) -> float:
        """Return how long it is between two renewals."""
        return self.seconds / TURNS_PER_LEASE

    @property
    def me(self) -> str:
        """Return the name of this worker."""
        return self.parts.worker

    async def enter(self) -> None:
        """Say that this worker is here.

        Raises:
            StoreError: the database does not answer.
        """
        await self._renew(self.clock.monotonic())

    def start(self) -> None:
        """Begin to keep what is owned, and to take what falls to this worker."""
        self._running = asyncio.create_task(self.run(), name="ownership")
        self._running.add_done_callback(self.parts.note_end)

    async def run(self) -> None:
        """Take turns until cancelled. A database that does not answer keeps nobody from noticing that a lease ends."""
        while True:
            turn = asyncio.create_task(self.turn())
            try:
                while not turn.done():
                    await asyncio.wait({turn}, timeout=self.every)
                    await self._end_what_ran_out()
            finally:
                turn.cancel()
            if turn.exception() is not None:
                logger.opt(exception=turn.exception()).error("leases are not looked after")
            await self.clock.sleep(self.every)

    async def turn(self) -> None:
        """Renew, end what was lost, hand over and take."""
        asked_at = self.clock.monotonic()
        try:
            muster = await self._renew(asked_at)
            if self._closing or self._for_one_pass:
                return
            moves = next_moves(self.me, muster, patient=self._is_patient(asked_at), seconds=self.seconds)
            unknown = self.tenures.keys() - self.parts.subjects()
            for subject in self.tenures.keys() & (unknown | set(moves.hand_over)):
                self._begin_to_leave(subject)
            for subject in moves.take:
                if self.clock.monotonic() - asked_at > self.every:
                    break  # what is held has to be renewed first
                await self.take(subject)
        except StoreError as error:
            if not self._told:
                logger.error("leases are not renewed; before they end, sending and polling stop: {}", error)
            self._told = True

    async def _renew(self, asked_at: float) -> Muster:
        reached = self.high_water.highest
        wants = () if self._closing else self.parts.subjects()
        held = [tenure.lease for tenure in self.tenures.values()]

        def renew(connection: Connection) -> tuple[frozenset[Lease], Muster]:
            leases.appear(connection, self.me, wants, self.seconds)
            return leases.renew(connection, self.me, held, self.seconds), leases.muster(connection)

        kept, muster = await self.database.write(renew)
        # With so many missed between them, two renewals lie one turn more apart.
        if self.clock.monotonic() - self._in_touch_at > (OUT_OF_TOUCH + 1) * self.every:
            self._in_touch_since = asked_at
        self._in_touch_at, self._told = asked_at, False
        self._keep(kept, held, asked_at)
        self._compare_clocks(muster)
        self.high_water.refuse_behind(muster.attempts, reached)
        # Each machine's mark knows of the attempts of all, so whichever starts first notices a restored database.
        with contextlib.suppress(OSError):
            self.high_water.note(muster.attempts)
        return muster

    def _keep(self, kept: frozenset[Lease], held: list[Lease], asked_at: float) -> None:
        for lease in held:
            tenure = self.tenures.get(lease.subject)
            if tenure is None or tenure.lease != lease:
                continue
            if lease not in kept:
                self._lose(lease.subject)
            else:
                tenure.ends_at = asked_at + self.seconds
                if lease.subject not in self._leaving and lease.subject in self.parts.subjects():
                    self._begin_again(tenure)

    def _begin_again(self, tenure: Tenure) -> None:
        """Go on with a system whose lane was ended because its lease seemed to run out."""
        if not self.parts.has(tenure.lease.subject):
            self.parts.begin(tenure)

    def _is_patient(self, now: float) -> bool:
        return self._in_touch_since is None or now - self._in_touch_since < self.seconds

    def _compare_clocks(self, muster: Muster) -> None:
        """Tell of a wall clock that is off: leases do not go by it, and retries, pauses and new links do."""
        apart = abs(self.clock.now() - muster.at)
        if apart > CLOCKS_APART and not self._clocks_told:
            logger.bind(seconds=round(apart.total_seconds())).warning(
                "the clock of this machine and that of the database differ; synchronise them"
            )
        self._clocks_told = apart > CLOCKS_APART

    async def take(self, subject: Subject) -> bool:
        """Take a lease if it is free, with what its dead owner left, and begin its part; return whether that was so."""
        if self._is_closing() or subject in self.tenures or subject in self._leaving:
            return False
        if subject not in self.parts.subjects():
            return False
        asked_at = self.clock.monotonic()
        lease, orphans = await self.database.write(lambda c: self._take(c, subject))
        if lease is None:
            return False
        if orphans:
            logger.bind(api=subject.name, deliveries=orphans).warning(
                "deliveries were on the wire of another worker; they are in doubt"
            )
        if self._is_closing():
            await self.database.write(lambda c: leases.give_back(c, lease))
            return False
        tenure = Tenure(lease, asked_at + self.seconds, self.seconds * MARGIN_PER_LEASE)
        self.tenures[subject] = tenure
        logger.bind(subject=str(subject), epoch=lease.epoch).info("lease taken")
        self.parts.begin(tenure)
        return True

    def _is_closing(self) -> bool:
        return self._closing

    def _take(self, connection: Connection, subject: Subject) -> tuple[Lease | None, int]:
        lease = leases.take(connection, subject, self.me, self.seconds)
        if lease is None or subject.kind is not Kind.API:
            return lease, 0
        # In one transaction with the raised epoch: nothing of the former owner becomes `sending` after this.
        policies = {subject.name: self.parts.settings.api[subject.name].in_doubt}
        return lease, standing.adopt_orphans(connection, policies, self.clock.now(), subject.name)

    def _lose(self, subject: Subject) -> None:
        """End the part of a lease that another worker has, or may have; what is on the wire is still recorded."""
        logger.bind(subject=str(subject)).warning("lease lost; another worker goes on with it")
        self.tenures[subject].ends_at = float("-inf")
        self._begin_to_leave(subject)

    def _begin_to_leave(self, subject: Subject) -> None:
        if subject not in self._leaving:
            task = asyncio.create_task(self._leave(subject), name=f"leave {subject}")
            self._leaving[subject] = task

    async def _leave(self, subject: Subject) -> None:
        """End a part, then give its lease back, so that another worker has it at once."""
        try:
            await self.parts.end(subject)
            lease = self.tenures[subject].lease
            with contextlib.suppress(StoreError):  # if it cannot be given back, it runs out
                await self.database.write(lambda c: leases.give_back(c, lease))
                logger.bind(subject=str(subject)).info("lease given back")
        finally:
            del self.tenures[subject], self._leaving[subject]

    async def _end_what_ran_out(self) -> None:
        """End the lanes of systems whose lease may be another's by now; it begins again if the lease is renewed.

        An api's part stays: it begins nothing by itself, and has outcomes to record.
        """
        now = self.clock.monotonic()
        for subject, tenure in list(self.tenures.items()):
            if subject.kind is Kind.SYSTEM and subject not in self._leaving and not tenure.is_safe(now):
                await self.parts.end(subject)

    async def take_all(self) -> None:
        """Take every lease, as the only worker; what one that was killed has left is waited for.

        From then on nothing is handed over and nothing more is taken: whoever comes meanwhile has it all after this
        one pass, and what is lost to another is that one's.

        Raises:
            StoreError: another worker is alive, or the database does not answer.
        """
        self._for_one_pass = True
        seen: dict[str, Muster] = {}
        until = self.clock.monotonic() + self.seconds + 2 * self.every
        while missing := [subject for subject in self.parts.subjects() if subject not in self.tenures]:
            muster = await self._renew(self.clock.monotonic())
            first = seen.setdefault("first", muster)
            known = {member.name: member.until_at for member in first.members}
            alive = [one.name for one in muster.members if one.name != self.me and one.until_at != known.get(one.name)]
            if alive or self.clock.monotonic() > until:
                raise StoreError(
                    f"{', '.join(alive) or 'another syncd'} works on the database at {self.database.where}, so this "
                    "one has nothing to do"
                )
            for subject in missing:
                await self.take(subject)
            if any(subject not in self.tenures for subject in missing):
                await self.clock.sleep(self.every)

    async def once(self) -> list[str]:
        """Make one pass as the only worker; return what failed, and what was lost to another worker meanwhile.

        Raises:
            StoreError: another worker is alive, or the database does not answer.
        """
        await self.take_all()
        self.start()
        failed = await self.parts.once()
        kept = self.tenures.keys() - self._leaving.keys()
        lost = sorted(map(str, self.parts.subjects() - kept))
        if lost:
            logger.bind(lost=lost).error("this pass is not whole: leases ran out, and what is lost is left to others")
        return failed + lost

    async def close(self) -> None:
        """End every part and give every lease back as it ends; leases are renewed until then."""
        self._closing = True
        if self._in_touch_since is None:
            await self.database.close()
            return
        with contextlib.suppress(StoreError):  # so that what is given back falls to the others at once
            await self._renew(self.clock.monotonic())
        try:
            for subject in list(self.tenures):
                self._begin_to_leave(subject)
            await asyncio.gather(*self._leaving.values(), return_exceptions=True)
        finally:
            await self._shut()

    async def _shut(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(SHUT_WITHIN):
                await self.database.write(lambda c: leases.leave(c, self.me))
                await self.database.close()
