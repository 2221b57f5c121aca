"""Renaming a system or an api: every row knows the new name after it, whatever tables there are."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Boolean, Integer, func, select

from syncd.model.lease import Kind
from syncd.store import rename
from syncd.store.instant import Instant
from syncd.store.standing import Decision, write_decision
from syncd.store.tables import alert, decision, metadata
from tests.store.filler import fill

NOW = datetime(2026, 5, 1, 9, tzinfo=UTC)
BY = Decision("anna", NOW, "it was old-name1")
TEXTS = {
    "attempt": {"reason", "worker", "status_carried", "reached", "outcome", "error_text", "error_code", "trace_id"},
    "thread": {"head_lane", "known_status", "sent_status", "doubt_status", "note_due"},
    "link": {
        *{"state", "cause", "reason", "merged_into", "merged_from", "given_number", "given_link", "ticket_id"},
        *{"ticket_number", "ticket_link", "subject", "vendor_status", "assignee"},
    },
    "ledger": {"reply_id", "disposition"},
    "delivery": {
        *{"kind", "lane", "state", "reason", "reply_id", "fingerprint", "ticket_number", "ticket_link", "subject"},
        *{"content", "direction", "channel", "agent", "flags", "status_carried"},
    },
    "cursor": {"cursor"},
    "system_state": {"paused_by", "reason"},
    "api_state": {"paused_cause", "reason"},
    "decision": {"who", "action", "reason"},
    "request": {"kind", "arguments", "state", "progress", "result", "who"},
    "backfill_step": {"error"},
    "lease": {"subject", "owner"},
    "worker": {"name", "wants"},
    "alert": {"kind", "news", "text"},
    "meta": {"name", "value"},
}
"""Columns of text that hold no name of a system or an api, or one that tells of the past or of a worker."""

SUBJECTS = {"decision", "alert"}


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_every_column_of_text_is_renamed_or_known_to_hold_no_name(table):
    """A column that is added later has to be put on one side: it is renamed, or it is listed above."""
    renamed = {column.name for kind in Kind for column in rename.name_columns(kind) if column.table is table}
    if table.name in SUBJECTS:
        renamed.add("subject")
    texts = {column.name for column in table.columns if not isinstance(column.type, Boolean | Integer | Instant)}
    assert texts == renamed | TEXTS.get(table.name, set())
    assert not renamed & TEXTS.get(table.name, set())


@pytest.mark.parametrize("kind", list(Kind))
async def test_every_row_has_the_new_name(database, kind):
    """No row of a table that holds names knows the old one, the other names stay, and the rest of each row too."""
    names = {column.name: "old-name" for column in rename.name_columns(kind)}
    await database.write(lambda c: fill(c, 3, **names))

    def subjects(connection):
        write_decision(connection, "pause", f"{kind} old-name1", BY)
        write_decision(connection, "erase", "customer 7 at old-name1", BY)
        write_decision(connection, "erase", "customer 7 at not-old-name1", BY)
        connection.execute(alert.update().where(alert.c.number == 1).values(subject=f"{kind} old-name1"))

    await database.write(subjects)
    assert await database.read(lambda c: rename.find_history(c, kind, "new-name")) == []
    changed = await database.write(lambda c: rename.rename(c, kind, "old-name1", "new-name", BY))
    assert set(changed) == {column.table.name for column in rename.name_columns(kind)}

    def left(connection, name):
        found = [
            connection.execute(select(func.count()).select_from(column.table).where(column == name)).scalar_one()
            for column in rename.name_columns(kind)
        ]
        return (
            found,
            set(connection.execute(select(decision.c.subject)).scalars()),
            set(connection.execute(select(alert.c.subject)).scalars()),
        )

    counts, decided, alerted = await database.read(lambda c: left(c, "old-name1"))
    assert set(counts) == {0}
    assert {f"{kind} new-name", "customer 7 at not-old-name1"} <= decided
    assert ("customer 7 at new-name" in decided) == (kind is Kind.API)
    assert f"{kind} new-name" in alerted
    assert set((await database.read(lambda c: left(c, "new-name")))[0]) == {1}
    assert set((await database.read(lambda c: left(c, "old-name3")))[0]) == {1}
