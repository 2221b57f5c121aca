"""Following what backfills have queued until it is delivered, or says why it is not."""

from collections.abc import Mapping, Sequence

from syncd.console.context import CommandContext
from syncd.console.output import counted, notice, say
from syncd.console.progress import ProgressDisplay
from syncd.console.seat import worker_runs
from syncd.model.delivery import DeliveryState
from syncd.model.policy import Mode
from syncd.store import backfilled, health
from syncd.store.database import Connection

LOOK_SECONDS = 1.0
MOST_LINKS = 3
STILL_SECONDS = 15.0
"""After so long without a delivery it is asked whether a worker runs at all."""

NO_WORKER = "No worker runs, so nothing is delivered: `syncd run` (systemctl start syncd) does it."

_OPEN = (DeliveryState.PENDING, DeliveryState.SENDING)
_FOR_A_PERSON = {DeliveryState.IN_DOUBT: "in doubt", DeliveryState.PARKED: "parked"}


async def follow_until_delivered(context: CommandContext, ids: Sequence[int], display: ProgressDisplay) -> bool:
    """Wait until nothing that these backfills have queued waits; return whether all of it went well, and say it."""
    before, moved_at = -1, context.clock.monotonic()
    while left := _left(states := await context.database.read(lambda c: backfilled.count_states(c, ids))):
        display.show("delivering", sum(states.values()) - left, sum(states.values()), f"{left} wait")
        now = context.clock.monotonic()
        if left == before and (obstacle := await context.database.read(lambda c: _obstacle(context, c, ids))):
            notice(f"{left} still wait: {obstacle}")
            return False
        if before == -1 or now - moved_at >= STILL_SECONDS:
            if not await worker_runs(context):
                notice(f"{left} still wait. {NO_WORKER}")
                return False
            moved_at = now
        if left != before:
            before, moved_at = left, now
        await context.clock.sleep(LOOK_SECONDS)
    return _say_how_it_went(states)


def _left(states: Mapping[str, int]) -> int:
    return sum(states.get(state.value, 0) for state in _OPEN)


def _say_how_it_went(states: Mapping[str, int]) -> bool:
    """Say what became of it, and return whether nothing of it needs a person."""
    say(f"{states.get(DeliveryState.DELIVERED.value, 0)} of {sum(states.values())} delivered")
    if skipped := states.get(DeliveryState.SKIPPED.value):
        say(f"{counted(skipped, 'delivery')} skipped: withdrawn meanwhile, or by a person")
    stuck = {state: states[state.value] for state in _FOR_A_PERSON if states.get(state.value)}
    for state, number in stuck.items():
        words = f"{counted(number, 'delivery')} {_FOR_A_PERSON[state]}"
        notice(f"{words}, for a person to decide: `syncd deliveries list --state {state.value}`")
    return not stuck


def _obstacle(context: CommandContext, connection: Connection, ids: Sequence[int]) -> str | None:
    """Return why nothing of what is left can go, None if some of it can."""
    left, held_up = backfilled.count_open(connection, ids), backfilled.find_held_up(connection, ids)
    reasons, stuck = [], 0
    for api in sorted(left):
        of_api = [one for one in held_up if one.api == api]
        reason = _obstacle_at(context, connection, api)
        if reason is not None:
            reasons.append(reason)
        else:
            named = [f"link {one.link_id} is suspended, see syncd links show {one.link_id}" for one in of_api]
            more = [f"{len(named) - MOST_LINKS} more links are suspended"] if len(named) > MOST_LINKS else []
            reasons += named[:MOST_LINKS] + more
        stuck += left[api] if reason is not None else sum(one.waiting for one in of_api)
    return "; ".join(reasons) if stuck == sum(left.values()) else None


def _obstacle_at(context: CommandContext, connection: Connection, api: str) -> str | None:
    state = health.get_api(connection, api)
    settings = context.settings.api.get(api)
    if settings is None:
        return f"[api.{api}] is not in the settings"
    if state.paused_cause is not None:
        return f"{api} is paused: {state.reason}"
    if settings.mode is Mode.HOLD and state.released_at is None:
        return f"{api} is in mode hold; syncd apis release {api}"
    return None
