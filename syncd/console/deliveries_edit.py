"""`syncd deliveries edit`: a text by a person in place of one that was refused, or could not be made."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.output import say
from syncd.mapping.text import clean, is_blank, one_line, tidy
from syncd.model.communication import Channel, Direction, Message
from syncd.model.errors import Missing, UsageError
from syncd.store import lists, standing
from syncd.store.lists import DeliveryInFull

DeliveryId = Annotated[
    int, typer.Argument(metavar="ID", help="The delivery's id, as `syncd deliveries list` shows it.")
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the records with your name.")]


async def get_delivery(context: CommandContext, delivery_id: int) -> DeliveryInFull:
    """Return a delivery in full.

    Raises:
        Missing: there is none of that id.
    """
    found = await context.database.read(lambda c: lists.find_delivery(c, delivery_id))
    if found is None:
        raise Missing(f"there is no delivery {delivery_id}; `syncd deliveries list` shows them")
    return found


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
        found = await get_delivery(context, delivery_id)
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
