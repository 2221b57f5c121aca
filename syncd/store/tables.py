"""The tables. Their objects do not leave this package: values go in, values come out.

`thread` is the unit of the queue: of all the deliveries that wait in a thread only the first, its head, carries a
due time, in `head_due_at`; so the next work of an api is one look into one small index, whatever waits behind.
`ledger` says once and for all what became of a reply in a thread. It outlives links and contents.
"""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text
from sqlmodel import Field, SQLModel

from syncd.store.instant import Instant

# SQLite gives AUTOINCREMENT to INTEGER alone; PostgreSQL needs 64 bits, as conflicts burn sequence values.
_Key = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Column[int]:
    return Column(_Key, primary_key=True, autoincrement=True)


def _key(index: bool = False) -> Column[int]:
    return Column(_Key, nullable=False, index=index)


def _at(nullable: bool = True) -> Column[datetime]:
    return Column(Instant(), nullable=nullable)


class MetaRow(SQLModel, table=True):
    """One fact about the database itself: its id, when it was restored."""

    __tablename__ = "meta"
    name: str = Field(primary_key=True)
    value: str


class ThreadRow(SQLModel, table=True):
    """A communication thread: the unit of the queue, with its head and the levels of its status."""

    __tablename__ = "thread"
    id: int = Field(sa_column=_id())
    api: str
    customer_id: int = Field(sa_column=_key())
    thread_id: int = Field(sa_column=_key())
    head_delivery_id: int | None = Field(default=None, sa_column=Column(_Key))
    head_lane: str | None = None
    head_system: str | None = None
    head_due_at: datetime | None = Field(default=None, sa_column=_at())
    known_status: str | None = None
    sent_status: str | None = None
    doubt_status: str | None = None
    note_due: str | None = None
    refusals: int = 0
    retry_at: datetime | None = Field(default=None, sa_column=_at())
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("thread_key", "api", "customer_id", "thread_id", unique=True),
        Index("thread_number", "thread_id"),
        Index(
            "thread_head",
            "api",
            "head_lane",
            "head_system",
            "head_due_at",
            sqlite_where=text("head_due_at IS NOT NULL"),
            postgresql_where=text("head_due_at IS NOT NULL"),
        ),
        Index(
            "thread_note",
            "note_due",
            sqlite_where=text("note_due IS NOT NULL"),
            postgresql_where=text("note_due IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},
    )


_NOT_REMOVED = text("state <> 'removed'")


class LinkRow(SQLModel, table=True):
    """The tie of one ticket to one thread, with what is known of the ticket."""

    __tablename__ = "link"
    id: int = Field(sa_column=_id())
    thread_key: int = Field(sa_column=_key(index=True))
    system: str
    state: str
    cause: str | None = None
    reason: str | None = Field(default=None, sa_column=Column(Text))
    merged_into: str | None = None
    merged_from: str | None = Field(default=None, sa_column=Column(Text))
    given_number: str | None = None
    given_link: str | None = Field(default=None, sa_column=Column(Text))
    from_at: datetime | None = Field(default=None, sa_column=_at())
    ticket_id: str | None = None
    ticket_number: str | None = None
    ticket_link: str | None = Field(default=None, sa_column=Column(Text))
    subject: str | None = Field(default=None, sa_column=Column(Text))
    vendor_status: str | None = None
    assignee: str | None = Field(default=None, sa_column=Column(Text))
    ticket_updated_at: datetime | None = Field(default=None, sa_column=_at())
    registered_at: datetime = Field(sa_column=_at(nullable=False))
    ended_at: datetime | None = Field(default=None, sa_column=_at())
    collect_due_at: datetime | None = Field(default=None, sa_column=_at())
    collected_at: datetime | None = Field(default=None, sa_column=_at())
    newest_reply_at: datetime | None = Field(default=None, sa_column=_at())
    active_at: datetime | None = Field(default=None, sa_column=_at())
    closed_at: datetime | None = Field(default=None, sa_column=_at())
    failures: int = 0
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("link_of_thread", "thread_key", unique=True, sqlite_where=_NOT_REMOVED, postgresql_where=_NOT_REMOVED),
        Index("link_ticket", "system", "ticket_id"),
        Index(
            "link_due",
            "system",
            "collect_due_at",
            sqlite_where=text("collect_due_at IS NOT NULL"),
            postgresql_where=text("collect_due_at IS NOT NULL"),
        ),
        Index("link_state", "state", "system"),
        # By what people know. On PostgreSQL a hash takes texts of any length, which its usual kind does not.
        Index("link_ticket_number", "ticket_number", postgresql_using="hash"),
        Index("link_given_number", "given_number", postgresql_using="hash"),
        Index("link_ticket_link", "ticket_link", postgresql_using="hash"),
        Index("link_given_link", "given_link", postgresql_using="hash"),
        {"sqlite_autoincrement": True},
    )


_WITHHELD = text("disposition = 'withheld'")


class LedgerRow(SQLModel, table=True):
    """What became of one reply in one thread; never removed, so that nothing is sent twice."""

    __tablename__ = "ledger"
    thread_key: int = Field(sa_column=Column(_Key, primary_key=True, autoincrement=False))
    system: str = Field(primary_key=True)
    reply_id: str = Field(primary_key=True)
    disposition: str
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index("ledger_withheld", "disposition", sqlite_where=_WITHHELD, postgresql_where=_WITHHELD),
        {"sqlite_with_rowid": False},
    )


_OPEN = text("state = 'pending'")
_STANDING = text("state IN ('sending', 'in_doubt', 'parked')")
_CONTENTS = text("ended_at IS NOT NULL AND content IS NOT NULL")
_BACKFILLED = text("request_id IS NOT NULL")


class DeliveryRow(SQLModel, table=True):
    """One communication on its way: a row of the outbox."""

    __tablename__ = "delivery"
    id: int = Field(sa_column=_id())
    thread_key: int = Field(sa_column=_key())
    link_id: int = Field(sa_column=_key(index=True))
    system: str
    kind: str
    lane: str
    state: str
    reason: str | None = Field(default=None, sa_column=Column(Text))
    version: int = 1
    reply_id: str | None = None
    fingerprint: str | None = None
    ticket_number: str | None = None
    ticket_link: str | None = Field(default=None, sa_column=Column(Text))
    subject: str | None = Field(default=None, sa_column=Column(Text))
    content: str | None = Field(default=None, sa_column=Column(Text))
    direction: str | None = None
    channel: str | None = None
    agent: str | None = Field(default=None, sa_column=Column(Text))
    flags: str | None = None
    occurred_at: datetime = Field(sa_column=_at(nullable=False))
    created_at: datetime = Field(sa_column=_at(nullable=False))
    read_at: datetime = Field(sa_column=_at(nullable=False))
    due_at: datetime = Field(sa_column=_at(nullable=False))
    ended_at: datetime | None = Field(default=None, sa_column=_at())
    attempts: int = 0
    failures: int = 0
    doubts: int = 0
    manual: bool = False
    status_carried: str | None = None
    communication_id: int | None = Field(default=None, sa_column=Column(BigInteger))
    request_id: int | None = Field(default=None, sa_column=Column(_Key))
    __table_args__: ClassVar[tuple[object, ...]] = (
        Index(
            "delivery_open",
            "thread_key",
            "lane",
            "occurred_at",
            "id",
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index("delivery_standing", "thread_key", "state", sqlite_where=_STANDING, postgresql_where=_STANDING),
        Index("delivery_reply", "thread_key", "reply_id"),
        Index("delivery_contents", "ended_at", sqlite_where=_CONTENTS, postgresql_where=_CONTENTS),
        Index("delivery_state", "state", "ended_at"),
        Index("delivery_request", "request_id", "state", sqlite_where=_BACKFILLED, postgresql_where=_BACKFILLED),
        {"sqlite_autoincrement": True},
    )


class AttemptRow(SQLModel, table=True):
    """One try of a delivery; not changed after its outcome is in. Its id is the attempt counter."""

    __tablename__ = "attempt"
    id: int = Field(sa_column=_id())
    delivery_id: int = Field(sa_column=_key(index=True))
    number: int
    reason: str
    worker: str
    status_carried: str
    started_at: datetime = Field(sa_column=_at(nullable=False))
    reached: str | None = None
    http_status: int | None = None
    outcome: str | None = None
    error_text: str | None = Field(default=None, sa_column=Column(Text))
    error_code: str | None = None
    trace_id: str | None = None
    duration_ms: int | None = None
    request_bytes: int | None = None
    answer_bytes: int | None = None
    __table_args__: ClassVar[dict[str, object]] = {"sqlite_autoincrement": True}


class CursorRow(SQLModel, table=True):
    """How far the change feed of a system has been read."""

    __tablename__ = "cursor"
    system: str = Field(primary_key=True)
    cursor: str | None = Field(default=None, sa_column=Column(Text))
    start_at: datetime = Field(sa_column=_at(nullable=False))
    stored_at: datetime = Field(sa_column=_at(nullable=False))


class SystemRow(SQLModel, table=True):
    """The health of a system: when it last worked, why it waits."""

    __tablename__ = "system_state"
    system: str = Field(primary_key=True)
    paused_by: str | None = None
    reason: str | None = Field(default=None, sa_column=Column(Text))
    since_at: datetime | None = Field(default=None, sa_column=_at())
    retry_at: datetime | None = Field(default=None, sa_column=_at())
    failures: int = 0
    last_success_at: datetime | None = Field(default=None, sa_column=_at())
    last_full_sweep_at: datetime | None = Field(default=None, sa_column=_at())
    full_sweep_found: int | None = None
    full_sweep_seconds: int | None = None


class ApiRow(SQLModel, table=True):
    """The health of an api: why it waits, until when, and whether a held one was released."""

    __tablename__ = "api_state"
    api: str = Field(primary_key=True)
    paused_cause: str | None = None
    reason: str | None = Field(default=None, sa_column=Column(Text))
    since_at: datetime | None = Field(default=None, sa_column=_at())
    retry_at: datetime | None = Field(default=None, sa_column=_at())
    throttled_until: datetime | None = Field(default=None, sa_column=_at())
    released_at: datetime | None = Field(default=None, sa_column=_at())
    last_success_at: datetime | None = Field(default=None, sa_column=_at())


class DecisionRow(SQLModel, table=True):
    """What a person decided: who, when, about what, and why."""

    __tablename__ = "decision"
    id: int = Field(sa_column=_id())
    decided_at: datetime = Field(sa_column=_at(nullable=False))
    who: str
    action: str
    subject: str = Field(index=True)
    reason: str = Field(sa_column=Column(Text, nullable=False))
    __table_args__: ClassVar[dict[str, object]] = {"sqlite_autoincrement": True}


class RequestRow(SQLModel, table=True):
    """What a command asks of the worker that owns a system: a poll, a backfill, a new link's first look."""

    __tablename__ = "request"
    id: int = Field(sa_column=_id())
    kind: str
    system: str
    arguments: str = Field(sa_column=Column(Text, nullable=False))
    state: str = Field(index=True)
    progress: str | None = Field(default=None, sa_column=Column(Text))
    result: str | None = Field(default=None, sa_column=Column(Text))
    who: str
    requested_at: datetime = Field(sa_column=_at(nullable=False))
    ended_at: datetime | None = Field(default=None, sa_column=_at())
    __table_args__: ClassVar[dict[str, object]] = {"sqlite_autoincrement": True}


class FloodRow(SQLModel, table=True):
    """How many late replies a system has told since an instant, so that a restart counts on."""

    __tablename__ = "flood"
    system: str = Field(primary_key=True)
    since_at: datetime = Field(sa_column=_at(nullable=False))
    told: int = 0


class BackfillStepRow(SQLModel, table=True):
    """One link that a backfill has dealt with, so that it goes on where it was stopped."""

    __tablename__ = "backfill_step"
    request_id: int = Field(sa_column=Column(_Key, primary_key=True, autoincrement=False))
    link_id: int = Field(sa_column=Column(_Key, primary_key=True, autoincrement=False))
    found: int = 0
    enqueued: int = 0
    error: str | None = Field(default=None, sa_column=Column(Text))


class LeaseRow(SQLModel, table=True):
    """Who owns a system or an api, on PostgreSQL; without an owner once it was given back. The row stays."""

    __tablename__ = "lease"
    subject: str = Field(primary_key=True)
    owner: str | None = None
    epoch: int = Field(sa_column=Column(BigInteger, nullable=False))
    until_at: datetime = Field(sa_column=_at(nullable=False))


class WorkerRow(SQLModel, table=True):
    """A worker on PostgreSQL, and what its settings let it own; alive until an instant of the database's clock."""

    __tablename__ = "worker"
    name: str = Field(primary_key=True)
    wants: str = Field(sa_column=Column(Text, nullable=False))
    since_at: datetime = Field(sa_column=_at(nullable=False))
    until_at: datetime = Field(sa_column=_at(nullable=False))


class AlertRow(SQLModel, table=True):
    """What is not well and for how long, and what was told of it; gone once that it is well again was told."""

    __tablename__ = "alert"
    subject: str = Field(primary_key=True)
    kind: str
    since_at: datetime = Field(sa_column=_at(nullable=False))
    number: int = 1
    told_at: datetime | None = Field(default=None, sa_column=_at())
    told_number: int = 0
    news: str | None = None
    text: str = Field(sa_column=Column(Text, nullable=False))
    tries: int = 0
    due_at: datetime | None = Field(default=None, sa_column=_at())


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel sets it without declaring it
    return table


metadata = SQLModel.metadata
meta = _table(MetaRow)
thread = _table(ThreadRow)
link = _table(LinkRow)
ledger = _table(LedgerRow)
delivery = _table(DeliveryRow)
attempt = _table(AttemptRow)
cursor = _table(CursorRow)
system_state = _table(SystemRow)
api_state = _table(ApiRow)
decision = _table(DecisionRow)
request = _table(RequestRow)
backfill_step = _table(BackfillStepRow)
flood = _table(FloodRow)
lease = _table(LeaseRow)
worker = _table(WorkerRow)
alert = _table(AlertRow)
