"""The model adapter, with and without a change feed, passes the suite that every adapter passes."""

import pytest

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Visibility
from syncd.sources.registry import load_adapter, open_adapter, validate_options
from syncd.testing.adapter_contract import AdapterContract
from syncd.testing.helpdesk import Helpdesk
from syncd.testing.helpdesk_vendor import HelpdeskVendor
from syncd.testing.in_memory import InMemory, InMemoryPlain
from tests.security.strays import LeadAstray


@pytest.fixture
async def helpdesk(clock):
    """Start a helpdesk."""
    async with Helpdesk(clock) as helpdesk:
        yield helpdesk


@pytest.fixture
async def open_one(helpdesk, clock):
    """Return a function that opens an adapter at the helpdesk."""
    opened = []

    def open_adapter_at_helpdesk(adapter=InMemory):
        options = validate_options(adapter, {"base_url": helpdesk.base_url, "token": helpdesk.token})
        opened.append(open_adapter(adapter, options, clock=clock))
        return opened[-1].adapter

    yield open_adapter_at_helpdesk
    for one in opened:
        await one.close()


class TestInMemory(AdapterContract, LeadAstray):
    """The adapter with a feed that hands over replies."""

    adapter = InMemory

    @pytest.fixture
    def vendor(self, helpdesk):
        return HelpdeskVendor(helpdesk)


class TestInMemoryPlain(AdapterContract, LeadAstray):
    """The adapter that can only ask ticket by ticket, at a helpdesk that can no more."""

    adapter = InMemoryPlain

    @pytest.fixture
    async def vendor(self, clock):
        async with Helpdesk(clock, feed=False, bulk_replies=False, bulk_tickets=False) as helpdesk:
            yield HelpdeskVendor(helpdesk)


@pytest.mark.parametrize(("name", "adapter"), [("in_memory", InMemory), ("in_memory_plain", InMemoryPlain)])
def test_they_are_installed(name, adapter):
    """Both can be named in the settings."""
    assert load_adapter(name) is adapter


async def test_merged_and_forbidden_tickets_are_said_as_such(helpdesk, open_one):
    """Why a ticket cannot be followed is told, one by one and in bulk."""
    tickets = [helpdesk.create_ticket("Locker", "Stuck.") for _ in range(3)]
    helpdesk.merge(tickets[0].id, into=tickets[2].id)
    helpdesk.forbid(tickets[1].id)
    for adapter in (open_one(InMemory), open_one(InMemoryPlain)):
        merged, forbidden = sorted(
            await adapter.tickets([one.id for one in tickets[:2]]), key=lambda one: one.ticket_id
        )
        assert (merged.reason, merged.merged_into) == (Unavailability.MERGED, tickets[2].id)
        assert forbidden.reason is Unavailability.FORBIDDEN


async def test_a_feed_that_lost_its_past_is_a_failure(helpdesk, open_one):
    """An empty page where a known change must come again is a failure, not the absence of changes."""
    helpdesk.create_ticket("Locker", "Stuck.")
    adapter = open_one()
    pages = [page async for page in adapter.changes(helpdesk.changes[0].at)]
    helpdesk.faults.empty_page()
    with pytest.raises(UnexpectedAnswer, match="does not hold change 1"):
        [page async for page in adapter.changes(pages[-1].cursor)]


async def test_a_quiet_feed_gives_a_cursor(helpdesk, open_one, clock):
    """A feed in which nothing happened yet has a cursor, from which the first change is found."""
    adapter = open_one()
    (page,) = [page async for page in adapter.changes(clock.now())]
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    (found,) = [page async for page in adapter.changes(page.cursor)]
    assert (page.ticket_ids, found.ticket_ids) == ((), (ticket.id,))


async def test_the_feed_hands_over_edits_and_notes(helpdesk, open_one, clock):
    """A changed reply is handed over as it is now: edited, hidden, or redacted and so not public any more."""
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    reply = helpdesk.agent_reply(ticket.id, "Come by at nine.")
    adapter = open_one()
    cursor = [page async for page in adapter.changes(clock.now())][-1].cursor
    await clock.sleep(60)
    helpdesk.edit(reply.id, "Come by at ten.")
    (page,) = [page async for page in adapter.changes(cursor)]
    (edited,) = page.replies[ticket.id]
    assert (edited.id, edited.body.text, edited.edited_at) == (reply.id, "Come by at ten.", clock.now())
    helpdesk.redact(reply.id)
    (page,) = [page async for page in adapter.changes(page.cursor)]
    (redacted,) = page.replies[ticket.id]
    assert (redacted.visibility, redacted.body.text) == (Visibility.INTERNAL, "")


async def test_a_deleted_reply_has_its_ticket_asked_for(helpdesk, open_one, clock):
    """What the feed cannot hand over is not passed off as handed over."""
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    reply = helpdesk.agent_reply(ticket.id, "Oops.")
    adapter = open_one()
    cursor = [page async for page in adapter.changes(clock.now())][-1].cursor
    helpdesk.delete_reply(reply.id)
    (page,) = [page async for page in adapter.changes(cursor)]
    assert page.ticket_ids == (ticket.id,)
    assert ticket.id not in page.replies
    resolved = await adapter.resolve(TicketRef(number=ticket.number))
    assert [one.id async for one in adapter.replies(resolved, None)] == [ticket.replies[0].id]


async def test_a_feed_without_bulk_replies_names_tickets_alone(helpdesk, open_one, clock):
    """When the helpdesk hands over no replies, every changed ticket is left to be asked for."""
    helpdesk.bulk_replies = False
    ticket = helpdesk.create_ticket("Locker", "Stuck.")
    (page,) = [page async for page in open_one().changes(clock.now())]
    assert (page.ticket_ids, dict(page.replies), page.tickets) == ((ticket.id,), {}, ())
