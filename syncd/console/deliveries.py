"""`syncd deliveries`: communications on their way, and what a person decides about them."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.delivery_page import delivery_values, in_full_values, show_in_full
from syncd.console.output import Shown, counted, print_json, say
from syncd.mapping.text import clean, is_blank, one_line, tidy
from syncd.model.communication import Channel, Direction, Message
from syncd.model.delivery import DeliveryState
from syncd.model.errors import UsageError
from syncd.store import lists, standing
from syncd.store.database import Connection
from syncd.store.lists import DeliveryInFull, DeliveryItem
from syncd.store.standing import Decision, Resolution

app = typer.Typer(
    help="Look at communications on their way, and decide about them.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

DeliveryId = Annotated[
    int, typer.Argument(metavar="ID", help="The delivery's id, as `syncd deliveries list` shows it.")
]
DeliveryIds = Annotated[list[int], typer.Argument(metavar="ID...", help="Ids, as `syncd deliveries list` shows them.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the records with your name.")]


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

    async def work(context: CommandContext) -> tuple[DeliveryInFull, ZoneInfo]:
        return await _get(context, delivery_id), context.zone

    found, zone = perform(ctx, work)
    if json:
        print_json(in_full_values(found))
    else:
        show_in_full(found, Shown(zone))


async def _get(context: CommandContext, delivery_id: int) -> DeliveryInFull:
    found = await context.database.read(lambda c: lists.find_delivery(c, delivery_id))
    if found is None:
        raise UsageError(f"there is no delivery {delivery_id}; `syncd deliveries list` shows them")
    return found


@app.command("resolve")
def resolve(
    ctx: typer.Context,
    delivery_ids: DeliveryIds,
    reason: Reason,
    delivered: Annotated[bool, typer.Option("--delivered", help="It is in the thread: nothing more is sent.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="It is not in the thread: send it again.")] = False,
    skip: Annotated[bool, typer.Option("--skip", help="Whether it is there or not: leave it.")] = False,
) -> None:
    """Decide deliveries in doubt, once you have looked into the thread. All of them, or none."""
    chosen = [
        resolution
        for resolution, wanted in (
            (Resolution.DELIVERED, delivered),
            (Resolution.RESEND, resend),
            (Resolution.SKIP, skip),
        )
        if wanted
    ]
    if len(chosen) != 1:
        raise UsageError("say one of --delivered, --resend and --skip")
    resolution = chosen[0]
    _decide(ctx, delivery_ids, reason, lambda c, one, by: standing.resolve(c, one, resolution, by))
    words = {
        Resolution.DELIVERED: "counted as delivered",
        Resolution.RESEND: "to be sent again",
        Resolution.SKIP: "skipped",
    }
    say(f"{words[resolution]}: {_named(delivery_ids)}")


@app.command("retry")
def retry(ctx: typer.Context, delivery_ids: DeliveryIds, reason: Reason) -> None:
    """Try parked or waiting deliveries now. All of them, or none."""
    _decide(ctx, delivery_ids, reason, standing.retry)
    say(f"to be tried now: {_named(delivery_ids)}")


@app.command("skip")
def skip(ctx: typer.Context, delivery_ids: DeliveryIds, reason: Reason) -> None:
    """Leave parked or waiting deliveries for good. All of them, or none."""
    _decide(ctx, delivery_ids, reason, standing.skip)
    say(f"skipped: {_named(delivery_ids)}")


def _named(delivery_ids: list[int]) -> str:
    ids = list(dict.fromkeys(delivery_ids))
    return f"{counted(len(ids), 'delivery')} ({', '.join(map(str, ids))})"


def _decide(
    ctx: typer.Context, delivery_ids: list[int], reason: str, decide: Callable[[Connection, int, Decision], None]
) -> None:
    """Make one decision about several deliveries in one transaction."""

    async def work(context: CommandContext) -> None:
        by = context.decision(reason)

        def decide_all(connection: Connection) -> None:
            for one in dict.fromkeys(delivery_ids):
                decide(connection, one, by)

        try:
            await context.database.write(decide_all)
        except UsageError as error:
            raise UsageError(f"{str(error).rstrip('.')}. Nothing was changed.") from None

    perform(ctx, work)


@app.command("edit")
def edit(
    ctx: typer.Context,
    delivery_id: DeliveryId,
    reason: Reason,
    subject: Annotated[str | None, typer.Option(metavar="TEXT", help="The new subject.")] = None,
    content: Annotated[str | None, typer.Option(metavar="TEXT", help="The new text.")] = None,
    content_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file with the new text; `-` reads standard input.")
    ] = None,
    direction: Annotated[
        Direction | None, typer.Option(case_sensitive=False, help="For one that could not be mapped: whose it is.")
    ] = None,
) -> None:
    """Replace the text of a parked or waiting delivery and queue it."""
    if content is not None and content_file is not None:
        raise UsageError("say --content or --content-file, one of them")
    if content is None and content_file is not None:
        content = _read_text(content_file)
    if subject is None and content is None and direction is None:
        raise UsageError("nothing to change: say --subject, --content or --content-file")

    async def work(context: CommandContext) -> None:
        found = await _get(context, delivery_id)
        message = edited(found, subject, content, direction)
        by = context.decision(reason)
        await context.database.write(lambda c: standing.edit(c, delivery_id, message, by))

    perform(ctx, work)
    say(f"delivery {delivery_id} is changed and queued")


def _read_text(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no UTF-8 text") from None


def edited(found: DeliveryInFull, subject: str | None, content: str | None, direction: Direction | None) -> Message:
    """Return the message of a delivery with what a person wrote in place of it.

    Raises:
        UsageError: nothing would be left to read, or it never had a message and something of one is missing.
    """
    before = found.message
    item = found.item
    if before is None and (content is None or direction is None):
        raise UsageError(
            f"delivery {item.id} has no message, as its reply could not be mapped: give it one with --content (or "
            "--content-file) and --direction"
        )
    if before is None:
        before = Message(
            subject=f"Ticket {item.ticket_number}" if item.ticket_number else "Ticket",
            content="",
            direction=Direction.INCOMING,
            channel=Channel.OTHER,
            occurred_at=item.occurred_at,
            ticket_number=item.ticket_number,
        )
    after = replace(
        before,
        subject=before.subject if subject is None else one_line(subject),
        content=before.content if content is None else tidy(clean(content)),
        direction=direction or before.direction,
    )
    for name, text in (("subject", after.subject), ("content", after.content)):
        if is_blank(text):
            raise UsageError(f"the {name} would be empty; the API takes no communication without one")
    return after
