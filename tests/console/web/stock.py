"""What a server is asked about: links whose tickets were found, and deliveries in any state."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from syncd.model.collected import Collected, Disposition, Entry, NewDelivery
from syncd.model.communication import Channel, Direction, Message, Thread, ThreadStatus
from syncd.model.delivery import DeliveryState
from syncd.model.link import Cause, NewLink
from syncd.model.ticket import Ticket, TicketRef
from syncd.store import link_changes, links, lists, replies
from syncd.store.database import Connection, Database

AT = datetime(2026, 5, 1, 8, tzinfo=UTC)
MESSAGE = Message(
    subject="Locker",
    content="contents of a reply",
    direction=Direction.INCOMING,
    channel=Channel.EMAIL,
    occurred_at=AT,
    ticket_number="HD-1",
)


async def add_link(database: Database, thread_id: int = 500, number: str = "HD-1", *, system: str = "desk") -> int:
    """Register a link whose ticket was found; return its id."""

    def write(connection: Connection) -> int:
        new = NewLink(Thread("berlin", 7, thread_id), system, TicketRef(number=number), AT)
        link_id = links.add(connection, new, AT).link_id
        ticket = Ticket(id=f"id-{number}", number=number, subject="Locker")
        link_changes.resolve(connection, link_id, ticket, ThreadStatus.ONGOING, AT)
        return link_id

    return await database.write(write)


async def add_deliveries(
    database: Database, link_id: int, number: int = 1, state: DeliveryState = DeliveryState.PENDING, **more: Any
) -> list[int]:
    """Put deliveries for replies of a link in the outbox; return their ids."""
    reason = more.get("reason", "not a word" if state in {DeliveryState.PARKED, DeliveryState.IN_DOUBT} else None)
    name = more.get("name", state.value)

    def write(connection: Connection) -> list[int]:
        before = {item.id for item in lists.list_deliveries(connection)}
        link = links.by_ids(connection, [link_id])[0]
        message = replace(MESSAGE, content=more.get("content", MESSAGE.content))
        entries = tuple(
            Entry(
                f"{name}-{one}",
                Disposition.DELIVERY,
                NewDelivery(
                    f"{name}-{one}", None if more.get("unmapped") else message, "f", AT, state=state, reason=reason
                ),
            )
            for one in range(number)
        )
        replies.store_collected(
            connection, Collected(link.id, link.thread_key, link.system, AT, entries=entries, ticket=link.ticket), AT
        )
        return sorted({item.id for item in lists.list_deliveries(connection)} - before)

    return await database.write(write)


async def suspend(database: Database, link_id: int, cause: Cause = Cause.TICKET_GONE, into: str | None = None) -> None:
    """Suspend a link."""
    await database.write(lambda c: link_changes.suspend(c, link_id, cause, "the ticket is gone", into))
