"""docs/recipes/roundup.toml against a real Roundup."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import AuthorKind, Ticket, TicketRef, Unavailability, Unavailable, Visibility
from tests.servers.recipes import opened, options_of, read_feed, replies_of

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("roundup")]


@pytest.fixture
def options(roundup):
    """The recipe with the address and the account of the server."""
    options = options_of("roundup")
    options["base_url"] = roundup.base_url
    options["authentication"]["basic"] = {"user": roundup.login("reader"), "secret": roundup.password("reader")}
    options["check"]["params"]["username:"] = roundup.login("reader")
    return options


@pytest.fixture
async def adapter(options):
    """The adapter, signed in as the reader."""
    async with opened(options) as adapter:
        yield adapter


@pytest.fixture
def ticket(roundup):
    """The number of a new issue of the customer."""
    return roundup.create_ticket("Printer", "It does not print.")


def now():
    """Return the present second, as Roundup tells times."""
    return datetime.now(UTC).replace(microsecond=0)


async def test_check_names_the_account(adapter):
    """The account is who signed in."""
    assert (await adapter.check()).account == "syncd"


async def test_an_account_in_another_zone_pauses(roundup, adapter):
    """Where the account's zone would shift the times in questions, nothing is read."""
    roundup.set_time_zone("reader", "-5")
    try:
        with pytest.raises(PauseSystem, match=r"check\.require"):
            await adapter.check()
    finally:
        roundup.set_time_zone("reader", "0")


async def test_a_wrong_password_pauses(options):
    """What Roundup answers with 401 in plain text pauses the system, and the password is not told."""
    options["authentication"]["basic"]["secret"] = "surely-wrong"
    async with opened(options) as stranger:
        with pytest.raises(PauseSystem) as caught:
            await stranger.check()
    assert "surely-wrong" not in str(caught.value)


async def test_an_issue_is_found_by_number_and_link(roundup, adapter, ticket):
    """The number, the designator of mails and the link lead to the same issue."""
    refs = [TicketRef(number=str(ticket)), TicketRef(number=f"[issue{ticket}]")]
    refs.append(TicketRef(link=f"{roundup.base_url}/issue{ticket}?@template=item#msg1"))
    found = [await adapter.resolve(ref) for ref in refs]
    assert found[0] == found[1] == found[2]
    assert (found[0].number, found[0].subject, found[0].link) == (
        str(ticket),
        "Printer",
        f"{roundup.base_url}/issue{ticket}",
    )
    with pytest.raises(InvalidTicketRef):
        await adapter.resolve(TicketRef(link=f"{roundup.base_url}/msg{ticket}"))


async def test_replies_of_both_sides(roundup, adapter, ticket):
    """The first text and the replies come oldest first, with who wrote them, when, and what; all are public."""
    answer = roundup.reply(ticket, "Is it <on>?", by="agent")
    question = roundup.reply(ticket, "Größe?", by="customer")
    replies = await replies_of(adapter, ticket)
    assert [reply.id for reply in replies][1:] == [str(answer), str(question)]
    assert [reply.author.kind for reply in replies] == [AuthorKind.CUSTOMER, AuthorKind.AGENT, AuthorKind.CUSTOMER]
    assert [reply.body.text for reply in replies] == ["It does not print.", "Is it <on>?", "Größe?"]
    assert [reply.first_message for reply in replies] == [True, False, False]
    assert {reply.visibility for reply in replies} == {Visibility.PUBLIC}
    assert replies[1].author.name == "peter.meyer"
    assert all(abs(reply.created_at - now()) < timedelta(minutes=1) for reply in replies)


async def test_a_named_author_is_not_believed(roundup, adapter, ticket):
    """A customer who names the agent as author stays the customer, as the server knows who posted."""
    roundup.reply(ticket, "I am not who I seem.", by="customer", author="agent")
    assert (await replies_of(adapter, ticket))[-1].author.kind is AuthorKind.CUSTOMER


async def test_replies_come_past_the_border_of_a_question(roundup, adapter, ticket):
    """More messages than one question asks for all come, once each."""
    ids = roundup.write_replies(ticket, [now()] * 120)
    found = [int(reply.id) for reply in await replies_of(adapter, ticket)]
    assert found[1:] == ids


async def test_files_of_a_message_are_named(roundup, adapter, ticket):
    """A file that came with a message is told beside it."""
    file = roundup.call("customer", "POST", "/file", {"name": "plan.txt", "content": "text", "type": "text/plain"})
    reply = roundup.reply(ticket, "See there.", by="customer")
    roundup.call(
        "root",
        "PUT",
        f"/msg/{reply}/files",
        {"data": [file["id"]]},
        tag=roundup.call("root", "GET", f"/msg/{reply}")["@etag"],
    )
    (attachment,) = (await replies_of(adapter, ticket))[-1].attachments
    assert attachment.name == "plan.txt"


async def test_the_status_is_mapped(roundup, adapter, ticket):
    """A resolved issue is closed, and a reply opens it again by Roundup's own rule."""
    roundup.set_status(ticket, "resolved")
    closed = await adapter.resolve(TicketRef(number=str(ticket)))
    roundup.reply(ticket, "Not yet.")
    again = await adapter.resolve(TicketRef(number=str(ticket)))
    assert (closed.status, closed.vendor_status) == (ThreadStatus.CLOSED, "resolved")
    assert (again.status, again.vendor_status) == (ThreadStatus.ONGOING, "chatting")


async def test_a_retired_issue_is_gone(roundup, adapter, ticket):
    """An issue that was retired still answers at its address, but it counts as gone, alone and among others."""
    other = roundup.create_ticket("Screen", "It flickers.")
    before = await adapter.resolve(TicketRef(number=str(ticket)))
    roundup.delete(ticket)
    assert roundup.ticket(ticket, by="reader")["title"] == "Printer"
    with pytest.raises(TicketUnavailable) as caught:
        await adapter.resolve(TicketRef(number=str(ticket)))
    assert caught.value.unavailable.reason is Unavailability.GONE
    told = {type(one): one for one in await adapter.tickets([str(ticket), str(other)])}
    assert told[Unavailable] == Unavailable(str(ticket), Unavailability.GONE)
    assert told[Ticket].id == str(other)
    with pytest.raises(TicketUnavailable):
        _ = [reply async for reply in adapter.replies(before, None)]


async def test_a_message_that_left_the_issue_is_no_reply(roundup, adapter, ticket):
    """What was taken off an issue is not read any more, and the others are."""
    reply = roundup.reply(ticket, "Oops.")
    roundup.remove_reply(ticket, reply)
    assert [reply.body.text for reply in await replies_of(adapter, ticket)] == ["It does not print."]


async def test_many_tickets_cost_one_request(roundup, adapter):
    """States come in bulk."""
    made = [roundup.create_ticket(f"Printer {number}", "text") for number in range(5)]
    before = adapter.http.requests_sent
    found = await adapter.tickets([str(number) for number in made])
    assert {int(one.id) for one in found} == set(made)
    assert adapter.http.requests_sent - before == 1


async def test_the_feed_tells_of_a_new_reply(roundup, adapter, ticket):
    """A reply makes its issue come again from the last cursor, though its times are dotted and without a zone."""
    _, cursor = await read_feed(adapter, now() - timedelta(minutes=5))
    await asyncio.sleep(1.1)
    roundup.reply(ticket, "Any news?", by="customer")
    changed, later = await read_feed(adapter, cursor)
    assert ticket in changed
    assert later > cursor


async def test_a_change_within_the_same_second_is_not_lost(roundup, adapter):
    """An issue that changes in the very second that the cursor stands at comes again."""
    first, second = (roundup.create_ticket(f"Printer {number}", "text") for number in range(2))
    await asyncio.sleep(1.05 - time.time() % 1)  # to the beginning of a second
    roundup.reply(first, "one")
    _, cursor = await read_feed(adapter, now() - timedelta(minutes=5))
    roundup.reply(second, "two")
    changed, _ = await read_feed(adapter, cursor)
    assert {first, second} <= changed


async def test_the_feed_crosses_the_border_of_a_page(roundup, options):
    """More issues than fit on a page all come, also those that share a second."""
    options["changes"]["paging"]["size"] = 3
    made = [roundup.create_ticket(f"Printer {number}", "text") for number in range(10)]
    newest = roundup.create_ticket("Screen", "It flickers.")
    at = now() - timedelta(hours=1)
    for number in made:
        roundup.backdate(at, number)
    async with opened(options) as adapter:
        changed, _ = await read_feed(adapter, at)
        assert {*made, newest} <= changed


async def test_a_time_that_roundup_does_not_understand_is_noticed(roundup, options, ticket):
    """An ISO time, which Roundup answers with everything, is a failure by name rather than a feed of everything."""
    old = roundup.create_ticket("Old", "text")
    roundup.backdate(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), old)
    options["times"]["asked_format"] = "iso"
    async with opened(options) as adapter:
        with pytest.raises(UnexpectedAnswer, match="older than"):
            await read_feed(adapter, now() - timedelta(minutes=5))


async def test_the_trial_shows_every_field(roundup, adapter, ticket):
    """What the mapping makes of a real issue is told field by field, without a problem."""
    roundup.reply(ticket, "Is it on?")
    tried = await adapter.trial(TicketRef(number=str(ticket)))
    made = {one.place: one.made for one in tried}
    assert [one for one in tried if one.problem] == []
    assert made["ticket.status"] == "chatting = ONGOING"
    assert (made["replies[0].author_kind"], made["replies[1].author_kind"]) == ("customer", "agent")
    assert made["replies[1].body"] == "Is it on?"
