"""One transaction of many operations: all of them or none, and whether its commit was acknowledged."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from syncd.model.errors import StoreError

__all__ = ["CommitFailed", "Connection", "NotBegun", "Operation", "run_in_transaction"]

T = TypeVar("T")
Operation = Callable[[Connection], T]


class CommitFailed(Exception):
    """The operations ran; whether they were kept is not known."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class NotBegun(Exception):
    """No transaction could be begun: the database is locked or away, and no operation is at fault."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def run_in_transaction(connection: Connection, operations: list[Operation[Any]]) -> list[Any]:
    """Run operations and commit them; return what they returned.

    Raises:
        NotBegun: nothing was tried.
        CommitFailed: it may or may not have been kept.
        Exception: whatever an operation raised; nothing was kept.
    """
    try:
        transaction = connection.begin()
    except (SQLAlchemyError, StoreError) as error:
        raise NotBegun(error) from None
    try:
        results = [operation(connection) for operation in operations]
    except BaseException:
        transaction.rollback()
        raise
    try:
        transaction.commit()
    except Exception as error:  # noqa: BLE001 - whatever failed, the commit is not acknowledged
        connection.invalidate(error)
        raise CommitFailed(error) from None
    return results
