"""Finding tickets of Zendesk by number and link, and reading their states."""

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable

HTML_404 = (404, {}, "<html>No help desk here</html>", "text/html")


class TestResolve:
    """Numbers and links."""

    @pytest.mark.parametrize(
        "shape",
        [
            "/agent/tickets/{}",
            "/agent/tickets/{}/events?brand=1#top",
            "/agent/#/tickets/{}",
            "/tickets/{}",
            "/hc/requests/{}",
            "/hc/en-us/requests/{}?page=2",
            "/requests/{}",
            "/api/v2/tickets/{}.json",
            "/api/v2/requests/{}.json",
        ],
    )
    async def test_link(self, adapter, zendesk, clock, shape):
        """Every shape of a link, agents' and customers', old and new, leads to the ticket."""
        ticket_id, _ = zendesk.open_ticket(clock.now())
        ticket = await adapter.resolve(TicketRef(link=zendesk.base_url + shape.format(ticket_id)))
        assert (ticket.id, ticket.link) == (str(ticket_id), f"{zendesk.base_url}/agent/tickets/{ticket_id}")

    @pytest.mark.parametrize("shape", ["{}", "#{}", " #0{} "])
    async def test_number(self, adapter, zendesk, clock, shape):
        """The number people quote is the id, with or without #."""
        ticket_id, _ = zendesk.open_ticket(clock.now())
        assert (await adapter.resolve(TicketRef(number=shape.format(ticket_id)))).id == str(ticket_id)

    @pytest.mark.parametrize(
        "ref",
        [
            TicketRef(number="A12"),
            TicketRef(number="0"),
            TicketRef(number="٣"),
            TicketRef(link="https://help.brand.example/hc/requests/1"),
            TicketRef(link="http://127.0.0.1/hc/articles/42"),
            TicketRef(link="http://127.0.0.1/agent/tickets/12x"),
        ],
    )
    async def test_no_ticket(self, adapter, zendesk, ref):
        """What cannot be a ticket of this account is refused without asking."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(ref)
        assert zendesk.requests == []

    async def test_brand(self, connect, zendesk, clock):
        """A link on a brand's or a mapped host is good when the host is named; the account's own host is asked."""
        ticket_id, _ = zendesk.open_ticket(clock.now())
        ref = TicketRef(link=f"https://help.brand.example/hc/requests/{ticket_id}")
        assert (await connect(link_hosts=["help.brand.example"]).resolve(ref)).id == str(ticket_id)

    async def test_gone_and_forbidden(self, adapter, zendesk, clock):
        """A deleted ticket is gone (there is no 410) and one that is closed to us forbidden (`error` is an object)."""
        ticket_id, _ = zendesk.open_ticket(clock.now())
        zendesk.forbidden.add(ticket_id)
        for number, reason in ((str(ticket_id), Unavailability.FORBIDDEN), ("987654", Unavailability.GONE)):
            with pytest.raises(TicketUnavailable) as error:
                await adapter.resolve(TicketRef(number=number))
            assert error.value.unavailable == Unavailable(number, reason)

    @pytest.mark.parametrize("answer", [HTML_404, (404, {}, '{"error": "InvalidEndpoint"}', "application/json")])
    async def test_not_zendesks_word(self, adapter, zendesk, answer):
        """A 404 of a proxy, or of a path that does not exist, does not make a ticket gone."""
        zendesk.next_answers.append(answer)
        with pytest.raises(UnexpectedAnswer):
            await adapter.resolve(TicketRef(number="42"))


class TestTickets:
    """States in bulk."""

    async def test_bulk(self, adapter, zendesk, clock):
        """250 tickets with their assignees cost three requests and one for the names."""
        ids = [str(zendesk.open_ticket(clock.now(), subject=None, assignee_id=zendesk.agent)[0]) for _ in range(250)]
        tickets = await adapter.tickets(ids)
        assert sorted(ticket.id for ticket in tickets) == sorted(ids)
        assert {(ticket.subject, ticket.assignee) for ticket in tickets} == {(None, "Anna Agent")}
        assert len(zendesk.requests) == 4

    async def test_left_out(self, adapter, zendesk, clock):
        """show_many leaves out what is unknown or closed to us; each such ticket is told apart."""
        good, bad = (zendesk.open_ticket(clock.now())[0] for _ in range(2))
        zendesk.forbidden.add(bad)
        found = await adapter.tickets([str(good), str(bad), "987654"])
        assert {item.ticket_id: item.reason for item in found if isinstance(item, Unavailable)} == {
            str(bad): Unavailability.FORBIDDEN,
            "987654": Unavailability.GONE,
        }

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("new", ThreadStatus.CREATED),
            *((word, ThreadStatus.ONGOING) for word in ("open", "pending", "hold")),
            *((word, ThreadStatus.CLOSED) for word in ("solved", "closed", "deleted")),
            ("invented", None),
        ],
    )
    async def test_status(self, adapter, zendesk, clock, word, status):
        """Each status of Zendesk has its level; an unknown one has none, and keeps its word."""
        ticket_id, _ = zendesk.open_ticket(clock.now(), status=word)
        (ticket,) = await adapter.tickets([str(ticket_id)])
        assert (ticket.status, ticket.vendor_status) == (status, word)
