"""Fixtures for all tests."""

from syncd.testing.fixtures import clock, pytest_asyncio_loop_factories

__all__ = ["clock", "pytest_asyncio_loop_factories"]
