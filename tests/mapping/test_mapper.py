"""What a reply, a status and a note become."""

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.mapping.mapper import AUTHOR_UNKNOWN, NO_TEXT, fingerprint, map_reply, status_note, thread_status
from syncd.model.communication import Channel, Direction, Message, ThreadStatus, thread_update
from syncd.model.policy import SystemPolicy
from syncd.model.ticket import Attachment, Author, AuthorKind, Body, BodyFormat, Reply, Ticket

MakeReply = Callable[..., Reply]
POLICY = SystemPolicy("support")
TICKET = Ticket(
    "77",
    "A-77",
    "https://desk.example.com/t/77",
    "Drucker streikt",
    "open",
    ThreadStatus.ONGOING,
    assignee="Max Muster",
)
ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("own", "of_ticket", "expected"),
    [
        ("Re: Rechnung", "Drucker", "Re: Rechnung"),
        (" \n", "Drucker\r\n streikt", "Drucker streikt"),
        (None, "Drucker", "Drucker"),
        ("\u200b", None, "Ticket A-77"),
        (None, "  ", "Ticket A-77"),
        ("Re:\x00 x", None, "Re:\ufffd x"),
    ],
)
def test_subject(make_reply: MakeReply, own: str | None, of_ticket: str | None, expected: str) -> None:
    """The reply's own subject, else the ticket's, else its number; on one line."""
    message = map_reply(make_reply(subject=own), replace(TICKET, subject=of_ticket), POLICY)
    assert message.subject == expected


@pytest.mark.parametrize(
    ("kind", "direction", "agent", "flags"),
    [
        (AuthorKind.CUSTOMER, Direction.INCOMING, "Max Muster", ()),
        (AuthorKind.AGENT, Direction.OUTGOING, "Erika Agentin", ()),
        (AuthorKind.SYSTEM, Direction.OUTGOING, None, ()),
        (AuthorKind.UNKNOWN, Direction.INCOMING, None, (AUTHOR_UNKNOWN,)),
    ],
)
def test_author(
    make_reply: MakeReply, kind: AuthorKind, direction: Direction, agent: str | None, flags: tuple[str, ...]
) -> None:
    """Who wrote decides the direction and the agent; an unknown author comes in with a flag."""
    message = map_reply(make_reply(author=Author(kind, "Erika\n Agentin")), TICKET, POLICY)
    assert (message.direction, message.agent, message.flags) == (direction, agent, flags)


def test_no_agent_is_invented(make_reply: MakeReply) -> None:
    """Without an assignee, or with an agent who has no name, the field is absent."""
    assert map_reply(make_reply(), replace(TICKET, assignee=" "), POLICY).agent is None
    assert map_reply(make_reply(author=Author(AuthorKind.AGENT)), TICKET, POLICY).agent is None


@pytest.mark.parametrize(
    ("word", "channel"),
    [
        ("api", Channel.CHAT),
        ("API", Channel.OTHER),
        ("Api", Channel.CHAT),
        ("web", Channel.EMAIL),
        (None, Channel.EMAIL),
    ],
)
def test_channel(make_reply: MakeReply, word: str | None, channel: Channel) -> None:
    """The settings decide by the vendor's exact word, then by it in lower case, else the adapter does."""
    policy = replace(POLICY, channels={"api": Channel.CHAT, "API": Channel.OTHER})
    assert map_reply(make_reply(channel=Channel.EMAIL, vendor_channel=word), TICKET, policy).channel is channel


def test_ticket_and_time_are_taken_over(make_reply: MakeReply) -> None:
    """The reply's time, the ticket's number without control characters, and its link."""
    at = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    message = map_reply(make_reply(created_at=at), replace(TICKET, number="A\n7", link="https://x.de/7"), POLICY)
    assert message.occurred_at is at
    assert (message.ticket_number, message.ticket_link) == ("A 7", "https://x.de/7")
    assert map_reply(make_reply(), replace(TICKET, link=None), POLICY).ticket_link is None


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//x.de/7",
        "/tickets/7",
        "https://",
        "https://[/7",
        "https://user:pass@x.de/7",
        "https://x.de/7\r\nSet-Cookie: a=b",
        "https://x.de/\x00",
        "https://x.de/\x9b31m",
        "https://x.de/\u202e7",
        "https://x.de/\ud800",
    ],
)
def test_a_link_that_is_no_web_address_is_left_out(make_reply: MakeReply, link: str) -> None:
    """What a vendor calls the ticket's link is clicked by people: other schemes and controls never reach the API."""
    assert map_reply(make_reply(), replace(TICKET, link=link), POLICY).ticket_link is None
    note = status_note(POLICY, ThreadStatus.CLOSED, None, "7", link=link, occurred_at=AT)
    assert note.ticket_link is None


@pytest.mark.parametrize(
    ("text", "body_format", "content"),
    [
        ("Hallo,\r\n\r\nTag < b > &amp;  \r\n", BodyFormat.TEXT, "Hallo,\n\nTag < b > &amp;"),
        ("<p>Hallo &amp; <b>Tag</b></p>", BodyFormat.HTML, "Hallo & Tag"),
        ("# Titel\n\n* **fett**\n", BodyFormat.MARKDOWN, "# Titel\n\n* **fett**"),
        ("  ", BodyFormat.TEXT, NO_TEXT),
        ("<div><br></div>", BodyFormat.HTML, NO_TEXT),
        ("\u200b", BodyFormat.MARKDOWN, NO_TEXT),
        ("a\x00b", BodyFormat.TEXT, "a\ufffdb"),
    ],
    ids=["text", "html", "markdown", "empty", "empty html", "invisible", "control"],
)
def test_content(make_reply: MakeReply, text: str, body_format: BodyFormat, content: str) -> None:
    """Each format becomes plain text; tags are taken from HTML alone; nothing becomes words."""
    assert map_reply(make_reply(text, body_format), TICKET, POLICY).content == content


def test_attachments_are_listed_at_the_end(make_reply: MakeReply) -> None:
    """Each file has a line with what is known of it: name, size and link."""
    files = (
        Attachment("Rechnung\n Mai.pdf", 12_345, "application/pdf", "https://x.de/a?sig=1 2"),
        Attachment("foto\u202egpj.exe", 2_500_000),
        Attachment(" ", 999),
        Attachment("leer.txt", None),
    )
    listed = (
        "Attachments:\n- Rechnung Mai.pdf (12 kB) https://x.de/a?sig=1%202\n- fotogpj.exe (2.5 MB)\n"
        "- (unnamed) (999 bytes)\n- leer.txt"
    )
    assert map_reply(make_reply("Anbei.", attachments=files), TICKET, POLICY).content == f"Anbei.\n\n{listed}"
    assert map_reply(make_reply("", attachments=files), TICKET, POLICY).content == listed


HISTORY = "Ja.\n\nAm 23.11.2026 um 10:00 schrieb Max:\n> Ist er an?"


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({}, "Ja."),
        ({"subject": "Re: Drucker"}, "Ja."),
        ({"subject": "WG: Drucker"}, HISTORY),
        ({"first_message": True}, HISTORY),
    ],
    ids=["reply", "answer", "forward", "first message"],
)
def test_history_is_cut_from_answers_alone(make_reply: MakeReply, fields: dict[str, object], content: str) -> None:
    """A first message and a forward keep what they quote, since the thread does not have it yet."""
    assert map_reply(make_reply(HISTORY, **fields), TICKET, POLICY).content == content


@pytest.mark.parametrize(
    ("word", "by_adapter", "expected"),
    [
        ("Wartend", ThreadStatus.CLOSED, (ThreadStatus.CREATED, False)),
        (" wartend", None, (ThreadStatus.CREATED, False)),
        ("solved", ThreadStatus.CLOSED, (ThreadStatus.CLOSED, False)),
        ("weird", None, (ThreadStatus.ONGOING, True)),
        (None, None, (ThreadStatus.ONGOING, True)),
        (None, ThreadStatus.CREATED, (ThreadStatus.CREATED, False)),
    ],
)
def test_thread_status(word: str | None, by_adapter: ThreadStatus | None, expected: tuple[ThreadStatus, bool]) -> None:
    """The settings come first in any case of letters, then the adapter; an unknown word is ONGOING and said so."""
    policy = replace(POLICY, statuses={"WARTEND": ThreadStatus.CREATED})
    assert thread_status(replace(TICKET, vendor_status=word, status=by_adapter), policy) == expected


def test_status_note() -> None:
    """A note is an outgoing message of no channel, with the status in words and the ticket's own data."""
    note = status_note(POLICY, ThreadStatus.CLOSED, "Drucker", "A-77", link="https://x.de/77", occurred_at=AT)
    assert note == Message(
        subject="Drucker",
        content="The ticket was closed.",
        direction=Direction.OUTGOING,
        channel=Channel.OTHER,
        occurred_at=AT,
        ticket_number="A-77",
        ticket_link="https://x.de/77",
    )


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("Status {status}: {}, {0}, {name!r}, {", "Status ongoing: {}, {0}, {name!r}, {"),
        ("{status}/{status}", "ongoing/ongoing"),
        ("Ihr Anliegen\r\nist in Arbeit.", "Ihr Anliegen\nist in Arbeit."),
        ("  ", NO_TEXT),
    ],
)
def test_a_note_takes_any_text(text: str, content: str) -> None:
    """Braces of an operator's own are text, and an empty note still says something."""
    policy = replace(POLICY, status_note_text=text)
    note = status_note(policy, ThreadStatus.ONGOING, None, "A-77", link=None, occurred_at=AT)
    assert (note.subject, note.content) == ("Ticket A-77", content)


@pytest.mark.parametrize(
    "edited",
    [
        {"subject": "Re: anderes"},
        {"body": Body("Hallo!", BodyFormat.TEXT)},
        {"body": Body("Hallo https://x.de/b?sig=1", BodyFormat.TEXT)},
        {"body": Body("Hallo https://x.de/a?sig=1", BodyFormat.HTML)},
        {"attachments": (Attachment("b.pdf"),)},
        {"attachments": ()},
    ],
    ids=["subject", "text", "path", "format", "file name", "no file"],
)
def test_an_edit_changes_the_fingerprint(make_reply: MakeReply, edited: dict[str, object]) -> None:
    """What a reader would see differently is another fingerprint."""
    reply = make_reply("Hallo https://x.de/a?sig=1", attachments=(Attachment("a.pdf", 1, None, "https://x.de/f?s=1"),))
    assert fingerprint(replace(reply, **edited)) != fingerprint(reply)


def test_another_signature_is_no_edit(make_reply: MakeReply) -> None:
    """Signed links, line ends, sizes and times may differ at every reading."""
    files = (Attachment("a.pdf", 1, None, "https://x.de/f?s=1"), Attachment("b.pdf"))
    one = make_reply('<img src="https://x.de/a?sig=1&e=2#f">x\r\n', BodyFormat.HTML, attachments=files)
    other = make_reply(
        '<img src="https://x.de/a?sig=3#f">x',
        BodyFormat.HTML,
        attachments=(files[1], Attachment("a.pdf", 2, None, "https://x.de/f?s=2")),
        edited_at=AT,
        author=Author(AuthorKind.AGENT),
    )
    assert fingerprint(one) == fingerprint(other)


def test_the_fingerprint_is_the_same_in_every_process(make_reply: MakeReply) -> None:
    """It is stored, so it may not change with a version of syncd or a start of the process."""
    reply = make_reply("Hallo", subject="Re: Drucker", attachments=(Attachment("a.pdf"),))
    assert fingerprint(reply) == "a81f1cf268da1108d507a63198c18f84d7ef1dda10276a25396cc1e13251bed2"


def assert_fit_to_send(message: Message) -> None:
    """Check that a message holds what the contract wants, in characters that travel."""
    body = thread_update(message, ThreadStatus.ONGOING, ZoneInfo("Europe/Berlin"))
    assert body["subject"].strip()
    assert body["content"].strip()
    assert "\n" not in body["subject"]
    for text in body.values():
        text.encode()
        assert not [char for char in text if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t"]


@settings(deadline=None, max_examples=200)
@given(
    text=ANY_TEXT | st.text(alphabet="<>&;/-!\"'=adivbrtp \n", max_size=80),
    body_format=st.sampled_from(BodyFormat),
    kind=st.sampled_from(AuthorKind),
    names=st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT.filter(bool)),
)
def test_any_reply_becomes_a_fit_message(
    make_reply: MakeReply, text: str, body_format: BodyFormat, kind: AuthorKind, names: tuple[str, str, str, str]
) -> None:
    """Whatever a vendor sends, subject and content are filled and every text can be sent; mapping again is the same."""
    name, subject, link, number = names
    reply = make_reply(
        text,
        body_format,
        author=Author(kind, name),
        subject=subject,
        attachments=(Attachment(name, 1, None, link),) if name else (),
    )
    ticket = Ticket("1", number, link, subject, name, assignee=name)
    message = map_reply(reply, ticket, POLICY)
    assert_fit_to_send(message)
    assert_fit_to_send(
        status_note(
            replace(POLICY, status_note_text=text), ThreadStatus.CLOSED, subject, number, link=link, occurred_at=AT
        )
    )
    assert map_reply(reply, ticket, POLICY) == message
    assert len(fingerprint(reply)) == 64
