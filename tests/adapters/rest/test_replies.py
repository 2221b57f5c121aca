"""Replies: from where they are, and what their records mean."""

from datetime import timedelta

import pytest

from syncd.model.communication import Channel
from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Attachment, AuthorKind, BodyFormat, TicketRef, Visibility


@pytest.fixture
def ticket(desk):
    """The id of a ticket."""
    return desk.open_ticket(desk.clock.now(), "hello")[0]


@pytest.fixture
async def read(desk, describe, ticket):
    """Return what reads the replies of the ticket with changed settings."""

    async def read_replies(changed=None, since=None, **where):
        adapter = describe(desk, changed, **where)
        found = await adapter.resolve(TicketRef(number=f"T-{ticket}"))
        desk.forget()
        return [reply async for reply in adapter.replies(found, since)]

    return read_replies


async def test_a_record_becomes_a_reply(desk, ticket, read):
    """Every field comes from its expression; a link of a file that is no web address is dropped."""
    files = [
        {"name": "a.pdf", "bytes": 9, "type": "application/pdf", "url": "https://desk.test/a.pdf"},
        {"name": None, "bytes": "9", "url": "javascript:alert(1)"},
    ]
    edited = desk.clock.now() + timedelta(minutes=5)
    key = desk.write(ticket, "<b>hi</b>", html=True, files=files, edited=edited)
    reply = (await read())[1]
    assert (reply.id, reply.author.kind, reply.author.name) == (str(key), AuthorKind.AGENT, "Anna Agent")
    assert (reply.visibility, reply.body.text, reply.body.format) == (Visibility.PUBLIC, "<b>hi</b>", BodyFormat.HTML)
    assert (reply.channel, reply.vendor_channel) == (Channel.EMAIL, "mail")
    assert reply.edited_at == edited.replace(microsecond=0)
    assert reply.attachments == (
        Attachment("a.pdf", 9, "application/pdf", "https://desk.test/a.pdf"),
        Attachment("attachment"),
    )


@pytest.mark.parametrize("where", ["list", "ticket", "ids"])
async def test_the_places_of_replies_tell_the_same(desk, ticket, read, where):
    """Replies in a list of their own, inside the ticket, and asked for by ids are the same replies."""
    for number in range(7):
        desk.write(ticket, str(number), by=(desk.agent, desk.customer)[number % 2])
    found = await read(replies=where)
    assert found == await read(replies="list")
    assert [reply.author.kind.value for reply in found[:3]] == ["customer", "agent", "customer"]
    assert [reply.first_message for reply in found] == [True] + [False] * 7


async def test_the_first_message_may_be_in_the_ticket(desk, ticket, read):
    """A description is the first message, with expressions of its own; a ticket without one has none."""
    desk.write(ticket, "status")
    desk.write(ticket, "Is it on?")
    first, *others = await read(replies="first")
    assert (first.id, first.body.text, first.first_message) == (f"first-T-{ticket}", "hello", True)
    assert [reply.body.text for reply in others] == ["hello", "Is it on?"]
    assert not any(reply.first_message for reply in others)
    desk.change(ticket, description=None)
    assert len(await read(replies="first")) == 2


async def test_an_answer_that_has_no_room_for_all_ids_hides_no_reply(desk, ticket, read):
    """What an answer by ids leaves out is asked for again, until nothing more comes."""
    for number in range(5):
        desk.write(ticket, str(number))
    desk.most_by_ids = 1
    assert [reply.body.text for reply in await read(replies="ids")] == ["hello", "0", "1", "2", "3", "4"]


async def test_a_first_message_with_the_id_of_another_reply_is_a_failure(desk, ticket, read):
    """Where tickets and replies are counted alike, the first message must not swallow the reply of its number."""
    key = desk.write(ticket, "Is it on?", at=desk.clock.now() + timedelta(minutes=1))
    with pytest.raises(UnexpectedAnswer, match=f"replies.first.id gives the id of another reply .{key}."):
        await read({"replies.first.id": "to_string(thread[1].id)"}, replies="first")
    found = await read({"replies.first.id": "to_string(thread[0].id)"}, replies="first")
    assert [reply.body.text for reply in found] == ["hello", "Is it on?"]


@pytest.mark.parametrize("given", [None, 1, "true", [], {}, "yes"])
async def test_only_exactly_true_is_public(desk, ticket, read, given):
    """A reply whose visibility is anything but true is internal."""
    desk.write(ticket, "for colleagues", public=given)
    assert (await read())[1].visibility is Visibility.INTERNAL


async def test_authors_by_a_table(desk, ticket, read):
    """A word is looked up in the table; kinds stand for themselves; what is in neither is unknown."""
    for role in ("Staff", "bot", "customer", "guest", None):
        desk.write(ticket, "text", role=role)
    changed = {"replies.fields.author_kind": "role", "replies.author_kinds": {"staff": "agent", "bot": "system"}}
    kinds = [reply.author.kind.value for reply in await read(changed)]
    assert kinds[1:] == ["agent", "system", "customer", "unknown", "unknown"]


async def test_words_may_be_true_and_numbers(desk, ticket, read):
    """A table may have the words true, false and numbers."""
    desk.write(ticket, "text", role=True)
    desk.write(ticket, "text", role=2)
    changed = {"replies.fields.author_kind": "role", "replies.author_kinds": {"true": "agent", "2": "system"}}
    assert [reply.author.kind.value for reply in await read(changed)][1:] == ["agent", "system"]


async def test_the_ticket_is_at_hand(desk, read):
    """An expression about a reply sees the record of its ticket; only then is that asked for."""
    assert (await read())[0].author.kind is AuthorKind.CUSTOMER
    assert len(desk.requests) == 2
    await read({"replies.fields.author_kind": "'agent'"})
    assert len(desk.requests) == 1


async def test_what_is_skipped_is_no_reply(desk, ticket, read):
    """A record for which `skip` gives exactly true is left out; all others stay."""
    desk.write(ticket, "")
    desk.write(ticket, "text", system=True)
    desk.write(ticket, "text", system="true")
    assert [reply.body.text for reply in await read({"replies.skip": "system"})] == ["hello", "", "text"]


async def test_a_reply_comes_once(desk, ticket, read):
    """A record that stands in the list twice is one reply."""
    key = desk.write(ticket, "text")
    desk.messages[999] = desk.messages[key]
    assert len(await read()) == 2


async def test_replies_are_sorted_by_time(desk, ticket, read):
    """A list that is sorted by something else comes oldest first."""
    desk.write(ticket, "late", at=desk.clock.now() + timedelta(hours=1))
    desk.write(ticket, "early", at=desk.clock.now() - timedelta(hours=1))
    desk._messages_in = lambda _: list(desk.messages.values())
    assert [reply.body.text for reply in await read()] == ["early", "hello", "late"]


async def test_since_is_asked_in_the_way_of_the_system(serve, describe, clock):
    """A list that can begin at a time is asked for it, and is asked for everything without it."""
    desk = await serve(paging="link_header", times="dotted")
    ticket, first = desk.open_ticket(clock.now())
    await clock.sleep(3600)
    desk.write(ticket, "new")
    changed = {"replies.params": {"since": "{since}"}, "replies.fields.first_message": f"id == `{first}`"}
    adapter = describe(desk, changed)
    found = await adapter.resolve(TicketRef(number=f"T-{ticket}"))
    assert len([reply async for reply in adapter.replies(found, None)]) == 2
    assert "since" not in desk.requests[-1][1]
    (reply,) = [reply async for reply in adapter.replies(found, clock.now() - timedelta(minutes=10))]
    assert reply.body.text == "new"
    assert not reply.first_message
    assert desk.requests[-1][1]["since"] == "2026-03-02.09:50:00"


async def test_a_reply_that_was_deleted_is_missed_by_no_other(desk, ticket, read):
    """An id whose reply is not there is left out; if none is there, that is a failure."""
    desk.write(ticket, "one")
    gone = desk.write(ticket, "two")
    shown = desk._shown_ticket
    desk._shown_ticket = lambda one: {**shown(one), "message_ids": [101, 102, 103, 104, gone]}
    del desk.messages[gone]
    assert [reply.body.text for reply in await read(replies="ids")] == ["hello", "one"]
    desk._shown_ticket = lambda one: {**shown(one), "message_ids": [7777, 8888]}
    with pytest.raises(UnexpectedAnswer, match=f"none of the 2 replies of ticket {ticket}"):
        await read(replies="ids")


@pytest.mark.parametrize("where", ["list", "ticket", "ids", "first"])
async def test_a_ticket_that_vanished_is_unavailable(desk, describe, ticket, where):
    """Wherever replies are, those of a deleted ticket are unavailable, and never none."""
    adapter = describe(desk, replies=where)
    found = await adapter.resolve(TicketRef(number=f"T-{ticket}"))
    desk.delete(ticket)
    with pytest.raises(TicketUnavailable):
        _ = [reply async for reply in adapter.replies(found, None)]


@pytest.mark.parametrize(
    ("changed", "where", "told"),
    [
        ({"replies.fields.id": "uid"}, "list", r"replies\.fields\.id gives nothing .*\(reply 1 of ticket {ticket}\)"),
        ({"replies.fields.body": "txt"}, "list", r"replies\.fields\.body gives nothing .* \(reply {reply}\)"),
        ({"replies.fields.created_at": "text"}, "list", r"replies\.fields\.created_at cannot .* \(reply {reply}\)"),
        ({"replies.fields.created_at": "at"}, "list", r"created_at gives nothing where a time is needed"),
        ({"replies.fields.author": "author"}, "list", r"replies\.fields\.author gives an object where a text"),
        ({"replies.fields.attachments.list": "text"}, "list", r"replies\.fields\.attachments gives a text where"),
        ({"replies.rows": "messages"}, "ticket", r"replies\.rows gives nothing where a list is needed"),
        ({"replies.rows": "message_ids"}, "ticket", r"replies\.rows gives a list with a number in it"),
        ({"replies.ids": "thread"}, "ids", r"replies\.ids gives an object where an id is needed \(ticket {ticket}\)"),
        ({"replies.by_ids.rows": "r"}, "ids", r"replies\.by_ids\.rows gives nothing where a list is needed"),
        ({"replies.first.created_at": "nr"}, "first", r"replies\.first\.created_at cannot be read as a time"),
    ],
)
async def test_a_wrong_expression_is_told_by_its_place(read, desk, ticket, changed, where, told):
    """What is wrong is told by place and reply, and never by contents."""
    (reply,) = desk.messages
    with pytest.raises(UnexpectedAnswer, match=told.format(ticket=ticket, reply=reply)) as caught:
        await read(changed, replies=where)
    assert "hello" not in str(caught.value)
