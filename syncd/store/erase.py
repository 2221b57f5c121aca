"""Erasing one customer: texts, names and addresses go at once; ids, numbers and the ledger stay.

What stays is what keeps a reply from being sent a second time. The links end, as the next sweep would else read the
texts again; a reading that began before finds its link removed, and brings nothing back.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, or_, select, update

from syncd.model.delivery import DeliveryState
from syncd.model.link import LinkState
from syncd.store import link_changes
from syncd.store.requests import RequestState
from syncd.store.settling import lock, settle
from syncd.store.standing import (
    ASSUMED_REASON,
    DIED_REASON,
    RESTORED_REASON,
    Decision,
    write_decision,
)
from syncd.store.statement import chunks
from syncd.store.tables import api_state, attempt, decision, delivery, link, request, thread

ERASED = "erased"
"""Stands in place of a text that was erased, and is the reason of what was skipped for that."""

_OWN_REASONS = (DIED_REASON, RESTORED_REASON, ASSUMED_REASON, link_changes.REMOVED_REASON)
_OWN_BEGINNINGS = ("resolved: ", "skipped: ")
_WAITING = (DeliveryState.PENDING.value, DeliveryState.PARKED.value)


@dataclass(frozen=True, slots=True)
class CustomerThread:
    """What is known of a customer in one thread, counted before it is erased.

    `texts` are deliveries that hold one, `on_the_wire` those that are being sent. `addresses` are those of tickets.
    """

    thread_key: int
    api: str
    thread_id: int
    links: int
    texts: int
    deliveries: dict[str, int]
    systems: frozenset[str]
    addresses: frozenset[str]

    @property
    def on_the_wire(self) -> int:
        """Return how many are being sent now."""
        return self.deliveries.get(DeliveryState.SENDING.value, 0)


@dataclass(frozen=True, slots=True)
class ErasedThread:
    """What was done in one thread. `on_the_wire` are left as they are until their outcome is in."""

    links: int
    skipped: int
    texts: int
    in_doubt: int
    on_the_wire: int


def find_customer(connection: Connection, customer_id: int, api: str | None = None) -> list[CustomerThread]:
    """Return the threads of a customer that are known, by api and thread."""
    statement = select(thread.c.id, thread.c.api, thread.c.thread_id).where(thread.c.customer_id == customer_id)
    if api is not None:
        statement = statement.where(thread.c.api == api)
    rows = connection.execute(statement.order_by(thread.c.api, thread.c.thread_id)).all()
    return [_customer_thread(connection, row) for row in rows]


def _customer_thread(connection: Connection, row: Any) -> CustomerThread:
    links = connection.execute(
        select(link.c.state, link.c.system, link.c.given_link, link.c.ticket_link).where(link.c.thread_key == row.id)
    ).all()
    states = connection.execute(
        select(delivery.c.state, func.count(), func.count(delivery.c.content))
        .where(delivery.c.thread_key == row.id)
        .group_by(delivery.c.state)
    ).all()
    return CustomerThread(
        thread_key=row.id,
        api=row.api,
        thread_id=row.thread_id,
        links=sum(1 for one in links if one.state != LinkState.REMOVED.value),
        texts=sum(one[2] for one in states),
        deliveries={one[0]: one[1] for one in states},
        systems=frozenset(one.system for one in links),
        addresses=frozenset(text for one in links for text in (one.given_link, one.ticket_link) if text),
    )


def erase_thread(connection: Connection, thread_key: int, now: datetime) -> ErasedThread:
    """Erase what one thread holds of its customer. What is on the wire is left; erase again once it was answered."""
    lock(connection, thread_key)
    skipped = connection.execute(
        update(delivery)
        .where(delivery.c.thread_key == thread_key, delivery.c.state.in_(_WAITING))
        .values(
            state=DeliveryState.SKIPPED.value,
            reason=ERASED,
            ended_at=now,
            version=delivery.c.version + 1,
        )
    ).rowcount
    ended = _end_links(connection, thread_key, now)
    ids, states, texts = _settled(connection, thread_key)
    for some in chunks(ids):
        _erase_deliveries(connection, some)
        _erase_errors(connection, thread_key, some)
        _erase_decisions(connection, (f"delivery {one}" for one in some))
    settle(connection, thread_key)
    return ErasedThread(
        links=ended,
        skipped=skipped,
        texts=texts,
        in_doubt=states.count(DeliveryState.IN_DOUBT.value),
        on_the_wire=_on_the_wire(connection, thread_key),
    )


def _settled(connection: Connection, thread_key: int) -> tuple[list[int], list[str], int]:
    """Return ids and states of the deliveries that are not on the wire, and how many of them hold a text."""
    rows = connection.execute(
        select(delivery.c.id, delivery.c.state, delivery.c.content.is_not(None).label("has_text")).where(
            delivery.c.thread_key == thread_key, delivery.c.state + "" != DeliveryState.SENDING.value
        )
    ).all()
    return [row.id for row in rows], [row.state for row in rows], sum(1 for row in rows if row.has_text)


def _on_the_wire(connection: Connection, thread_key: int) -> int:
    statement = select(func.count()).where(
        delivery.c.thread_key == thread_key, delivery.c.state == DeliveryState.SENDING.value
    )
    return int(connection.execute(statement).scalar_one())


def _end_links(connection: Connection, thread_key: int, now: datetime) -> int:
    """Remove the links of a thread and erase what they know of their tickets; return how many there were."""
    rows = connection.execute(select(link.c.id, link.c.state).where(link.c.thread_key == thread_key)).all()
    there = [row.id for row in rows if row.state != LinkState.REMOVED.value]
    for link_id in there:
        link_changes.remove(connection, link_id, now)
    connection.execute(
        update(link)
        .where(link.c.thread_key == thread_key)
        .values(
            subject=None,
            assignee=None,
            reason=case((link.c.reason.is_(None), None), else_=ERASED),
            # A link has the number or the address that it was given; without its address it needs a number.
            given_number=func.coalesce(link.c.given_number, link.c.ticket_number, ERASED),
            given_link=None,
            ticket_link=None,
        )
    )
    _erase_decisions(connection, (f"link {row.id}" for row in rows))
    return len(there)


def _erase_deliveries(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(
        update(delivery)
        .where(delivery.c.id.in_(ids))
        .values(
            subject=None,
            content=None,
            agent=None,
            ticket_link=None,
            reason=_without_quotes(delivery.c.reason),
            version=delivery.c.version + 1,
        )
    )


def _without_quotes(reason: ColumnElement[str]) -> ColumnElement[Any]:
    """Return a reason without the words of the API or of a person, which may quote the text."""
    begun = [(func.substr(reason, 1, len(words)) == words, f"{words}{ERASED}") for words in _OWN_BEGINNINGS]
    kept = or_(reason.is_(None), reason.in_(_OWN_REASONS), func.substr(reason, 1, 11) == "withdrawn: ")
    return case((kept, reason), *begun, else_=ERASED)


def _erase_errors(connection: Connection, thread_key: int, delivery_ids: Sequence[int]) -> None:
    """Erase what the API said of these deliveries. Where it said nothing, the words are syncd's own, and stay."""
    told = (attempt.c.delivery_id.in_(delivery_ids), attempt.c.http_status.is_not(None))
    texts = {
        row.error_text
        for row in connection.execute(select(attempt.c.error_text).where(*told, attempt.c.error_text.is_not(None)))
    }
    if not texts:
        return
    connection.execute(update(attempt).where(*told, attempt.c.error_text.is_not(None)).values(error_text=ERASED))
    # An api that was paused for it says so in the same words.
    of_thread = select(thread.c.api).where(thread.c.id == thread_key).scalar_subquery()
    for some in chunks(sorted(texts)):
        connection.execute(
            update(api_state).where(api_state.c.api == of_thread, api_state.c.reason.in_(some)).values(reason=ERASED)
        )


def _erase_decisions(connection: Connection, subjects: Iterable[str]) -> None:
    """Keep who decided what and when; why may quote."""
    for some in chunks(list(subjects)):
        connection.execute(update(decision).where(decision.c.subject.in_(some)).values(reason=ERASED))


def erase_requests(connection: Connection, threads: Sequence[CustomerThread]) -> int:
    """Erase what was asked about tickets of these threads by their addresses; return how many requests that were."""
    addresses = {address for one in threads for address in one.addresses}
    systems = {system for one in threads for system in one.systems}
    if not addresses:
        return 0
    ended = [RequestState.DONE.value, RequestState.FAILED.value, RequestState.STOPPED.value]
    rows = connection.execute(
        select(request.c.id, request.c.arguments).where(request.c.system.in_(systems), request.c.state.in_(ended))
    )
    ids = [row.id for row in rows if addresses.intersection(json.loads(row.arguments).get("tickets") or ())]
    for some in chunks(ids):
        connection.execute(
            update(request).where(request.c.id.in_(some)).values(arguments="{}", progress=None, result=None)
        )
    return len(ids)


def record_erasure(connection: Connection, customer_id: int, api: str, by: Decision) -> None:
    """Write down that a customer is erased: who, when and why."""
    write_decision(connection, "erase", f"customer {customer_id} at {api}", by)
