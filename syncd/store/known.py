"""What is known of replies: what became of each in its thread, and which of them wait to be sent."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Text, bindparam, literal_column, select

from syncd.model.collected import Disposition, Known
from syncd.model.delivery import DeliveryKind, DeliveryState, Lane
from syncd.model.ticket import Ticket
from syncd.store.among import rows_of
from syncd.store.tables import delivery, ledger

_ASKED = rows_of("asked", thread_key=BigInteger(), reply_id=Text())
_KNOWN = (
    select(
        ledger.c.thread_key,
        ledger.c.reply_id,
        ledger.c.disposition,
        delivery.c.id,
        delivery.c.state,
        delivery.c.fingerprint,
        delivery.c.version,
        delivery.c.lane,
        delivery.c.occurred_at,
    )
    .select_from(
        _ASKED.join(
            ledger,
            (ledger.c.thread_key == _ASKED.c.thread_key)
            & (ledger.c.system == bindparam("system"))
            & (ledger.c.reply_id == _ASKED.c.reply_id),
        ).outerjoin(
            delivery,
            (delivery.c.thread_key == ledger.c.thread_key)
            & (delivery.c.reply_id == ledger.c.reply_id)
            & (delivery.c.system == ledger.c.system),
        )
    )
    # A correction has its reply's id too; the last row of a reply is the one an edit is held against.
    .order_by(delivery.c.id)
)


def find_known(connection: Connection, thread_key: int, system: str, reply_ids: Sequence[str]) -> dict[str, Known]:
    """Return what is known of these replies in a thread, by reply id."""
    return find_known_of(connection, system, {thread_key: reply_ids})[thread_key]


def find_known_of(
    connection: Connection, system: str, reply_ids: Mapping[int, Sequence[str]]
) -> dict[int, dict[str, Known]]:
    """Return what is known of replies in many threads, by thread and reply id."""
    known: dict[int, dict[str, Known]] = {thread_key: {} for thread_key in reply_ids}
    asked = [(thread_key, reply_id) for thread_key, its in reply_ids.items() for reply_id in its]
    if asked:
        for row in connection.execute(_KNOWN, {"system": system, "asked": asked}):
            known[row.thread_key][row.reply_id] = _known(row)
    return known


def _known(row: Any) -> Known:
    if row.id is None:
        return Known(Disposition(row.disposition))
    return Known(
        Disposition(row.disposition),
        row.id,
        DeliveryState(row.state),
        row.fingerprint,
        row.version,
        Lane(row.lane),
        row.occurred_at,
    )


def waiting_replies(
    connection: Connection, thread_key: int, of: tuple[str, Ticket] | None = None, read_by: datetime | None = None
) -> dict[str, Known]:
    """Return the replies of a thread that still wait to be sent, by reply id.

    `of`: those of this system's ticket alone, not of one that was merged into it or that the thread was tied to
    before. `read_by`: those alone that were known when a reading began at this instant; it need not hold a later one.
    """
    statement = select(
        *(delivery.c[name] for name in ("id", "reply_id", "fingerprint", "version", "lane", "occurred_at", "kind"))
    ).where(
        delivery.c.thread_key == thread_key,
        # The very words of the partial index of what waits.
        delivery.c.state == literal_column("'pending'"),
        delivery.c.reply_id.is_not(None),
    )
    if of is not None:
        system, ticket = of
        statement = statement.where(delivery.c.system == system, delivery.c.ticket_number == ticket.number)
    if read_by is not None:
        statement = statement.where(delivery.c.read_at <= read_by)
    return {
        row.reply_id: Known(
            Disposition.DELIVERY,
            row.id,
            DeliveryState.PENDING,
            row.fingerprint,
            row.version,
            Lane(row.lane),
            row.occurred_at,
            row.kind == DeliveryKind.CORRECTION.value,
        )
        for row in connection.execute(statement)
    }
