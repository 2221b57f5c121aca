"""The page of promises is what the code decides: its table of evidence, its schedules, its numbers."""

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from syncd.delivery.decide import Next, Verdict, decide, judge
from syncd.delivery.dispatcher import PROBE_EVERY, TRIAL_EVERY
from syncd.delivery.health import REFUSED_THREADS, SLOW_ANSWER_SECONDS, THROTTLE_SECONDS
from syncd.model.communication import Thread
from syncd.model.delivery import RETRY_SCHEDULE, THREAD_RETRY, Evidence, InDoubtPolicy, Outcome, Reached
from syncd.model.pace import LARGEST_BURST, burst_for
from syncd.model.policy import On500

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promise.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
THREAD = Thread("berlin", 1, 2)
ERROR = b'{"errorMessage": "no"}'
BODIES = {"with": ERROR, "without": b"<html>no</html>"}
FOLLOWS = {
    "retry by the schedule": lambda following: following.counts_as_failure and not following.suspends_thread,
    "the link is suspended": lambda following: following.suspends_thread,
    "the api is paused": lambda following: following.pause is not None,
    "the api waits": lambda following: following.retry_after == timedelta(0) and following.pause is None,
    "by the policy": lambda following: following.retry_after is None,
    "the thread goes on": lambda following: following.retry_after is None and not following.suspends_thread,
    "the communication's id is stored": lambda following: following.retry_after is None,
}


@dataclass(frozen=True)
class Row:
    """One row of the table of evidence."""

    number: str
    status: str
    body: str
    outcome: str
    state: str
    follows: str

    def fits(self, status: int | None, body: str, *, written: bool) -> bool:
        """Say whether this row is about such an attempt, without regard to the rows above it."""
        if self.status.startswith("none"):
            return status is None and written is ("after writing" in self.status)
        if status is None or self.body not in {"any", body}:
            return False
        if self.status == "any other":
            return True
        if self.status.endswith("xx"):
            return str(status)[0] == self.status[0]
        return str(status) in self.status.split(", ")


def rows() -> list[Row]:
    """Return the table of evidence as the page has it."""
    found = []
    for line in PAGE.splitlines():
        if line.startswith("| **E"):
            cells = [cell.strip().strip("`*") for cell in line.strip("|").split("|")]
            found.append(Row(*cells))
    return found


def row_for(status: int | None, body: str = "any", *, written: bool = True) -> Row:
    """Return the first row that fits."""
    return next(row for row in rows() if row.fits(status, body, written=written))


def decided(evidence: Evidence, on_500: On500 = On500.RETRY) -> tuple[Verdict, Next]:
    """Return what the code makes of the first attempt of a delivery, with the default policies."""
    verdict = judge(evidence, THREAD, on_500)
    return verdict, decide(verdict, failures=0, doubts=0, policy=InDoubtPolicy.HOLD)


def assert_row(row: Row, evidence: Evidence, on_500: On500 = On500.RETRY) -> None:
    """Hold what the code decides against what a row says."""
    verdict, following = decided(evidence, on_500)
    assert (verdict.outcome.value, following.state.value) == (row.outcome, row.state), (row.number, evidence)
    (holds,) = [check for words, check in FOLLOWS.items() if row.follows.startswith(words)]
    assert holds(following), (row.number, following)


@pytest.mark.parametrize("body", BODIES)
def test_the_table_says_of_every_status_what_the_code_decides(body: str):
    """For each status from 100 to 599, with the contract's error body and without, the first row that fits is right."""
    for status in range(100, 600):
        evidence = Evidence(Reached.ANSWERED, status=status, body=BODIES[body], body_complete=True)
        assert_row(row_for(status, body), evidence)


@pytest.mark.parametrize("reached", [Reached.NOTHING, Reached.CONNECTED, Reached.WRITING])
def test_the_table_says_what_follows_when_there_is_no_answer(reached: Reached):
    """Nothing written is not sent; from the first byte on it is in doubt."""
    assert_row(row_for(None, written=reached is Reached.WRITING), Evidence(reached, failure="TimeoutError"))


def test_every_row_is_about_something():
    """No row is hidden by those above it, and the rows reach all outcomes that there are."""
    reached = {row_for(status, body).number for status in range(100, 600) for body in BODIES}
    reached |= {row_for(None, written=written).number for written in (False, True)}
    assert reached == {row.number for row in rows()}
    assert {row.outcome for row in rows()} == {outcome.value for outcome in Outcome}


@pytest.mark.parametrize("status", [500, 503])
def test_an_admitted_failure_is_in_doubt_if_the_settings_say_so(status: int):
    """`on_500 = "hold"` makes of E11 what E12 says."""
    row = row_for(status, "with")
    assert 'on_500 = "hold"` as E12' in row.follows
    held = next(one for one in rows() if one.number == "E12")
    assert_row(held, Evidence(Reached.ANSWERED, status=status, body=ERROR, body_complete=True), On500.HOLD)


def test_the_table_of_policies_is_what_the_code_decides():
    """Each policy is there, with what the first and the second doubt of a delivery make of it."""
    table = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert [name for name, *_ in table] == [policy.value for policy in InDoubtPolicy]
    verdict = judge(Evidence(Reached.WRITING, failure="TimeoutError"), THREAD, On500.RETRY)
    for name, *states in table:
        for doubts, state in enumerate(states):
            following = decide(verdict, failures=0, doubts=doubts, policy=InDoubtPolicy(name))
            assert following.state.value == state, (name, doubts)


def test_the_schedules_are_the_real_ones():
    """The waits that the page tells are those of the code."""
    assert [wait.total_seconds() for wait in RETRY_SCHEDULE] == [5, 30, 120, 300]
    assert "The schedule: 5 s, 30 s, 2 min, then every 5 min" in TEXT
    assert [wait.total_seconds() / 3600 for wait in THREAD_RETRY] == [0.5, 2, 12]
    assert "tried again after 30 min, 2 h, then every 12 h" in TEXT
    assert (PROBE_EVERY.total_seconds(), "HEAD asks every 30 s" in TEXT) == (30, True)
    assert (TRIAL_EVERY.total_seconds(), "every 5 minutes one delivery is tried" in TEXT) == (300, True)
    assert (REFUSED_THREADS, "When three different threads were refused" in TEXT) == (3, True)
    assert (THROTTLE_SECONDS, "nothing is sent to that api for 60 seconds" in TEXT) == (60, True)
    assert (SLOW_ANSWER_SECONDS, "has waited over 2 seconds for its answer" in TEXT) == (2, True)


def test_the_pace_is_the_real_one():
    """What the page says of the burst is what the code computes."""
    assert (LARGEST_BURST, "a burst of 25" in TEXT) == (25, True)
    assert (900 + burst_for(900), "At 900 that is 925" in TEXT) == (925, True)
    assert "from 976 to 999 the burst shrinks" in TEXT
    assert burst_for(975) == LARGEST_BURST
    assert all(rate + burst_for(rate) == 1000 for rate in range(976, 1000))


def test_sentences_are_numbered_once_and_without_a_gap():
    """Each number from 1 on stands once; those of promises stay what they are, so new ones stand out of order."""
    numbers = re.findall(r"(?:^- |^\| )\*\*([PENA])(\d+)\*\*", PAGE, re.MULTILINE)
    for letter in "PENA":
        mine = [int(number) for kind, number in numbers if kind == letter]
        assert sorted(mine) == list(range(1, len(mine) + 1)), letter
        assert letter == "P" or mine == sorted(mine), letter
        assert mine
    known = {f"{letter}{number}" for letter, number in numbers}
    assert set(re.findall(r"\b[PENA]\d+\b", PAGE)) == known


def test_the_tests_that_it_names_are_there():
    """A test file that the page names exists."""
    named = set(re.findall(r"\btests/[\w/]+\.py\b", PAGE))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []
