"""The records of Request Tracker as values."""

from datetime import UTC, datetime

import pytest

from adapters._request_tracker_records import (
    Part,
    Transaction,
    body_of,
    channel_of,
    files_of,
    parse_ticket,
    parse_time,
    text_parts,
)
from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import AuthorKind, BodyFormat

BASE = "https://rt.example.test"


def part(key, kind="text/plain", name="", headers=""):
    """Return a part of transaction 7."""
    return Part(key, 7, kind, name, 5, "", headers)


def test_the_epoch_means_not_set():
    """RT has 1970 where others have null."""
    assert parse_time("1970-01-01T00:00:00Z") is None
    assert parse_time("2026-08-01T10:00:00Z") == datetime(2026, 8, 1, 10, tzinfo=UTC)
    assert [parse_time(text) for text in ("", None, "soon", "2026-08-01T10:00:00")] == [None] * 4


@pytest.mark.parametrize(
    ("word", "status"),
    [("new", "CREATED"), ("open", "ONGOING"), ("stalled", "ONGOING"), ("resolved", "CLOSED"), ("rejected", "CLOSED")],
)
def test_the_shipped_statuses_are_known(word, status):
    """The default lifecycle maps to the thread's levels, and the vendor's word is kept."""
    ticket = parse_ticket({"id": "3", "Status": word}, BASE)
    assert (ticket.vendor_status, ticket.status) == (word, ThreadStatus(status))


def test_other_statuses_are_left_to_the_settings():
    """A lifecycle of the site is not guessed at, whatever Resolved says: a reopened ticket keeps that date."""
    assert parse_ticket({"id": 3, "Status": "in review", "Resolved": "2026-08-01T10:00:00Z"}, BASE).status is None


def test_a_ticket_of_a_list_and_one_alone_are_the_same():
    """Ids are text in lists and numbers alone; nobody is the owner called Nobody."""
    owner = {"type": "user", "id": "Nobody", "Name": "Nobody", "RealName": "Nobody in particular"}
    row = {"Status": "open", "Subject": "", "Owner": owner, "LastUpdated": "1970-01-01T00:00:00Z"}
    alone, listed = parse_ticket({**row, "id": 3}, BASE), parse_ticket({**row, "id": "3"}, BASE)
    assert alone == listed
    assert (alone.assignee, alone.subject, alone.updated_at) == (None, None, None)
    assert alone.link == "https://rt.example.test/Ticket/Display.html?id=3"


@pytest.mark.parametrize("row", [{}, {"id": "3"}, {"id": "x", "Status": "open"}, {"id": None, "Status": "open"}])
def test_a_ticket_without_id_or_status_is_an_error(row):
    """Failure is not absence."""
    with pytest.raises(UnexpectedAnswer):
        parse_ticket(row, BASE)


def test_a_transaction_lacks_nothing():
    """Rows without fields are what RT gives when it was not asked for fields."""
    row = {"id": "7", "Type": "Create", "ObjectId": "3", "Created": "2026-08-01T10:00:00Z", "Creator": {"id": "carla"}}
    assert Transaction.parse(row).login == "carla"
    for missing in row:
        with pytest.raises(UnexpectedAnswer):
            Transaction.parse({name: value for name, value in row.items() if name != missing})


def test_the_plain_text_of_alternatives_is_the_body():
    """HTML that stands beside a plain text is the same once more."""
    parts = [part(1, "multipart/alternative"), part(2), part(3, "text/html")]
    assert [found.id for found in text_parts(parts)] == [2]


def test_html_alone_is_the_body():
    """A reply may have no plain text."""
    parts = [part(1, "text/html")]
    assert body_of(text_parts(parts), {1: "<p>Hello</p>"}).format is BodyFormat.HTML


def test_a_text_in_pieces_is_one():
    """Some mailers cut a text around its pictures; no piece is lost."""
    parts = [part(1, "multipart/mixed"), part(2), part(3, "image/png", "a.png"), part(4)]
    assert body_of(text_parts(parts), {2: "above\r\n", 4: "below"}).text == "above\nbelow"


def test_a_message_without_text_has_an_empty_body():
    """A reply may be a file alone, or nothing."""
    assert body_of(text_parts([part(1, "application/pdf", "a.pdf")]), {}).text == ""


def test_files_are_what_has_a_name_or_is_sent_as_one_or_is_no_text():
    """A text with a name is a file, a file may have no name, and what holds others is none."""
    parts = [
        part(1, "multipart/mixed"),
        part(2, "text/plain", "größe 1.txt"),
        part(3, "text/html", headers="X: y\nContent-Disposition: attachment\n"),
        part(4, "image/png", headers="Content-Disposition: inline"),
        part(5, "message/rfc822"),
        part(6),
    ]
    files = files_of(parts, BASE)
    assert [file.name for file in files] == ["größe 1.txt", "attachment 3", "attachment 4"]
    assert files[0].link == "https://rt.example.test/Ticket/Attachment/7/2/gr%C3%B6%C3%9Fe%201.txt"
    assert files[0].size_bytes == 5
    assert [found.id for found in text_parts(parts)] == [6]


@pytest.mark.parametrize(
    ("headers", "kind", "channel", "word"),
    [
        ("X-RT-Interface: Email\n", AuthorKind.CUSTOMER, Channel.EMAIL, "Email"),
        ("A: b\nx-rt-interface: Web\nC: d", AuthorKind.AGENT, Channel.EMAIL, "Web"),
        ("X-RT-Interface: REST", AuthorKind.AGENT, Channel.EMAIL, "REST"),
        ("X-RT-Interface: Web", AuthorKind.CUSTOMER, Channel.OTHER, "Web"),
        ("X-RT-Interface: Mobile", AuthorKind.UNKNOWN, Channel.OTHER, "Mobile"),
        ("Subject: X-RT-Interface: Web", AuthorKind.CUSTOMER, Channel.EMAIL, "unknown"),
        ("", AuthorKind.CUSTOMER, Channel.EMAIL, "unknown"),
    ],
)
def test_the_channel_is_how_it_came_in_and_whether_it_was_mailed(headers, kind, channel, word):
    """What agents write is mailed to the customer; what customers type into the self service is no mail."""
    assert channel_of([part(1, headers=headers)], kind) == (channel, word)
