"""The django-helpdesk that the tests in this folder share."""

from collections.abc import Iterator

import pytest

from tests.servers.django_helpdesk_server import DjangoHelpdeskServer


@pytest.fixture(scope="session")
def django_helpdesk() -> Iterator[DjangoHelpdeskServer]:
    """Start a django-helpdesk without tickets; afterwards it is stopped again, unless it ran before."""
    yield from DjangoHelpdeskServer.serve()
