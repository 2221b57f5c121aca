"""Tickets: found by number and link, read in bulk, gone, forbidden and merged."""

from datetime import timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Ticket, TicketRef, Unavailability, Unavailable
from tests.adapters.znuny.stand_in import STATES

NUMBER = "2026080110000019"


class TestResolve:
    """From what people write to a ticket."""

    @pytest.mark.parametrize(
        "link",
        [
            "/index.pl?Action=AgentTicketZoom;TicketID=1",
            "/index.pl?Action=AgentTicketZoom&TicketID=1&ArticleID=4",
            "/index.pl?Action=AgentTicketZoom;TicketID=1;ArticleID=456#456",
            "/index.pl?TicketID=1;Action=AgentTicketZoom",
            "/index.pl?Action=AgentTicketHistory;TicketID=1#top",
            f"/index.pl?Action=AgentTicketZoom;TicketNumber={NUMBER}",
            f"/customer.pl?Action=CustomerTicketZoom;TicketNumber={NUMBER}",
        ],
    )
    async def test_links(self, adapter, znuny, link):
        """Agents' and customers' links name a ticket by id or by number, with ; or & between their parts."""
        znuny.open_ticket(number=NUMBER)
        assert (await adapter.resolve(TicketRef(link=znuny.base_url + link))).id == "1"
        assert (await adapter.resolve(TicketRef(link=f"https://tickets.acme.test/otrs{link}"))).id == "1"

    @pytest.mark.parametrize(
        "link",
        [
            "/index.pl?Action=AgentTicketZoom;TicketID=1x",
            "/index.pl?Action=AgentTicketQueue;QueueID=1",
            "/index.pl?Action=AgentTicketZoom;TicketID=0",
            "/index.pl#TicketID=1",
            "/index.pl?Action=AgentTicketZoom;MyTicketID=1",
            "/other.pl?Action=AgentTicketZoom;TicketID=1",
            "/index.pl?Action=AgentTicketZoom;TicketNumber=1*",
        ],
    )
    async def test_other_links(self, adapter, znuny, link):
        """A link that names no ticket is refused without a request."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=znuny.base_url + link))
        assert znuny.requests == []

    @pytest.mark.parametrize("text", [NUMBER, f" {NUMBER}\n", f"Ticket#{NUMBER}"])
    async def test_numbers(self, adapter, znuny, text):
        """A number may have the hook of mails' subjects before it; a ticket number is no ticket id."""
        znuny.open_ticket(number=NUMBER)
        ticket = await adapter.resolve(TicketRef(number=text))
        assert (ticket.id, ticket.number) == ("1", NUMBER)
        assert ticket.link == znuny.link(1)

    @pytest.mark.parametrize("number", ["2026*", "%", "202608011000001_", "1,2"])
    async def test_wildcards(self, adapter, znuny, number):
        """Signs that a search takes for wildcards are refused without a request."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(number=number))
        assert znuny.requests == []

    async def test_archived(self, adapter, znuny):
        """An archived ticket is found by its number, which it would not be unasked."""
        znuny.open_ticket(number=NUMBER, ArchiveFlag="y")
        assert (await adapter.resolve(TicketRef(number=NUMBER))).id == "1"

    async def test_unknown(self, adapter):
        """A number that no ticket has is gone."""
        with pytest.raises(TicketUnavailable) as caught:
            await adapter.resolve(TicketRef(number=NUMBER))
        assert caught.value.unavailable == Unavailable(NUMBER, Unavailability.GONE)

    async def test_number_not_heeded(self, adapter, znuny):
        """A web service that does not hand the number on finds any ticket: that is a failure, and no link."""
        znuny.open_ticket()
        znuny.next_answers.append((200, {}, '{"TicketID": ["1"]}', "application/json"))
        with pytest.raises(UnexpectedAnswer, match="another ticket"):
            await adapter.resolve(TicketRef(number=NUMBER))


class TestStates:
    """Tickets as they are now."""

    @pytest.mark.parametrize(
        ("state", "status"),
        [
            ("new", ThreadStatus.CREATED),
            ("open", ThreadStatus.ONGOING),
            ("pending reminder", ThreadStatus.ONGOING),
            ("pending auto close+", ThreadStatus.ONGOING),
            ("wartet auf Kunden", ThreadStatus.ONGOING),
            ("closed successful", ThreadStatus.CLOSED),
            ("removed", ThreadStatus.CLOSED),
        ],
    )
    async def test_status(self, adapter, znuny, state, status):
        """The type of a state decides, of which there are seven; its name, which sites choose, is kept."""
        znuny.open_ticket(state=state)
        (ticket,) = await adapter.tickets(["1"])
        assert (ticket.status, ticket.vendor_status) == (status, state)
        assert state in STATES

    async def test_unknown_type(self, adapter, znuny):
        """A type of state that is not known has no status, so that the settings may give it one."""
        znuny.open_ticket(StateType="paused")
        znuny.tickets[1]["StateType"] = "paused"
        (ticket,) = await adapter.tickets(["1"])
        assert ticket.status is None

    async def test_fields(self, open_adapter, znuny, clock):
        """Subject, assignee and time of change are told; the time in the server's zone."""
        znuny.open_ticket(Owner="anna", OwnerID="7", title="Größe")
        (ticket,) = await open_adapter(zone="Europe/Berlin").tickets(["1"])
        assert (ticket.subject, ticket.assignee) == ("Größe", "anna")
        assert clock.now().replace(microsecond=0) - ticket.updated_at == timedelta(hours=1)

    async def test_fifty_at_once(self, adapter, znuny):
        """Fifty tickets cost one request, and a hundred and one three."""
        ids = [str(znuny.open_ticket()) for _ in range(101)]
        assert {ticket.id for ticket in await adapter.tickets(ids)} == set(ids)
        assert len(znuny.requests) == 3

    async def test_bad_ones(self, adapter, znuny):
        """One bad id fails a whole answer; halving finds it in few requests, and costs no other its state."""
        ids = [str(znuny.open_ticket()) for _ in range(32)]
        znuny.closed_to_us.add(5)
        found = await adapter.tickets([*ids, "99"])
        lost = {one.ticket_id for one in found if isinstance(one, Unavailable)}
        assert lost == {"5", "99"}
        assert sum(isinstance(one, Ticket) for one in found) == 31
        assert len(znuny.requests) < 24

    async def test_gone_or_forbidden(self, adapter, znuny):
        """What is gone and what is forbidden have the same answer, and are both told by its word."""
        gone, closed = znuny.open_ticket(), znuny.open_ticket()
        znuny.delete(gone)
        znuny.closed_to_us.add(closed)
        found = await adapter.tickets([str(gone), str(closed)])
        assert [one.reason for one in found] == [Unavailability.FORBIDDEN] * 2

    async def test_merged(self, adapter, znuny):
        """The history of a merged ticket tells into which one it was merged."""
        gone, stays = znuny.open_ticket(), znuny.open_ticket()
        znuny.merge(gone, stays)
        assert await adapter.tickets(["1"]) == [Unavailable("1", Unavailability.MERGED, "2")]

    async def test_merged_in_the_other_form(self, adapter, znuny):
        """The entry may have its numbers behind %% instead of in words."""
        gone, stays = znuny.open_ticket(), znuny.open_ticket()
        znuny.merge(gone, stays)
        znuny.history[-1]["Name"] = "%%2026030210000001%%1%%2026030210000002%%2"
        assert await adapter.tickets(["1"]) == [Unavailable("1", Unavailability.MERGED, "2")]

    async def test_merged_without_history(self, adapter, znuny):
        """Without a route for the history a merged ticket is merged all the same, into one that is not told."""
        gone, stays = znuny.open_ticket(), znuny.open_ticket()
        znuny.merge(gone, stays)
        znuny.has_history_route = False
        assert await adapter.tickets(["1"]) == [Unavailable("1", Unavailability.MERGED, None)]

    async def test_impossible_id(self, adapter, znuny):
        """What cannot be an id is asked of nobody."""
        (lost,) = await adapter.tickets(["1,2"])
        assert isinstance(lost, Unavailable)
        assert znuny.requests == []
