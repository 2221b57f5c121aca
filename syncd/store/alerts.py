"""Which alerts stand, stored: looked at and changed by one worker at a time, so that each is told once."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, delete, func, select

from syncd.model.alert import Alert, News
from syncd.store.statement import upsert
from syncd.store.tables import alert

ALERT_KEY = 0x616C657274  # "alert"

Decide = Callable[[Mapping[str, Alert]], Mapping[str, Alert]]
"""From the alerts that stand to those that stand then."""


def load(connection: Connection) -> dict[str, Alert]:
    """Return every alert that stands, by its subject."""
    rows = connection.execute(select(alert).order_by(alert.c.subject))
    return {
        row.subject: Alert(
            subject=row.subject,
            kind=row.kind,
            text=row.text,
            since_at=row.since_at,
            number=row.number,
            told_at=row.told_at,
            told_number=row.told_number,
            news=None if row.news is None else News(row.news),
            tries=row.tries,
            due_at=row.due_at,
        )
        for row in rows
    }


def change(connection: Connection, decide: Decide) -> bool:
    """Put what is decided about the alerts in their place; return False if another worker does that just now.

    It is not waited for: it may be frozen, and deliveries of ours may share this transaction.
    """
    if connection.dialect.name == "postgresql":
        is_ours = connection.execute(select(func.pg_try_advisory_xact_lock(ALERT_KEY))).scalar_one()
        if not is_ours:
            return False
    known = load(connection)
    decided = dict(decide(known))
    for subject in known.keys() - decided.keys():
        connection.execute(delete(alert).where(alert.c.subject == subject))
    for subject, one in decided.items():
        if known.get(subject) != one:
            upsert(connection, alert, "subject", _values(one))
    return True


def _values(one: Alert) -> dict[str, object]:
    return {
        "subject": one.subject,
        "kind": one.kind,
        "text": one.text,
        "since_at": one.since_at,
        "number": one.number,
        "told_at": one.told_at,
        "told_number": one.told_number,
        "news": one.news,
        "tries": one.tries,
        "due_at": one.due_at,
    }
