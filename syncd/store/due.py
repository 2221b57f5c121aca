"""Due instants after a jump of the wall clock: shifted, so that nothing waits an hour or comes all at once."""

from datetime import timedelta

from sqlalchemy import Connection, select, update

from syncd.model.delivery import DeliveryState
from syncd.store.tables import api_state, delivery, link, system_state, thread

_DUE = (
    (delivery, delivery.c.id, delivery.c.due_at),
    (thread, thread.c.id, thread.c.head_due_at),
    (thread, thread.c.id, thread.c.retry_at),
    (link, link.c.id, link.c.collect_due_at),
    (api_state, api_state.c.api, api_state.c.retry_at),
    (api_state, api_state.c.api, api_state.c.throttled_until),
    (system_state, system_state.c.system, system_state.c.retry_at),
)


def shift_due(connection: Connection, by: timedelta) -> int:
    """Shift every stored due instant of open work; return how many were shifted."""
    shifted = 0
    for table, key, column in _DUE:
        statement = select(key, column).where(column.is_not(None))
        if table is delivery:
            statement = statement.where(delivery.c.state == DeliveryState.PENDING.value)
        for row in connection.execute(statement).all():
            connection.execute(update(table).where(key == row[0]).values({column.name: row[1] + by}))
            shifted += 1
    return shifted
