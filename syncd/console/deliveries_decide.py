"""`syncd deliveries resolve`, `retry` and `skip`: decisions about single deliveries, or about many at once.

With ids all of them are decided or none. With filters what they are about is said and asked first, and then decided
piece by piece.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.deliveries_bulk import Bulk, Filters, decide_many
from syncd.console.deliveries_edit import Reason
from syncd.console.output import counted, say
from syncd.model.delivery import DeliveryState
from syncd.model.errors import UsageError
from syncd.store import standing
from syncd.store.database import Connection
from syncd.store.standing import Decision, Resolution

DeliveryIds = Annotated[
    list[int] | None, typer.Argument(metavar="[ID...]", help="Ids, as `syncd deliveries list` shows them.")
]
Api = Annotated[str | None, typer.Option(metavar="NAME", help="Instead of ids: all those to this api.")]
System = Annotated[str | None, typer.Option(metavar="NAME", help="Instead of ids: all those of this system.")]
Since = Annotated[str | None, typer.Option(metavar="INSTANT", help="Those alone that wait for it since then or later.")]
Until = Annotated[str | None, typer.Option(metavar="INSTANT", help="Those alone that waited for it by then.")]
Because = Annotated[str | None, typer.Option(metavar="TEXT", help="Those alone whose reason begins so.")]
Yes = Annotated[bool, typer.Option("--yes", help="With filters: say what it is about, and do not ask.")]

_DONE = {
    Resolution.DELIVERED: "counted as delivered",
    Resolution.RESEND: "to be sent again",
    Resolution.SKIP: "skipped",
}
_QUESTIONS = {
    Resolution.DELIVERED: "Count as delivered, which sends nothing more,",
    Resolution.RESEND: "Send again, which makes a copy of each that is there already,",
    Resolution.SKIP: "Skip for good",
}


def resolve(  # noqa: PLR0913, PLR0917 - each is an option that can be typed
    ctx: typer.Context,
    reason: Reason,
    delivery_ids: DeliveryIds = None,
    delivered: Annotated[bool, typer.Option("--delivered", help="It is in the thread: nothing more is sent.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="It is not in the thread: send it again.")] = False,
    skip: Annotated[bool, typer.Option("--skip", help="Whether it is there or not: leave it.")] = False,
    api: Api = None,
    system: System = None,
    since: Since = None,
    until: Until = None,
    because: Because = None,
    yes: Yes = False,
) -> None:
    """Decide deliveries in doubt, once you have looked into the thread.

    With ids: all of them, or none. Or by --api or --system and --since: says first how many that are.
    """
    said = zip(Resolution, (delivered, resend, skip), strict=True)
    chosen = [resolution for resolution, wanted in said if wanted]
    if len(chosen) != 1:
        raise UsageError("say one of --delivered, --resend and --skip")
    resolution = chosen[0]

    def decide(connection: Connection, delivery_id: int, by: Decision) -> None:
        standing.resolve(connection, delivery_id, resolution, by)

    filters = Filters(api, system, since, until, because)
    if _is_about_many(delivery_ids, filters):
        if since is None:
            raise UsageError("say --since, so that no more is decided than was looked at")
        texts = _QUESTIONS[resolution], _DONE[resolution]
        _many(ctx, DeliveryState.IN_DOUBT, filters, decide, texts, reason, yes=yes, sends=resend)
        return
    _decide(ctx, delivery_ids, reason, decide)
    say(f"{_DONE[resolution]}: {_named(delivery_ids)}")


def retry(  # noqa: PLR0913, PLR0917 - each is an option that can be typed
    ctx: typer.Context,
    reason: Reason,
    delivery_ids: DeliveryIds = None,
    api: Api = None,
    system: System = None,
    since: Since = None,
    until: Until = None,
    because: Because = None,
    yes: Yes = False,
) -> None:
    """Try parked or waiting deliveries now. With ids: all of them, or none.

    Or the parked ones by --api or --system: says first how many that are.
    """
    filters = Filters(api, system, since, until, because)
    if _is_about_many(delivery_ids, filters):
        texts = "Send as they are", "to be tried now"
        _many(ctx, DeliveryState.PARKED, filters, standing.retry, texts, reason, yes=yes, sends=True)
        return
    _decide(ctx, delivery_ids, reason, standing.retry)
    say(f"to be tried now: {_named(delivery_ids)}")


def skip(  # noqa: PLR0913, PLR0917 - each is an option that can be typed
    ctx: typer.Context,
    reason: Reason,
    delivery_ids: DeliveryIds = None,
    api: Api = None,
    system: System = None,
    since: Since = None,
    until: Until = None,
    because: Because = None,
    yes: Yes = False,
) -> None:
    """Leave parked or waiting deliveries for good. With ids: all of them, or none.

    Or the parked ones by --api or --system: says first how many that are.
    """
    filters = Filters(api, system, since, until, because)
    if _is_about_many(delivery_ids, filters):
        texts = "Skip for good", "skipped"
        _many(ctx, DeliveryState.PARKED, filters, standing.skip, texts, reason, yes=yes, sends=False)
        return
    _decide(ctx, delivery_ids, reason, standing.skip)
    say(f"skipped: {_named(delivery_ids)}")


def _is_about_many(delivery_ids: list[int] | None, filters: Filters) -> bool:
    """Say whether filters were typed.

    Raises:
        UsageError: neither filters nor ids were, or both.
    """
    if delivery_ids and filters:
        raise UsageError("say ids or filters such as --api, one of them")
    if not delivery_ids and not filters:
        raise UsageError("say which: ids, or --api or --system; `syncd deliveries list` shows them")
    return bool(filters)


def _many(
    ctx: typer.Context,
    state: DeliveryState,
    filters: Filters,
    decide: Callable[[Connection, int, Decision], None],
    texts: tuple[str, str],
    reason: str,
    *,
    yes: bool,
    sends: bool,
) -> None:
    question, done = texts

    async def work(context: CommandContext) -> bool:
        bulk = Bulk(filters.choice(context, state), decide, question, done, needs_text=sends)
        return await decide_many(context, bulk, context.decision(reason), yes=yes)

    if not perform(ctx, work):
        raise typer.Exit(1)


def _named(delivery_ids: list[int] | None) -> str:
    ids = list(dict.fromkeys(delivery_ids or []))
    return f"{counted(len(ids), 'delivery')} ({', '.join(map(str, ids))})"


def _decide(
    ctx: typer.Context,
    delivery_ids: list[int] | None,
    reason: str,
    decide: Callable[[Connection, int, Decision], None],
) -> None:
    """Make one decision about several deliveries in one transaction."""

    async def work(context: CommandContext) -> None:
        by = context.decision(reason)

        def decide_all(connection: Connection) -> None:
            for one in dict.fromkeys(delivery_ids or []):
                decide(connection, one, by)

        try:
            await context.database.write(decide_all)
        except UsageError as error:
            raise UsageError(f"{str(error).rstrip('.')}. Nothing was changed.") from None

    perform(ctx, work)
