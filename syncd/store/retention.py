"""Retention: contents are erased some days after they were needed; ids stay, so that nothing is sent twice."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from syncd.model.delivery import DeliveryState
from syncd.store.erase import ERASED
from syncd.store.tables import attempt, delivery

ROWS_AT_ONCE = 500


def erase_contents(connection: Connection, ended_before: datetime) -> int:
    """Erase texts and names of deliveries that ended before an instant; return how many, a few hundred at most."""
    ended = [DeliveryState.DELIVERED.value, DeliveryState.SKIPPED.value]
    # The state is joined to an empty text, so that it is not looked up in its index: that one holds what was erased
    # in all the years before, the index of contents what still has some.
    some = (
        select(delivery.c.id)
        .where(
            (delivery.c.state + "").in_(ended),
            delivery.c.ended_at < ended_before,
            delivery.c.ended_at.is_not(None),
            delivery.c.content.is_not(None),
        )
        .limit(ROWS_AT_ONCE)
    )
    ids = [row.id for row in connection.execute(some)]
    if not ids:
        return 0
    # What an API said of a text may quote it. Where it said nothing, the words are syncd's own.
    connection.execute(
        update(attempt)
        .where(attempt.c.delivery_id.in_(ids), attempt.c.http_status.is_not(None), attempt.c.error_text.is_not(None))
        .values(error_text=ERASED)
    )
    erase = update(delivery).where(delivery.c.id.in_(ids))
    return connection.execute(erase.values(subject=None, content=None, agent=None)).rowcount
