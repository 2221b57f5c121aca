"""Tickets of Gorgias by number, by link, and many at once."""

from datetime import timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Ticket, TicketRef, Unavailability, Unavailable
from tests.adapters.gorgias.reading import ago


@pytest.fixture
def state_of(adapter):
    """Reads the state of one ticket from the list of tickets, and holds it against the ticket by itself."""

    async def read_state(ticket_id):
        (listed,) = await adapter.tickets([str(ticket_id)])
        assert await adapter.resolve(TicketRef(number=str(ticket_id))) == listed
        return listed

    return read_state


class TestNaming:
    """From what a person writes to a ticket."""

    @pytest.mark.parametrize(
        "path",
        [
            "/app/ticket/{}",
            "/app/ticket/{}/",
            "/app/ticket/{}?from=views#top",
            "/app/tickets/{}",
            "/app/views/4711/{}",
            "/app/tickets/4711/{}",
            "/api/tickets/{}/",
            "/api/tickets/{}",
        ],
    )
    async def test_links(self, adapter, gorgias, clock, path):
        """Links of agents and of the API name the ticket last, with a slash at the end or without."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60))
        found = await adapter.resolve(TicketRef(link=gorgias.origin + path.format(ticket)))
        assert found.id == found.number == str(ticket)
        assert found.link == f"{gorgias.base_url}/app/ticket/{ticket}"

    @pytest.mark.parametrize(
        "path", ["/app/customer/12", "/app/ticket/new", "/app/ticket/0", "/app/ticket/12/34", "/12"]
    )
    async def test_other_links(self, adapter, gorgias, path):
        """A link to something else is refused, and nothing is asked."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=gorgias.origin + path))
        assert gorgias.requests == []

    async def test_hash(self, adapter, gorgias, clock):
        """A number may be written with a hash."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60))
        assert (await adapter.resolve(TicketRef(number=f"#{ticket}"))).id == str(ticket)

    async def test_another_ticket(self, adapter, gorgias, clock):
        """A ticket that is answered in the place of another is a failure, as its replies may be somebody else's."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60))
        gorgias.tickets[999] = gorgias.tickets[ticket]
        with pytest.raises(UnexpectedAnswer, match="another ticket"):
            await adapter.resolve(TicketRef(number="999"))

    @pytest.mark.parametrize("status", [403, 404])
    async def test_a_proxys_word(self, adapter, gorgias, status):
        """A 403 or 404 without the marks of Gorgias's API says nothing about a ticket."""
        gorgias.next_answers.append((status, {}, "<p>nothing here</p>", "text/html"))
        with pytest.raises(UnexpectedAnswer):
            await adapter.resolve(TicketRef(number="999"))

    async def test_forbidden(self, adapter, gorgias, clock):
        """A ticket that the user may not see is forbidden."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60))
        gorgias.forbidden.add(ticket)
        with pytest.raises(TicketUnavailable) as caught:
            await adapter.resolve(TicketRef(number=str(ticket)))
        assert caught.value.unavailable.reason is Unavailability.FORBIDDEN

    async def test_a_renamed_account(self, adapter, gorgias):
        """An address that leads elsewhere pauses the system: the key would be lost on the way, or given away."""
        gorgias.next_answers.append((301, {"Location": "https://new.gorgias.test/api/tickets/1"}, "", "text/html"))
        with pytest.raises(PauseSystem):
            await adapter.resolve(TicketRef(number="1"))


class TestMany:
    """Many tickets at once."""

    async def test_a_hundred_at_once(self, adapter, gorgias, clock):
        """A hundred tickets are one request, each id by its own parameter; the list asks for as many."""
        ids = [str(gorgias.open_ticket(ago(clock, 600))[0]) for _ in range(250)]
        found = await adapter.tickets(ids)
        assert {ticket.id for ticket in found} == set(ids)
        assert len(gorgias.requests) == 3

    @pytest.mark.parametrize("form", ["comma", "refused", "ignored"])
    async def test_ids_in_another_form(self, adapter, gorgias, clock, form):
        """Where the list takes ids in another form, tickets are read one by one, and none counts as gone."""
        gorgias.ids_form = form
        ids = [str(gorgias.open_ticket(ago(clock, 600))[0]) for _ in range(3)]
        gorgias.open_ticket(ago(clock, 500))
        found = await adapter.tickets(ids)
        assert [ticket.id for ticket in found if isinstance(ticket, Ticket)] == ids

    async def test_left_out(self, adapter, gorgias, clock):
        """A ticket that the list leaves out is asked for by itself: only its own answer says why."""
        gone, hidden, secret, fine = (gorgias.open_ticket(ago(clock, 600))[0] for _ in range(4))
        gorgias.delete(gone)
        gorgias.hidden.add(hidden)
        gorgias.forbidden.add(secret)
        found = await adapter.tickets([str(one) for one in (gone, hidden, secret, fine)])
        assert found[0] == Unavailable(str(gone), Unavailability.GONE)
        assert [found[1].id, found[3].id] == [str(hidden), str(fine)]
        assert found[2] == Unavailable(str(secret), Unavailability.FORBIDDEN)

    async def test_an_odd_one(self, adapter, gorgias, clock):
        """A ticket that cannot be read is left out, to fail by itself, and the others are told."""
        odd, fine = (gorgias.open_ticket(ago(clock, 600))[0] for _ in range(2))
        gorgias.tickets[odd]["status"] = 7
        assert [ticket.id for ticket in await adapter.tickets([str(odd), str(fine)])] == [str(fine)]

    async def test_no_id(self, adapter, gorgias):
        """What cannot be an id is gone, and is not made a path of."""
        assert await adapter.tickets(["../account"]) == [Unavailable("../account", Unavailability.GONE)]
        assert gorgias.requests == []


class TestStatus:
    """What a ticket's state means; it is the same from the list and from the ticket."""

    async def test_new(self, gorgias, clock, state_of):
        """An open ticket with the customer's first message alone is new."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60))
        assert (await state_of(ticket)).status is ThreadStatus.CREATED

    async def test_answered(self, gorgias, clock, state_of):
        """With an answer it goes on."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60))
        gorgias.add(ticket, "soon", from_agent=True)
        state = await state_of(ticket)
        assert (state.status, state.vendor_status) == (ThreadStatus.ONGOING, "open")

    async def test_opened_by_an_agent(self, gorgias, clock, state_of):
        """A ticket that an agent opened is not new."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60), from_agent=True)
        assert (await state_of(ticket)).status is ThreadStatus.ONGOING

    @pytest.mark.parametrize(("days", "word"), [(1, "snoozed"), (-1, "closed")])
    async def test_snoozed(self, gorgias, clock, state_of, days, word):
        """A closed ticket that is snoozed opens again, so it goes on; a snooze that is over says nothing."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60))
        gorgias.touch(ticket, status="closed", snooze_datetime=(clock.now() + timedelta(days=days)).isoformat())
        state = await state_of(ticket)
        assert state.vendor_status == word
        assert state.status is (ThreadStatus.ONGOING if days > 0 else ThreadStatus.CLOSED)

    async def test_trashed(self, gorgias, clock, state_of):
        """A trashed ticket is still shown among the others, open as it was, and counts as closed."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60), trashed_datetime=ago(clock, 10).isoformat())
        state = await state_of(ticket)
        assert (state.status, state.vendor_status) == (ThreadStatus.CLOSED, "trashed")

    async def test_spam(self, gorgias, clock, state_of):
        """Spam counts as closed, open or not."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60), spam=True)
        state = await state_of(ticket)
        assert (state.status, state.vendor_status) == (ThreadStatus.CLOSED, "spam")

    async def test_a_new_word(self, gorgias, clock, state_of):
        """A status that is not documented is told as it is, for the settings to map."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60), status="Archived")
        state = await state_of(ticket)
        assert (state.status, state.vendor_status) == (None, "archived")

    @pytest.mark.parametrize(
        ("user", "name"),
        [
            ({"name": "Änne Agent"}, "Änne Agent"),
            ({"name": "", "firstname": "Änne", "lastname": "Agent"}, "Änne Agent"),
            ({"email": "anne@acme.test"}, "anne@acme.test"),
            (None, None),
        ],
    )
    async def test_assignee(self, gorgias, clock, state_of, user, name):
        """The assignee is told by the name that there is."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60), assignee_user=user)
        assert (await state_of(ticket)).assignee == name

    @pytest.mark.parametrize("subject", [None, ""])
    async def test_no_subject(self, gorgias, clock, state_of, subject):
        """A ticket may have no subject."""
        ticket, _ = gorgias.open_ticket(ago(clock, 60), subject=subject)
        assert (await state_of(ticket)).subject is None
