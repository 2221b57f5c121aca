"""A full outbox, made by bulk statements as collecting would have left it: links, ledger, deliveries, heads."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from syncd.store.tables import delivery, ledger, link, thread

CONTENT = "The text of a reply, as customers write them: where can I find the key of my locker? " * 4


def fill(connection: Connection, *, threads: int, each: int, apis: int = 1, now: datetime | None = None) -> None:
    """Write `threads` threads with `each` pending deliveries, all due, spread over apis `api0`, `api1`, ..."""
    at = (now or datetime.now(UTC)) - timedelta(minutes=1)
    keys = range(1, threads + 1)
    connection.execute(thread.insert(), [_thread(key, each, f"api{key % apis}", at) for key in keys])
    connection.execute(link.insert(), [_link(key, at) for key in keys])
    rows = [(key, number) for key in keys for number in range(each)]
    for start in range(0, len(rows), 10_000):
        some = rows[start : start + 10_000]
        connection.execute(ledger.insert(), [_entry(*row) for row in some])
        connection.execute(delivery.insert(), [_delivery(*row, each, at) for row in some])


def _thread(key: int, each: int, api: str, at: datetime) -> dict[str, Any]:
    return {
        "id": key,
        "api": api,
        "customer_id": key,
        "thread_id": key,
        "head_delivery_id": (key - 1) * each + 1,
        "head_lane": "0_live",
        "head_system": "desk",
        "head_due_at": at,
        "known_status": "ONGOING",
        "sent_status": "ONGOING",
        "refusals": 0,
    }


def _link(key: int, at: datetime) -> dict[str, Any]:
    return {
        "id": key,
        "thread_key": key,
        "system": "desk",
        "state": "active",
        "ticket_id": str(key),
        "ticket_number": str(key),
        "registered_at": at,
        "collected_at": at,
        "failures": 0,
    }


def _entry(key: int, number: int) -> dict[str, Any]:
    return {"thread_key": key, "system": "desk", "reply_id": f"{key}-{number}", "disposition": "delivery"}


def _delivery(key: int, number: int, each: int, at: datetime) -> dict[str, Any]:
    return {
        "id": (key - 1) * each + number + 1,
        "thread_key": key,
        "link_id": key,
        "system": "desk",
        "kind": "reply",
        "lane": "0_live",
        "state": "pending",
        "version": 1,
        "reply_id": f"{key}-{number}",
        "fingerprint": "f" * 32,
        "ticket_number": str(key),
        "ticket_link": f"https://desk.example.com/tickets/{key}",
        "subject": "Locker",
        "content": CONTENT,
        "direction": "INCOMING",
        "channel": "EMAIL",
        "agent": None,
        "occurred_at": at + timedelta(milliseconds=number),
        "created_at": at,
        "read_at": datetime.now(UTC),
        "due_at": at,
        "attempts": 0,
        "failures": 0,
        "doubts": 0,
        "manual": False,
    }
