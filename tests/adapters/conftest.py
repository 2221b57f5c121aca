"""Adapters opened at stand-ins."""

import pytest

from syncd.sources.http import VendorHttp
from syncd.sources.registry import validate_options


@pytest.fixture
async def connect(clock):
    """Return what opens an adapter class with options, at a pace that never waits unless its own is asked for."""
    opened = []

    def connect_to(adapter_class, link_hosts=(), *, own_pace=False, **options):
        config = validate_options(adapter_class, options)
        pace = None if own_pace else 60_000
        opened.append(VendorHttp(adapter_class.connection(config), clock=clock, requests_per_minute=pace))
        return adapter_class(config, opened[-1], link_hosts)

    yield connect_to
    for http in opened:
        await http.close()
