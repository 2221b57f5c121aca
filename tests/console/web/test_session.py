"""The cookie of a login: whose it is, how long it is good, and that nobody else can make one."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.console.web import session
from tests.console.web.conftest import OTHER_TOKEN, TOKEN

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)


def test_it_says_who_logged_in():
    """The name comes back as it was, whatever letters and signs are in it."""
    for who in ("ann", "Jörg: the second", "名", "a.b=c;d"):
        assert session.find_who(TOKEN, session.issue(TOKEN, who, NOW), NOW) == who


def test_it_ends():
    """It is good for its time and no moment longer."""
    cookie = session.issue(TOKEN, "ann", NOW)
    assert session.find_who(TOKEN, cookie, NOW + session.LIFE - timedelta(seconds=1)) == "ann"
    assert session.find_who(TOKEN, cookie, NOW + session.LIFE) is None


def test_a_new_token_ends_it():
    """Once the token in the settings is another one, nobody is logged in any more."""
    assert session.find_who(OTHER_TOKEN, session.issue(TOKEN, "ann", NOW), NOW) is None


@given(place=st.integers(min_value=0), letter=st.characters())
def test_a_changed_letter_ends_it(place, letter):
    """Not one letter of it can be another."""
    cookie = session.issue(TOKEN, "ann", NOW)
    place %= len(cookie)
    changed = cookie[:place] + letter + cookie[place + 1 :]
    # The last letter before the padding has bits that stand for nothing.
    if _meaning(changed) != _meaning(cookie):
        assert session.find_who(TOKEN, changed, NOW) is None


def _meaning(cookie):
    try:
        return [base64.b64decode(part, altchars=b"-_", validate=True) for part in cookie.split(".", 1)]
    except ValueError:
        return None


@pytest.mark.parametrize("cookie", ["", ".", "..", "x", "é.é", "\udcff.\udcff", "a" * 4000, "=.=", "MTox."])
def test_rubbish_is_nobody(cookie):
    """What is no cookie of ours names nobody, and is no bug."""
    assert session.find_who(TOKEN, cookie, NOW) is None


def test_a_longer_time_cannot_be_written_in():
    """The time and the name are signed: the signature of one is none of another."""
    payload, _, signature = session.issue(TOKEN, "ann", NOW).partition(".")
    later, _, _ = session.issue(TOKEN, "ann", NOW + timedelta(days=1)).partition(".")
    other, _, _ = session.issue(TOKEN, "bob", NOW).partition(".")
    assert session.find_who(TOKEN, f"{payload}.{signature}", NOW) == "ann"
    assert session.find_who(TOKEN, f"{later}.{signature}", NOW) is None
    assert session.find_who(TOKEN, f"{other}.{signature}", NOW) is None
