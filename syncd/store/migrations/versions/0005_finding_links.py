"""Indexes to find links by what people know of them: a ticket's number or address, a thread's id."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXTS = ("ticket_number", "given_number", "ticket_link", "given_link")


def upgrade() -> None:
    """Add the indexes. On PostgreSQL a hash takes texts of any length, which its usual kind does not."""
    for column in TEXTS:
        op.create_index(f"link_{column}", "link", [column], unique=False, postgresql_using="hash")
    op.create_index("thread_number", "thread", ["thread_id"], unique=False)
