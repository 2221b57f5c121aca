"""Settling: the head of each thread and whether its status needs a note, of many threads at once as of one."""

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Table, event, select

from syncd.store.settling import lock_all, settle, settle_all
from syncd.store.tables import delivery, link, thread
from syncd.store.threads import NO_HEAD

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
THREADS = 150


def _fill(connection: Connection, chance: random.Random) -> list[int]:
    """Write threads in all kinds of states, with links and deliveries in all kinds of states."""
    for number in range(THREADS):
        key = _add_thread(connection, number, chance)
        links = [("removed", None)] * chance.randrange(3) + chance.choice(
            ([], [("active", None)], [("suspended", "ticket_gone")], [("suspended", "thread_refused")])
        )
        for state, cause in links:
            values = {"thread_key": key, "system": "desk", "state": state, "cause": cause, "registered_at": NOON}
            connection.execute(link.insert().values(**values, failures=0))
        for _ in range(chance.randrange(5)):
            _add_delivery(connection, key, chance)
    return [row.id for row in connection.execute(select(thread.c.id))]


def _add_thread(connection: Connection, number: int, chance: random.Random) -> int:
    statuses = [chance.choice([None, "CREATED", "ONGOING", "CLOSED"]) for _ in range(3)]
    values = dict(zip(("known_status", "sent_status", "doubt_status"), statuses, strict=True))
    values |= {"retry_at": chance.choice([None, _at(chance)]), "refusals": 0}
    added = thread.insert().values(api="berlin", customer_id=1, thread_id=number, **values).returning(thread.c.id)
    return int(connection.execute(added).scalar_one())


def _add_delivery(connection: Connection, key: int, chance: random.Random) -> None:
    states = ("pending", "pending", "sending", "delivered", "in_doubt", "parked", "skipped")
    instants = dict.fromkeys(("created_at", "read_at"), NOON) | {"occurred_at": _at(chance), "due_at": _at(chance)}
    values = {"lane": chance.choice(["0_live", "1_backfill"]), "state": chance.choice(states), "kind": "reply"}
    values |= {"system": chance.choice(["desk", "other"]), "version": 1, "manual": False}
    counts = dict.fromkeys(("attempts", "failures", "doubts"), 0)
    connection.execute(delivery.insert().values(thread_key=key, link_id=1, **values, **instants, **counts))


def _at(chance: random.Random) -> datetime:
    return NOON + timedelta(seconds=chance.randrange(4))


def _rows(connection: Connection, table: Table) -> list[Any]:
    return list(connection.execute(select(table).order_by(table.c.id)))


def _expected(of: Any, links: list[Any], deliveries: list[Any]) -> tuple[Any, ...]:
    """Return the head of a thread and its note, worked out from all rows as a person would."""
    its_link = next((one for one in links if one.thread_key == of.id and one.state != "removed"), None)
    its = [one for one in deliveries if one.thread_key == of.id]
    waiting = sorted((one.lane, one.occurred_at, one.id, one) for one in its if one.state == "pending")
    is_sending = any(one.state == "sending" for one in its)
    is_stopped = its_link is not None and (its_link.state, its_link.cause) == ("suspended", "ticket_gone")
    if waiting and not is_sending and not is_stopped:
        first = waiting[0][-1]
        return (first.id, first.lane, first.system, max(first.due_at, of.retry_at or first.due_at), None)
    is_active = its_link is not None and its_link.state == "active"
    carried = of.doubt_status or of.sent_status
    if waiting or is_sending or not is_active or None in {of.known_status, carried} or of.known_status == carried:
        return (None, None, None, None, None)
    return (None, None, None, None, "closed" if "CLOSED" in {of.known_status, carried} else "other")


def _found(of: Any) -> tuple[Any, ...]:
    return (of.head_delivery_id, of.head_lane, of.head_system, of.head_due_at, of.note_due)


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_is_next_and_which_note_is_due(database, seed) -> None:
    """Whatever a thread holds, its head and its note are what its rows say; settled again, or one by one, they stay."""

    def work(connection: Connection) -> tuple[list[Any], ...]:
        keys = _fill(connection, random.Random(seed))
        settle_all(connection, keys)
        at_once = _rows(connection, thread)
        settle_all(connection, keys)
        again = _rows(connection, thread)
        connection.execute(thread.update().values({**NO_HEAD, "note_due": "closed"}))
        for key in keys:
            settle(connection, key)
        expected = [_expected(row, _rows(connection, link), _rows(connection, delivery)) for row in at_once]
        return at_once, again, _rows(connection, thread), expected

    at_once, again, each, expected = await database.write(work)
    assert [_found(row) for row in at_once] == expected
    assert again == each == at_once
    assert {row.note_due for row in each} == {"closed", "other", None}


async def test_the_statements_are_as_many_for_one_thread_as_for_many(database) -> None:
    """A page of a thousand tickets is settled by the statements that one ticket takes."""

    def work(connection: Connection) -> list[int]:
        keys = _fill(connection, random.Random(3))
        counts = []
        for some in (keys[:1], keys):
            connection.execute(thread.update().values({**NO_HEAD, "note_due": "unsettled"}))
            counts.append(_statements(connection, partial(settle_all, connection, some)))
        return counts

    one, many = await database.write(work)
    assert one == many <= 3


def _statements(connection: Connection, work: Any) -> int:
    told: list[str] = []

    def count(*told_by_event: Any) -> None:
        told.append(told_by_event[2])

    event.listen(connection, "before_cursor_execute", count)
    work()
    event.remove(connection, "before_cursor_execute", count)
    return len(told)


async def test_nothing_is_asked_about_no_threads(database) -> None:
    """Without threads there is no statement."""

    def work(connection: Connection) -> list[int]:
        return [_statements(connection, partial(one, connection, [])) for one in (settle_all, lock_all)]

    assert await database.write(work) == [0, 0]
