"""Due instants after a jump of the wall clock: shifted, so that nothing waits an hour or comes all at once.

When what waits was read last is shifted too: set back by an hour, the clock would else make it look fresh for as long.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, Table, select, update

from syncd.model.delivery import DeliveryState
from syncd.store.tables import api_state, delivery, link, system_state, thread


@dataclass(frozen=True, slots=True)
class Owned:
    """What one of several workers owns: the due instants of that alone go by the clock of its machine."""

    systems: frozenset[str]
    apis: frozenset[str]


_DUE_OF_APIS = (
    (delivery, delivery.c.id, delivery.c.due_at),
    (delivery, delivery.c.id, delivery.c.read_at),
    (thread, thread.c.id, thread.c.head_due_at),
    (thread, thread.c.id, thread.c.retry_at),
    (api_state, api_state.c.api, api_state.c.retry_at),
    (api_state, api_state.c.api, api_state.c.throttled_until),
)
_DUE_OF_SYSTEMS = (
    (link, link.c.id, link.c.collect_due_at),
    (system_state, system_state.c.system, system_state.c.retry_at),
)


def shift_due(connection: Connection, by: timedelta, owned: Owned | None = None) -> int:
    """Shift stored due instants of open work, all of them or of what is owned; return how many were shifted."""
    shifted = 0
    for table, key, column in _DUE_OF_APIS + _DUE_OF_SYSTEMS:
        statement = select(key, column).where(column.is_not(None))
        if table is delivery:
            statement = statement.where(delivery.c.state == DeliveryState.PENDING.value)
        if owned is not None:
            statement = statement.where(_is_of(table, owned))
        for row in connection.execute(statement).all():
            connection.execute(update(table).where(key == row[0]).values({column.name: row[1] + by}))
            shifted += 1
    return shifted


def _is_of(table: Table, owned: Owned) -> ColumnElement[bool]:
    if table is delivery:
        of_apis = select(thread.c.id).where(thread.c.api.in_(owned.apis))
        return delivery.c.thread_key.in_(of_apis)
    if "api" in table.c:
        return thread.c.api.in_(owned.apis) if table is thread else api_state.c.api.in_(owned.apis)
    return link.c.system.in_(owned.systems) if table is link else system_state.c.system.in_(owned.systems)
