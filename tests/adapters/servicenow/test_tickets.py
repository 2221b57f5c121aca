"""Naming tickets of ServiceNow, and what their states mean."""

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Ticket, TicketRef, Unavailability

CLOSED, ONGOING, CREATED = ThreadStatus.CLOSED, ThreadStatus.ONGOING, ThreadStatus.CREATED


async def state_of(adapter, ticket):
    """Return one ticket's state."""
    (state,) = await adapter.tickets([ticket])
    return state


class TestNaming:
    """From what a person writes to a ticket."""

    @pytest.mark.parametrize(
        "form",
        [
            "/nav_to.do?uri=incident.do?sys_id={id}",
            "/nav_to.do?uri=%2Fincident.do%3Fsys_id%3D{id}%26sysparm_view%3Dess",
            "/nav_to.do?uri=%2Fincident.do%3fsys_id%3d{id}",
            "/nav_to.do?uri=%252Fincident.do%253Fsys_id%253D{id}",
            "/incident.do?sysparm_view=ess&sys_id={id}",
            "/now/nav/ui/classic/params/target/incident.do%3Fsys_id%3D{id}",
            "/now/workspace/agent/record/incident/{id}",
            "/now/sow/record/incident/{id}/params/selected-tab-index/1",
            "/sp?id=ticket&table=incident&sys_id={id}",
            "/nav_to.do?uri=incident.do?sysparm_query=number={number}",
            "/nav_to.do?uri=incident.do%3Fsysparm_query%3Dnumber%3D{number}",
        ],
    )
    async def test_links(self, adapter, servicenow, form):
        """Every form of link that people copy names the ticket, encoded once, twice or not at all."""
        ticket = servicenow.open_ticket()
        link = servicenow.base_url + form.format(id=ticket, number=servicenow.number_of(ticket))
        assert (await adapter.resolve(TicketRef(link=link))).id == ticket

    @pytest.mark.parametrize(
        "form", ["/incident_list.do", "/sp?id=form&sys_id=1234", "/x.do?parent_sys_id={id}", "/x.do?sys_id={id}0"]
    )
    async def test_other_links(self, adapter, servicenow, form):
        """What names no ticket is refused without a request."""
        ticket = servicenow.open_ticket()
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=servicenow.base_url + form.format(id=ticket)))
        assert servicenow.requests == []

    async def test_numbers(self, adapter, servicenow):
        """A number in any case of letters, and a sys_id, name a ticket; prefixes are the instance's own."""
        ticket = servicenow.open_ticket(number="ACME_IT0001")
        for text in ("ACME_IT0001", "acme_it0001", ticket):
            assert (await adapter.resolve(TicketRef(number=text))).id == ticket

    async def test_query_part_ignored(self, adapter, servicenow):
        """Where the part with the number is ignored every ticket comes: none of them is taken for the one meant."""
        servicenow.open_ticket()
        servicenow.ignored.add("number")
        with pytest.raises(UnexpectedAnswer, match="several tickets"):
            await adapter.resolve(TicketRef(number="INC0010001"))

    async def test_same_number_twice(self, adapter, servicenow):
        """A number that two tickets have names neither."""
        for _ in range(2):
            servicenow.open_ticket(number="INC0000001")
        with pytest.raises(UnexpectedAnswer, match="link instead"):
            await adapter.resolve(TicketRef(number="INC0000001"))

    async def test_another_table(self, adapter, servicenow):
        """A ticket of another table is not found in this one."""
        problem = "0" * 31 + "1"
        servicenow.tables["problem"][problem] = {"sys_id": problem}
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(link=f"{servicenow.base_url}/problem.do?sys_id={problem}"))


class TestStates:
    """What tickets are like now."""

    @pytest.mark.parametrize(
        ("state", "active", "status"),
        [
            *(("1", "true", CREATED), ("2", "true", ONGOING), ("3", "true", ONGOING), ("4", "true", ONGOING)),
            *(("6", "true", CLOSED), ("7", "false", CLOSED), ("8", "false", CLOSED)),
            *(("42", "true", ONGOING), ("42", "false", CLOSED), ("42", "", None)),
        ],
    )
    async def test_incidents(self, adapter, servicenow, state, active, status):
        """States of incidents have their meaning; one that was added counts by whether the ticket is active."""
        found = await state_of(adapter, servicenow.open_ticket(state=state, active=active))
        assert (found.vendor_status, found.status) == (state, status)

    @pytest.mark.parametrize(
        ("state", "status"),
        [("1", CREATED), ("10", ONGOING), ("18", ONGOING), ("6", CLOSED), ("3", CLOSED), ("7", CLOSED)],
    )
    async def test_cases(self, sign_in, cases, state, status):
        """States differ from table to table: 3 is On Hold for an incident and Closed for a case."""
        assert (await state_of(sign_in(cases), cases.open_ticket(state=state))).status is status

    async def test_fields(self, adapter, servicenow):
        """Subject, assignee, link and time are the ticket's."""
        ticket = servicenow.open_ticket(assigned_to=servicenow.agent, sys_updated_on="2026-01-02 03:04:05")
        found = await state_of(adapter, ticket)
        assert (found.subject, found.assignee, found.number) == ("Printer", "Anna Agent", servicenow.number_of(ticket))
        assert found.link == f"{servicenow.base_url}/nav_to.do?uri=incident.do%3Fsys_id%3D{ticket}"
        assert found.updated_at.isoformat() == "2026-01-02T03:04:05+00:00"

    async def test_many(self, adapter, servicenow):
        """A hundred tickets are asked for at once."""
        ids = [servicenow.open_ticket() for _ in range(250)]
        assert {ticket.id for ticket in await adapter.tickets(ids)} == set(ids)
        assert len(servicenow.requests) == 3

    async def test_gone_and_hidden(self, adapter, servicenow):
        """A ticket that was deleted or archived, one that is hidden, and what is no id are gone; others stay."""
        stays, gone, hidden = [servicenow.open_ticket() for _ in range(3)]
        servicenow.delete(gone)
        servicenow.hidden.add(hidden)
        states = {
            getattr(one, "ticket_id", "") or one.id: one for one in await adapter.tickets([stays, gone, hidden, "7"])
        }
        assert isinstance(states.pop(stays), Ticket)
        assert {key: one.reason for key, one in states.items()} == dict.fromkeys(
            (gone, hidden, "7"), Unavailability.GONE
        )

    async def test_silent_empty_table(self, adapter, servicenow):
        """An account that lost its read access is answered with nothing: no ticket is taken for gone by that."""
        ticket = servicenow.open_ticket()
        servicenow.closed.add("incident")
        with pytest.raises(PauseSystem, match="sees no ticket"):
            await adapter.tickets([ticket])

    async def test_query_part_ignored(self, adapter, servicenow):
        """Tickets that were not asked for are a failure: the part of the query with the ids was ignored."""
        ticket = servicenow.open_ticket()
        servicenow.open_ticket()
        servicenow.ignored.add("sys_id")
        with pytest.raises(UnexpectedAnswer, match="other tickets"):
            await adapter.tickets([ticket])

    async def test_404_of_a_proxy(self, adapter, servicenow):
        """Only ServiceNow's own words say that a ticket is gone."""
        link = servicenow.link_of(servicenow.open_ticket())
        servicenow.next_answers.append((404, {}, "<html>Not here</html>", "text/html"))
        with pytest.raises(UnexpectedAnswer):
            await adapter.resolve(TicketRef(link=link))
        servicenow.next_answers.append((403, {}, '{"error": {"message": "Not allowed"}}', "application/json"))
        with pytest.raises(TicketUnavailable) as caught:
            await adapter.resolve(TicketRef(link=link))
        assert caught.value.unavailable.reason is Unavailability.FORBIDDEN
