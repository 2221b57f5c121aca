"""Whether a database agrees with itself: what no instant of a kill may leave behind."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

FAULTS = {
    "is sending, and no worker is there": "SELECT id FROM delivery WHERE state = 'sending'",
    "has an attempt without an outcome": "SELECT delivery_id FROM attempt WHERE outcome IS NULL",
    "counts other attempts than it has": (
        "SELECT d.id FROM delivery d WHERE d.attempts <> (SELECT count(*) FROM attempt a WHERE a.delivery_id = d.id)"
    ),
    "stands twice for one reply in one thread": (
        "SELECT max(id) FROM delivery WHERE kind = 'reply' GROUP BY thread_key, system, reply_id HAVING count(*) > 1"
    ),
    "is of a reply that the ledger does not have": (
        "SELECT d.id FROM delivery d WHERE d.kind = 'reply' AND NOT EXISTS (SELECT 1 FROM ledger l "
        "WHERE l.thread_key = d.thread_key AND l.system = d.system AND l.reply_id = d.reply_id)"
    ),
    "was delivered, and no attempt says so": (
        "SELECT d.id FROM delivery d WHERE d.state = 'delivered' AND coalesce(d.reason, '') NOT LIKE 'resolved%' "
        "AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.delivery_id = d.id AND a.outcome = 'delivered')"
    ),
    "was delivered twice": (
        "SELECT delivery_id FROM attempt WHERE outcome = 'delivered' GROUP BY delivery_id HAVING count(*) > 1"
    ),
    "is the head of its thread, and does not wait": (
        "SELECT t.head_delivery_id FROM thread t JOIN delivery d ON d.id = t.head_delivery_id "
        "WHERE d.state <> 'pending'"
    ),
    "waits in a thread that has no head": (
        "SELECT d.id FROM delivery d JOIN thread t ON t.id = d.thread_key JOIN link l ON l.thread_key = t.id "
        "WHERE d.state = 'pending' AND t.head_delivery_id IS NULL AND l.state = 'active'"
    ),
    "is an attempt of no delivery": (
        "SELECT a.id FROM attempt a WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = a.delivery_id)"
    ),
}


def find_faults(connection: Connection) -> list[str]:
    """Return what is wrong in a database that nobody works on."""
    return list(_faults(connection))


def _faults(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        yield from (
            f"integrity: {row[0]}" for row in connection.execute(text("PRAGMA integrity_check")) if row[0] != "ok"
        )
    for words, statement in FAULTS.items():
        for row in connection.execute(text(statement)):
            yield f"delivery {row[0]} {words}"


def attempts_of(connection: Connection) -> dict[str, list[str]]:
    """Return the outcomes of every delivery's attempts, by the text that it sends."""
    rows = connection.execute(
        text("SELECT d.content, a.outcome FROM delivery d JOIN attempt a ON a.delivery_id = d.id ORDER BY a.id")
    )
    outcomes: dict[str, list[str]] = {}
    for row in rows:
        outcomes.setdefault(row.content, []).append(row.outcome)
    return outcomes


def last_attempt(connection: Connection) -> int:
    """Return the number of the last attempt."""
    return int(connection.execute(text("SELECT coalesce(max(id), 0) FROM attempt")).scalar_one())


def count_open(connection: Connection, after: int) -> int:
    """Return how many attempts since then have no outcome: what a kill has left on the wire."""
    statement = text("SELECT count(*) FROM attempt WHERE outcome IS NULL AND id > :after")
    return int(connection.execute(statement, {"after": after}).scalar_one())
