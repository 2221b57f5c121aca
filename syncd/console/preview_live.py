"""`syncd preview --live`: a ticket read now, and what each reply of it would become; nothing is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from syncd.console.context import CommandContext
from syncd.console.preview_page import Item
from syncd.mapping.mapper import map_reply, thread_status
from syncd.model.collected import Disposition, Known
from syncd.model.communication import ThreadStatus, thread_update
from syncd.model.delivery import DeliveryState
from syncd.model.link import Link
from syncd.model.ticket import AuthorKind, Reply, Ticket, TicketRef, Visibility
from syncd.service.wiring import open_system
from syncd.store import links, replies
from syncd.sync.collect import System, plan, read_replies
from syncd.sync.intake import distinct

NO_PATH = "/v1/communications/{customerId}/threads/{threadId}"


@dataclass(frozen=True, slots=True)
class _Reading:
    """A ticket as it was read, and its level by the settings."""

    system: System
    ticket: Ticket
    replies: Sequence[Reply]
    status: ThreadStatus


async def preview_live(
    context: CommandContext, name: str, system_name: str, there: Sequence[Link]
) -> tuple[list[Item], list[str]]:
    """Return what every reply of a ticket would become in each thread that it is linked to, or in any.

    Raises:
        UsageError, InvalidTicketRef: there is no such system, or it cannot have such a ticket.
        TicketUnavailable, RetryLater, PauseSystem: the ticket cannot be read.
    """
    system, opened = open_system(system_name, context.get_system(system_name), context.database, context.clock)
    async with opened:
        ref = TicketRef(link=name) if "://" in name else TicketRef(number=name)
        ticket = await system.adapter.resolve(ref)
        told = distinct(await read_replies(system, ticket, None))
        status, unmapped = thread_status(ticket, system.policy)
        reading = _Reading(system, ticket, told, status)
        linked = await context.database.read(lambda c: links.of_tickets(c, system_name, [ticket.id]))
        every = list({link.id: link for link in [*there, *linked] if link.system == system_name}.values())
        items = [item for link in every for item in await _for_link(context, reading, link)]
    notes = [f"ticket {ticket.number} is {ticket.vendor_status} at {system_name}, which is {status} for its thread"]
    if unmapped:
        notes.append(f"no table maps the status {ticket.vendor_status}; [systems.{system_name}.statuses] can")
    if not every:
        notes.append("the ticket is not linked; a link sends what comes after it, a backfill what came before")
        items = [_item(reading, reply, None, context.zone, _fate(reading, reply)) for reply in told]
    return items, notes


async def _for_link(context: CommandContext, reading: _Reading, link: Link) -> list[Item]:
    api = context.settings.api.get(link.thread.api)
    zone = context.zone if api is None else api.policy(link.thread.api, context.zone).zone
    ids = [reply.id for reply in reading.replies]
    known = await context.database.read(lambda c: replies.find_known(c, link.thread_key, reading.system.name, ids))
    started_at = context.clock.now()
    planned = await plan(reading.system, reading.ticket, [link], reading.replies, since=None, started_at=started_at)
    new = {entry.reply_id: entry.disposition for one in planned for entry in one.entries}
    return [_item(reading, reply, link, zone, _fate_in(reading, reply, known, new)) for reply in reading.replies]


def _fate(reading: _Reading, reply: Reply) -> str | None:
    """Return why a reply is not for any thread, None if it is."""
    if reply.visibility is not Visibility.PUBLIC:
        return "internal, so it stays here"
    if reply.author.kind is AuthorKind.SYSTEM and not reading.system.policy.automatic_messages:
        return "an automatic message; not sent (automatic_messages = false)"
    return None


def _fate_in(reading: _Reading, reply: Reply, known: Mapping[str, Known], new: Mapping[str, Disposition]) -> str | None:
    """Return why a reply is not sent to a thread by the next sweep, None if it is."""
    if fate := _fate(reading, reply):
        return fate
    if reply.id in new:
        return _OLDER if new[reply.id] is Disposition.OLDER else None
    before = known[reply.id]
    if before.state is None:
        return _OLDER if before.disposition is Disposition.OLDER else f"not sent: {before.disposition}"
    return None if before.state is DeliveryState.PENDING else _STATES[before.state]


_OLDER = "older than the link; `syncd backfill` would send it"
_STATES = {
    DeliveryState.SENDING: "is on the wire now",
    DeliveryState.DELIVERED: "delivered already",
    DeliveryState.IN_DOUBT: "in doubt, not sent again by itself",
    DeliveryState.PARKED: "parked",
    DeliveryState.SKIPPED: "skipped",
}


def _item(reading: _Reading, reply: Reply, link: Link | None, zone: ZoneInfo, fate: str | None) -> Item:
    body, what = None, fate or ("would be sent" if link is not None else "public")
    if fate is None:
        try:
            message = map_reply(reply, reading.ticket, reading.system.policy)
            body = thread_update(message, reading.status, zone)
        except Exception as error:  # noqa: BLE001 - as at a sweep: one reply that cannot be mapped is parked
            what = f"would be parked: cannot be mapped: {type(error).__name__}"
    return Item(
        system=reading.system.name,
        ticket_number=reading.ticket.number,
        link_id=None if link is None else link.id,
        api=None if link is None else link.thread.api,
        path=NO_PATH if link is None else link.thread.path,
        kind="reply",
        reply_id=reply.id,
        at=reply.created_at,
        what=what,
        body=body,
    )
