"""The Roundup that the tests in this folder share."""

from collections.abc import Iterator

import pytest

from tests.servers.roundup_server import RoundupServer


@pytest.fixture(scope="session")
def roundup() -> Iterator[RoundupServer]:
    """Start a Roundup without tickets; afterwards it is stopped again, unless it ran before."""
    yield from RoundupServer.serve()
