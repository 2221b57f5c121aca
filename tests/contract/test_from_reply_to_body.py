"""The whole way from whatever a vendor holds to the body of a PUT, held against the contract."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import orjson
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.mapping.mapper import map_reply, status_note
from syncd.model.communication import ThreadStatus, thread_update
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Attachment, Author, AuthorKind, Body, BodyFormat, Reply, Ticket, Visibility
from syncd.testing.sandbox_rules import parse_body

CONTRACT = yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text())
VALIDATOR = jsonschema.Draft4Validator(
    {"$ref": "#/components/schemas/Communication", "components": CONTRACT["components"]}
)
ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "UTC", "America/St_Johns", "Pacific/Chatham")]

# Any code point there is: NUL, controls, halves of surrogate pairs, directions, everything.
anything = st.text(alphabet=st.characters(exclude_categories=()), max_size=300)
named = st.none() | anything
instants = st.datetimes(timezones=st.just(UTC))
attachments = st.builds(Attachment, name=anything, size_bytes=st.none() | st.integers(0, 2**40), link=named)
replies = st.builds(
    Reply,
    id=st.text(min_size=1),
    author=st.builds(Author, kind=st.sampled_from(AuthorKind), name=named),
    visibility=st.just(Visibility.PUBLIC),
    body=st.builds(Body, text=anything, format=st.sampled_from(BodyFormat)),
    created_at=instants,
    subject=named,
    vendor_channel=named,
    attachments=st.lists(attachments, max_size=3).map(tuple),
)
tickets = st.builds(
    Ticket, id=st.text(min_size=1), number=anything.filter(bool), link=named, subject=named, assignee=named
)


def check(body: dict[str, str]) -> None:
    """Hold a body against the contract's schema and the sandbox's rules, after a trip through JSON."""
    sent = orjson.dumps(body)
    assert orjson.loads(sent) == body
    VALIDATOR.validate(body)
    assert parse_body(sent) == body


@given(reply=replies, ticket=tickets, status=st.sampled_from(ThreadStatus), zone=st.sampled_from(ZONES))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_vendor_holds_becomes_a_body_of_the_contract(reply, ticket, status, zone) -> None:
    """Any Unicode in any field, NUL and controls, empty texts: the body is valid and can be sent."""
    check(thread_update(map_reply(reply, ticket, SystemPolicy("desk")), status, zone))


@given(ticket=tickets, status=st.sampled_from(ThreadStatus), at=instants, text=anything)
@settings(max_examples=100, deadline=None)
def test_a_status_note_is_a_body_of_the_contract(ticket, status, at, text) -> None:
    """Whatever the ticket is called and the note's text holds, its body is valid."""
    policy = SystemPolicy("desk", status_note_text=text)
    note = status_note(policy, status, subject=ticket.subject, number=ticket.number, link=ticket.link, occurred_at=at)
    check(thread_update(note, status, ZONES[0]))


@pytest.mark.parametrize("form", list(BodyFormat))
@pytest.mark.parametrize("piece", ["ä", "word ", "<", "<p>line</p>\n", "> quoted\n", "\0", "&amp;", '"'])
def test_a_megabyte_becomes_a_body_of_the_contract(form, piece) -> None:
    """A megabyte of anything is mapped whole and stays valid."""
    text = piece * (1_000_000 // len(piece.encode()))
    reply = Reply(
        "1", Author(AuthorKind.CUSTOMER), Visibility.PUBLIC, Body(text, form), datetime(2026, 3, 2, tzinfo=UTC)
    )
    check(thread_update(map_reply(reply, Ticket("1", "1"), SystemPolicy("desk")), ThreadStatus.ONGOING, ZONES[0]))
