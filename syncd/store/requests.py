"""What commands ask of the worker that owns a system, and how far it has come."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from syncd.store.statement import insert
from syncd.store.tables import backfill_step, request


class RequestKind(StrEnum):
    """What can be asked for."""

    POLL = "poll"
    BACKFILL = "backfill"
    FOLLOW = "follow"
    REFRESH = "refresh"
    AUDIT = "audit"


class RequestState(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, with its arguments and what came of it."""

    id: int
    kind: RequestKind
    system: str
    arguments: dict[str, Any]
    state: RequestState
    progress: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    who: str = ""
    requested_at: datetime | None = None


def _request(row: Any) -> Request:
    return Request(
        id=row.id,
        kind=RequestKind(row.kind),
        system=row.system,
        arguments=json.loads(row.arguments),
        state=RequestState(row.state),
        progress=json.loads(row.progress or "{}"),
        result=json.loads(row.result or "{}"),
        who=row.who,
        requested_at=row.requested_at,
    )


def ask(
    connection: Connection, kind: RequestKind, system: str, arguments: dict[str, Any], who: str, now: datetime
) -> int:
    """Leave a request; the same one that still waits or runs is joined instead."""
    text = json.dumps(arguments, sort_keys=True)
    there = connection.execute(
        select(request.c.id).where(
            request.c.kind == kind.value,
            request.c.system == system,
            request.c.arguments == text,
            request.c.state.in_([RequestState.WAITING.value, RequestState.RUNNING.value]),
        )
    ).first()
    if there is not None:
        return int(there.id)
    values = {"kind": kind.value, "system": system, "arguments": text, "who": who, "requested_at": now}
    statement = request.insert().values(**values, state=RequestState.WAITING.value).returning(request.c.id)
    return int(connection.execute(statement).scalar_one())


def open_requests(connection: Connection, system: str | None = None) -> list[Request]:
    """Return requests that wait or run, oldest first."""
    states = [RequestState.WAITING.value, RequestState.RUNNING.value]
    statement = select(request).where(request.c.state.in_(states)).order_by(request.c.id)
    if system is not None:
        statement = statement.where(request.c.system == system)
    return [_request(row) for row in connection.execute(statement)]


def count_waiting(connection: Connection, kind: RequestKind, system: str) -> int:
    """Return how many requests of a kind nobody has begun with."""
    waiting = (request.c.kind == kind.value, request.c.system == system, request.c.state == RequestState.WAITING.value)
    return int(connection.execute(select(func.count()).select_from(request).where(*waiting)).scalar_one())


def forget(connection: Connection, request_id: int) -> None:
    """Remove a request that was carried out and that nobody looks at any more."""
    connection.execute(delete(request).where(request.c.id == request_id))


def find(connection: Connection, request_id: int) -> Request | None:
    """Return a request by its id."""
    row = connection.execute(select(request).where(request.c.id == request_id)).first()
    return None if row is None else _request(row)


def report(connection: Connection, request_id: int, progress: dict[str, Any]) -> None:
    """Say how far a request has come; it runs from the first report on."""
    connection.execute(
        update(request)
        .where(request.c.id == request_id)
        .values(state=RequestState.RUNNING.value, progress=json.dumps(progress))
    )


def end(connection: Connection, request_id: int, state: RequestState, result: dict[str, Any], now: datetime) -> None:
    """End a request with its result."""
    connection.execute(
        update(request)
        .where(request.c.id == request_id)
        .values(state=state.value, result=json.dumps(result), ended_at=now)
    )


@dataclass(frozen=True, slots=True)
class Steps:
    """How far a backfill has come."""

    links: int
    found: int
    enqueued: int
    failed: int


def add_step(
    connection: Connection, request_id: int, link_id: int, found: int, enqueued: int, error: str | None
) -> None:
    """Note that a backfill has dealt with a link."""
    values = {
        "request_id": request_id,
        "link_id": link_id,
        "found": found,
        "enqueued": enqueued,
        "error": error,
    }
    changed = {"found": found, "enqueued": enqueued, "error": error}
    statement = insert(connection, backfill_step).values(**values)
    connection.execute(statement.on_conflict_do_update(index_elements=["request_id", "link_id"], set_=changed))


def steps_done(connection: Connection, request_id: int) -> set[int]:
    """Return the links that a backfill has dealt with."""
    statement = select(backfill_step.c.link_id).where(backfill_step.c.request_id == request_id)
    return {row.link_id for row in connection.execute(statement.where(backfill_step.c.error.is_(None)))}


def count_steps(connection: Connection, request_id: int) -> Steps:
    """Return how far a backfill has come."""
    c = backfill_step.c
    row = connection.execute(
        select(
            func.count().label("links"),
            func.coalesce(func.sum(c.found), 0).label("found"),
            func.coalesce(func.sum(c.enqueued), 0).label("enqueued"),
            func.count(c.error).label("failed"),
        ).where(c.request_id == request_id)
    ).one()
    return Steps(row.links, int(row.found), int(row.enqueued), row.failed)
