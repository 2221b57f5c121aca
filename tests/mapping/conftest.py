"""What the mapping tests share: building replies, and counting steps instead of seconds."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from syncd.model.ticket import Author, AuthorKind, Body, BodyFormat, Reply, Visibility
from tests.counted_calls import calls_of


@pytest.fixture(scope="session")
def make_reply() -> Callable[..., Reply]:
    """Return a function that builds a customer's public reply from what a test cares about."""

    def build(text: str = "Hallo", body_format: BodyFormat = BodyFormat.TEXT, **fields: Any) -> Reply:
        defaults: dict[str, Any] = {
            "id": "1",
            "author": Author(AuthorKind.CUSTOMER, "Carla Kunde"),
            "visibility": Visibility.PUBLIC,
            "created_at": datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
        }
        return Reply(body=Body(text, body_format), **(defaults | fields))

    return build


@pytest.fixture(scope="session")
def count_steps() -> Callable[[Callable[[], object]], int]:
    """Return a function that counts the calls, of Python and C functions, which a piece of work makes."""
    return calls_of
