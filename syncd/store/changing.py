"""Changes of deliveries that still wait: new texts, and what is withdrawn."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Text, bindparam, select, update

from syncd.model.collected import Change, Disposition
from syncd.model.delivery import DeliveryKind, DeliveryState
from syncd.store.among import among, rows_of
from syncd.store.enqueue import message_values
from syncd.store.tables import delivery, ledger

# Locked, so that what is seen here is so until the transaction ends.
_NOW = (
    select(*(delivery.c[name] for name in ("id", "thread_key", "system", "reply_id", "kind", "state", "version")))
    .where(among(delivery.c.id, "ids"))
    .order_by(delivery.c.id)
    .with_for_update()
)
_THIS = update(delivery).where(delivery.c.id == bindparam("delivery_id"))
_SKIP = _THIS.values(
    version=delivery.c.version + 1,
    state=DeliveryState.SKIPPED.value,
    reason=bindparam("skip_reason"),
    ended_at=bindparam("now"),
)
_TOLD = rows_of("told", thread_key=BigInteger(), system=Text(), reply_id=Text())
_WITHDRAW = (
    update(ledger)
    .where(*(ledger.c[name] == _TOLD.c[name] for name in ("thread_key", "system", "reply_id")))
    .values(disposition=Disposition.WITHDRAWN.value)
)


def apply_changes(connection: Connection, changes: Sequence[Change], now: datetime) -> int:
    """Apply changes to those deliveries that wait in the version that a change was made for; return how many."""
    if not changes:
        return 0
    asked = {"ids": sorted({change.delivery_id for change in changes})}
    waiting = {row.id: row for row in connection.execute(_NOW, asked) if row.state == DeliveryState.PENDING.value}
    skips: list[tuple[Change, Any]] = []
    texts: list[Change] = []
    for change in changes:
        row = waiting.get(change.delivery_id)
        if row is None or row.version != change.version:
            continue
        del waiting[row.id]  # it has another version from here on
        if change.skip_reason is None:
            texts.append(change)
        else:
            skips.append((change, row))
    if skips:
        _skip(connection, skips, now)
    if texts:
        _rewrite(connection, texts, now)
    return len(skips) + len(texts)


def _skip(connection: Connection, skips: Sequence[tuple[Change, Any]], now: datetime) -> None:
    values = [{"delivery_id": row.id, "skip_reason": change.skip_reason, "now": now} for change, row in skips]
    connection.execute(_SKIP, values)
    # Where it was a correction, the reply itself was delivered: shown again one day, it must not be sent as if it
    # never was.
    told = [(row.thread_key, row.system, row.reply_id) for _, row in skips if row.kind != DeliveryKind.CORRECTION.value]
    if told:
        connection.execute(_WITHDRAW, {"told": told})


def _rewrite(connection: Connection, changes: Sequence[Change], now: datetime) -> None:
    rewritten = [
        {"fingerprint": change.fingerprint, "read_at": now, **message_values(change.message)} for change in changes
    ]
    names = dict.fromkeys(name for values in rewritten for name in values)
    statement = _THIS.values(version=delivery.c.version + 1, **{name: bindparam(f"new_{name}") for name in names})
    rows = [
        {"delivery_id": change.delivery_id, **{f"new_{name}": value for name, value in values.items()}}
        for change, values in zip(changes, rewritten, strict=True)
    ]
    connection.execute(statement, rows)
