"""The first schema."""

import sqlalchemy as sa
from alembic import op

from syncd.store.instant import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "api_state",
        sa.Column("api", sa.String(), nullable=False),
        sa.Column("paused_cause", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("since_at", Instant(), nullable=True),
        sa.Column("retry_at", Instant(), nullable=True),
        sa.Column("throttled_until", Instant(), nullable=True),
        sa.Column("released_at", Instant(), nullable=True),
        sa.Column("last_success_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("api"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("delivery_id", KEY, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("status_carried", sa.String(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("reached", sa.String(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("trace_id", sa.String(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("request_bytes", sa.Integer(), nullable=True),
        sa.Column("answer_bytes", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_attempt_delivery_id"), "attempt", ["delivery_id"], unique=False)
    op.create_table(
        "backfill_step",
        sa.Column("request_id", KEY, autoincrement=False, nullable=False),
        sa.Column("link_id", KEY, autoincrement=False, nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("enqueued", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "link_id"),
    )
    op.create_table(
        "cursor",
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("start_at", Instant(), nullable=False),
        sa.Column("stored_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("system"),
    )
    op.create_table(
        "decision",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("decided_at", Instant(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_decision_subject"), "decision", ["subject"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("thread_key", KEY, nullable=False),
        sa.Column("link_id", KEY, nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reply_id", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.Column("ticket_number", sa.String(), nullable=True),
        sa.Column("ticket_link", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("direction", sa.String(), nullable=True),
        sa.Column("channel", sa.String(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("flags", sa.String(), nullable=True),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("read_at", Instant(), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("doubts", sa.Integer(), nullable=False),
        sa.Column("manual", sa.Boolean(), nullable=False),
        sa.Column("status_carried", sa.String(), nullable=True),
        sa.Column("communication_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "delivery_open",
        "delivery",
        ["thread_key", "lane", "occurred_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("delivery_reply", "delivery", ["thread_key", "reply_id"], unique=False)
    op.create_index(
        "delivery_standing",
        "delivery",
        ["thread_key", "state"],
        unique=False,
        sqlite_where=sa.text("state IN ('sending', 'in_doubt', 'parked')"),
        postgresql_where=sa.text("state IN ('sending', 'in_doubt', 'parked')"),
    )
    op.create_index(
        "delivery_contents",
        "delivery",
        ["ended_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NOT NULL AND content IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL AND content IS NOT NULL"),
    )
    op.create_index("delivery_state", "delivery", ["state", "ended_at"], unique=False)
    op.create_index(op.f("ix_delivery_link_id"), "delivery", ["link_id"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("thread_key", KEY, autoincrement=False, nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("reply_id", sa.String(), nullable=False),
        sa.Column("disposition", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("thread_key", "system", "reply_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "link",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("thread_key", KEY, nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("merged_from", sa.Text(), nullable=True),
        sa.Column("given_number", sa.String(), nullable=True),
        sa.Column("given_link", sa.Text(), nullable=True),
        sa.Column("from_at", Instant(), nullable=True),
        sa.Column("ticket_id", sa.String(), nullable=True),
        sa.Column("ticket_number", sa.String(), nullable=True),
        sa.Column("ticket_link", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("vendor_status", sa.String(), nullable=True),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column("ticket_updated_at", Instant(), nullable=True),
        sa.Column("registered_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("collect_due_at", Instant(), nullable=True),
        sa.Column("collected_at", Instant(), nullable=True),
        sa.Column("newest_reply_at", Instant(), nullable=True),
        sa.Column("active_at", Instant(), nullable=True),
        sa.Column("closed_at", Instant(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_link_thread_key"), "link", ["thread_key"], unique=False)
    op.create_index(
        "link_due",
        "link",
        ["system", "collect_due_at"],
        unique=False,
        sqlite_where=sa.text("collect_due_at IS NOT NULL"),
        postgresql_where=sa.text("collect_due_at IS NOT NULL"),
    )
    op.create_index(
        "link_of_thread",
        "link",
        ["thread_key"],
        unique=True,
        sqlite_where=sa.text("state <> 'removed'"),
        postgresql_where=sa.text("state <> 'removed'"),
    )
    op.create_index("link_state", "link", ["state", "system"], unique=False)
    op.create_index("link_ticket", "link", ["system", "ticket_id"], unique=False)
    op.create_table(
        "meta",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "request",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("requested_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_request_state"), "request", ["state"], unique=False)
    op.create_table(
        "system_state",
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("paused_by", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("since_at", Instant(), nullable=True),
        sa.Column("retry_at", Instant(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_success_at", Instant(), nullable=True),
        sa.Column("last_full_sweep_at", Instant(), nullable=True),
        sa.Column("full_sweep_found", sa.Integer(), nullable=True),
        sa.Column("full_sweep_seconds", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("system"),
    )
    op.create_table(
        "thread",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("api", sa.String(), nullable=False),
        sa.Column("customer_id", KEY, nullable=False),
        sa.Column("thread_id", KEY, nullable=False),
        sa.Column("head_delivery_id", KEY, nullable=True),
        sa.Column("head_lane", sa.String(), nullable=True),
        sa.Column("head_due_at", Instant(), nullable=True),
        sa.Column("known_status", sa.String(), nullable=True),
        sa.Column("sent_status", sa.String(), nullable=True),
        sa.Column("doubt_status", sa.String(), nullable=True),
        sa.Column("note_due", sa.String(), nullable=True),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("retry_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "thread_head",
        "thread",
        ["api", "head_lane", "head_due_at"],
        unique=False,
        sqlite_where=sa.text("head_due_at IS NOT NULL"),
        postgresql_where=sa.text("head_due_at IS NOT NULL"),
    )
    op.create_index("thread_key", "thread", ["api", "customer_id", "thread_id"], unique=True)
    op.create_index(
        "thread_note",
        "thread",
        ["note_due"],
        unique=False,
        sqlite_where=sa.text("note_due IS NOT NULL"),
        postgresql_where=sa.text("note_due IS NOT NULL"),
    )
