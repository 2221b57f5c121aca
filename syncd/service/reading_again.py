"""Reading a ticket again before a delivery of it that has waited long is sent, with little harm to the others.

While a ticket is read its delivery holds one of the few places of its api. So a system that is slow, or does not
answer, must not have all of them: of each system a few are read at once, the rest come back later.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loguru import logger

from syncd.model.clock import Clock
from syncd.model.errors import PauseSystem, RetryLater, StoreError, SyncdError, TicketUnavailable
from syncd.model.link import LinkState
from syncd.store import links, requests
from syncd.store.database import Connection, Database
from syncd.store.outbox import Outgoing
from syncd.store.requests import Request, RequestKind
from syncd.sync.collect import System, refresh
from syncd.sync.resolving import suspend

READ_AGAIN_SECONDS = 60.0
LONGEST_READING_SECONDS = 20.0
AT_ONCE = 2
LEAST_SPACING_SECONDS = 0.05
LONGEST_TURN_SECONDS = 60.0

ASKED_AT_ONCE = 100
"""So many tickets of a system at most are asked of its owner at a time, by whoever owns apis."""

ASKED_SECONDS = 3.0
ASKED_PER_TURN = 20


@dataclass(slots=True)
class _Turns:
    """Whose turn it is at one system. Instants are monotonic seconds."""

    reading: int = 0
    asked_again_at: float = 0.0
    last_turn_at: float = 0.0
    spacing_seconds: float = LEAST_SPACING_SECONDS

    def wait_seconds(self, now: float) -> float:
        """Return how long one more has to wait for its turn (0 if it is now)."""
        if now < self.asked_again_at:
            return self.asked_again_at - now
        if self.reading < AT_ONCE:
            return 0.0
        # A system that hung for a moment makes the spacing long. Nobody may wait by it long after it has recovered.
        self.last_turn_at = min(max(now, self.last_turn_at) + self.spacing_seconds, now + LONGEST_TURN_SECONDS)
        return self.last_turn_at - now


@dataclass(slots=True)
class ReadAgain:
    """Called with a delivery it returns how many seconds that has to wait, None if its ticket was read.

    With a `database` other workers are there: what one of them owns, it is asked to read.
    """

    find_system: Callable[[str], System | None]
    clock: Clock
    database: Database | None = None
    _turns: dict[str, _Turns] = field(default_factory=dict)

    async def __call__(self, outgoing: Outgoing) -> float | None:
        """Read the ticket of a delivery again, or say how long to wait."""
        system = self.find_system(outgoing.system)
        if system is None:
            return await self._ask_owner(outgoing)
        turns = self._turns.setdefault(outgoing.system, _Turns())
        began = self.clock.monotonic()
        wait_seconds = turns.wait_seconds(began)
        if wait_seconds > 0:
            return wait_seconds
        turns.reading += 1
        try:
            with logger.contextualize(system=system.name):
                return await read_again(system, outgoing.link_id)
        except (RetryLater, PauseSystem, TimeoutError) as error:
            # It is about the system, not about this ticket: nobody asks it for a while.
            asked = error.wait_seconds if isinstance(error, RetryLater) else None
            wait_seconds = max(READ_AGAIN_SECONDS, asked or 0.0)
            turns.asked_again_at = self.clock.monotonic() + wait_seconds
            return wait_seconds
        finally:
            turns.reading -= 1
            turns.spacing_seconds = max(LEAST_SPACING_SECONDS, (self.clock.monotonic() - began) / AT_ONCE)

    async def _ask_owner(self, outgoing: Outgoing) -> float:
        """Leave a request for whoever owns the system; the delivery comes back when that may have been done."""
        if self.database is None:
            return READ_AGAIN_SECONDS
        now = self.clock.now()

        def ask(connection: Connection) -> bool:
            waiting = requests.count_waiting(connection, RequestKind.REFRESH, outgoing.system)
            if waiting < ASKED_AT_ONCE:
                arguments = {"link": outgoing.link_id}
                requests.ask(connection, RequestKind.REFRESH, outgoing.system, arguments, "syncd", now)
            return waiting < ASKED_AT_ONCE

        return ASKED_SECONDS if await self.database.write(ask) else READ_AGAIN_SECONDS


async def read_again(system: System, link_id: int) -> float | None:
    """Read the ticket of a link again; return how long what waits of it has to wait, None if it was read.

    Raises:
        RetryLater, PauseSystem, TimeoutError: it is about the system, not about this ticket.
    """
    try:
        async with asyncio.timeout(LONGEST_READING_SECONDS):
            await refresh(system, link_id)
    except TicketUnavailable as error:
        link = await system.database.read(lambda c: links.find(c, link_id))
        if link is not None and link.state is not LinkState.REMOVED:
            await suspend(system, link, error.unavailable)
        return READ_AGAIN_SECONDS
    except (RetryLater, PauseSystem, TimeoutError, StoreError):
        raise
    except Exception as error:  # noqa: BLE001 - a bug in an adapter makes its ticket wait, nothing else
        bound = logger.bind(system=system.name, link=link_id, failure=type(error).__name__)
        bound.opt(exception=None if isinstance(error, SyncdError) else error).warning(
            "ticket could not be read again; its delivery waits"
        )
        return READ_AGAIN_SECONDS
    return None


async def read_again_for_others(system: System, asked: Sequence[Request]) -> None:
    """Read the tickets again that the owners of apis asked this owner of their system for, some in each turn.

    What cannot be read now is forgotten too: its delivery asks again, behind the others, so that one bad ticket does
    not stand in front of them for ever.
    """
    for request in asked[:ASKED_PER_TURN]:
        failure: Exception | None = None
        try:
            await read_again(system, int(request.arguments["link"]))
        except (RetryLater, PauseSystem, TimeoutError) as error:
            failure = error
        # Not in a `finally`: a lane that is being ended must not write, or a lost lease would swallow its end.
        await system.database.write(lambda c: requests.forget(c, request.id))  # noqa: B023 - awaited at once
        if failure is not None:
            logger.bind(system=system.name).warning("tickets are not read again for now: {}", failure)
            return
