"""A run for tests that name its steps."""

import asyncio
from collections import Counter

import pytest
from loguru import logger

from syncd.testing.virtual_clock import VirtualClock, VirtualLoop
from tests.machine.killable import copy_template, template
from tests.machine.settled import SettledRun


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Return a database with the schema and nothing in it."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return template(tmp_path_factory.mktemp("template"), VirtualClock(runner.get_loop()))


@pytest.fixture
def begin(empty_database, tmp_path):
    """Return what begins a run; it is cleaned up after the test."""
    runs = []
    logger.disable("syncd")
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        copy_template(empty_database, tmp_path)

        def make(**more) -> SettledRun:
            run = SettledRun(VirtualClock(runner.get_loop()), tmp_path, Counter(), **more)
            runs.append(run)
            return run

        yield make
        for run in runs:
            run.close_down()
    logger.enable("syncd")
