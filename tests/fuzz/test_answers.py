"""Whatever stands in an answer, a header, a file of ours or on a command line: a value or a failure with a name."""

import json
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.console.context import parse_instant
from syncd.console.links import parse_from
from syncd.model.api_error import parse_api_error
from syncd.model.errors import StoreError, UnexpectedAnswer, UsageError
from syncd.model.typed_arg import LONGEST_TEXT, TypedArgType, parse_typed_arg, plain_text
from syncd.sources.adapter import Response
from syncd.sources.body import parse_json
from syncd.sources.excerpt import LONGEST_EXCERPT, error_excerpt
from syncd.sources.records import Record, find_instant_in, records_in
from syncd.sources.retry import asked_wait_seconds
from syncd.store.high_water import HighWater
from tests.fuzz.material import ANY_CHARACTER, ODD_TIMES, SCALARS, TEXTS, deep, json_values
from tests.fuzz.runs import fuzz

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = 24 * 3600.0
NAMES = st.sampled_from(
    ("value", "type", "errorMessage", "errorCode", "traceId", "reference", "args", "typedArgs", "a")
)
ARGUMENTS = st.fixed_dictionaries({"type": st.sampled_from([*TypedArgType, "NEW", ""]), "value": json_values(NAMES)})
ERRORS = st.fixed_dictionaries(
    {"errorMessage": TEXTS},
    optional={
        "errorCode": SCALARS,
        "traceId": SCALARS,
        "reference": SCALARS,
        "args": json_values(NAMES),
        "typedArgs": st.lists(ARGUMENTS, max_size=3) | json_values(NAMES),
    },
)
HEADERS = st.one_of(
    ODD_TIMES,
    st.text(string.digits + ".-+e", max_size=12),
    st.text(ANY_CHARACTER, max_size=30),
    st.from_regex(
        r"\A(Mon, )?[0-9]{1,30} (Jan|Mar|Foo) [0-9]{1,30} [0-9]{1,4}:[0-9]{1,4}"
        r"(:[0-9]{1,4})?( ?[A-Z+-][A-Z0-9]{0,30})?\Z"
    ),
)


def is_harmless(text: str) -> bool:
    """Tell whether a text can be printed on one line of a terminal."""
    return all(char.isprintable() or char == " " for char in text)


@fuzz(26)
@given(ERRORS | json_values(NAMES))
@example({"errorMessage": "x", "typedArgs": [{"type": "INTEGER", "value": 10**5000}]})
def test_every_error_body_is_read_or_is_none(body: object) -> None:
    """What the API says went wrong is one harmless line, whatever stands in the other fields."""
    found = parse_api_error(_dumps(body))
    expected = isinstance(body, dict) and isinstance(body.get("errorMessage"), str)
    assert found is None or (expected and is_harmless(str(found)))
    assert found is None or all(len(one.text) <= LONGEST_TEXT for one in found.typed_args)


def _dumps(body: object) -> bytes:
    try:
        return json.dumps(body).encode()
    except ValueError:  # a number that Python does not print
        return b"{}"


@fuzz(20)
@given(st.binary(max_size=60) | TEXTS.map(lambda text: text.encode("utf-8", "replace")))
@example(deep("[", "]", 100_000).encode())
@example(b'{"errorMessage":' + deep('{"a":[', "]}", 50_000).encode() + b"}")
@example(b'{"errorMessage":"x","args":' + deep("[", "]", 900).encode() + b"}")
@example(b'{"errorMessage":"x","args":[' + b"9" * 5000 + b"]}")
def test_bytes_that_are_no_answer_are_told_from_one(body: bytes) -> None:
    """No bytes raise anything but the named failure, and nothing of them gets into its message."""
    assert parse_api_error(body) is None or b"errorMessage" in body
    assert len(error_excerpt(body)) <= LONGEST_EXCERPT
    assert is_harmless(error_excerpt(body))
    try:
        parse_json(body, "text/plain", "/tickets")
    except UnexpectedAnswer as error:
        assert str(error).startswith("/tickets answered")


@fuzz(26)
@given(json_values(NAMES), st.sampled_from([*TypedArgType, "NEW"]))
@example(10**5000, TypedArgType.INTEGER)
@example(10**400, TypedArgType.TIMESTAMP)
@example({"amount": 10**5000, "currency": "EUR"}, TypedArgType.MONEY)
def test_every_typed_argument_has_a_text(value: object, kind: str) -> None:
    """An argument of whatever JSON has a short text that can be printed, and a value if it fits its type."""
    parsed = parse_typed_arg({"type": kind, "value": value})
    assert is_harmless(parsed.text)
    assert len(parsed.text) <= LONGEST_TEXT


@fuzz(20)
@given(st.text(ANY_CHARACTER, max_size=40) | TEXTS, st.integers(1, 50))
def test_foreign_text_is_one_short_line(text: str, longest: int) -> None:
    """A foreign text in a message is one line without escape sequences, and no longer than its place."""
    line = plain_text(text, longest)
    assert is_harmless(line)
    assert len(line) <= longest


FIELD_READERS: list[Callable[[Record], object]] = [
    lambda one: one.find_key("a"),
    lambda one: one.get_key("a"),
    lambda one: one.find_text("a"),
    lambda one: one.get_text("a"),
    lambda one: one.find_int("a"),
    lambda one: one.get_int("a"),
    lambda one: one.is_true("a"),
    lambda one: one.find_flag("a"),
    lambda one: one.find_instant("a"),
    lambda one: one.find_instant("a", ZoneInfo("Pacific/Kiritimati")),
    lambda one: one.find_epoch("a"),
    lambda one: one.find_epoch("a", 1000),
    lambda one: one.find_record("a"),
    lambda one: one.find_records("a"),
    lambda one: one.get_records("a"),
    lambda one: one.get_texts("a"),
]


@fuzz(26)
@given(json_values(NAMES))
@example(10**5000)
@example("9" * 5000)
@example(float("inf"))
@example(float("nan"))
@example("1e999")
@example("nan")
@example("0001-01-01T00:00:00+14:00")
def test_a_field_is_what_is_expected_or_named(value: object) -> None:
    """A field of whatever JSON is read, or refused by name, and the refusal holds nothing of what it was."""
    record = Record({"a": value}, "/tickets")
    for read in FIELD_READERS:
        try:
            found = read(record)
        except UnexpectedAnswer as error:
            assert str(error).startswith("/tickets")
            assert not isinstance(value, str) or len(value) < 9 or value not in str(error)
        else:
            assert not isinstance(found, datetime) or found.tzinfo is UTC


@fuzz(13)
@given(json_values(NAMES))
def test_what_is_no_record_is_named(value: object) -> None:
    """JSON of another shape than a list of objects is a failure with a name."""
    try:
        records_in(value, "/tickets")
    except UnexpectedAnswer as error:
        assert str(error).startswith("/tickets")


@fuzz(20)
@given(HEADERS)
@example("Mon, 1 Jan 99999999999999999999 00:00:00 GMT")
@example("Mon, 1 Jan 2026 00:00:00 +99999999999999")
@example("9" * 400)
@example("9" * 5000)
@example("1.")
@example(".")
@example("²")
def test_a_wait_is_a_number_of_seconds_within_a_day(text: str) -> None:
    """Whatever stands in Retry-After and its kin is a wait between nothing and a day, or counts as unsaid."""
    for name in ("Retry-After", "X-RateLimit-Reset"):
        wait = asked_wait_seconds(429, {name: text}, NOW)
        assert wait is None or 0 <= wait <= DAY
    answered_at = Response(200, {"Date": text}, b"").answered_at
    assert answered_at is None or answered_at.tzinfo is UTC


@fuzz(20)
@given(ODD_TIMES | TEXTS)
@example("0001-01-01T00:00:00+14:00")
@example("9999-12-31T23:59:59-14:00")
@example("0001-01-01")
@example("9999-12-31T23:59:59")
def test_an_instant_that_a_person_types_can_be_stored(text: str) -> None:
    """What a person types as an instant is one that has a place in UTC, or is refused in one sentence."""
    for zone in (ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/Los_Angeles")):
        for parse in (
            lambda typed, zone=zone: parse_instant(typed, zone),
            lambda typed, zone=zone: parse_from(typed, NOW, zone),
        ):
            try:
                instant, _ = parse(text)
            except UsageError as error:
                assert "is no instant" in str(error)
            else:
                assert instant.astimezone(UTC) - timedelta(days=1)
    found = find_instant_in(text, ZoneInfo("Pacific/Kiritimati"))
    assert found is None or found.tzinfo is UTC


MARKS = st.binary(max_size=60) | st.from_regex(r"\A[a-z0-9-]{1,20} [0-9]{1,30}\n?\Z").map(str.encode)


@fuzz(20)
@given(content=MARKS)
@example(content=b"id " + b"9" * 5000)
@example(content=b"\x00 7")
@example(content=b"")
def test_a_high_water_mark_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A spoilt mark is a named failure that says what to run; it never counts as no mark at all."""
    path = tmp_path_factory.getbasetemp() / "high-water"
    path.write_bytes(content)
    try:
        mark = HighWater(path).read()
    except StoreError as error:
        assert str(path) in str(error)
    else:
        assert mark is not None
        assert mark.attempts >= 0


def test_a_folder_in_the_place_of_the_mark_is_refused(tmp_path: Path) -> None:
    """What is no file is a named failure."""
    with pytest.raises(StoreError, match="cannot be read"):
        HighWater(tmp_path).read()
