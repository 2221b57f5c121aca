"""The body of one PUT, and times as the contract writes them."""

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncd.model.communication import (
    INT64_MAX,
    Channel,
    Direction,
    Message,
    Thread,
    ThreadStatus,
    thread_update,
    zoned_text,
)

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Monrovia",
    "Pacific/Apia", "Pacific/Kiritimati", "America/New_York", "UTC", "Etc/GMT+12",
]  # fmt: skip
WRITTEN = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}[+-]\d{2}:\d{2})\[([A-Za-z0-9_+/-]+)\]", re.ASCII)


def message(**changes) -> Message:
    """Return a whole message."""
    fields = {
        "subject": "Complaint",
        "content": "Two invoices came.",
        "direction": Direction.INCOMING,
        "channel": Channel.EMAIL,
        "occurred_at": datetime(2022, 6, 22, 6, 0, tzinfo=UTC),
        "agent": "Peter Meyer",
        "ticket_number": "A123456",
        "ticket_link": "https://example.com/ticket/A123456",
    }
    return Message(**(fields | changes))


@pytest.mark.parametrize(
    ("instant", "zone", "text"),
    [
        ("2022-06-22T06:00:00+00:00", "Europe/Berlin", "2022-06-22T08:00:00.000+02:00[Europe/Berlin]"),
        ("2022-06-22T09:00:00+03:00", "Europe/Berlin", "2022-06-22T08:00:00.000+02:00[Europe/Berlin]"),
        # The hour that comes twice in autumn.
        ("2025-10-26T00:30:00+00:00", "Europe/Berlin", "2025-10-26T02:30:00.000+02:00[Europe/Berlin]"),
        ("2025-10-26T01:30:00+00:00", "Europe/Berlin", "2025-10-26T02:30:00.000+01:00[Europe/Berlin]"),
        # The hour that does not come in spring.
        ("2025-03-30T00:59:59.999+00:00", "Europe/Berlin", "2025-03-30T01:59:59.999+01:00[Europe/Berlin]"),
        ("2025-03-30T01:00:00+00:00", "Europe/Berlin", "2025-03-30T03:00:00.000+02:00[Europe/Berlin]"),
        # Half an hour of daylight-saving, and the day that Samoa left out.
        ("2025-04-05T15:15:00+00:00", "Australia/Lord_Howe", "2025-04-06T01:45:00.000+10:30[Australia/Lord_Howe]"),
        ("2011-12-30T09:59:59+00:00", "Pacific/Apia", "2011-12-29T23:59:59.000-10:00[Pacific/Apia]"),
        ("2011-12-30T10:00:00+00:00", "Pacific/Apia", "2011-12-31T00:00:00.000+14:00[Pacific/Apia]"),
        ("2025-01-01T00:00:00.123999+00:00", "UTC", "2025-01-01T00:00:00.123+00:00[UTC]"),
        # Offsets with seconds, which the contract cannot write, and the ends of the calendar.
        ("1850-01-01T00:00:00+00:00", "Europe/Berlin", "1850-01-01T00:00:00.000+00:00[UTC]"),
        ("0001-01-01T00:00:00+00:00", "America/New_York", "0001-01-01T00:00:00.000+00:00[UTC]"),
        ("9999-12-31T23:59:59+00:00", "Europe/Berlin", "9999-12-31T23:59:59.000+00:00[UTC]"),
        ("9999-06-30T12:00:00+00:00", "Europe/Berlin", "9999-06-30T14:00:00.000+02:00[Europe/Berlin]"),
    ],
)
def test_times_are_written_in_the_zone(instant, zone, text):
    """Across daylight-saving changes, left-out days and far years the written time is the right one."""
    assert zoned_text(datetime.fromisoformat(instant), ZoneInfo(zone)) == text


def test_a_local_time_in_the_gap_is_the_instant_it_means():
    """A time that the clocks skipped is written as the instant that Python takes it for."""
    skipped = datetime(2025, 3, 30, 2, 30, tzinfo=BERLIN)
    assert zoned_text(skipped, BERLIN) == "2025-03-30T03:30:00.000+02:00[Europe/Berlin]"


@pytest.mark.parametrize(("fold", "offset"), [(0, "+02:00"), (1, "+01:00")])
def test_a_local_time_that_comes_twice_keeps_its_side(fold, offset):
    """Which of the two hours was meant is not lost."""
    twice = datetime(2025, 10, 26, 2, 30, fold=fold, tzinfo=BERLIN)
    assert zoned_text(twice, BERLIN) == f"2025-10-26T02:30:00.000{offset}[Europe/Berlin]"


def test_a_time_without_a_zone_is_refused():
    """Nobody can say which instant it is."""
    with pytest.raises(ValueError, match="without a zone"):
        zoned_text(datetime(2025, 1, 1), BERLIN)  # noqa: DTZ001 - that is what is refused


@settings(deadline=None)
@given(
    st.datetimes(timezones=st.just(UTC)),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(ZONES),
)
@example(datetime(2025, 10, 26, 1, 30, tzinfo=UTC), 60, "Europe/Berlin")
def test_every_instant_is_read_back_as_itself(instant, minutes, zone):
    """Whatever instant, given in whatever offset: the written time has the contract's form and is that instant."""
    if timedelta(days=1) < instant - datetime.min.replace(tzinfo=UTC) < timedelta(days=3652000):
        instant = instant.astimezone(timezone(timedelta(minutes=minutes)))
    match = WRITTEN.fullmatch(zoned_text(instant, ZoneInfo(zone)))
    assert match is not None
    read = datetime.fromisoformat(match[1])
    assert timedelta(0) <= instant - read < timedelta(milliseconds=1)
    assert match[2] in {zone, "UTC"}


def test_the_body_has_the_names_of_the_contract():
    """Every field stands under the contract's name."""
    assert thread_update(message(), ThreadStatus.ONGOING, BERLIN) == {
        "communicationThreadStatus": "ONGOING",
        "ticketNumber": "A123456",
        "subject": "Complaint",
        "content": "Two invoices came.",
        "communicationDirection": "INCOMING",
        "ticketLink": "https://example.com/ticket/A123456",
        "communicationChannel": "EMAIL",
        "agent": "Peter Meyer",
        "communicationDateTime": "2022-06-22T08:00:00.000+02:00[Europe/Berlin]",
    }


@pytest.mark.parametrize("absent", [None, ""])
def test_absent_fields_are_left_out(absent):
    """What is not known is not sent, neither as null nor empty."""
    body = thread_update(message(agent=absent, ticket_number=absent, ticket_link=absent), ThreadStatus.CREATED, BERLIN)
    assert not {"agent", "ticketNumber", "ticketLink"} & body.keys()


def test_a_message_keeps_its_texts_out_of_its_repr():
    """Contents of a communication do not reach logs and tracebacks by way of a repr."""
    text = repr(message())
    assert "Two invoices" not in text
    assert "Complaint" not in text
    assert "Peter" not in text


@pytest.mark.parametrize("ids", [(-1, 1), (1, -1), (INT64_MAX + 1, 1), (1, INT64_MAX + 1)])
def test_ids_outside_64_bits_are_refused(ids):
    """The path carries 64-bit ids alone."""
    with pytest.raises(ValueError, match="64-bit"):
        Thread("berlin", *ids)


def test_the_path_is_the_contracts():
    """The largest ids are written out in full."""
    assert Thread("berlin", INT64_MAX, 0).path == f"/v1/communications/{INT64_MAX}/threads/0"
