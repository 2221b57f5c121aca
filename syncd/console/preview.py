"""`syncd preview`: the bodies that would be sent for a ticket, and why the rest of it stays. Nothing is sent."""

from collections.abc import Sequence
from typing import Annotated

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.output import Shown, counted, notice, print_json
from syncd.console.preview_live import preview_live
from syncd.console.preview_page import Item, print_items
from syncd.model.communication import Thread, thread_update
from syncd.model.delivery import DeliveryState
from syncd.model.errors import UsageError
from syncd.model.link import Link, LinkState
from syncd.model.policy import Mode
from syncd.store import health, links, lists, outbox
from syncd.store.database import Connection
from syncd.store.lists import DeliveryItem


def preview(
    ctx: typer.Context,
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="Its number or its web address.")],
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="The ticketing system, as in [systems.NAME].")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Read the ticket now and show all of it; it need not be linked.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """Print what would be sent for a ticket, exactly as it would leave; send and store nothing.

    Without --live: what waits in the database. With it the ticketing system is asked, and every public reply is shown.
    """

    async def work(context: CommandContext) -> None:
        if system is not None:
            context.get_system(system)
        found = await context.database.read(lambda c: links.listed(c, system=system, ticket=ticket))
        there = [link for link in found if link.state is not LinkState.REMOVED]
        if live:
            items, notes = await preview_live(context, ticket, _only_system(context, system, there), there)
        elif not there:
            raise UsageError(f"no link has a ticket {ticket}; `syncd links list` shows them, --live needs none")
        else:
            items, notes = await _preview_stored(context, there)
        if json:
            for note in notes:
                notice(note)
            print_json([item.value() for item in items])
        else:
            print_items(items, notes, Shown(context.zone))

    perform(ctx, work)


def _only_system(context: CommandContext, given: str | None, there: Sequence[Link]) -> str:
    """Return the system that is to be asked.

    Raises:
        UsageError: it could be several.
    """
    if given is not None:
        return given
    named = {link.system for link in there} or set(context.settings.systems)
    if len(named) != 1:
        raise UsageError(f"which system? say --system with one of {', '.join(sorted(named)) or '(none is configured)'}")
    return named.pop()


async def _preview_stored(context: CommandContext, there: Sequence[Link]) -> tuple[list[Item], list[str]]:
    items: list[Item] = []
    notes: list[str] = []
    for link in there:
        found, about = await context.database.read(lambda c: _of_link(context, c, link))  # noqa: B023 - awaited at once
        items += found
        notes += about
    return items, notes


def _of_link(context: CommandContext, connection: Connection, link: Link) -> tuple[list[Item], list[str]]:
    listed = lists.list_deliveries(connection, link_id=link.id)
    items = [_item(context, connection, link, one) for one in listed if one.state != DeliveryState.DELIVERED.value]
    delivered = len(listed) - len(items)
    kept = lists.count_dispositions(connection, link.thread_key)
    name = f"link {link.id} ({link.system} {link.ticket_name} to thread {link.thread.thread_id} at {link.thread.api})"
    note = (
        f"{name}: {link.state}{_why(link)}; {delivered} delivered, {kept.get('withheld', 0)} internal and withheld, "
        f"{kept.get('older', 0)} older than the link, {kept.get('automatic', 0)} automatic"
    )
    return items, [note, *_waits(context, connection, link)]


def _why(link: Link) -> str:
    if link.state is LinkState.UNRESOLVED:
        return " (its ticket was not looked up yet)"
    return f" ({link.reason})" if link.reason else ""


def _waits(context: CommandContext, connection: Connection, link: Link) -> list[str]:
    """Return why nothing goes to the api of a link now, if that is so."""
    name = link.thread.api
    settings = context.settings.api.get(name)
    if settings is None:
        return [f"[api.{name}] is not in the settings, so nothing is sent; the times are of {context.zone.key}"]
    state = health.get_api(connection, name)
    if state.paused_cause is not None:
        return [f"api {name} is paused: {state.reason}"]
    if settings.mode is Mode.HOLD and state.released_at is None:
        return [f"api {name} is in mode hold: nothing is sent until `syncd apis release {name}`"]
    return []


def _item(context: CommandContext, connection: Connection, link: Link, listed: DeliveryItem) -> Item:
    outgoing = outbox.find_outgoing(connection, listed.id)
    body = None
    if outgoing is not None:
        api = context.settings.api.get(listed.api)
        zone = context.zone if api is None else api.policy(listed.api, context.zone).zone
        body = thread_update(outgoing.message, outgoing.status, zone)
    return Item(
        system=listed.system,
        ticket_number=listed.ticket_number,
        link_id=link.id,
        api=listed.api,
        path=Thread(listed.api, listed.customer_id, listed.thread_id).path,
        kind=listed.kind,
        reply_id=listed.reply_id,
        at=listed.occurred_at,
        what=_what(listed),
        body=body,
        delivery_id=listed.id,
    )


def _what(listed: DeliveryItem) -> str:
    reason = f": {listed.reason}" if listed.reason else ""
    words = {
        DeliveryState.PENDING.value: counted(listed.attempts, "attempt") + " so far, waits"
        if listed.attempts
        else "waits",
        DeliveryState.SENDING.value: "is on the wire now",
        DeliveryState.IN_DOUBT.value: f"in doubt, not sent again by itself (syncd deliveries resolve {listed.id})",
        DeliveryState.PARKED.value: f"parked (syncd deliveries show {listed.id})",
        DeliveryState.SKIPPED.value: "skipped",
    }
    return words[listed.state] + reason
