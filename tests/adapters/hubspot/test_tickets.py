"""Tickets of HubSpot: how they are named, and what they are like now."""

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Ticket, TicketRef, Unavailability, Unavailable
from tests.adapters.hubspot.stand_in import OWNERS_READ, PORTAL, WEB_HOST


class TestNames:
    """What people write."""

    @pytest.mark.parametrize(
        "place",
        [
            "contacts/{portal}/record/0-5/{id}",
            "contacts/{portal}/record/0-5/{id}/?a=b",
            "contacts/{portal}/ticket/{id}",
            "help-desk/{portal}/view/3/ticket/{id}",
            "help-desk/{portal}/view/all/ticket/{id}/thread/5?x=1#y",
        ],
    )
    async def test_links(self, hubspot, adapter, place):
        """A ticket is named by the links of its record, old and new, and of the help desk."""
        ticket_id = hubspot.open_ticket()
        link = f"https://{WEB_HOST}/{place.format(portal=PORTAL, id=ticket_id)}"
        assert (await adapter.resolve(TicketRef(link=link))).id == ticket_id

    async def test_link_of_a_thread(self, hubspot, adapter):
        """A link to a conversation in the inbox names the ticket of that conversation."""
        ticket_id = hubspot.open_ticket()
        link = f"https://{WEB_HOST}/live-messages/{PORTAL}/inbox/{hubspot.open_thread(ticket_id)}"
        assert (await adapter.resolve(TicketRef(link=link))).id == ticket_id

    async def test_link_of_a_thread_without_a_ticket(self, hubspot, adapter):
        """A conversation that belongs to no ticket names none."""
        link = f"https://{WEB_HOST}/live-messages/{PORTAL}/inbox/{hubspot.open_thread()}"
        with pytest.raises(InvalidTicketRef, match="no ticket"):
            await adapter.resolve(TicketRef(link=link))

    async def test_link_of_an_unknown_thread(self, adapter):
        """A conversation that is not there is gone."""
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(link=f"https://{WEB_HOST}/live-messages/{PORTAL}/inbox/77"))

    async def test_link_of_another_account(self, hubspot, adapter):
        """A link of another account is refused: its number may be that of another ticket here."""
        link = f"https://{WEB_HOST}/contacts/99/record/0-5/{hubspot.open_ticket()}"
        with pytest.raises(InvalidTicketRef, match="another account"):
            await adapter.resolve(TicketRef(link=link))

    @pytest.mark.parametrize("place", ["contacts/4711/record/0-1/5", "contacts/4711/objects/0-5/views/all/list", "api"])
    async def test_links_of_other_things(self, hubspot, adapter, place):
        """A link to a contact or a list is refused without a request."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=f"https://{WEB_HOST}/{place}"))
        assert hubspot.requests == []

    async def test_host_of_the_api(self, hubspot, adapter):
        """Links are on the host of the web pages; one on the host of the API is of another place."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=f"{hubspot.base_url}/contacts/{PORTAL}/record/0-5/1"))

    async def test_number_sign(self, hubspot, adapter):
        """A number may be written with a sign before it."""
        ticket_id = hubspot.open_ticket()
        assert (await adapter.resolve(TicketRef(number=f" #{ticket_id} "))).id == ticket_id


class TestState:
    """What a ticket is like."""

    async def test_values(self, hubspot, adapter, clock):
        """A ticket has its number, HubSpot's own link, its subject, and the name of whom it is assigned to."""
        ticket_id = hubspot.open_ticket(subject="Locker")
        expected = Ticket(
            ticket_id,
            ticket_id,
            hubspot.link(ticket_id),
            "Locker",
            "New",
            ThreadStatus.CREATED,
            "Otto Owner",
            clock.now(),
        )
        assert await adapter.resolve(TicketRef(number=ticket_id)) == expected
        assert await adapter.tickets([ticket_id]) == [expected]

    @pytest.mark.parametrize(
        ("stage", "word", "status"),
        [
            ("1", "New", ThreadStatus.CREATED),
            ("2", "Waiting on contact", ThreadStatus.ONGOING),
            ("4", "Closed", ThreadStatus.CLOSED),
            ("99", "99", None),
        ],
    )
    async def test_stages(self, hubspot, adapter, stage, word, status):
        """The first stage is CREATED, a closed one CLOSED, all others ONGOING; one that is not known is not guessed."""
        (ticket,) = await adapter.tickets([hubspot.open_ticket(hs_pipeline_stage=stage)])
        assert (ticket.vendor_status, ticket.status) == (word, status)

    async def test_closed_as_text(self, hubspot, adapter):
        """A stage without `ticketState` is open, unless it says that it is closed, which is a text."""
        metadata = {"isClosed": "true"}
        hubspot.pipelines[0]["stages"].append({"id": "5", "label": "Done", "displayOrder": 4, "metadata": metadata})
        (ticket,) = await adapter.tickets([hubspot.open_ticket(hs_pipeline_stage="5")])
        assert ticket.status is ThreadStatus.CLOSED

    async def test_pipelines_are_remembered(self, hubspot, adapter):
        """Pipelines are read once, and once more for a stage that is not known."""
        known, strange = hubspot.open_ticket(), hubspot.open_ticket(hs_pipeline_stage="99")
        for _ in range(2):
            await adapter.tickets([known, strange])
        assert hubspot.count("pipelines") == 2

    async def test_names_of_a_day(self, hubspot, adapter, clock):
        """What stages and owners are called is asked for again on the next day."""
        ticket_id = hubspot.open_ticket()
        await adapter.tickets([ticket_id])
        hubspot.pipelines[0]["stages"][0] = {"id": "1", "label": "Fresh", "displayOrder": 0}
        hubspot.owners["55501"] = ("Olga", "Owner")
        await clock.sleep(86_400)
        (ticket,) = await adapter.tickets([ticket_id])
        assert (ticket.vendor_status, ticket.assignee) == ("Fresh", "Olga Owner")

    async def test_owners_are_not_open(self, hubspot, adapter):
        """Without the scope for owners nobody is named, and everything else goes on."""
        hubspot.scopes -= {OWNERS_READ}
        (ticket,) = await adapter.tickets([hubspot.open_ticket()])
        assert ticket.assignee is None

    async def test_without_owner(self, hubspot, adapter):
        """A ticket that is assigned to nobody names nobody, and asks for nobody."""
        (ticket,) = await adapter.tickets([hubspot.open_ticket(hubspot_owner_id=None)])
        assert ticket.assignee is None
        assert hubspot.count("owners") == 0


class TestLost:
    """Tickets that cannot be followed."""

    async def test_batches(self, hubspot, adapter):
        """Tickets are read a hundred at a time."""
        ids = [hubspot.open_ticket() for _ in range(230)]
        assert {ticket.id for ticket in await adapter.tickets(ids)} == set(ids)
        assert hubspot.count("batch/read") == 3

    async def test_partial_answer(self, hubspot, adapter):
        """A batch that is answered in part (207) tells the others, and each that is missing is asked for."""
        stays, gone = hubspot.open_ticket(), hubspot.open_ticket()
        hubspot.delete_ticket(gone)
        found = await adapter.tickets([gone, stays, "x", "0"])
        lost = [one for one in found if isinstance(one, Unavailable)]
        assert {(one.ticket_id, one.reason) for one in lost} == {(key, Unavailability.GONE) for key in (gone, "x", "0")}
        assert [one.id for one in found if isinstance(one, Ticket)] == [stays]

    async def test_merged(self, hubspot, adapter):
        """A merged ticket is answered as the other one: the id in the answer tells it."""
        loser, winner = hubspot.open_ticket(), hubspot.open_ticket()
        hubspot.merge(loser, winner)
        assert await adapter.tickets([loser]) == [Unavailable(loser, Unavailability.MERGED, winner)]
        with pytest.raises(TicketUnavailable) as caught:
            await adapter.resolve(TicketRef(number=loser))
        assert caught.value.unavailable.merged_into == winner

    async def test_404_of_somebody_else(self, hubspot, adapter):
        """A 404 that does not look like HubSpot's says nothing about a ticket."""
        hubspot.next_answers.append((404, {}, "{}", "application/json"))
        with pytest.raises(UnexpectedAnswer, match="base_url"):
            await adapter.resolve(TicketRef(number="5"))

    async def test_error_inside(self, hubspot, adapter):
        """An error with status 200 is a failure."""
        hubspot.next_answers.append((200, {}, '{"status":"error","results":[]}', "application/json"))
        with pytest.raises(UnexpectedAnswer, match="error inside"):
            await adapter.tickets(["5"])

    async def test_scope_is_missing(self, hubspot, adapter):
        """A missing scope is not a forbidden ticket: the system pauses."""
        ticket_id = hubspot.open_ticket()
        hubspot.scopes = {"conversations.read"}
        with pytest.raises(PauseSystem, match="scopes"):
            await adapter.resolve(TicketRef(number=ticket_id))
