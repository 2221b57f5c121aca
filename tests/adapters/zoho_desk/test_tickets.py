"""Naming Zoho Desk tickets, and their state."""

from datetime import timedelta

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable
from tests.adapters.zoho_desk.stand_in import whole

ID = "189200000100000001"


@pytest.fixture
def mail(zoho_desk, clock):
    """A ticket that a customer began by mail an hour ago; its id."""
    return zoho_desk.open_ticket(clock.now() - timedelta(hours=1))[0]


async def state_of(adapter, ticket_id):
    """Return the state of one ticket."""
    (state,) = await adapter.tickets([ticket_id])
    return state


class TestNumbers:
    """Numbers are small, ids have eighteen digits."""

    @pytest.mark.parametrize("number", ["101", " #101 "])
    async def test_number(self, adapter, mail, number):
        """A ticket is found by its number, and its id of eighteen digits is not rounded."""
        ticket = await adapter.resolve(TicketRef(number=number))
        assert (ticket.id, ticket.number) == (mail, "101")
        assert mail == ID

    async def test_another_number(self, adapter, zoho_desk, mail):
        """If the search ignores the number, no other ticket is taken for the one that was asked for."""
        zoho_desk.ignores_number = True
        with pytest.raises(UnexpectedAnswer, match="ignored the number"):
            await adapter.resolve(TicketRef(number="102"))
        assert mail

    @pytest.mark.parametrize("number", ["0", "-1", "1.5", "1e3", ID, "٣"])
    async def test_no_numbers(self, adapter, zoho_desk, number):
        """What cannot be a number, an id among it, is refused without a request."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(number=number))
        assert zoho_desk.requests == []


class TestLinks:
    """Links, of which the oldest kind has the id in its fragment."""

    @pytest.mark.parametrize(
        "path",
        [
            "/support/acme/ShowHomePage.do#Cases/dv/{id}",
            "/support/acme/ShowHomePage.do?x=1#Cases/dv/{id}/",
            "/agent/acme/support/tickets/details/{id}",
            "/agent/acme/tickets/details/{id}/conversations?view=1",
            "/portal/en/ticket/{id}",
            "/portal/acme/en/tickets/details/{id}#top",
        ],
    )
    async def test_shapes(self, adapter, zoho_desk, mail, path):
        """Links of the agents' two interfaces and of the portal are read; the fragment is not dropped."""
        ticket = await adapter.resolve(TicketRef(link=f"{zoho_desk.origin}{path.format(id=mail)}"))
        assert ticket.id == mail
        assert ticket.link == zoho_desk.link(mail)

    async def test_own_domain(self, sign_in, mail):
        """Links of a help centre's own domain are read if it is one of link_hosts."""
        adapter = sign_in(["help.acme.test"])
        assert (await adapter.resolve(TicketRef(link=f"https://help.acme.test/portal/en/ticket/{mail}"))).id == mail

    @pytest.mark.parametrize(
        "path",
        [
            "/support/acme/ShowHomePage.do#Contacts/dv/{id}",
            "/support/acme/ShowHomePage.do#Cases/dv/123",
            "/support/acme/ShowHomePage.do#Cases/dv/{id}x",
            "/search?next=/agent/acme/tickets/details/{id}",
            "/support/acme/#next=/portal/en/ticket/{id}",
            "/api/v1/tickets/{id}",
        ],
    )
    async def test_others(self, adapter, zoho_desk, path):
        """A link to anything but a ticket is refused without a request."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=f"{zoho_desk.origin}{path.format(id=ID)}"))
        assert zoho_desk.requests == []


class TestStates:
    """What a ticket is like now."""

    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("Open", ThreadStatus.ONGOING),
            ("On Hold", ThreadStatus.ONGOING),
            ("ON HOLD", ThreadStatus.ONGOING),
            ("Closed", ThreadStatus.CLOSED),
            ("Novelty", None),
            (None, None),
        ],
    )
    async def test_types(self, adapter, zoho_desk, mail, kind, status):
        """The type of the status counts, as its name is the account's own; the name is kept for the settings."""
        zoho_desk.write(mail, "answer")
        zoho_desk.touch(mail, status="Wartet auf Büro", statusType=kind)
        ticket = await state_of(adapter, mail)
        assert (ticket.vendor_status, ticket.status) == ("Wartet auf Büro", status)

    async def test_created_by_mail(self, adapter, zoho_desk, mail):
        """An open ticket by mail is CREATED while it has one thread; counts are texts."""
        assert (await state_of(adapter, mail)).status is ThreadStatus.CREATED
        zoho_desk.write(mail, "answer")
        assert (await state_of(adapter, mail)).status is ThreadStatus.ONGOING

    async def test_created_by_phone(self, adapter, zoho_desk):
        """An open ticket by phone is CREATED while it has no thread: its first one is the answer."""
        call = zoho_desk.take_call()
        assert (await state_of(adapter, call)).status is ThreadStatus.CREATED
        zoho_desk.write(call, "answer")
        assert (await state_of(adapter, call)).status is ThreadStatus.ONGOING

    async def test_hidden_count(self, adapter, zoho_desk, mail):
        """Where the profile hides the count of threads, an open ticket counts as answered."""
        zoho_desk.hides = {"threadCount"}
        assert (await state_of(adapter, mail)).status is ThreadStatus.ONGOING

    async def test_spam(self, adapter, zoho_desk, mail):
        """Spam is closed, whatever its status says."""
        zoho_desk.touch(mail, isSpam=True)
        ticket = await state_of(adapter, mail)
        assert (ticket.vendor_status, ticket.status) == ("Spam", ThreadStatus.CLOSED)

    async def test_archived(self, adapter, zoho_desk, mail):
        """An archived ticket is followed like any other."""
        zoho_desk.touch(mail, isArchived=True, statusType="Closed")
        assert (await state_of(adapter, mail)).status is ThreadStatus.CLOSED

    async def test_assignee_and_time(self, adapter, zoho_desk, mail, clock):
        """The assignee is told by name, and the time of change as it is."""
        now = clock.now()
        zoho_desk.touch(mail, now)
        ticket = await state_of(adapter, mail)
        assert ticket.assignee == "Änne Agent"
        assert whole(ticket.updated_at) == whole(now)

    async def test_hidden_fields(self, adapter, zoho_desk, mail):
        """Fields that the profile hides are missing without a word, and the ticket is one all the same."""
        zoho_desk.hides = {"assignee", "subject", "webUrl", "modifiedTime", "channel", "description"}
        ticket = await state_of(adapter, mail)
        assert (ticket.assignee, ticket.subject, ticket.link, ticket.updated_at) == (None, None, None, None)

    async def test_one_after_the_other(self, adapter, zoho_desk, mail):
        """The same ticket asked for twice is one request; what cannot be an id is none."""
        await adapter.check()
        zoho_desk.forget()
        states = await adapter.tickets([mail, mail, "../myinfo"])
        assert states[1:] == [Unavailable("../myinfo", Unavailability.GONE)]
        assert len(zoho_desk.requests) == 1


class TestAway:
    """Tickets that cannot be followed."""

    @pytest.mark.parametrize("field", ["isTrashed", "isDeleted"])
    async def test_trash(self, adapter, zoho_desk, mail, field):
        """A ticket in the trash can still be read, but is gone; so is one that was merged, as it lands there."""
        (ticket,) = await adapter.tickets([mail])
        zoho_desk.touch(mail, **{field: True})
        assert await state_of(adapter, mail) == Unavailable(mail, Unavailability.GONE)
        with pytest.raises(TicketUnavailable):
            [reply async for reply in adapter.replies(ticket, None)]
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(link=zoho_desk.link(mail)))

    async def test_purged_and_forbidden(self, adapter, zoho_desk, mail, clock):
        """One that is gone for good, and one of a department out of reach, stop no other."""
        gone, secret = (zoho_desk.open_ticket(clock.now())[0] for _ in range(2))
        zoho_desk.purge(gone)
        zoho_desk.forbidden.add(secret)
        states = await adapter.tickets([gone, secret, mail])
        reasons = [getattr(state, "reason", None) for state in states]
        assert reasons == [Unavailability.GONE, Unavailability.FORBIDDEN, None]

    async def test_other_word_for_gone(self, adapter, zoho_desk):
        """Both of the words that Zoho has for a ticket that is not there are believed."""
        await adapter.check()
        zoho_desk.next_answers.append((404, {}, '{"errorCode": "URL_NOT_FOUND"}', "application/json"))
        assert await state_of(adapter, ID) == Unavailable(ID, Unavailability.GONE)

    @pytest.mark.parametrize("status", [403, 404])
    @pytest.mark.parametrize("body", ["<html>Not here</html>", '{"errorCode": "NOVELTY"}', '{"error": "no"}', "{}", ""])
    async def test_a_refusal_of_somebody_else(self, adapter, zoho_desk, mail, status, body):
        """A 403 or 404 that is not in Zoho's words does not say that a ticket is gone."""
        await adapter.check()
        zoho_desk.next_answers.append((status, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer):
            await state_of(adapter, mail)

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (204, ""),
            (200, '{"errorCode": "INTERNAL", "message": "x"}'),
            (422, '{"errorCode": "UNPROCESSABLE_ENTITY"}'),
            (200, '{"id": "189200000100000999", "ticketNumber": "7", "status": "Open"}'),
        ],
    )
    async def test_no_answer(self, adapter, zoho_desk, mail, status, body):
        """Nothing, an error inside a 200, a refusal of the question, or another ticket is a failure."""
        await adapter.check()
        zoho_desk.next_answers.append((status, {}, body, "application/json"))
        with pytest.raises(UnexpectedAnswer):
            await state_of(adapter, mail)
