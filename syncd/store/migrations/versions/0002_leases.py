"""Leases, and the workers that hold them: for more than one machine on one PostgreSQL."""

import sqlalchemy as sa
from alembic import op

from syncd.store.instant import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables; they are empty on SQLite for good."""
    op.create_table(
        "lease",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("until_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_table(
        "worker",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("wants", sa.Text(), nullable=False),
        sa.Column("since_at", Instant(), nullable=False),
        sa.Column("until_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
