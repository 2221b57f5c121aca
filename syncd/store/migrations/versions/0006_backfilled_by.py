"""Which backfill has queued a delivery, so that it can be followed to its end, and taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

IS_BACKFILLED = sa.text("request_id IS NOT NULL")


def upgrade() -> None:
    """Add the column, empty for what was queued before, and an index over what has it."""
    op.add_column(
        "delivery", sa.Column("request_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
    )
    op.create_index(
        "delivery_request",
        "delivery",
        ["request_id", "state"],
        unique=False,
        sqlite_where=IS_BACKFILLED,
        postgresql_where=IS_BACKFILLED,
    )
