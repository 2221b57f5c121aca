"""Finding tickets of Freshdesk by number and link, and reading their states."""

import pytest

from adapters.freshdesk import Freshdesk
from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable

HTML_404 = (404, {}, "<html>There is no helpdesk here to be found.</html>", "text/html")


class TestResolve:
    """Numbers and links."""

    @pytest.mark.parametrize(
        "shape",
        [
            "/a/tickets/{}",
            "/a/tickets/{}?current_tab=details#note_7",
            "/a/tickets/archived/{}",
            "/helpdesk/tickets/{}",
            "/support/tickets/{}",
            "/de/support/tickets/{}",
            "/pt-BR/support/tickets/{}/",
            "/api/v2/tickets/{}",
        ],
    )
    async def test_link(self, adapter, freshdesk, clock, shape):
        """Every shape of a link, agents' and customers', leads to the ticket, and gets the agents' link."""
        number = freshdesk.open_ticket(clock.now())
        ticket = await adapter.resolve(TicketRef(link=freshdesk.base_url + shape.format(number)))
        assert (ticket.id, ticket.link) == (str(number), f"{freshdesk.base_url}/a/tickets/{number}")

    @pytest.mark.parametrize(
        "path",
        [
            "/public/tickets/8a4f00d1e",
            "/public/tickets/123",
            "/a/tickets/12x",
            "/a/tickets/0",
            "/a/contacts/12",
            "/elsewhere?next=/a/tickets/12",
        ],
    )
    async def test_no_ticket(self, adapter, freshdesk, path):
        """A shared link holds a token and no number; it, and what leads elsewhere, is refused without asking."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=freshdesk.base_url + path))
        assert freshdesk.requests == []

    async def test_a_portal_of_its_own_domain(self, connect, freshdesk, clock):
        """A link to the portal's own domain is good if the host is named; the account's own host is asked."""
        number = freshdesk.open_ticket(clock.now())
        adapter = connect(Freshdesk, ["help.acme.test"], base_url=freshdesk.base_url, api_key=freshdesk.api_key)
        ref = TicketRef(link=f"https://help.acme.test/support/tickets/{number}")
        assert (await adapter.resolve(ref)).id == str(number)

    @pytest.mark.parametrize("shape", ["{}", "#{}", " {} "])
    async def test_number(self, adapter, freshdesk, clock, shape):
        """The number that people quote is the id, with or without #."""
        number = freshdesk.open_ticket(clock.now())
        assert (await adapter.resolve(TicketRef(number=shape.format(number)))).number == str(number)


class TestUnavailable:
    """What cannot be followed."""

    async def test_gone_and_forbidden(self, adapter, freshdesk, clock):
        """A ticket outside the agent's scope is forbidden, one that is nowhere gone, and the others are told."""
        stays, closed = (freshdesk.open_ticket(clock.now()) for _ in range(2))
        freshdesk.forbidden.add(closed)
        found = await adapter.tickets(["987654", str(closed), str(stays), "../7"])
        assert found[:2] == [
            Unavailable("987654", Unavailability.GONE),
            Unavailable(str(closed), Unavailability.FORBIDDEN),
        ]
        assert found[2].id == str(stays)
        assert found[3] == Unavailable("../7", Unavailability.GONE)

    async def test_the_archive_is_tried_before_a_ticket_is_gone(self, adapter, freshdesk):
        """An unknown ticket is looked for in the archive, once."""
        await adapter.tickets(["987654"])
        assert freshdesk.count("/tickets/archived/987654") == 1

    async def test_an_archived_ticket_is_there(self, adapter, freshdesk, clock):
        """A ticket in the archive has its state, and is not gone."""
        number = freshdesk.open_ticket(clock.now(), status=5)
        freshdesk.archive(number)
        (ticket,) = await adapter.tickets([str(number)])
        assert ticket.status is ThreadStatus.CLOSED

    async def test_a_plan_without_an_archive(self, adapter, freshdesk, clock):
        """Where the plan has no archive (403 require_feature), a ticket that is not found is gone."""
        freshdesk.has_archive = False
        assert await adapter.tickets(["987654"]) == [Unavailable("987654", Unavailability.GONE)]

    async def test_the_trash_answers_like_any_other(self, adapter, freshdesk, clock):
        """A ticket in the trash is still answered, with deleted: true, and is gone."""
        number = freshdesk.open_ticket(clock.now(), deleted=True)
        assert await adapter.tickets([str(number)]) == [Unavailable(str(number), Unavailability.GONE)]

    async def test_the_404_of_somebody_else(self, adapter, freshdesk):
        """A web page with 404, of a proxy or a wrong subdomain, makes no ticket gone."""
        freshdesk.next_answers.append(HTML_404)
        with pytest.raises(UnexpectedAnswer):
            await adapter.resolve(TicketRef(number="42"))

    async def test_the_403_of_somebody_else(self, adapter, freshdesk):
        """A web page with 403 makes no ticket forbidden."""
        freshdesk.next_answers.append((403, {}, "<html>Blocked</html>", "text/html"))
        with pytest.raises(UnexpectedAnswer):
            await adapter.resolve(TicketRef(number="42"))

    @pytest.mark.parametrize("word", ["account_suspended", "password_lockout", "password_expired", "require_feature"])
    async def test_a_403_about_the_account_pauses(self, adapter, freshdesk, clock, word):
        """A 403 that is about the account or its key makes no ticket forbidden: all would be."""
        freshdesk.next_answers.append((403, {}, f'{{"code": "{word}", "message": "Sorry"}}', "application/json"))
        with pytest.raises(PauseSystem, match=word):
            await adapter.tickets([str(freshdesk.open_ticket(clock.now()))])

    async def test_another_ticket_is_an_error(self, adapter, freshdesk, clock):
        """An answer about another ticket than the one asked for is an error."""
        number = freshdesk.open_ticket(clock.now())
        freshdesk.tickets[number]["id"] = 77
        with pytest.raises(UnexpectedAnswer, match="another ticket"):
            await adapter.tickets([str(number)])

    async def test_one_that_fails_stops_no_other(self, adapter, freshdesk, clock):
        """A ticket whose record cannot be read is left out beside others, and is an error where it is the only one."""
        odd, good = (freshdesk.open_ticket(clock.now()) for _ in range(2))
        freshdesk.tickets[odd]["status"] = "half open"
        assert [ticket.id for ticket in await adapter.tickets([str(odd), str(good)])] == [str(good)]
        with pytest.raises(UnexpectedAnswer, match="status"):
            await adapter.tickets([str(odd)])

    async def test_no_clue_to_the_target_of_a_merge(self, adapter, freshdesk, clock):
        """A merged ticket is closed and keeps its id: no field names the other, so it is CLOSED and never merged."""
        number = freshdesk.open_ticket(clock.now(), status=5)
        freshdesk.note(number, "This ticket is closed and merged into ticket 7")
        (ticket,) = await adapter.tickets([str(number)])
        assert ticket.status is ThreadStatus.CLOSED


class TestStates:
    """Status and assignee."""

    @pytest.mark.parametrize(
        ("number", "word", "status"),
        [
            (2, "open", ThreadStatus.CREATED),
            (3, "pending", ThreadStatus.ONGOING),
            (4, "resolved", ThreadStatus.CLOSED),
            (5, "closed", ThreadStatus.CLOSED),
            (6, "6", None),
            (61, "61", None),
        ],
    )
    async def test_status(self, adapter, freshdesk, clock, number, word, status):
        """Each status has its level; one of the account's own is its number, and has none."""
        (ticket,) = await adapter.tickets([str(freshdesk.open_ticket(clock.now(), status=number))])
        assert (ticket.vendor_status, ticket.status) == (word, status)

    async def test_open_and_answered_is_ongoing(self, adapter, freshdesk, clock):
        """An open ticket that an agent has answered is ONGOING: its stats tell, and they are asked for."""
        number = freshdesk.open_ticket(clock.now())
        freshdesk.write(number, "On our way.", by=freshdesk.me)
        assert (await adapter.tickets([str(number)]))[0].status is ThreadStatus.ONGOING

    @pytest.mark.parametrize("change", [{"stats": None}, {"source": 10}])
    async def test_open_without_a_question_is_ongoing(self, adapter, freshdesk, clock, change):
        """An open ticket without stats, or one that an agent began, is ONGOING."""
        number = freshdesk.open_ticket(clock.now(), **change)
        assert (await adapter.tickets([str(number)]))[0].status is ThreadStatus.ONGOING

    async def test_spam_is_closed(self, adapter, freshdesk, clock):
        """A ticket that was marked as spam is CLOSED, whatever its status."""
        (ticket,) = await adapter.tickets([str(freshdesk.open_ticket(clock.now(), spam=True))])
        assert (ticket.vendor_status, ticket.status) == ("spam", ThreadStatus.CLOSED)

    async def test_assignee(self, adapter, freshdesk, clock):
        """The assignee is the responder, by name; without one there is none."""
        mine = freshdesk.open_ticket(clock.now(), responder_id=freshdesk.me)
        nobodys = freshdesk.open_ticket(clock.now())
        found = await adapter.tickets([str(mine), str(nobodys)])
        assert [ticket.assignee for ticket in found] == ["Anna Agent", None]
