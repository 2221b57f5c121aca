"""The way in: replies of tickets become ledger rows and deliveries, in one transaction with the cursor.

The ledger decides what is new. A reply has one row per thread for good; whoever inserts it first decides. A page of
the feed takes as many statements as one reply does.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Connection, Text, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import Insert as PostgreSQLInsert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import Insert as SQLiteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from syncd.model.collected import Collected, Disposition, Entry, NewDelivery, Stored
from syncd.model.link import LinkState
from syncd.model.ticket import Cursor
from syncd.store.among import among, rows_of
from syncd.store.changing import apply_changes
from syncd.store.enqueue import insert_deliveries
from syncd.store.known import find_known, find_known_of, waiting_replies
from syncd.store.progress import LINKS_NOW, store_progress
from syncd.store.settling import lock_all, settle_all
from syncd.store.statement import insert
from syncd.store.tables import cursor, delivery, ledger

__all__ = [
    "find_known",
    "find_known_of",
    "start_feed",
    "store_all",
    "store_collected",
    "store_cursor",
    "waiting_replies",
]

_KEY = ("thread_key", "system", "reply_id")
_Key = tuple[int, str, str]

_TOLD = rows_of("told", thread_key=BigInteger(), system=Text(), reply_id=Text(), disposition=Text())
_CONFIRM = update(delivery).where(among(delivery.c.id, "ids")).values(read_at=bindparam("now"))


def store_collected(connection: Connection, collected: Collected, now: datetime) -> Stored:
    """Store what a reading means for one link, in the caller's transaction."""
    return store_all(connection, [collected], now)


def store_all(connection: Connection, readings: Sequence[Collected], now: datetime) -> Stored:
    """Store what readings mean for links of different threads, in the caller's transaction.

    For a link that was removed meanwhile, or follows another ticket now, a reading says only what became of the
    deliveries that wait: what is internal by now must not leave, whoever's it is.
    """
    stored = Stored()
    if not readings:
        return stored
    lock_all(connection, {one.thread_key for one in readings})
    links = {row.id: row for row in connection.execute(LINKS_NOW, {"ids": [one.link_id for one in readings]})}
    there = [one for one in readings if one.link_id in links]
    ours = []
    for one in there:
        row = links[one.link_id]
        if row.state != LinkState.REMOVED.value:
            if one.ticket is None or one.ticket.id == row.ticket_id:
                ours.append(one)
            else:
                stored.elsewhere += 1
    insert_deliveries(connection, _new_deliveries(connection, ours, stored), now, stored)
    stored.changed += apply_changes(connection, [change for one in there for change in one.changes], now)
    if confirmed := [delivery_id for one in there for delivery_id in one.confirmed]:
        connection.execute(_CONFIRM, {"ids": confirmed, "now": now})
    store_progress(connection, ours, links, now)
    settle_all(connection, {one.thread_key for one in there})
    return stored


def _new_deliveries(
    connection: Connection, readings: Sequence[Collected], stored: Stored
) -> list[tuple[Collected, NewDelivery]]:
    """Enter replies into the ledger; return the deliveries of those that were new to it, and corrections."""
    new: list[tuple[Collected, NewDelivery]] = []
    fresh = _enter(connection, [(one, entry) for one in readings for entry in one.entries])
    queued = _newest_texts(connection, readings)
    for one in readings:
        for entry in one.entries:
            key = _key_of(one, entry)
            if key not in fresh:
                continue
            fresh.remove(key)
            if entry.delivery is not None:
                new.append((one, entry.delivery))
            elif entry.disposition is Disposition.WITHHELD:
                stored.withheld += 1
            else:
                stored.skipped += 1
        # Another reading at the same time may have queued this very text already.
        new += [
            (one, correction)
            for correction in one.corrections
            if queued.get(_key_of(one, correction)) != correction.fingerprint
        ]
    return new


def _key_of(one: Collected, of: Entry | NewDelivery) -> _Key:
    return one.thread_key, one.system, str(of.reply_id)


def _enter(connection: Connection, entries: Collection[tuple[Collected, Entry]]) -> set[_Key]:
    """Enter replies into the ledger; return those that were new to it, or took another's place."""
    if not entries:
        return set()
    told = [(*_key_of(one, entry), entry.disposition.value) for one, entry in entries]
    fresh = {tuple(row) for row in connection.execute(_ENTER[connection.dialect.name], {"told": told})}
    replacing: dict[tuple[Disposition, ...], list[Sequence[Any]]] = {}
    for row, (_, entry) in zip(told, entries, strict=True):
        if entry.replaces and row[:3] not in fresh:
            replacing.setdefault(entry.replaces, []).append(row)
    for replaced, rows in replacing.items():
        fresh.update(tuple(row) for row in connection.execute(_replacing(replaced), {"told": rows}))
    return fresh


def _entering(into_ledger: SQLiteInsert | PostgreSQLInsert) -> Any:
    # Without a WHERE, SQLite would take the ON of the conflict for the condition of a join.
    statement = into_ledger.from_select([*_KEY, "disposition"], select(_TOLD).where(text("1 = 1")))
    return statement.on_conflict_do_nothing(index_elements=_KEY).returning(*(ledger.c[name] for name in _KEY))


_ENTER = {"sqlite": _entering(sqlite_insert(ledger)), "postgresql": _entering(postgresql_insert(ledger))}


@cache
def _replacing(replaced: tuple[Disposition, ...]) -> Any:
    return (
        update(ledger)
        .where(*(ledger.c[name] == _TOLD.c[name] for name in _KEY), ledger.c.disposition.in_(replaced))
        .values(disposition=_TOLD.c.disposition)
        .returning(*(ledger.c[name] for name in _KEY))
    )


def _newest_texts(connection: Connection, readings: Sequence[Collected]) -> dict[_Key, str | None]:
    """Return the fingerprints that the replies with corrections have in the outbox by now."""
    asked: dict[str, dict[int, list[str]]] = {}
    for one in readings:
        for correction in one.corrections:
            asked.setdefault(one.system, {}).setdefault(one.thread_key, []).append(str(correction.reply_id))
    return {
        (thread_key, system, reply_id): known.fingerprint
        for system, its in asked.items()
        for thread_key, found in find_known_of(connection, system, its).items()
        for reply_id, known in found.items()
    }


def store_cursor(connection: Connection, system: str, value: Cursor, now: datetime) -> None:
    """Store how far the feed has been read."""
    connection.execute(update(cursor).where(cursor.c.system == system).values(cursor=value, stored_at=now))


def find_feed_place(connection: Connection, system: str) -> Cursor | datetime | None:
    """Return where the feed goes on, None if it was never begun."""
    row = connection.execute(select(cursor.c.cursor, cursor.c.start_at).where(cursor.c.system == system)).first()
    if row is None:
        return None
    started: datetime = row.start_at
    return started if row.cursor is None else Cursor(row.cursor)


def start_feed(connection: Connection, system: str, start_at: datetime, now: datetime) -> Cursor | datetime:
    """Return where the feed goes on: at its cursor, or at the instant that is fixed here the first time."""
    values = {"system": system, "start_at": start_at, "stored_at": now}
    connection.execute(insert(connection, cursor).values(**values).on_conflict_do_nothing())
    place = find_feed_place(connection, system)
    return start_at if place is None else place
