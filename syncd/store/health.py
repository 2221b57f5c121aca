"""The health of apis and systems: paused, throttled, released, last success."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from syncd.model.errors import Conflict
from syncd.model.health import ApiState, PauseCause, SystemState
from syncd.store.statement import upsert
from syncd.store.tables import api_state, system_state

PERSON, SYNCD = "person", "syncd"
_API = select(api_state).where(api_state.c.api == bindparam("asked"))


def get_api(connection: Connection, api: str) -> ApiState:
    """Return the state of an api; one that was never touched is well."""
    row = connection.execute(_API, {"asked": api}).first()
    return ApiState(api) if row is None else _api(row)


def _api(row: Any) -> ApiState:
    return ApiState(
        api=row.api,
        paused_cause=None if row.paused_cause is None else PauseCause(row.paused_cause),
        reason=row.reason,
        since_at=row.since_at,
        retry_at=row.retry_at,
        throttled_until=row.throttled_until,
        released_at=row.released_at,
        last_success_at=row.last_success_at,
    )


def list_apis(connection: Connection) -> dict[str, ApiState]:
    """Return what is stored about apis, by name."""
    return {row.api: _api(row) for row in connection.execute(select(api_state))}


def pause_api(
    connection: Connection, api: str, cause: PauseCause, reason: str, now: datetime, retry_at: datetime | None = None
) -> None:
    """Stop sending to an api.

    A pause by a person is replaced by that of a restored database alone, and that one by none.
    """
    there = get_api(connection, api).paused_cause
    if there is PauseCause.RESTORED and cause is not PauseCause.RESTORED:
        return
    if there is PauseCause.PERSON and cause not in {PauseCause.PERSON, PauseCause.RESTORED}:
        return
    values: dict[str, Any] = {"paused_cause": cause.value, "reason": reason, "retry_at": retry_at}
    if there is not cause:
        values["since_at"] = now
    upsert(connection, api_state, "api", {"api": api} | values)


def resume_api(connection: Connection, api: str) -> bool:
    """Send to an api again; return whether it was paused.

    Raises:
        Conflict: it is paused because the database was restored; that takes a decision about the whole database.
    """
    state = get_api(connection, api)
    if state.paused_cause is PauseCause.RESTORED:
        raise Conflict(f"{api} waits because the database was restored from a backup; run `syncd db restored`")
    values = {"paused_cause": None, "reason": None, "since_at": None, "retry_at": None}
    upsert(connection, api_state, "api", {"api": api} | values)
    return state.paused_cause is not None


def recover_api(connection: Connection, api: str) -> bool:
    """End a pause from which an api recovers by itself; return whether it was one.

    Meanwhile a person may have paused it, and that pause is the person's to end.
    """
    if get_api(connection, api).paused_cause not in {PauseCause.KEY, PauseCause.THREADS}:
        return False
    return resume_api(connection, api)


def throttle_api(connection: Connection, api: str, until: datetime) -> None:
    """Remember until when an api denies everything, so that a restart keeps waiting."""
    upsert(connection, api_state, "api", {"api": api, "throttled_until": until})


def release_api(connection: Connection, api: str, now: datetime) -> None:
    """Let an api with mode "hold" send from now on."""
    upsert(connection, api_state, "api", {"api": api, "released_at": now})


def note_success(connection: Connection, api: str, now: datetime) -> None:
    """Remember when an api last took a delivery."""
    upsert(connection, api_state, "api", {"api": api, "last_success_at": now})


def get_system(connection: Connection, system: str) -> SystemState:
    """Return the state of a system; one that was never touched is well."""
    row = connection.execute(select(system_state).where(system_state.c.system == system)).first()
    return SystemState(system) if row is None else SystemState(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name


def list_systems(connection: Connection) -> dict[str, SystemState]:
    """Return what is stored about systems, by name."""
    rows = connection.execute(select(system_state))
    return {row.system: SystemState(**row._mapping) for row in rows}  # noqa: SLF001 - SQLAlchemy's public name


def pause_system(
    connection: Connection, system: str, by: str, reason: str, now: datetime, retry_at: datetime | None = None
) -> None:
    """Stop polling a system. A pause by a person is not replaced by one of ours."""
    there = get_system(connection, system).paused_by
    if there == PERSON and by != PERSON:
        return
    values: dict[str, Any] = {"paused_by": by, "reason": reason, "retry_at": retry_at, "failures": 0}
    if there != by:
        values["since_at"] = now
    upsert(connection, system_state, "system", {"system": system} | values)


def resume_system(connection: Connection, system: str) -> bool:
    """Poll a system again; return whether it was paused."""
    was = get_system(connection, system).paused_by
    values = {"paused_by": None, "reason": None, "since_at": None, "retry_at": None, "failures": 0}
    upsert(connection, system_state, "system", {"system": system} | values)
    return was is not None


def note_sweep(connection: Connection, system: str, now: datetime) -> None:
    """Remember a sweep that went well; it ends a pause of ours."""
    values = {"last_success_at": now, "failures": 0, "retry_at": None}
    state = get_system(connection, system)
    if state.paused_by != PERSON:
        values |= {"paused_by": None, "reason": None, "since_at": None}
    upsert(connection, system_state, "system", {"system": system} | values)


def note_sweep_failure(connection: Connection, system: str, reason: str, retry_at: datetime, now: datetime) -> None:
    """Remember a sweep that failed and when the next is due; nothing else changes."""
    state = get_system(connection, system)
    values: dict[str, Any] = {"system": system, "reason": reason, "retry_at": retry_at, "failures": state.failures + 1}
    if state.failures == 0:
        values["since_at"] = now
    upsert(connection, system_state, "system", values)


def note_full_sweep(connection: Connection, system: str, now: datetime, found: int, seconds: int) -> None:
    """Remember what a full sweep found and how long it took."""
    values = {"last_full_sweep_at": now, "full_sweep_found": found, "full_sweep_seconds": seconds}
    upsert(connection, system_state, "system", {"system": system, "failures": 0} | values)
