"""Threads whose status changed with no reply to carry it, and the notes that then do."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from syncd.model.collected import Collected, NewDelivery, Stored
from syncd.model.delivery import DeliveryKind
from syncd.model.link import LinkState
from syncd.store.enqueue import insert_deliveries
from syncd.store.settling import settle
from syncd.store.tables import link, thread


@dataclass(frozen=True, slots=True)
class Waiting:
    """A thread whose status needs a note of its own."""

    thread_key: int
    link_id: int
    kind: str


def notes_due(connection: Connection, system: str, kinds: tuple[str, ...], limit: int) -> list[Waiting]:
    """Return threads of a system whose status differs from what was carried, with nothing on its way."""
    # What is joined to an empty text has no index: SQLite, which keeps no statistics, would else begin with every link
    # of the system instead of the few threads that need a note.
    statement = (
        select(thread.c.id, link.c.id.label("link_id"), thread.c.note_due)
        .join(link, link.c.thread_key == thread.c.id)
        .where(thread.c.note_due.in_(kinds), link.c.system + "" == system, link.c.state + "" == LinkState.ACTIVE.value)
        .limit(limit)
    )
    return [Waiting(row.id, row.link_id, row.note_due) for row in connection.execute(statement)]


def add_note(connection: Connection, collected: Collected, note: NewDelivery, now: datetime) -> bool:
    """Queue a status note, unless a delivery has taken its place meanwhile; return whether it was queued."""
    still = connection.execute(select(thread.c.note_due).where(thread.c.id == collected.thread_key)).scalar_one()
    if still is None or note.kind is not DeliveryKind.STATUS_NOTE:
        return False
    insert_deliveries(connection, [(collected, note)], now, Stored())
    settle(connection, collected.thread_key)
    return True
