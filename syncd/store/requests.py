"""What commands ask of the worker that owns a system, and how far it has come."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import Insert as PostgreSQLInsert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import Insert as SQLiteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from syncd.model.errors import Conflict, Missing
from syncd.store.standing import Decision, write_decision
from syncd.store.tables import backfill_step, request


class RequestKind(StrEnum):
    """What can be asked for."""

    POLL = "poll"
    BACKFILL = "backfill"
    FOLLOW = "follow"
    REFRESH = "refresh"
    AUDIT = "audit"
    HOOK = "hook"


class RequestState(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


OPEN_STATES = frozenset({RequestState.WAITING, RequestState.RUNNING})
_OPEN = tuple(sorted(state.value for state in OPEN_STATES))
_PLAN = '"dry_run": true'  # in the text of the arguments; a quotation mark inside a value has a backslash before it


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


# Said with each transaction of a backfill, and so built once.
_STATE = select(request.c.state).where(request.c.id == bindparam("request_id")).with_for_update(read=True)
_REPORT = (
    update(request)
    .where(request.c.id == bindparam("request_id"), request.c.state.in_(_OPEN))
    .values(state=RequestState.RUNNING.value, progress=bindparam("text"))
)


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
            request.c.state.in_(_OPEN),
        )
    ).first()
    if there is not None:
        return int(there.id)
    values = {"kind": kind.value, "system": system, "arguments": text, "who": who, "requested_at": now}
    statement = request.insert().values(**values, state=RequestState.WAITING.value).returning(request.c.id)
    return int(connection.execute(statement).scalar_one())


def open_requests(connection: Connection, system: str | None = None) -> list[Request]:
    """Return requests that wait or run, oldest first."""
    statement = select(request).where(request.c.state.in_(_OPEN)).order_by(request.c.id)
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
    """Say how far a request has come; it runs from the first report on. One that has ended stays as it is."""
    connection.execute(_REPORT, {"request_id": request_id, "text": json.dumps(progress)})


def end(connection: Connection, request_id: int, state: RequestState, result: dict[str, Any], now: datetime) -> None:
    """End a request with its result. One that was stopped stays so, with the result that it had come to."""
    changed = {"result": json.dumps(result), "ended_at": now}
    this = update(request).where(request.c.id == request_id)
    if not connection.execute(this.where(request.c.state.in_(_OPEN)).values(changed | {"state": state.value})).rowcount:
        connection.execute(this.where(request.c.state == RequestState.STOPPED.value).values(result=changed["result"]))


def holds_open(connection: Connection, request_id: int) -> bool:
    """Say whether a request is still to be carried out, and let nobody stop it before the caller's transaction ends."""
    return connection.execute(_STATE, {"request_id": request_id}).scalar() in _OPEN


def recent(
    connection: Connection, kind: RequestKind, limit: int, before: int | None = None, *, plans: bool = True
) -> list[Request]:
    """Return requests of a kind, the newest first; `before` is the id to go on from. `plans`: those too."""
    statement = select(request).where(request.c.kind == kind.value).order_by(request.c.id.desc()).limit(limit)
    if not plans:
        statement = statement.where(~request.c.arguments.contains(_PLAN, autoescape=True))
    if before is not None:
        statement = statement.where(request.c.id < before)
    return [_request(row) for row in connection.execute(statement)]


def ask_again(
    connection: Connection, kind: RequestKind, system: str, arguments: dict[str, Any], since: datetime
) -> int | None:
    """Open the newest request of these arguments anew if it was stopped, or failed, since an instant; return its id.

    What it has dealt with stays dealt with.
    """
    newest = connection.execute(
        select(request.c.id, request.c.state, request.c.ended_at)
        .where(
            request.c.kind == kind.value,
            request.c.system == system,
            request.c.arguments == json.dumps(arguments, sort_keys=True),
        )
        .order_by(request.c.id.desc())
        .limit(1)
    ).first()
    ended = {RequestState.STOPPED.value, RequestState.FAILED.value}
    if newest is None or newest.state not in ended or newest.ended_at < since:
        return None
    values = {"state": RequestState.WAITING.value, "result": None, "ended_at": None}
    connection.execute(update(request).where(request.c.id == newest.id).values(values))
    return int(newest.id)


def stop(connection: Connection, request_id: int, by: Decision) -> None:
    """Stop a backfill for good; from then on nothing more is queued by it. What was queued stays, and is sent.

    Raises:
        Missing, Conflict: there is no such backfill; or it has ended.
    """
    found = find(connection, request_id)
    if found is None or found.kind is not RequestKind.BACKFILL:
        raise Missing(f"there is no backfill {request_id}; `syncd backfill list` shows them")
    changed = connection.execute(
        update(request)
        .where(request.c.id == request_id, request.c.state.in_(_OPEN))
        .values(state=RequestState.STOPPED.value, result=request.c.progress, ended_at=by.at)
    )
    if changed.rowcount == 0:
        raise Conflict(f"backfill {request_id} is {found.state}, so there is nothing to stop")
    write_decision(connection, "stop backfill", f"request {request_id}", by)


@dataclass(frozen=True, slots=True)
class Step:
    """A link that a backfill has dealt with, or could not deal with because of an error."""

    link_id: int
    found: int = 0
    enqueued: int = 0
    error: str | None = None


def add_step(
    connection: Connection, request_id: int, link_id: int, found: int, enqueued: int, error: str | None
) -> None:
    """Note that a backfill has dealt with a link."""
    add_steps(connection, request_id, [Step(link_id, found, enqueued, error)])


def add_steps(connection: Connection, request_id: int, steps: Sequence[Step]) -> None:
    """Note that a backfill has dealt with links."""
    if steps:
        rows = [{"request_id": request_id} | asdict(step) for step in steps]
        connection.execute(_ADD_STEPS[connection.dialect.name], rows)


def _adding(into_steps: SQLiteInsert | PostgreSQLInsert) -> Any:
    changed = {name: into_steps.excluded[name] for name in ("found", "enqueued", "error")}
    return into_steps.on_conflict_do_update(index_elements=["request_id", "link_id"], set_=changed)


_ADD_STEPS = {"sqlite": _adding(sqlite_insert(backfill_step)), "postgresql": _adding(postgresql_insert(backfill_step))}


def steps_done(connection: Connection, request_id: int) -> set[int]:
    """Return the links that a backfill has dealt with."""
    statement = select(backfill_step.c.link_id).where(backfill_step.c.request_id == request_id)
    return {row.link_id for row in connection.execute(statement.where(backfill_step.c.error.is_(None)))}


def steps_failed(connection: Connection, request_id: int) -> set[int]:
    """Return the links that a backfill could not deal with when it tried last."""
    statement = select(backfill_step.c.link_id).where(backfill_step.c.request_id == request_id)
    return {row.link_id for row in connection.execute(statement.where(backfill_step.c.error.is_not(None)))}
