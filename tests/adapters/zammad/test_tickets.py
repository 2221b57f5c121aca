"""Finding tickets of Zammad by number and link, and reading their states."""

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, RetryLater, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Ticket, TicketRef, Unavailability, Unavailable
from tests.adapters.zammad.stand_in import AGENT


class TestResolve:
    """Numbers and links."""

    @pytest.mark.parametrize(
        "shape",
        [
            "/#ticket/zoom/{id}",
            "/#ticket/zoom/{id}/77",
            "/#ticket/zoom/{id}/nav/true",
            "/#ticket/zoom/number/{number}",
            "/desktop/tickets/{id}",
            "/desktop/ticket/zoom/{id}",
            "/mobile/tickets/{id}?page=2",
            "/mobile/ticket/{id}",
        ],
    )
    async def test_link(self, adapter, zammad, shape):
        """Every shape of a link leads to the ticket: the path holds its id, which is not its number."""
        ticket_id, _ = zammad.open_ticket()
        number = zammad.tickets[ticket_id]["number"]
        ticket = await adapter.resolve(TicketRef(link=zammad.base_url + shape.format(id=ticket_id, number=number)))
        assert (ticket.id, ticket.number) == (str(ticket_id), number)
        assert ticket.link == f"{zammad.base_url}/#ticket/zoom/{ticket_id}"

    @pytest.mark.parametrize("shape", ["{}", "#{}", "Ticket#{}", "[Ticket#{}]", " {} "])
    async def test_number(self, adapter, zammad, shape):
        """A number is found as people write it, also with the hook that mail subjects have."""
        ticket_id, _ = zammad.open_ticket()
        number = zammad.tickets[ticket_id]["number"]
        assert (await adapter.resolve(TicketRef(number=shape.format(number)))).id == str(ticket_id)

    async def test_number_is_no_id(self, adapter, zammad):
        """A number that is another ticket's id leads to the ticket of that number."""
        other, _ = zammad.open_ticket()
        ticket_id, _ = zammad.open_ticket(number=str(other))
        assert (await adapter.resolve(TicketRef(number=str(other)))).id == str(ticket_id)

    async def test_old_number(self, adapter, zammad):
        """A number of the date format, longer than any id, is a number like others."""
        ticket_id, _ = zammad.open_ticket(number="20260801100000000123456")
        assert (await adapter.resolve(TicketRef(number="20260801100000000123456"))).id == str(ticket_id)

    @pytest.mark.parametrize(
        "ref",
        [
            TicketRef(number="A12"),
            TicketRef(number="Ticket#"),
            TicketRef(number="٣"),
            TicketRef(link="http://127.0.0.1/#ticket/create"),
            TicketRef(link="http://127.0.0.1/#ticket/zoom/12x"),
            TicketRef(link="http://127.0.0.1/tickets/12"),
        ],
    )
    async def test_no_ticket(self, adapter, zammad, ref):
        """What cannot be a ticket of Zammad is refused without asking."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(ref)
        assert zammad.requests == []

    async def test_swallowed_condition(self, adapter, zammad):
        """A search whose condition was swallowed answers any tickets; none of them is taken for the one meant."""
        zammad.open_ticket()
        zammad.swallows_conditions = True
        with pytest.raises(UnexpectedAnswer, match="ignored the condition"):
            await adapter.resolve(TicketRef(number="53999"))

    async def test_gone_and_forbidden(self, adapter, zammad):
        """A deleted ticket is gone (404), and one of a group that is closed to us forbidden (403)."""
        hidden, _ = zammad.open_ticket(group_id=9)
        zammad.hidden_groups.add(9)
        for ticket_id, reason in ((hidden, Unavailability.FORBIDDEN), (999, Unavailability.GONE)):
            with pytest.raises(TicketUnavailable) as error:
                await adapter.resolve(TicketRef(link=zammad.link(ticket_id)))
            assert error.value.unavailable == Unavailable(str(ticket_id), reason)

    @pytest.mark.parametrize(
        ("body", "kind"),
        [("<html>404</html>", "text/html"), ('{"error": "No route matches [GET] /x"}', "application/json")],
    )
    async def test_404_of_others(self, adapter, zammad, body, kind):
        """A 404 of a proxy, or of a path that does not exist, does not make a ticket gone."""
        zammad.next_answers.append((404, {}, body, kind))
        with pytest.raises(UnexpectedAnswer):
            await adapter.resolve(TicketRef(link=zammad.link(5)))


class TestTickets:
    """States in bulk."""

    async def test_bulk(self, adapter, zammad):
        """250 tickets with their assignee cost two searches, the states and one name."""
        ids = [str(zammad.open_ticket(owner_id=AGENT)[0]) for _ in range(250)]
        tickets = await adapter.tickets(ids)
        assert [ticket.id for ticket in tickets] == ids
        assert {ticket.assignee for ticket in tickets} == {"Anna Agent"}
        assert len(zammad.requests) == 4

    async def test_nobody(self, adapter, zammad):
        """User 1 stands for nobody, and is no assignee."""
        (ticket,) = await adapter.tickets([str(zammad.open_ticket()[0])])
        assert ticket.assignee is None

    async def test_left_out(self, adapter, zammad):
        """A search leaves out what is gone or forbidden; each such ticket is told apart, and stops no other."""
        good, hidden = zammad.open_ticket()[0], zammad.open_ticket(group_id=9)[0]
        zammad.hidden_groups.add(9)
        found = await adapter.tickets([str(good), str(hidden), "999", "x"])
        assert {
            one.id if isinstance(one, Ticket) else one.ticket_id: getattr(one, "reason", None) for one in found
        } == {
            str(good): None,
            str(hidden): Unavailability.FORBIDDEN,
            "999": Unavailability.GONE,
            "x": Unavailability.GONE,
        }

    async def test_clamped_page(self, adapter, zammad):
        """Where fewer tickets come than were asked for, the others are asked for one by one and none is lost."""
        zammad.largest_page = 3
        ids = [str(zammad.open_ticket()[0]) for _ in range(5)]
        assert [ticket.id for ticket in await adapter.tickets(ids)] == ids

    async def test_swallowed_condition(self, adapter, zammad):
        """Tickets that were not asked for are not taken for those that were."""
        others = [zammad.open_ticket()[0] for _ in range(3)]
        zammad.swallows_conditions = True
        assert await adapter.tickets(["999"]) == [Unavailable("999", Unavailability.GONE)]
        assert [ticket.id for ticket in await adapter.tickets([str(others[1])])] == [str(others[1])]

    async def test_shut_out_is_not_forbidden(self, adapter, zammad):
        """A 403 because we are shut out altogether is no ticket's: it pauses, and suspends nothing."""
        ticket_id, _ = zammad.open_ticket()
        zammad.meanwhile[f"/api/v1/tickets/{ticket_id}"] = lambda: setattr(zammad, "token_access", False)
        zammad.blind = True
        with pytest.raises(PauseSystem):
            await adapter.tickets([str(ticket_id)])

    async def test_maintenance_is_not_forbidden(self, adapter, zammad):
        """A 403 because of maintenance is no ticket's either: it is waited for."""
        ticket_id, _ = zammad.open_ticket()
        zammad.meanwhile[f"/api/v1/tickets/{ticket_id}"] = lambda: setattr(zammad, "maintenance", True)
        zammad.blind = True
        with pytest.raises(RetryLater):
            await adapter.tickets([str(ticket_id)])

    async def test_always_expand(self, adapter, zammad):
        """Every search asks to expand: without it the answer is no list, and reading it fails."""
        ticket_id, _ = zammad.open_ticket()
        assert len(await adapter.tickets([str(ticket_id)])) == 1
        assert (await adapter.resolve(TicketRef(number=zammad.tickets[ticket_id]["number"]))).id == str(ticket_id)
        assert zammad.count(f"/tickets/{ticket_id}") == 0


class TestStatus:
    """States by their type, whatever they are called."""

    @pytest.mark.parametrize("names_types", [True, False])
    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("new", ThreadStatus.CREATED),
            *((word, ThreadStatus.ONGOING) for word in ("open", "pending reminder", "pending close")),
            *((word, ThreadStatus.CLOSED) for word in ("closed", "removed")),
        ],
    )
    async def test_status(self, adapter, zammad, word, status, names_types):
        """Each type of state has its level, whether the answer names the type or only has its id."""
        zammad.names_state_types = names_types
        ticket_id, _ = zammad.open_ticket()
        zammad.set_state(ticket_id, word)
        (ticket,) = await adapter.tickets([str(ticket_id)])
        assert (ticket.status, ticket.vendor_status) == (status, word)

    async def test_renamed(self, adapter, zammad):
        """A state that was renamed or added counts as its type, and keeps its name."""
        zammad.states[8] = {"id": 8, "name": "Erledigt", "state_type_id": 5, "active": True}
        ticket_id, _ = zammad.open_ticket(state_id=8)
        (ticket,) = await adapter.tickets([str(ticket_id)])
        assert (ticket.status, ticket.vendor_status) == (ThreadStatus.CLOSED, "Erledigt")

    async def test_other_type_ids(self, adapter, zammad):
        """Where the types of states have other ids than Zammad's installation gives, their names decide."""
        zammad.states[8] = {"id": 8, "name": "waiting", "state_type_id": 5, "active": True, "state_type": "open"}
        ticket_id, _ = zammad.open_ticket(state_id=8)
        (ticket,) = await adapter.tickets([str(ticket_id)])
        assert ticket.status is ThreadStatus.ONGOING

    async def test_added_later(self, adapter, zammad):
        """A state that was added after the states were read is looked up; they are read no more often than that."""
        first, second = (zammad.open_ticket()[0] for _ in range(2))
        await adapter.tickets([str(first), str(second)])
        zammad.states[8] = {"id": 8, "name": "on hold", "state_type_id": 3, "active": True}
        zammad.tickets[second]["state_id"] = 8
        tickets = await adapter.tickets([str(first), str(second)])
        assert [ticket.vendor_status for ticket in tickets] == ["new", "on hold"]
        assert zammad.count("/ticket_states") == 2

    async def test_unknown_type(self, adapter, zammad):
        """A type that is not known has no level; the settings may map its name."""
        zammad.states[8] = {"id": 8, "name": "odd", "state_type_id": 77, "active": True}
        ticket_id, _ = zammad.open_ticket(state_id=8)
        (ticket,) = await adapter.tickets([str(ticket_id)])
        assert (ticket.status, ticket.vendor_status) == (None, "odd")

    async def test_closed_once(self, adapter, zammad):
        """`close_at` is the time of the first closing, and no proof that a ticket is closed."""
        ticket_id, _ = zammad.open_ticket(state_id=2, close_at="2026-02-01T09:00:00.000Z")
        (ticket,) = await adapter.tickets([str(ticket_id)])
        assert ticket.status is ThreadStatus.ONGOING
