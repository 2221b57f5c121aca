"""The full sweep, a slice after each sweep, within its share of the system's budget."""

import asyncio

from loguru import logger

from syncd.model.errors import PauseSystem, RetryLater, StoreError
from syncd.model.health import SystemState
from syncd.store import health
from syncd.sync import full_sweep
from syncd.sync.collect import System
from syncd.sync.full_sweep import FullSweep


async def go_on(system: System, under_way: FullSweep | None, state: SystemState) -> FullSweep | None:
    """Go on with the full sweep, if one is due or under way; return the one that goes on next time."""
    now = system.clock.now()
    if state.last_full_sweep_at is None and under_way is None:
        # A first one would only repeat what every link's first reading has just done.
        await system.database.write(lambda c: health.note_full_sweep(c, system.name, now, 0, 0))
        return None
    if under_way is None and full_sweep.is_due(state.last_full_sweep_at, now, system.policy.full_sweep_hours):
        under_way = FullSweep(now)
    if under_way is None:
        return None
    await _sweep_slice(system, under_way)
    return None if under_way.ended else under_way


async def _sweep_slice(system: System, full: FullSweep) -> None:
    try:
        async with asyncio.timeout(system.policy.sweep_deadline_seconds):
            await full_sweep.sweep_slice(system, full)
    except (RetryLater, PauseSystem) as error:
        logger.bind(system=system.name).warning("full sweep waits: {}", error)
    except TimeoutError:
        logger.bind(system=system.name, links=full.links).warning("full sweep did not end in time")
        await full_sweep.make_narrower(system, full)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug in an adapter fails its slice, never the daemon
        logger.bind(system=system.name).opt(exception=error).error("full sweep waits")
        await full_sweep.make_narrower(system, full)
