"""`syncd backfill list` and `syncd backfill stop`: which backfills there are, and ending one."""

from typing import Annotated, Any

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.deliveries_bulk import confirm
from syncd.console.output import Shown, counted, print_json, say
from syncd.model.delivery import DeliveryState
from syncd.model.errors import Missing
from syncd.store import backfilled, requests
from syncd.store.database import Connection
from syncd.store.requests import OPEN_STATES, Request, RequestKind
from syncd.store.standing import Decision

DROPPED_AT_ONCE = 50


def list_backfills(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="The newest N.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """List backfills, the newest first: what was asked, how far it is, and what of it is still to be sent."""

    async def work(context: CommandContext) -> None:
        found = await context.database.read(lambda c: read_backfills(c, limit))
        if json:
            print_json(found)
        else:
            _show(context, found)

    perform(ctx, work)


def read_backfills(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Return the newest backfills; plans, which send nothing, are none."""
    recent = requests.recent(connection, RequestKind.BACKFILL, limit, plans=False)
    return [_values(connection, one) for one in recent]


def _values(connection: Connection, request: Request) -> dict[str, Any]:
    counts = request.result or request.progress
    names = ("links", "of", "found", "enqueued", "failed", "requests")
    return {
        "id": request.id,
        "system": request.system,
        "state": request.state,
        **{name: request.arguments.get(name) for name in ("tickets", "since", "until", "first_message")},
        **{name: counts.get(name, 0) for name in names},
        "failure": counts.get("failure"),
        "deliveries": backfilled.count_states(connection, [request.id]),
        "who": request.who,
        "requested_at": request.requested_at,
    }


def _show(context: CommandContext, found: list[dict[str, Any]]) -> None:
    columns = ("id", "system", "state", "since", "until", "links", "queued", "delivered", "waiting", "who", "asked at")
    open_states = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)
    rows = [
        (
            one["id"],
            one["system"],
            one["state"],
            one["since"],
            one["until"],
            f"{one['links']} of {one['of']}",
            one["enqueued"],
            one["deliveries"].get(DeliveryState.DELIVERED.value, 0),
            sum(one["deliveries"].get(state, 0) for state in open_states),
            one["who"],
            one["requested_at"],
        )
        for one in found
    ]
    Shown(context.zone).table(columns, rows)


def stop_backfill(
    ctx: typer.Context,
    backfill_id: Annotated[int, typer.Argument(metavar="ID", help="Its id, as `syncd backfill list` shows it.")],
    drop: Annotated[bool, typer.Option("--drop", help="Skip what it queued and was not sent yet, too.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept with your name.")] = "stopped by hand",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --drop.")] = False,
) -> None:
    """Stop a backfill between tickets; what it queued is sent, unless it is dropped.

    One that has ended can be dropped too. The same backfill, asked for again, goes on where it was; what was dropped
    counts as older, so another backfill may send it.
    """

    async def work(context: CommandContext) -> None:
        by = context.decision(reason)
        request = await _get_backfill(context, backfill_id)
        if drop:
            waiting = sum((await context.database.read(lambda c: backfilled.count_open(c, [backfill_id]))).values())
            confirm(f"Stop backfill {backfill_id} and skip {counted(waiting, 'delivery')}?", yes=yes)
        if request.state in OPEN_STATES or not drop:
            await context.database.write(lambda c: requests.stop(c, backfill_id, by))
            say(f"backfill {backfill_id} of {request.system} is stopped")
        if drop:
            await _drop(context, backfill_id, by)
        else:
            await _say_what_is_sent(context, backfill_id)

    perform(ctx, work)


async def _get_backfill(context: CommandContext, backfill_id: int) -> Request:
    request = await context.database.read(lambda c: requests.find(c, backfill_id))
    if request is None or request.kind is not RequestKind.BACKFILL:
        raise Missing(f"there is no backfill {backfill_id}; `syncd backfill list` shows them")
    return request


async def _drop(context: CommandContext, backfill_id: int, by: Decision) -> None:
    dropped = 0
    while some := await context.database.write(lambda c: backfilled.drop_some(c, backfill_id, by, DROPPED_AT_ONCE)):
        dropped += some
    await context.database.write(lambda c: backfilled.note_drop(c, backfill_id, dropped, by))
    say(f"{counted(dropped, 'delivery')} skipped")


async def _say_what_is_sent(context: CommandContext, backfill_id: int) -> None:
    waiting = sum((await context.database.read(lambda c: backfilled.count_open(c, [backfill_id]))).values())
    if waiting:
        say(f"{counted(waiting, 'delivery')} that it queued are sent; --drop skips them")
