"""The Redmine that the tests in this folder share."""

from collections.abc import Iterator

import pytest

from tests.servers.redmine_server import RedmineServer


@pytest.fixture(scope="session")
def redmine() -> Iterator[RedmineServer]:
    """Start a Redmine without tickets; afterwards it is stopped again, unless it ran before."""
    yield from RedmineServer.serve()
