"""Between two sweeps: the tickets that webhooks were about, read one by one, without the feed."""

from collections.abc import Sequence

from syncd.sync.collect import System
from syncd.sync.poll import Sweep, collect_first, make_notes


async def collect_hooked(system: System, link_ids: Sequence[int]) -> Sweep:
    """Collect the links that webhooks made due. Late replies among theirs wait for the end of a sweep, as always.

    Raises:
        RetryLater, PauseSystem: the system as a whole cannot be read; what was not collected stays due.
    """
    done = Sweep()
    await collect_first(system, link_ids, done)
    await make_notes(system, done)
    return done
