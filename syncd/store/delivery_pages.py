"""Deliveries in pages, newest first, for programs that come for all of them: no page scans the outbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from syncd.model.delivery import DeliveryState
from syncd.store.lists import DeliveryItem, items
from syncd.store.statement import chunks
from syncd.store.tables import delivery, thread

WINDOW = 20_000
"""So many rows are looked at for one page, where no index leads to those that are wanted."""

_FEW = frozenset({DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.IN_DOUBT, DeliveryState.PARKED})


@dataclass(frozen=True, slots=True)
class DeliverySearch:
    """What deliveries are looked for by; None asks for nothing."""

    state: DeliveryState | None = None
    api: str | None = None
    system: str | None = None
    link_ids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries, newest first. `next_before` is where the next page begins, None if there is none."""

    items: list[DeliveryItem]
    next_before: int | None


def find_page(
    connection: Connection, search: DeliverySearch, before: int | None, limit: int, window: int = WINDOW
) -> DeliveryPage:
    """Return deliveries whose ids are below `before`; a page may hold fewer than `limit` though others follow."""
    wanted = _conditions(search)
    if before is not None:
        wanted.append(delivery.c.id < before)
    if search.link_ids is not None:
        found: list[DeliveryItem] = []
        for some in chunks(search.link_ids):
            found += _rows(connection, _page([*wanted, delivery.c.link_id.in_(some)], limit))
        return _whole(sorted(found, key=lambda item: -item.id), limit)
    if search.state in _FEW:
        return _whole(_rows(connection, _page(wanted, limit)), limit)
    return _of_window(connection, wanted, before, limit, window)


def _conditions(search: DeliverySearch) -> list[ColumnElement[bool]]:
    pairs = ((delivery.c.state, search.state), (thread.c.api, search.api), (delivery.c.system, search.system))
    return [column == str(value) for column, value in pairs if value is not None]


def _page(wanted: list[ColumnElement[bool]], limit: int) -> Select[Any]:
    # One more than wanted tells whether there is another page. Ordered by a sum, so that the index of the condition
    # is used, and not the table from its end.
    return items().where(*wanted).order_by((delivery.c.id + 0).desc()).limit(limit + 1)


def _rows(connection: Connection, statement: Select[Any]) -> list[DeliveryItem]:
    return [DeliveryItem(*row) for row in connection.execute(statement)]


def _whole(found: list[DeliveryItem], limit: int) -> DeliveryPage:
    return DeliveryPage(found[:limit], found[limit - 1].id if len(found) > limit else None)


def _of_window(
    connection: Connection, wanted: list[ColumnElement[bool]], before: int | None, limit: int, window: int
) -> DeliveryPage:
    """Look at so many ids below `before` and no more; what is further back is left to the next page."""
    highest = connection.execute(select(func.coalesce(func.max(delivery.c.id), 0))).scalar_one()
    top = min(int(highest) + 1, before or int(highest) + 1)
    bottom = max(1, top - window)
    statement = items().where(*wanted, delivery.c.id.between(bottom, top - 1)).order_by(delivery.c.id.desc())
    page = _whole(_rows(connection, statement.limit(limit + 1)), limit)
    return page if page.next_before is not None else DeliveryPage(page.items, bottom if bottom > 1 else None)


def count_of_links(connection: Connection, link_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Count the deliveries of some links by state; a link without any has no counts."""
    counts: dict[int, dict[str, int]] = {link_id: {} for link_id in link_ids}
    for some in chunks(link_ids):
        rows = connection.execute(
            select(delivery.c.link_id, delivery.c.state, func.count())
            .where(delivery.c.link_id.in_(some))
            .group_by(delivery.c.link_id, delivery.c.state)
        )
        for link_id, state, number in rows:
            counts[link_id][state] = number
    return counts
