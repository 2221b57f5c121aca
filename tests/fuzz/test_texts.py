"""Whatever text a vendor hands over: what is made of it can be sent, stored and read, and it loses no plain word."""

import unicodedata
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.mapping.history import without_history
from syncd.mapping.mapper import fingerprint, map_reply, status_note, thread_status
from syncd.mapping.markup import html_to_text
from syncd.mapping.tags import strip_tags
from syncd.mapping.text import clean, is_blank, one_line, tidy
from syncd.model.communication import Message, ThreadStatus, thread_update
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Attachment, Author, AuthorKind, Body, BodyFormat, Reply, Ticket, Visibility
from tests.fuzz.material import TEXTS, WORDS
from tests.fuzz.runs import fuzz

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
FORMATS = st.sampled_from(BodyFormat)
POLICY = SystemPolicy("desk", channels={}, statuses={})


def unsendable(text: str) -> list[str]:
    """Return the characters of a text that no reader should get: controls, surrogates, and those that turn a line."""
    return [char for char in text if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t"]


def reply_of(text: str, body_format: BodyFormat, **fields: object) -> Reply:
    """Return a customer's reply with a text."""
    values: dict[str, object] = {
        "id": "1",
        "author": Author(AuthorKind.CUSTOMER, "Carla"),
        "visibility": Visibility.PUBLIC,
        "body": Body(text, body_format),
        "created_at": AT,
    }
    return Reply(**(values | fields))


TICKETS = st.builds(
    Ticket,
    id=st.just("1"),
    number=TEXTS.filter(bool),
    link=st.none() | TEXTS,
    subject=st.none() | TEXTS,
    vendor_status=TEXTS,
    status=st.none() | st.sampled_from(ThreadStatus),
    assignee=st.none() | TEXTS,
    updated_at=st.just(AT),
)
REPLIES = st.builds(
    Reply,
    id=st.just("1"),
    author=st.builds(Author, st.sampled_from(AuthorKind), st.none() | TEXTS),
    visibility=st.just(Visibility.PUBLIC),
    body=st.builds(Body, TEXTS, FORMATS),
    created_at=st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    subject=st.none() | TEXTS,
    vendor_channel=st.none() | TEXTS,
    attachments=st.lists(
        st.builds(Attachment, TEXTS, st.none() | st.integers(), st.none() | TEXTS, st.none() | TEXTS), max_size=3
    ).map(tuple),
    first_message=st.booleans(),
)


def check_sendable(message: Message) -> None:
    """Hold a communication against what the API, the database and a reader bear."""
    for text in (message.subject, message.content, message.agent, message.ticket_number, message.ticket_link):
        assert not unsendable(text or "")
        (text or "").encode()
    assert not is_blank(message.subject)
    assert not is_blank(message.content)
    assert "\n" not in message.subject
    assert orjson.dumps(thread_update(message, ThreadStatus.ONGOING, BERLIN))


@fuzz(40)
@given(REPLIES, TICKETS)
def test_every_reply_makes_a_communication_that_can_be_sent(reply: Reply, ticket: Ticket) -> None:
    """No reply raises: subject and content are never empty and hold nothing that cannot travel."""
    check_sendable(map_reply(reply, ticket, POLICY))
    assert thread_status(ticket, POLICY)[0] in ThreadStatus
    assert fingerprint(reply) == fingerprint(reply)


@fuzz(13)
@given(TEXTS, TEXTS, TEXTS)
def test_every_status_note_can_be_sent(text: str, subject: str, number: str) -> None:
    """Whatever the operator wrote as the text of a note and the vendor as its ticket, the note can be sent."""
    policy = SystemPolicy("desk", channels={}, statuses={}, status_note_text=text)
    check_sendable(status_note(policy, ThreadStatus.CLOSED, subject, number, link=None, occurred_at=AT))


@fuzz(40)
@given(TEXTS)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    """What was cleaned, tidied or put on one line stays as it is, so a text read again does not look edited."""
    for once in (clean, one_line, tidy):
        assert once(once(text)) == once(text)
    assert tidy(clean(tidy(clean(text)))) == tidy(clean(text))


@fuzz(40)
@given(TEXTS)
def test_html_becomes_clean_and_tidy_text(markup: str) -> None:
    """No markup raises, and what comes out is clean and tidy, whichever way it went."""
    for text in (html_to_text(markup), tidy(clean(strip_tags(clean(markup))))):
        assert not unsendable(text)
        assert tidy(clean(text)) == text
        assert "\ufdd0" not in text
        assert "\ufdd1" not in text


@fuzz(26)
@given(
    st.lists(st.tuples(WORDS, st.sampled_from(("p", "div", "b", "td", "li", "blockquote", "h1", "span"))), min_size=1)
)
def test_the_words_of_well_formed_html_survive(parts: list[tuple[str, str]]) -> None:
    """Each word between tags that show it stands in the text, in the same order."""
    text = html_to_text("".join(f"<{tag}>{word}</{tag}> " for word, tag in parts))
    told = [word for word in text.split() if word not in {">", "*"}]
    assert told == [word for word, _ in parts]


@fuzz(26)
@given(st.lists(WORDS, min_size=1), TEXTS, FORMATS)
def test_the_words_before_any_other_text_survive(words: list[str], rest: str, body_format: BodyFormat) -> None:
    """What a customer wrote first is sent, whatever the rest is: no rest makes the beginning vanish."""
    sent = map_reply(reply_of(f"{' '.join(words)}\n\n{rest}", body_format, first_message=True), TICKET, POLICY).content
    assert " ".join(sent.split()).startswith(" ".join(words))


@fuzz(40)
@given(TEXTS)
@example("> a")
def test_history_is_cut_at_the_end_alone(text: str) -> None:
    """What is left of a text without its history is the beginning of it, and never nothing."""
    text = tidy(clean(text))
    left = without_history(text)
    assert text.startswith(left.rstrip())
    assert is_blank(left) == is_blank(text)


TICKET = Ticket(id="1", number="HD-1", link=None, subject="Locker", vendor_status="open", updated_at=AT)
pytestmark = pytest.mark.filterwarnings("error")
