"""An index of the replies that are withheld, and what SQLite has to know to find its way.

Without statistics SQLite believes that ten rows have a state, and looks at all that wait, of any thread, where a few
of one thread are asked for. It makes none by itself; made once, of a small or an idle database, they would be as wrong.
So they are given: of a large one, in which much waits. PostgreSQL keeps its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

IS_WITHHELD = sa.text("disposition = 'withheld'")

STATISTICS = (
    ("thread", "thread_key", "100000 1000 2 1"),
    ("thread", "thread_number", "100000 1"),
    ("thread", "thread_head", "10000 1000 1000 1000 1"),
    ("thread", "thread_note", "100 100"),
    ("link", "ix_link_thread_key", "100000 1"),
    ("link", "link_of_thread", "100000 1"),
    ("link", "link_ticket", "100000 1000 1"),
    ("link", "link_due", "10000 2000 2"),
    ("link", "link_state", "100000 1000 500"),
    ("link", "link_ticket_number", "100000 2"),
    ("link", "link_given_number", "100000 2"),
    ("link", "link_ticket_link", "100000 2"),
    ("link", "link_given_link", "100000 2"),
    ("ledger", "ledger", "1000000 10 10 1"),
    ("ledger", "ledger_withheld", "1000 1000"),
    ("delivery", "ix_delivery_link_id", "1000000 10"),
    ("delivery", "delivery_open", "1000 10 10 1 1"),
    ("delivery", "delivery_standing", "1000 2 1"),
    ("delivery", "delivery_reply", "1000000 10 1"),
    ("delivery", "delivery_contents", "500000 2"),
    ("delivery", "delivery_state", "1000000 1000 2"),
    ("delivery", "delivery_request", "10000 1000 500"),
    ("attempt", "ix_attempt_delivery_id", "1000000 1"),
)
"""Of each index: how many rows it has, then in how many of them the first column, the first two ... are the same."""


def upgrade() -> None:
    """Add the index, and the statistics."""
    op.create_index(
        "ledger_withheld",
        "ledger",
        ["disposition"],
        unique=False,
        sqlite_where=IS_WITHHELD,
        postgresql_where=IS_WITHHELD,
    )
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("ANALYZE alembic_version")  # the smallest table; it makes the one that statistics are kept in
    op.execute("DELETE FROM sqlite_stat1")
    kept = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.bulk_insert(kept, [{"tbl": table, "idx": index, "stat": stat} for table, index, stat in STATISTICS])
    op.execute("ANALYZE sqlite_schema")  # this connection reads them anew; others do as the schema has changed
