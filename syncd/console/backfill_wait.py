"""Following what a backfill has queued until it is delivered, or says why it is not."""

from collections.abc import Sequence

from syncd.console.context import CommandContext
from syncd.console.output import notice, say
from syncd.console.progress import ProgressDisplay
from syncd.console.seat import worker_runs
from syncd.model.policy import Mode
from syncd.store import health, lists
from syncd.store.database import Connection

LOOK_SECONDS = 1.0
STILL_SECONDS = 15.0
"""After so long without a delivery it is asked whether a worker runs at all."""


async def follow_until_delivered(context: CommandContext, names: Sequence[str], display: ProgressDisplay) -> bool:
    """Wait until nothing that was backfilled from these systems waits; return False, said why, if that cannot be."""
    if await _left(context, names) and not await worker_runs(context):
        say("No worker runs, so nothing is delivered: `syncd run` (systemctl start syncd) does it.")
        return False
    most, before, moved_at = 0, -1, context.clock.monotonic()
    while left := await _left(context, names):
        total = sum(left.values())
        if obstacle := await context.database.read(lambda c: _obstacle(context, c, left)):
            notice(f"{total} still wait: {obstacle}")
            return False
        now = context.clock.monotonic()
        if total != before:
            before, moved_at = total, now
        elif now - moved_at >= STILL_SECONDS:
            moved_at = now
            if not await worker_runs(context):
                notice(f"{total} still wait, and no worker runs any more")
                return False
        most = max(most, total)
        display.show("delivering", most - total, most, f"{total} wait")
        await context.clock.sleep(LOOK_SECONDS)
    say("All of it left the queue; `syncd deliveries list --state in_doubt` shows what is in doubt.")
    return True


async def _left(context: CommandContext, names: Sequence[str]) -> dict[str, int]:
    def count(connection: Connection) -> dict[str, int]:
        left: dict[str, int] = {}
        for name in names:
            for api, number in lists.count_backfilled(connection, name).items():
                left[api] = left.get(api, 0) + number
        return left

    return await context.database.read(count)


def _obstacle(context: CommandContext, connection: Connection, left: dict[str, int]) -> str | None:
    """Return why nothing of what is left can go, None if some of it can."""
    reasons = []
    for api in sorted(left):
        state = health.get_api(connection, api)
        settings = context.settings.api.get(api)
        if settings is None:
            reasons.append(f"[api.{api}] is not in the settings")
        elif state.paused_cause is not None:
            reasons.append(f"{api} is paused: {state.reason}")
        elif settings.mode is Mode.HOLD and state.released_at is None:
            reasons.append(f"{api} is in mode hold; syncd apis release {api}")
    return "; ".join(reasons) if len(reasons) == len(left) else None
