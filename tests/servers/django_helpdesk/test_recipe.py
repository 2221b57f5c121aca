"""docs/recipes/django_helpdesk.toml against a real django-helpdesk."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.errors import PauseSystem, TicketUnavailable
from syncd.model.ticket import AuthorKind, BodyFormat, TicketRef, Unavailability, Visibility
from tests.servers.recipes import opened, options_of, read_feed, replies_of

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("django_helpdesk")]


def agents_put_in(value, agents):
    """Return options with the numbers of the server's agents where the recipe has its example."""
    if isinstance(value, dict):
        return {key: agents_put_in(inner, agents) for key, inner in value.items()}
    return value.replace("`[2, 5]`", f"`[{agents}]`") if isinstance(value, str) else value


@pytest.fixture
def options(django_helpdesk):
    """The recipe with the address, the token and the agents of the server."""
    options = agents_put_in(options_of("django_helpdesk"), django_helpdesk.user_id("agent"))
    options["base_url"] = django_helpdesk.base_url
    options["authentication"]["header"]["secret"] = django_helpdesk.token("reader")
    return options


@pytest.fixture
async def adapter(options):
    """The adapter, signed in as the reader."""
    async with opened(options) as adapter:
        yield adapter


@pytest.fixture
def ticket(django_helpdesk):
    """The number of a new ticket that the customer wrote by mail."""
    return django_helpdesk.create_ticket("Printer", "It does not print.")


def now():
    """Return the time."""
    return datetime.now(UTC)


async def test_a_staff_token_is_good(adapter):
    """The check passes for an account of staff."""
    assert (await adapter.check()).account


@pytest.mark.parametrize("whose", ["nobody", "customer", "bearer"])
async def test_wrong_credentials_pause(django_helpdesk, options, whose):
    """A wrong token, a customer's, and the word Bearer in the place of Token pause the system."""
    header = options["authentication"]["header"]
    if whose == "bearer":
        header["scheme"] = "Bearer"
    else:
        header["secret"] = "0123456789" if whose == "nobody" else django_helpdesk.token("customer")
    async with opened(options) as stranger:
        with pytest.raises(PauseSystem):
            await stranger.check()


async def test_a_ticket_is_found_by_number_and_link(django_helpdesk, adapter, ticket):
    """The number, the subject's tag, and both kinds of links lead to the same ticket."""
    base = django_helpdesk.base_url
    refs = [
        TicketRef(number=str(ticket)),
        TicketRef(number=f"[support-{ticket}]"),
        TicketRef(link=f"{base}/tickets/{ticket}/"),
        TicketRef(link=f"{base}/view/?ticket=support-{ticket}&email=a%40b.test"),
    ]
    found = [await adapter.resolve(ref) for ref in refs]
    assert len(set(found)) == 1
    assert (found[0].id, found[0].subject, found[0].link) == (str(ticket), "Printer", f"{base}/tickets/{ticket}/")


async def test_replies_of_both_sides_and_notes(django_helpdesk, adapter, ticket):
    """Mails are the customer's, replies of agents are agents', and a note is internal."""
    answer = django_helpdesk.reply(ticket, "Is it **on**?", by="agent")
    note = django_helpdesk.note(ticket, "Rings often.")
    question = django_helpdesk.reply(ticket, "Größe?", by="customer")
    first, *replies = await replies_of(adapter, ticket)
    assert (first.first_message, first.body.text.strip(), first.author.kind) == (
        True,
        "It does not print.",
        AuthorKind.CUSTOMER,
    )
    assert [(int(one.id), one.author.kind, one.visibility) for one in replies] == [
        (answer, AuthorKind.AGENT, Visibility.PUBLIC),
        (note, AuthorKind.AGENT, Visibility.INTERNAL),
        (question, AuthorKind.CUSTOMER, Visibility.PUBLIC),
    ]
    assert (replies[0].body.text, replies[0].body.format) == ("Is it **on**?", BodyFormat.MARKDOWN)
    assert replies[2].channel is Channel.EMAIL
    assert all(abs(reply.created_at - now()) < timedelta(minutes=1) for reply in replies)


async def test_a_followup_without_words_is_no_reply(django_helpdesk, adapter, ticket):
    """A change of status is not read as a reply, and a file without words is."""
    django_helpdesk.set_status(ticket, "Resolved")
    file = django_helpdesk.attach(ticket, "plan.txt", b"text")
    replies = await replies_of(adapter, ticket)
    assert [reply.id for reply in replies[1:]] == [str(file)]
    (attachment,) = replies[1].attachments
    assert attachment.name.endswith("plan.txt")
    assert attachment.size_bytes == 4
    assert attachment.link is None


async def test_the_status_is_mapped(django_helpdesk, adapter, ticket):
    """Open is new until an agent has answered; closed is closed, also if it left no trace."""
    states = [await adapter.resolve(TicketRef(number=str(ticket)))]
    django_helpdesk.reply(ticket, "Is it on?")
    states.append(await adapter.resolve(TicketRef(number=str(ticket))))
    django_helpdesk.set_status(ticket, "Closed", traceless=True)
    states.append(await adapter.resolve(TicketRef(number=str(ticket))))
    assert [one.status for one in states] == [ThreadStatus.CREATED, ThreadStatus.ONGOING, ThreadStatus.CLOSED]


async def test_a_deleted_ticket_is_gone_and_stops_no_other(django_helpdesk, adapter, ticket):
    """The 404 of django-helpdesk is one ticket's, and the others are told beside it."""
    other = django_helpdesk.create_ticket("Screen", "It flickers.")
    django_helpdesk.delete(ticket)
    gone, stays = sorted(
        await adapter.tickets([str(ticket), str(other)]), key=lambda one: type(one).__name__ == "Ticket"
    )
    assert (gone.ticket_id, gone.reason) == (str(ticket), Unavailability.GONE)
    assert stays.id == str(other)


async def test_a_merged_ticket_names_the_other(django_helpdesk, adapter, ticket):
    """A ticket that was merged is told with the one that it was merged into."""
    target = django_helpdesk.create_ticket("Same printer", "Still.")
    django_helpdesk.merge(ticket, target)
    with pytest.raises(TicketUnavailable) as caught:
        await adapter.resolve(TicketRef(number=str(ticket)))
    assert caught.value.unavailable.merged_into == str(target)


async def test_the_feed_tells_of_a_new_reply(django_helpdesk, adapter, ticket):
    """A reply makes its ticket come from the last cursor, at once and in the same second."""
    _, cursor = await read_feed(adapter, now() - timedelta(minutes=5))
    django_helpdesk.reply(ticket, "Any news?", by="customer")
    changed, later = await read_feed(adapter, cursor)
    assert ticket in changed
    assert datetime.fromisoformat(later) >= datetime.fromisoformat(cursor)


async def test_the_feed_reads_back_over_pages_to_what_is_known(django_helpdesk, options, ticket):
    """Replies that fill several pages are read back to the cursor, and no further."""
    other = django_helpdesk.create_ticket("Screen", "It flickers.")
    options["changes"] |= {"params": {"page": "last", "page_size": 20}, "overlap_seconds": 1}
    async with opened(options) as adapter:
        _, cursor = await read_feed(adapter, now() - timedelta(minutes=5))
        django_helpdesk.reply(other, "First of the new ones.", by="customer")
        django_helpdesk.write_replies(ticket, 70)
        before = adapter.http.requests_sent
        changed, _ = await read_feed(adapter, cursor)
        assert {ticket, other} <= changed
        assert 4 <= adapter.http.requests_sent - before <= 6


async def test_times_in_another_zone_are_the_same(django_helpdesk, adapter, ticket):
    """A project with another zone tells the same instants."""
    before = await replies_of(adapter, ticket)
    django_helpdesk.set_time_zone("Asia/Kolkata")
    try:
        after = await replies_of(adapter, ticket)
    finally:
        django_helpdesk.stop()
        django_helpdesk.start()
    assert after == before


async def test_the_trial_shows_every_field(django_helpdesk, adapter, ticket):
    """What the mapping makes of a real ticket is told field by field, without a problem."""
    django_helpdesk.note(ticket, "Rings often.")
    tried = await adapter.trial(TicketRef(number=str(ticket)))
    made = {one.place: one.made for one in tried}
    assert [one for one in tried if one.problem] == []
    assert made["ticket.status"] == "1 = CREATED"
    assert (made["replies[0].public"], made["replies[1].public"]) == ("public", "internal")
