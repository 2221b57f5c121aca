"""Fields of a vendor's JSON are of the type that is expected, or refused with their place and without their text."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from syncd.model.errors import UnexpectedAnswer
from syncd.sources.adapter import Response
from syncd.sources.records import Record, record_of, records_of

ODD = [True, 5, 1.5, "hush", [], ["hush"], {}, {"hush": 1}]


def record(**fields):
    """Return a record of these fields."""
    return Record(fields, "/tickets/1")


@pytest.mark.parametrize(
    ("method", "good"),
    [
        ("find_key", (5, "hush")),
        ("find_text", ("hush",)),
        ("find_int", (5,)),
        ("find_instant", ()),
        ("find_epoch", (5, 1.5)),
        ("find_record", ({}, {"hush": 1})),
        ("find_records", ([],)),
    ],
)
def test_a_field_of_another_type_is_refused(method, good):
    """Whatever is not the expected type is an UnexpectedAnswer that names record and field, and nothing of the text."""
    for value in [
        one for one in ODD if not any(one is fine or (type(one) is type(fine) and one == fine) for fine in good)
    ]:
        with pytest.raises(UnexpectedAnswer, match="/tickets/1: x") as caught:
            getattr(record(x=value), method)("x")
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["key", "text", "int", "instant", "epoch", "record"])
def test_what_must_be_there_and_is_not(name):
    """`get_` refuses a missing and a null field, `find_` returns None."""
    for empty in (record(), record(x=None)):
        assert getattr(empty, f"find_{name}")("x") is None
        with pytest.raises(UnexpectedAnswer, match="/tickets/1 has no x"):
            getattr(empty, f"get_{name}")("x")


def test_ids_are_texts():
    """An id is the same text whether it comes as a number or as text; zero is one."""
    assert (record(x=17).get_key("x"), record(x="17").get_key("x"), record(x=0).get_key("x")) == ("17", "17", "0")


def test_numbers_may_be_digits():
    """A count that comes as digits is a number; other texts are none."""
    assert record(x="12").get_int("x") == 12
    with pytest.raises(UnexpectedAnswer):
        record(x="12a").get_int("x")


@pytest.mark.parametrize("value", ["true", "1", 1, "yes", None, [True]])
def test_only_true_is_true(value):
    """Nothing but JSON's true is true, so that what cannot be read makes nothing public."""
    assert not record(x=value).is_true("x")
    assert record(x=True).is_true("x")


def test_flags_of_other_kinds():
    """A yes or no may be a number or a word; anything else is neither."""
    assert [record(x=value).find_flag("x") for value in (1, "1", True, "true", "True")] == [True] * 5
    assert [record(x=value).find_flag("x") for value in (0, "0", False, "FALSE")] == [False] * 4
    assert [record(x=value).find_flag("x") for value in (2, "maybe", None, [], {}, 1.0)] == [None] * 6


@pytest.mark.parametrize(
    "text",
    ["2026-03-02T09:00:00Z", "2026-03-02T09:00:00.000+0000", "2026-03-02 10:00:00+01:00", "2026-03-02T19:00:00.0+1000"],
)
def test_times_are_aware(text):
    """A time with an offset, however it is written, is that instant."""
    assert record(x=text).get_instant("x") == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_times_without_an_offset_are_in_a_zone():
    """A time without an offset is read in the zone that the adapter knows."""
    at = record(x="2026-07-02 09:00:00").get_instant("x", ZoneInfo("Europe/Berlin"))
    assert at == datetime(2026, 7, 2, 7, tzinfo=UTC)


@pytest.mark.parametrize("value", [1_767_225_600.5, "1767225600.5", 1_767_225_600_500])
def test_unix_times(value):
    """Unix seconds come whole, broken or as text, or as milliseconds."""
    per_second = 1000 if value == 1_767_225_600_500 else 1
    assert record(x=value).get_epoch("x", per_second) == datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)


def test_places_go_down():
    """A message names the whole way to the field that is wrong."""
    with pytest.raises(UnexpectedAnswer, match=r"/tickets/1: replies\[1\]: author has no id"):
        record(replies=[{}, {"author": {}}]).get_records("replies")[1].get_record("author").get_key("id")


@pytest.mark.parametrize("body", [b"[]", b"1", b'"hush"', b"null"])
def test_an_answer_of_another_kind(body):
    """An answer that is no object, or no list, where one is expected is refused."""
    with pytest.raises(UnexpectedAnswer) as caught:
        record_of(Response(200, {}, body, "/x"))
    assert "hush" not in str(caught.value)
    with pytest.raises(UnexpectedAnswer):
        records_of(Response(200, {}, b'{"error": 1}', "/x"))
