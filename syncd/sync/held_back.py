"""What becomes of late replies when their sweep has ended: they go, or a person is called."""

from loguru import logger

from syncd.store import floods
from syncd.store.database import Connection
from syncd.sync import flood
from syncd.sync.collect import System


async def settle_held(system: System) -> None:
    """Release the late replies that are held, or leave them to a person if they are a flood.

    Those of a sweep that failed stay held until one ends, and are counted then; so are those of a process before.
    """
    if not system.may_hold:
        return
    now = system.clock.now()

    def settle(connection: Connection) -> tuple[int, bool]:
        held = floods.held(connection, system.name)
        if not held:
            return 0, False
        told = flood.count_on(floods.find_told(connection, system.name), len(held), now)
        floods.store_told(connection, system.name, told)
        if not flood.is_flood(system.policy, told):
            floods.release(connection, held, now)
            return len(held), False
        floods.keep(connection, held, flood.flood_reason(told.replies))
        return len(held), True

    # Before the look, so that what is held while it lasts is looked at next time.
    system.may_hold = False
    try:
        replies, is_flood = await system.database.write(settle)
    except BaseException:  # also where it is cut off: nobody else would look again
        system.may_hold = True
        raise
    bound = logger.bind(system=system.name, replies=replies)
    if is_flood:
        bound.error("flood of old replies: they wait for a person; see `syncd deliveries list --state parked`")
    elif replies:
        bound.info("late replies released")
