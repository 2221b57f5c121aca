"""Heads by system, so that the systems of an api take turns; and how many late replies a system has told."""

import sqlalchemy as sa
from alembic import op

from syncd.store.instant import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

HAS_HEAD = sa.text("head_due_at IS NOT NULL")


def upgrade() -> None:
    """Add the column and fill it, index heads by it, and create the table of floods."""
    op.add_column("thread", sa.Column("head_system", sa.String(), nullable=True))
    op.execute(
        "UPDATE thread SET head_system = (SELECT delivery.system FROM delivery WHERE delivery.id = head_delivery_id) "
        "WHERE head_delivery_id IS NOT NULL"
    )
    op.drop_index("thread_head", table_name="thread")
    op.create_index(
        "thread_head",
        "thread",
        ["api", "head_lane", "head_system", "head_due_at"],
        unique=False,
        sqlite_where=HAS_HEAD,
        postgresql_where=HAS_HEAD,
    )
    op.create_table(
        "flood",
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("since_at", Instant(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("system"),
    )
