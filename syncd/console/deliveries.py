"""`syncd deliveries`: communications on their way, and what a person decides about them."""

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.deliveries_decide import resolve, retry, skip
from syncd.console.deliveries_edit import DeliveryId, edit, get_delivery
from syncd.console.delivery_page import delivery_values, in_full_values, show_in_full
from syncd.console.evidence_page import EvidencePage, read_evidence
from syncd.console.output import Shown, print_json
from syncd.model.delivery import DeliveryState
from syncd.store import lists
from syncd.store.lists import DeliveryInFull, DeliveryItem

app = typer.Typer(
    help="Look at communications on their way, and decide about them.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command("list")
def list_deliveries(
    ctx: typer.Context,
    state: Annotated[DeliveryState | None, typer.Option(help="Those in this state alone.")] = None,
    api: Annotated[str | None, typer.Option(metavar="NAME", help="Those to this api alone.")] = None,
    system: Annotated[str | None, typer.Option(metavar="NAME", help="Those of this system alone.")] = None,
    ticket: Annotated[str | None, typer.Option(metavar="T", help="Those of this ticket number alone.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N alone.")] = None,
) -> None:
    """List deliveries, by id."""

    async def work(context: CommandContext) -> tuple[list[DeliveryItem], ZoneInfo]:
        wanted = None if state is None else state.value
        found = await context.database.read(
            lambda c: lists.list_deliveries(c, state=wanted, api=api, system=system, ticket=ticket, limit=limit)
        )
        return found, context.zone

    found, zone = perform(ctx, work)
    if json:
        print_json([delivery_values(item) for item in found])
        return
    Shown(zone).table(
        ("id", "state", "kind", "system", "ticket", "api", "customer", "thread", "attempts", "created", "reason"),
        [
            (
                item.id,
                item.state,
                item.kind,
                item.system,
                item.ticket_number,
                item.api,
                item.customer_id,
                item.thread_id,
                item.attempts,
                item.created_at,
                item.reason,
            )
            for item in found
        ],
    )


@app.command("show")
def show_delivery(
    ctx: typer.Context,
    delivery_id: DeliveryId,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show one delivery in full: its message, its attempts with their evidence, the decisions about it."""

    async def work(context: CommandContext) -> tuple[DeliveryInFull, EvidencePage | None, ZoneInfo]:
        found = await get_delivery(context, delivery_id)
        configured = context.settings.api.get(found.item.api)
        zone = context.zone if configured is None else configured.policy(found.item.api, context.zone).zone
        evidence = await context.database.read(lambda c: read_evidence(c, found, zone))
        return found, evidence, context.zone

    found, evidence, zone = perform(ctx, work)
    if json:
        print_json(in_full_values(found, evidence, zone))
    else:
        show_in_full(found, evidence, Shown(zone))


app.command("resolve")(resolve)
app.command("retry")(retry)
app.command("skip")(skip)
app.command("edit")(edit)
