"""What holds after each step of a run, and the end of one: faults off, everything settles, the books add up."""

from datetime import timedelta

from syncd.model.link import Cause, LinkState
from syncd.store import health, link_changes, links, requests, standing
from syncd.store.floods import HELD_REASON
from tests.machine.run import Run

LONG_SECONDS = 25 * 3600
ROUND_SECONDS = 30.0
MOST_ROUNDS = 60


class Broken(AssertionError):
    """What syncd promises did not hold."""


class SettledRun(Run):
    """A run that can be held against the promise."""

    def check(self) -> None:
        """Hold what has happened so far against the rules.

        Raises:
            Broken: one of them does not hold.
        """
        if self.is_up:
            self._check_owners()
        if self.violations:
            raise Broken("; ".join(self.violations))

    def _check_owners(self) -> None:
        if self.parts.broken:
            self.violations.append(f"a bug has ended {self.parts.broken}")
        for row in self.rows("sending"):
            part = self.parts.apis.get(row.api)
            if part is None or row.thread_key not in part.dispatcher._running:
                self.violations.append(f"delivery {row.id} is sending, and nobody owns it")

    def settle(self, *, restarts: bool) -> None:
        """End the faults, let everything settle, and hold both ends against each other.

        Raises:
            Broken: something is lost, twice, waits for ever, or is unaccounted for.
        """
        self._end_faults()
        self.up()
        self.do(self._put_right())
        if restarts:
            self.stop()
            self.clock.jump_wall_clock(timedelta(seconds=LONG_SECONDS))
            self.slept += LONG_SECONDS
            # It was down for a day: what it waited for is over.
            self.wire.throttled_at.clear()
            self.up()
        else:
            self.jump(self.clock.wall_offset + timedelta(seconds=LONG_SECONDS))
        self.do(self._until_quiet())
        self.check()
        self.do(self._balance("before anybody decided"))
        self.do(self._decide_all())
        self.do(self._until_quiet())
        self.do(self._balance("after all was decided"))
        self.check()
        self.stop()
        self.check()

    def _end_faults(self) -> None:
        self.traps.clear()
        self.helpdesk.faults.clear()
        self.sandbox.forget_plans()
        self.sandbox.is_revoked = False
        self.chosen |= {"api_mode": "send", "api_order": "relaxed", "api_in_doubt": "hold"}

    async def _put_right(self) -> None:
        """Do what the lists tell a person to do."""
        await self._reload()
        self.take_in(self.chosen)
        await self._look_after()
        now = self.clock.now()
        for link in await self.database.read(lambda c: links.listed(c, state=LinkState.SUSPENDED.value)):
            if link.cause is Cause.THREAD_REFUSED:
                await self.database.write(lambda c: link_changes.resume(c, link.id, now))  # noqa: B023 - awaited at once

    async def _until_quiet(self) -> None:
        began = self.clock.now()
        waits: list[str] = []
        for _ in range(MOST_ROUNDS):
            await self.sync(ROUND_SECONDS)
            waits = await self._waiting(began)
            if not waits:
                return
        self.violations.append(f"after {MOST_ROUNDS * ROUND_SECONDS:g} s there still wait: {', '.join(waits)}")

    async def _waiting(self, began) -> list[str]:
        waits = [
            f"delivery {row.id} {row.state} ({row.reason})"
            for row in self.rows("pending", "sending", "parked")
            if not row.is_stopped and (row.state != "parked" or row.reason == HELD_REASON)
        ]
        waits += [f"request {one.id} {one.kind}" for one in await self.database.read(requests.open_requests)]
        state = await self.database.read(lambda c: health.get_system(c, "desk"))
        if self.slept and (state.last_full_sweep_at is None or began - state.last_full_sweep_at > timedelta(hours=24)):
            waits.append("the full sweep")
        if state.full_sweep_found:
            self.reached["found by the full sweep"] += 1
        return waits

    async def _balance(self, when: str) -> None:
        self.violations += [f"lost {when}: {one}" for one in await self.books.missing()]
        self.violations += await self.books.unbalanced()

    async def _decide_all(self) -> None:
        await self._do_resolve_honestly(0)
        for _ in self.rows("parked"):
            await self._decide(0, ("parked",), lambda c, row: standing.retry(c, row.id, self.by()))

    def close_down(self) -> None:
        """Stop both ends, and the worker if it still runs."""
        if self.is_up:
            self.kill("at the end")
            self.do(_nothing())
        self.clock.loop.run_until_complete(self.close())


async def _nothing() -> None:
    """Let a dead worker be buried."""
