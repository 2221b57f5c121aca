"""How an instant is stored: UTC, and aware again when it is read, on every database."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_WITHOUT_ZONE = len("2026-03-02 12:00:00.000000")


class Instant(TypeDecorator[datetime]):
    """An aware instant. SQLite keeps it as text in UTC, PostgreSQL as timestamptz; a naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Return what turns an instant into the text that SQLite keeps, in one step; there are many of them."""
        return _as_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature
        """Turn an aware instant into what the database keeps."""
        return _in_utc(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature
        """Turn what the database keeps into an aware instant in UTC."""
        if value is None:
            return None
        instant: datetime = value
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _in_utc(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError("an instant without a zone cannot be stored")
    return value.astimezone(UTC)


def _as_text(value: datetime | None) -> str | None:
    utc = _in_utc(value)
    return None if utc is None else utc.isoformat(" ", "microseconds")[:_WITHOUT_ZONE]
