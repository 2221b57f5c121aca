"""The contract's error body is read without trust."""

import json
import unicodedata
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.model.api_error import LARGEST_BODY, parse_api_error
from syncd.model.typed_arg import (
    LONGEST_TEXT,
    MOST_ITEMS,
    Money,
    MonthDay,
    Term,
    TypedArgType,
    parse_typed_arg,
    plain_text,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def error_of(**fields):
    """Parse an error body with these fields."""
    return parse_api_error(json.dumps({"errorMessage": "no"} | fields).encode())


def harmless(text: str) -> bool:
    """Tell whether a terminal and a log can show this as one line."""
    return all(unicodedata.category(char) not in {"Cc", "Cs", "Cf", "Zl", "Zp"} for char in text)


def test_a_whole_error_is_one_line():
    """Message, field, code and trace id are what an operator reads."""
    error = error_of(errorMessage="Customer\nnot found", errorCode="E.1", traceId="abc", reference="parent.child")
    assert str(error) == "Customer not found (at parent.child, code E.1, trace abc)"
    assert (error.message, error.code, error.trace_id, error.reference) == (
        "Customer not found",
        "E.1",
        "abc",
        "parent.child",
    )


def test_a_message_alone_is_enough():
    """Only errorMessage is required, and an empty one is said to be none."""
    assert str(error_of()) == "no"
    assert str(error_of(errorMessage=" ")) == "no message"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'"errorMessage"',
        b"{}",
        b'{"errorMessage": null}',
        b'{"errorMessage": 5}',
        b'{"errorMessage": ["no"]}',
        b'{"message": "no"}',
        b'{"errorMessage": "no"',
        b'{"errorMessage": "no"} trailing',
        b"[" * 200_000,
        b'{"errorMessage":' * 20_000,
        b'{"errorMessage": "' + b"x" * LARGEST_BODY + b'"}',
    ],
)
def test_what_is_not_the_contracts_error_is_none(body):
    """No object with a text errorMessage: not the API's words."""
    assert parse_api_error(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"errorMessage": "no"}',
        b'{"errorMessage": "no", "errorCode": {"a": 1}, "traceId": [], "reference": true}',
        b'{"errorMessage": "no", "args": "x", "typedArgs": 5}',
    ],
)
def test_broken_extras_do_not_hide_the_error(body):
    """A byte order mark and fields of the wrong kind leave a good error."""
    assert str(parse_api_error(body)) == "no"


def test_broken_bytes_and_lone_surrogates_still_give_a_message():
    """Text that cannot be encoded is replaced, not refused."""
    assert parse_api_error(b'{"errorMessage": "a\xffb"}').message == "a\ufffdb"
    assert parse_api_error(b'{"errorMessage": "a\\ud800b"}').message == "a\ufffdb"


def test_escape_sequences_and_controls_are_neutralised():
    """No message can colour a terminal, move its cursor, set its title, or turn a line around."""
    text = "\x1b[31mred\x1b[0m \x1b]0;title\x07ok \x9b2J a\x00b\x08 \u202eevil\u2028next \x1bc"
    error = error_of(errorMessage=text, errorCode="c\x1b[1m", traceId="t\r\nSet: x", reference="\x1b[2J")
    assert str(error) == "red ok a\ufffdb\ufffd \ufffdevil next (code c, trace t Set: x)"
    assert harmless(str(error))


def test_texts_and_lists_are_capped():
    """However much an answer holds, an error stays small."""
    error = error_of(
        errorMessage="m" * 10_000,
        args=["a" * 1000] * 100,
        typedArgs=[{"type": "STRING_" * 50, "value": "v" * 1000}] * 100,
    )
    assert len(error.message) == LONGEST_TEXT
    assert error.message.endswith("…")
    assert len(error.args) == len(error.typed_args) == MOST_ITEMS
    assert all(len(arg) <= LONGEST_TEXT for arg in error.args)
    assert all(len(arg.text) <= LONGEST_TEXT and len(arg.type) <= 50 for arg in error.typed_args)


def test_deep_args_are_cut():
    """Nesting ends at a depth that anything can walk."""
    assert error_of(args=[[[[[[[["deep"]]]]]]]]).args == ([[[["…"]]]],)


def test_args_stay_out_of_text_and_repr():
    """Arguments may be a person's data: neither str nor repr shows them."""
    error = error_of(args=["Erika Muster"], typedArgs=[{"type": "STRING", "value": "1 Jan 1980"}])
    assert "Muster" not in repr(error) + str(error)
    assert "1980" not in repr(error) + str(error) + repr(error.typed_args)


@pytest.mark.parametrize(
    ("kind", "raw", "value", "text"),
    [
        ("TIMESTAMP", "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        ("TIMESTAMP", 0, datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01T00:00:00+00:00"),
        (
            "TIMESTAMP",
            "2022-06-22T08:00:00.000+02:00[Europe/Berlin]",
            datetime(2022, 6, 22, 6, tzinfo=UTC),
            "2022-06-22T08:00:00+02:00",
        ),
        ("BOOLEAN", True, True, "true"),
        ("BOOLEAN", "FALSE", False, "false"),
        ("DATE", "2026-02-28", date(2026, 2, 28), "2026-02-28"),
        ("DATE", [2026, 2, 28], date(2026, 2, 28), "2026-02-28"),
        ("MONTH_DAY", "--02-29", MonthDay(2, 29), "--02-29"),
        ("MONTH_DAY", {"month": 12, "day": 24}, MonthDay(12, 24), "--12-24"),
        ("TIME", "08:30", time(8, 30), "08:30:00"),
        ("TIME", [8, 30, 5], time(8, 30, 5), "08:30:05"),
        ("TERM", {"value": 12, "unit": "MONTH"}, Term(12, "MONTH"), "12 MONTH"),
        ("TERM_LIST", [{"value": 1, "unit": "DAY"}, {"value": 2, "unit": "WEEK"}],
         (Term(1, "DAY"), Term(2, "WEEK")), "1 DAY, 2 WEEK"),
        ("INTEGER", 5, 5, "5"),
        ("INTEGER", "-7", -7, "-7"),
        ("DECIMAL", "1.10", Decimal("1.10"), "1.10"),
        ("DECIMAL", 1.5, Decimal("1.5"), "1.5"),
        ("STRING", "a\x1b[1mb", "ab", "ab"),
        ("MONEY", {"amount": "9.90", "currency": "EUR"}, Money(Decimal("9.90"), "EUR"), "9.90 EUR"),
        ("LIMITABLE_CONFIG_PROPERTY", {"name": "x"}, {"name": "x"}, '{"name": "x"}'),
        ("I18N_KEY", "some.key", "some.key", "some.key"),
        ("I18N_KEY_LIST", ["a", "b"], ("a", "b"), "a, b"),
        ("PERMISSION_LIST", ["COMMUNICATION_WRITE"], ("COMMUNICATION_WRITE",), "COMMUNICATION_WRITE"),
        ("ENUM", "OPEN", "OPEN", "OPEN"),
        ("AVAILABILITY_LIST", [{"day": "MONDAY"}], ({"day": "MONDAY"},), '{"day": "MONDAY"}'),
    ],
)  # fmt: skip
def test_every_type_is_read_plain_and_wrapped(kind, raw, value, text):
    """Each of the seventeen types becomes a value, bare or wrapped in an object of one field."""
    for shape in (raw, {"value": raw}):
        arg = parse_typed_arg({"type": kind, "value": shape})
        if kind != "LIMITABLE_CONFIG_PROPERTY" or shape is raw:
            assert (arg.type, arg.value, arg.text) == (kind, value, text)


def test_no_type_is_forgotten():
    """The test above and the parsers know all seventeen."""
    cases = test_every_type_is_read_plain_and_wrapped.pytestmark[0].args[1]
    assert {case[0] for case in cases} == {kind.value for kind in TypedArgType}
    assert len(TypedArgType) == 17


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"type": "DATE", "value": "tomorrow"}, "tomorrow"),
        ({"type": "DATE", "value": "2026-02-30"}, "2026-02-30"),
        ({"type": "TIMESTAMP", "value": 1e30}, "1e+30"),
        ({"type": "MONEY", "value": {"amount": "x", "currency": "EUR"}}, '{"amount": "x", "currency": "EUR"}'),
        ({"type": "DECIMAL", "value": "NaN"}, "NaN"),
        ({"type": "INTEGER", "value": True}, "true"),
        ({"type": "TERM_LIST", "value": "x"}, "x"),
        ({"type": "COLOUR", "value": "red"}, "red"),
        ({"type": 5, "value": "x"}, "x"),
        ({"value": "x"}, "x"),
        ({"type": "STRING"}, "null"),
        ("bare", "bare"),
        (None, "null"),
    ],
)
def test_what_does_not_fit_its_type_is_still_told(raw, text):
    """An unknown type or a malformed value has no value and a readable text."""
    arg = parse_typed_arg(raw)
    assert arg.value is None
    assert arg.text == text


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text().map(lambda text: b'{"errorMessage":' + text.encode("utf-8", "replace")))
def test_no_bytes_break_the_reading(data):
    """Any bytes at all are an error or are none, and nothing else happens."""
    error = parse_api_error(data)
    assert error is None or harmless(str(error))


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {"errorMessage": st.text(st.characters())},
        optional={
            "errorCode": JSON,
            "traceId": JSON,
            "reference": JSON,
            "args": JSON,
            "typedArgs": st.lists(
                st.fixed_dictionaries({"type": st.sampled_from([*TypedArgType, "OTHER"]), "value": JSON}) | JSON,
                max_size=5,
            )
            | JSON,
        },
    )
)
def test_any_error_body_gives_a_good_line(fields):
    """Whatever the fields hold, the error is one harmless line of bounded length, and so is every argument."""
    error = parse_api_error(json.dumps(fields).encode())
    assert error is not None
    assert harmless(str(error))
    assert 0 < len(str(error)) < 2 * LONGEST_TEXT + 1000
    assert all(harmless(arg.text) and len(arg.text) <= LONGEST_TEXT for arg in error.typed_args)


@settings(deadline=None)
@given(st.text(st.characters()))
def test_plain_text_is_one_harmless_line(text):
    """No character that a terminal obeys comes through, and plain_text changes its own result no more."""
    line = plain_text(text)
    assert harmless(line)
    assert len(line) <= LONGEST_TEXT
    assert plain_text(line) == line
