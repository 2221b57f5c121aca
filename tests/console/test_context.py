"""What a command works with: who asks, and instants as people write them."""

import os
import pwd
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from syncd.console.context import Invocation, opened, parse_instant, who
from syncd.model.errors import UsageError

BERLIN = ZoneInfo("Europe/Berlin")


def test_who_is_the_login_name_and_under_sudo_the_one_who_called_it():
    """Only root may say that somebody else asked: anybody can set a variable."""
    name = pwd.getpwuid(os.getuid()).pw_name
    assert who({}) == name
    assert who({"SUDO_USER": "anna", "LOGNAME": "bert"}) == ("anna" if os.getuid() == 0 else name)


def test_an_instant_without_a_zone_is_one_of_the_configured_zone():
    """The second value says that the zone was taken from there."""
    assert parse_instant("2026-07-01T12:00:00Z", BERLIN) == (datetime(2026, 7, 1, 12, tzinfo=UTC), False)
    assert parse_instant(" 2026-07-01 12:00 ", BERLIN) == (datetime(2026, 7, 1, 10, tzinfo=UTC), True)
    with pytest.raises(UsageError, match="is no instant"):
        parse_instant("12:00", BERLIN)


def test_settings_are_those_of_the_option_else_of_the_environment(syncd):
    """`--config` counts more than $SYNCD_CONFIG."""
    environ = {"SYNCD_CONFIG": str(syncd.config)}
    assert set(Invocation(environ=environ).load_settings().api) == {"berlin", "hamburg"}
    with pytest.raises(Exception, match="there are no settings here"):
        Invocation(config=Path("/nowhere.toml"), environ=environ).load_settings()


async def test_a_decision_needs_a_reason_that_says_something(syncd):
    """Blanks are none; the rest is kept with who and when."""
    async with opened(Invocation(config=syncd.config)) as context:
        with pytest.raises(UsageError, match="needs a reason"):
            context.decision(" \n")
        by = context.decision(" looked into it ")
    assert (by.who, by.reason) == (who(os.environ), "looked into it")
