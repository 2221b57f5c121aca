"""Big databases, filled by the database itself: links with their threads, the ledger, and deliveries of each link."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.types import Text

from syncd.model.collected import Disposition
from syncd.model.delivery import DeliveryState, Lane
from syncd.store.database import Database, open_database
from syncd.store.instant import Instant
from syncd.store.schema import ensure_schema
from syncd.store.tables import delivery, ledger, link, thread

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
"""The first instant in such a database; each row has one of its own, a second after that of the row before."""

REPLY = "Hello, the locker by the window does not close any more. Could somebody have a look at it? Thank you!"


class Waiting(StrEnum):
    """Which deliveries wait, so which threads have a head."""

    NONE = "all idle"
    LAST = "spread"
    HOT = "one hot thread"
    ALL = "all open"


@dataclass(frozen=True, slots=True)
class Filling:
    """So many links, each with a thread and a known ticket, and so many rows of the ledger and of the outbox.

    With more than one api the threads are spread over them, and these are named by numbers: berlin0, berlin1 ...
    `read_at`: when the deliveries were read last, if not when they were made.
    """

    links: int = 100_000
    rows: int = 1_000_000
    waiting: Waiting = Waiting.NONE
    api: str = "berlin"
    system: str = "desk"
    apis: int = 1
    read_at: datetime | None = None

    @property
    def hot_rows(self) -> int:
        """Return how many deliveries the one hot thread has, if there is one: a tenth of all."""
        return self.rows // 10


async def fill(url: str, filling: Filling) -> None:
    """Fill a database, which is made if it is missing."""
    database = open_database(url, command_seconds=600)
    try:
        await ensure_schema(database, migrate=True)
        await _fill(database, filling)
    finally:
        await database.close()


async def _fill(database: Database, filling: Filling) -> None:
    await database.write(lambda c: _add_threads(c, filling))
    await database.write(lambda c: _add_links(c, filling))
    await database.write(lambda c: _add_ledger(c, filling))
    await database.write(lambda c: _add_deliveries(c, filling))
    if filling.waiting is not Waiting.NONE:
        await database.write(_set_heads)
    # The statistics that a database of this age has: on SQLite they are given, here autovacuum would come for them.
    if database.dialect == "postgresql":
        await database.write(_analyze)


def _analyze(connection: Connection) -> None:
    connection.execute(text("ANALYZE"))


def _numbers(last: int) -> CTE:
    """Return the numbers from 1 on as rows."""
    numbers = select(cast(literal(1), BigInteger).label("n")).cte("numbers", recursive=True)
    return numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < last))


def _instant(connection: Connection, seconds: ColumnElement[int]) -> ColumnElement[datetime]:
    """Return the instant that many seconds after the first, as the store keeps it."""
    if connection.dialect.name == "postgresql":
        return literal(BEGAN, Instant()) + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    written = func.strftime("%Y-%m-%d %H:%M:%S.000000", BEGAN.strftime("%Y-%m-%d"), cast(seconds, Text) + " seconds")
    return type_coerce(written, Instant())


def _add_threads(connection: Connection, filling: Filling) -> None:
    n = _numbers(filling.links).c.n
    api = literal(filling.api)
    name = api if filling.apis == 1 else api + cast(n % filling.apis, Text)
    rows = select(n, name, 1000 + n % 5000, n, literal("ONGOING"), literal("ONGOING"), literal(0))
    columns = ["id", "api", "customer_id", "thread_id", "known_status", "sent_status", "refusals"]
    connection.execute(insert(thread).from_select(columns, rows))


def _add_links(connection: Connection, filling: Filling) -> None:
    n = _numbers(filling.links).c.n
    number = cast(n, Text)
    values = {
        "thread_key": n,
        "system": literal(filling.system),
        "state": literal("active"),
        "given_number": number,
        "from_at": literal(BEGAN, Instant()),
        "ticket_id": "ticket-" + number,
        "ticket_number": number,
        "subject": literal("Locker"),
        "registered_at": literal(BEGAN, Instant()),
        "active_at": _instant(connection, n),
        "collected_at": _instant(connection, n),
        "failures": literal(0),
    }
    connection.execute(insert(link).from_select(list(values), select(*values.values())))


def _key_of_row(n: ColumnElement[int], filling: Filling) -> ColumnElement[int]:
    """Return the thread of a row: rows lie thread by thread, as SQLite fills its indexes fastest so."""
    if filling.waiting is Waiting.HOT:
        spread = 2 + (n - filling.hot_rows - 1) * (filling.links - 1) / max(filling.rows - filling.hot_rows, 1)
        return case((n <= filling.hot_rows, 1), else_=spread)
    return 1 + (n - 1) * filling.links // filling.rows


def _add_ledger(connection: Connection, filling: Filling) -> None:
    n = _numbers(filling.rows).c.n
    reply_id = cast(n, Text)
    # One of a hundred is an internal note.
    disposition = case((n % 100 == 0, Disposition.WITHHELD.value), else_=Disposition.DELIVERY.value)
    rows = select(_key_of_row(n, filling), literal(filling.system), reply_id, disposition)
    connection.execute(insert(ledger).from_select(["thread_key", "system", "reply_id", "disposition"], rows))


def _is_waiting(n: ColumnElement[int], filling: Filling) -> ColumnElement[bool]:
    match filling.waiting:
        case Waiting.NONE:
            return literal(value=False)
        case Waiting.ALL:
            return literal(value=True)
        case Waiting.HOT:
            return n <= filling.hot_rows
        case Waiting.LAST:
            return _key_of_row(n, filling) != _key_of_row(n + 1, filling)


def _add_deliveries(connection: Connection, filling: Filling) -> None:
    n = _numbers(filling.rows).c.n
    at, key, waits = _instant(connection, n), _key_of_row(n, filling), _is_waiting(n, filling)
    values: dict[str, ColumnElement[Any]] = {
        "thread_key": key,
        "link_id": key,
        "system": literal(filling.system),
        "kind": literal("reply"),
        "lane": literal(Lane.LIVE.value),
        "state": case((waits, DeliveryState.PENDING.value), else_=DeliveryState.DELIVERED.value),
        "version": literal(1),
        "reply_id": cast(n, Text),
        "ticket_number": cast(key, Text),
        "subject": literal("Locker"),
        "content": case((waits, REPLY)),
        "direction": literal("INCOMING"),
        "channel": literal("EMAIL"),
        "occurred_at": at,
        "created_at": at,
        "read_at": at if filling.read_at is None else literal(filling.read_at, Instant()),
        "due_at": at,
        "ended_at": case((~waits, at)),
        "attempts": case((waits, 0), else_=1),
        "failures": literal(0),
        "doubts": literal(0),
        "manual": literal(value=False),
    }
    connection.execute(insert(delivery).from_select(list(values), select(*values.values())))


def _set_heads(connection: Connection) -> None:
    first = (
        select(delivery.c.thread_key, func.min(delivery.c.id).label("head"))
        .where(text("delivery.state = 'pending'"))
        .group_by(delivery.c.thread_key)
        .subquery()
    )
    heads = select(first.c.thread_key, delivery).join(delivery, delivery.c.id == first.c.head).subquery()
    connection.execute(
        update(thread)
        .where(thread.c.id == heads.c.thread_key)
        .values(
            head_delivery_id=heads.c.id,
            head_lane=heads.c.lane,
            head_system=heads.c.system,
            head_due_at=heads.c.due_at,
        )
    )
