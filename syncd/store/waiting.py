"""What waits for a person, page by page: the longest waiting first, from any point on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from syncd.model.delivery import DeliveryState
from syncd.model.link import Link, LinkState
from syncd.store import links
from syncd.store.floods import FLOOD
from syncd.store.lists import DeliveryItem, items
from syncd.store.tables import delivery, link, thread


class Kind(StrEnum):
    """Why deliveries wait for a person."""

    IN_DOUBT = "in_doubt"
    PARKED = "parked"
    FLOOD = "flood"


@dataclass(frozen=True, slots=True)
class Filter:
    """Those of one api, of one system, or both."""

    api: str | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A point in the list of what waits: since when, and its id."""

    since: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that waits for a person, since when, and the version of it that was looked at."""

    item: DeliveryItem
    since: datetime
    version: int

    @property
    def place(self) -> Place:
        """Return where it stands in the list."""
        return Place(self.since, self.item.id)


def list_waiting(connection: Connection, kind: Kind, wanted: Filter, after: Place | None, limit: int) -> list[Waiting]:
    """Return deliveries of a kind that wait for a person, the longest waiting first."""
    statement = items(delivery.c.ended_at.label("since"), delivery.c.version).where(_is_of(kind))
    if wanted.api is not None:
        statement = statement.where(thread.c.api == wanted.api)
    if wanted.system is not None:
        statement = statement.where(delivery.c.system == wanted.system)
    if after is not None:
        later = (delivery.c.ended_at == after.since) & (delivery.c.id > after.id)
        # Said twice, so that the index is entered at that instant and not at its beginning.
        statement = statement.where(delivery.c.ended_at >= after.since, (delivery.c.ended_at > after.since) | later)
    ordered = statement.order_by(delivery.c.ended_at, delivery.c.id).limit(limit)
    rows = connection.execute(ordered).all()
    return [Waiting(DeliveryItem(*row[:-2]), row.since or row.created_at, row.version) for row in rows]


def _is_of(kind: Kind) -> ColumnElement[bool]:
    if kind is Kind.IN_DOUBT:
        return delivery.c.state == DeliveryState.IN_DOUBT.value
    is_flood = func.substr(func.coalesce(delivery.c.reason, ""), 1, len(FLOOD)) == FLOOD
    return (delivery.c.state == DeliveryState.PARKED.value) & (is_flood if kind is Kind.FLOOD else ~is_flood)


def list_suspended(connection: Connection, wanted: Filter, after_id: int, limit: int) -> list[Link]:
    """Return suspended links, by id."""
    statement: Any = select(link.c.id).where(link.c.state == LinkState.SUSPENDED.value, link.c.id > after_id)
    if wanted.system is not None:
        statement = statement.where(link.c.system == wanted.system)
    if wanted.api is not None:
        statement = statement.join(thread, thread.c.id == link.c.thread_key).where(thread.c.api == wanted.api)
    ids = [row.id for row in connection.execute(statement.order_by(link.c.id).limit(limit))]
    return links.by_ids(connection, ids)
