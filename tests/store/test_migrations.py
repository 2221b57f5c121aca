"""Migrations of databases in use: what waits in them goes on waiting, and nothing is forgotten."""

from syncd.store import schema
from syncd.store.database import Connection
from syncd.store.heads import find_next_due


async def test_what_waits_in_an_older_database_is_due_in_the_new_one(filled) -> None:
    """Heads that were stored before systems took turns are found after the migration."""

    def downgrade(connection: Connection) -> None:
        connection.exec_driver_sql("DROP INDEX thread_head")
        connection.exec_driver_sql("ALTER TABLE thread DROP COLUMN head_system")
        connection.exec_driver_sql("DROP TABLE flood")
        connection.exec_driver_sql("DROP TABLE alert")
        connection.exec_driver_sql("DROP INDEX thread_number")
        for column in ("ticket_number", "given_number", "ticket_link", "given_link"):
            connection.exec_driver_sql(f"DROP INDEX link_{column}")
        connection.exec_driver_sql("DROP INDEX ledger_withheld")
        connection.exec_driver_sql("DROP INDEX delivery_request")
        connection.exec_driver_sql("ALTER TABLE delivery DROP COLUMN request_id")
        connection.exec_driver_sql("CREATE INDEX thread_head ON thread (api, head_lane, head_due_at)")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")

    await filled.link(1)
    await filled.enqueue(1, "first")
    await filled.do(downgrade)
    assert await filled.do(schema.upgrade) == schema.LATEST
    assert await filled.heads() == ["first"]
    assert await filled.database.read(lambda c: find_next_due(c, "berlin")) == filled.now
