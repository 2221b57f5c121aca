"""Replies, against a stand-in with the traps of the real one; each test names its trap."""

from urllib.parse import unquote_plus

import pytest

from syncd.model.errors import TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, TicketRef, Unavailability, Visibility


async def replies_of(adapter, ticket, since=None):
    """Return the replies of a ticket."""
    found = await adapter.resolve(TicketRef(number=str(ticket)))
    return [reply async for reply in adapter.replies(found, since)]


async def counted(adapter, work):
    """Return what some work returns, and how many requests it took."""
    before = adapter.http.requests_sent
    return await work, adapter.http.requests_sent - before


async def test_replies_of_what_cannot_be_followed_are_no_empty_list(adapter, server):
    """RT shows an empty history with 200 for what is missing, and the other's for what was merged."""
    target, _ = server.create_ticket("target", "Text")
    for spoil, reason in (
        (lambda key: server.merge(key, target), Unavailability.MERGED),
        (lambda key: server.set_status(key, "deleted"), Unavailability.GONE),
        (lambda key: setattr(server.tickets[key], "queue", "Billing"), Unavailability.FORBIDDEN),
        (server.tickets.pop, Unavailability.GONE),
    ):
        key, _ = server.create_ticket("other", "Text")
        ticket = await adapter.resolve(TicketRef(number=str(key)))
        spoil(key)
        with pytest.raises(TicketUnavailable) as refused:
            [reply async for reply in adapter.replies(ticket, None)]
        assert refused.value.unavailable.reason is reason


async def test_copies_of_mails_are_no_replies(connect, server):
    """RT keeps each mail it sends as a transaction: with the right to see them every reply would come twice."""
    ticket, first = server.create_ticket("Printer", "It does not print.")
    answer = server.write(ticket, "Is it on?")
    found = await replies_of(connect("1-35-agent"), ticket)
    assert [reply.id for reply in found] == [str(first), str(answer)]


async def test_comments_are_internal(adapter, connect, server):
    """A comment never is public; an account that may not see it misses nothing else."""
    ticket, _ = server.create_ticket("Printer", "Text")
    server.write(ticket, "Rings often.", kind="Comment")
    server.write(ticket, "Soon.")
    visible = [(reply.visibility, reply.body.text) for reply in await replies_of(adapter, ticket)]
    public, internal = Visibility.PUBLIC, Visibility.INTERNAL
    assert visible == [(public, "Text"), (internal, "Rings often."), (public, "Soon.")]
    found = await replies_of(connect("1-39-customer"), ticket)
    assert [reply.body.text for reply in found] == ["Text", "Soon."]


async def test_binary_files_are_not_read(adapter, server):
    """A list gives the bytes of a file as garbled text: only texts are asked for their content."""
    ticket, row = server.create_ticket("Printer", None)
    for args in (("", "multipart/mixed"), ("See the file.", "text/plain"), (b"\xff\x00" * 9, "image/png")):
        server.add_part(row, *args, filename="a.png" if args[1] == "image/png" else "")
    (reply,) = await replies_of(adapter, ticket)
    assert reply.body.text == "See the file."
    assert [(file.name, file.size_bytes) for file in reply.attachments] == [("a.png", 18)]
    (contents,) = [url for url in server.asked if url.query.get("fields") == "Content"]
    assert unquote_plus(contents.query["query"]) == '[{"field":"id","operator":"IN","value":[3]}]'


async def test_a_text_that_a_list_leaves_out_is_read_alone_from_base64(adapter, server):
    """`Content` is plain in lists and base64 in the single resource."""
    ticket, row = server.create_ticket("Printer", "Größe <A4>\nÜbergröße")
    server.nodes[0].listed_content = False
    server.add_part(row, "second", "text/plain")
    (reply,) = await replies_of(adapter, ticket)
    assert reply.body.text == "Größe <A4>\nÜbergröße\nsecond"
    assert any(url.path.endswith("/attachment/1") for url in server.asked)


async def test_the_field_parent_is_not_asked_for(adapter, server):
    """RT 5.0.3 answers 500 to a list of attachments with the field Parent."""
    ticket, _ = server.create_ticket("Printer", "Text")
    await replies_of(adapter, ticket)
    assert not any("Parent" in url.query.get("fields", "") for url in server.asked)


async def test_authors_are_asked_for_once_and_by_name(adapter, server):
    """Whether a user is an agent is in no list; the system writes too, and some users cannot be told."""
    ticket, _ = server.create_ticket("Printer", "Text")
    server.users["4711"] = type(server.users["syncd"])(99, "4711", "", 1)
    server.users["a+b/c@x.test"] = type(server.users["syncd"])(98, "a+b/c@x.test")
    server.users["joe+x@customer.test"] = type(server.users["syncd"])(97, "joe+x@customer.test")
    for login in ("peter.meyer", "RT_System", "4711", "a+b/c@x.test", "joe+x@customer.test"):
        server.write(ticket, "Text", by=login)
    customer, agent, system, unknown = AuthorKind.CUSTOMER, AuthorKind.AGENT, AuthorKind.SYSTEM, AuthorKind.UNKNOWN
    found = await replies_of(adapter, ticket)
    assert [reply.author.kind for reply in found] == [customer, agent, system, unknown, unknown, customer]
    assert found[-1].author.name == "joe+x@customer.test"
    _, requests = await counted(adapter, replies_of(adapter, ticket))
    assert requests == 1 + 4


async def test_a_login_of_digits_is_nobody_else(adapter, server):
    """RT looks digits up as a user id, and finds somebody else."""
    ticket, _ = server.create_ticket("Printer", "Text")
    server.users["35"] = type(server.users["syncd"])(99, "35")
    server.write(ticket, "Text", by="35")
    assert (await replies_of(adapter, ticket))[-1].author.kind is AuthorKind.UNKNOWN


async def test_a_merged_ticket_gives_its_replies_to_the_other(adapter, server):
    """They keep their ids, and the other's creation does not end the history."""
    older, first = server.create_ticket("older", "older")
    rows = [server.write(older, f"{number}") for number in range(120)]
    newer, second = server.create_ticket("newer", "newer")
    server.merge(older, newer)
    found = await replies_of(adapter, newer)
    assert sorted(int(reply.id) for reply in found) == [first, *rows, second]
    assert [reply.id for reply in found if reply.first_message] == [str(second)]


@pytest.mark.parametrize("token", ["1-37-reader", "1-14-root"])
async def test_long_histories_end_at_their_newest_row(connect, server, clock, token):
    """Neither a missing `next_page` nor null totals are the end, and root's last page comes again and again."""
    server.most_rows = 7
    ticket, first = server.create_ticket("Printer", "Text")
    rows = [first, *(server.write(ticket, "Text") for _ in range(40))]
    other, _ = server.create_ticket("other", "Text")
    server.merge(other, ticket)
    found = await replies_of(connect(token), ticket)
    assert {int(reply.id) for reply in found} >= set(rows)
    assert len(found) == 42


@pytest.mark.parametrize("token", ["1-37-reader", "1-14-root"])
async def test_a_history_without_a_creation_is_read_to_its_end(connect, server, token):
    """Imported tickets may lack it; root is then given its last page again for every page beyond."""
    server.most_rows = 3
    ticket, first = server.create_ticket("imported", "Text")
    rows = [server.write(ticket, "Text") for _ in range(6)]
    server.rows = [row for row in server.rows if row.id != first]
    assert [int(reply.id) for reply in await replies_of(connect(token), ticket)] == rows


async def test_a_page_that_comes_again_is_an_error(adapter, server):
    """A proxy that drops the page number would make an endless list."""
    server.most_rows, server.stuck = 3, True
    ticket, _ = server.create_ticket("Printer", None)
    row = server.rows[0].id
    for _ in range(7):
        server.add_part(row, "piece", "text/plain")
    with pytest.raises(UnexpectedAnswer, match="again"):
        await replies_of(adapter, ticket)


async def test_large_texts_are_read_in_several_answers(adapter, server):
    """An answer holds eight megabytes of texts at most, unless a single one is larger."""
    ticket, _ = server.create_ticket("Printer", "x" * 5_000_000)
    for size in (5_000_000, 9_000_000, 10):
        server.write(ticket, "x" * size)
    found = await replies_of(adapter, ticket)
    assert [len(reply.body.text) for reply in found] == [5_000_000, 5_000_000, 9_000_000, 10]
    assert sum(url.query.get("fields") == "Content" for url in server.asked) == 4
