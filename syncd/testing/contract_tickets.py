"""The contract of adapters about signing in, naming tickets, and telling their state."""

from urllib.parse import urlsplit

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, PauseSystem, SettingsError, TicketUnavailable
from syncd.model.ticket import Ticket, TicketRef, Unavailable
from syncd.sources.adapter import Capability
from syncd.sources.registry import OpenedAdapter, open_adapter, validate_options
from syncd.testing.contract_base import FOREIGN_HOST, ContractBase, id_of, instants, offered, read_replies
from syncd.testing.vendor import Vendor
from syncd.testing.virtual_clock import VirtualClock


class SigningContract(ContractBase):
    """Options and credentials."""

    async def test_it_signs_in(self, opened: OpenedAdapter) -> None:
        """With good credentials check() says who we are."""
        assert (await opened.adapter.check()).account

    async def test_bad_credentials_pause(self, vendor: Vendor, clock: VirtualClock) -> None:
        """A refused credential is PauseSystem: nothing will work until a person mends it."""
        options = validate_options(self.adapter, vendor.bad_options())
        async with open_adapter(self.adapter, options, clock=clock) as opened:
            with pytest.raises(PauseSystem):
                await opened.adapter.check()

    async def test_unknown_options_are_refused(self, vendor: Vendor) -> None:
        """A key that the config does not know is told with its place."""
        with pytest.raises(SettingsError) as caught:
            validate_options(self.adapter, {**vendor.options(), "no_such_option": 1})
        assert [problem.place for problem in caught.value.problems] == ["no_such_option"]

    async def test_it_describes_itself(self) -> None:
        """Title, documentation, permissions and each option have words for people."""
        assert self.adapter.title
        assert self.adapter.documentation
        assert self.adapter.permissions
        assert [name for name, field in self.adapter.config.model_fields.items() if not field.description] == []

    async def test_it_uses_no_more_than_it_declares(self, opened: OpenedAdapter) -> None:
        """What the account may use is some of the adapter's capabilities."""
        assert await opened.adapter.available() <= self.adapter.capabilities


class NamingContract(ContractBase):
    """From what a person writes to a ticket."""

    async def test_number_and_link_name_the_same_ticket(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """A ticket is found by its number and by its link, and has the same id both times."""
        seeded = await vendor.seed_ticket(instants(vendor, [0]))
        by_number = await opened.adapter.resolve(TicketRef(number=seeded.number))
        by_link = await opened.adapter.resolve(TicketRef(link=seeded.link))
        assert by_number.id == by_link.id == seeded.id
        assert by_number.number == by_link.number == seeded.number

    async def test_a_link_is_parsed_and_never_followed(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """A link with a host of link_hosts finds the ticket at the configured host: the link's own is not called."""
        seeded = await vendor.seed_ticket(instants(vendor, [0]))
        link = urlsplit(seeded.link)._replace(netloc=FOREIGN_HOST, scheme="https").geturl()
        assert (await opened.adapter.resolve(TicketRef(link=link))).id == seeded.id

    @pytest.mark.parametrize(
        "netloc",
        ["evil.test", "me:hush@{netloc}", "{host}.evil.test", "169.254.169.254", "[::1]", "10.0.0.7:8080", "{host}:1"],
    )
    async def test_a_foreign_link_is_refused(self, opened: OpenedAdapter, vendor: Vendor, netloc: str) -> None:
        """A link of another host, or with credentials in it, is refused without a request, and not repeated."""
        seeded = await vendor.seed_ticket(instants(vendor, [0]))
        parts = urlsplit(seeded.link)
        foreign = parts._replace(netloc=netloc.format(host=parts.hostname, netloc=parts.netloc)).geturl()
        sent = opened.http.requests_sent
        with pytest.raises(InvalidTicketRef) as caught:
            await opened.adapter.resolve(TicketRef(link=foreign))
        assert opened.http.requests_sent == sent
        assert "hush" not in str(caught.value)

    async def test_a_link_to_something_else_is_refused(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """A link of the right host that is no ticket's is refused without a request."""
        base = vendor.options()["base_url"].rstrip("/")
        with pytest.raises(InvalidTicketRef):
            await opened.adapter.resolve(TicketRef(link=f"{base}/surely/not/one"))
        assert opened.http.requests_sent == 0

    @pytest.mark.parametrize("number", ["", "../1", "1/../../2", "1\n2", "no such number"])
    async def test_an_impossible_number_is_refused(self, opened: OpenedAdapter, number: str) -> None:
        """What cannot be a number of this vendor is refused without a request."""
        with pytest.raises(InvalidTicketRef):
            await opened.adapter.resolve(TicketRef(number=number))
        assert opened.http.requests_sent == 0

    async def test_an_unknown_ticket_is_unavailable(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """A number that no ticket has is TicketUnavailable, so that other tickets go on."""
        with pytest.raises(TicketUnavailable):
            await opened.adapter.resolve(TicketRef(number=vendor.unknown_number()))


class StateContract(ContractBase):
    """What tickets are like now."""

    async def test_tickets_are_told_one_by_one(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """tickets() answers for every id, in few requests where the adapter says that it can; for none it asks none."""
        seeded = [await vendor.seed_ticket(instants(vendor, [0])) for _ in range(4)]
        assert await opened.adapter.tickets([]) == []
        await opened.adapter.tickets([seeded[0].id])
        before = opened.http.requests_sent
        found = await opened.adapter.tickets([one.id for one in seeded])
        assert {ticket.id for ticket in found if isinstance(ticket, Ticket)} == {one.id for one in seeded}
        assert len(found) == len(seeded)
        if Capability.BULK_TICKETS in self.adapter.capabilities:
            assert opened.http.requests_sent - before < len(seeded)

    async def test_a_vanished_ticket_stops_no_other(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """A deleted ticket is said to be unavailable, and the others are told beside it."""
        gone, stays = [await vendor.seed_ticket(instants(vendor, [0])) for _ in range(2)]
        ticket = await opened.adapter.resolve(TicketRef(number=gone.number))
        await offered(vendor.delete_ticket(gone.id))
        found = {id_of(one): type(one) for one in await opened.adapter.tickets([gone.id, stays.id])}
        assert found == {gone.id: Unavailable, stays.id: Ticket}
        with pytest.raises(TicketUnavailable):
            await read_replies(opened, ticket)
        with pytest.raises(TicketUnavailable):
            await opened.adapter.resolve(TicketRef(number=gone.number))

    async def test_a_closed_ticket_is_closed(self, opened: OpenedAdapter, vendor: Vendor) -> None:
        """The vendor's word for closed becomes CLOSED, and is kept as the vendor writes it."""
        seeded = await vendor.seed_ticket(instants(vendor, [0]))
        (before,) = await opened.adapter.tickets([seeded.id])
        await offered(vendor.close_ticket(seeded.id))
        (after,) = await opened.adapter.tickets([seeded.id])
        assert isinstance(before, Ticket)
        assert isinstance(after, Ticket)
        assert before.status is not ThreadStatus.CLOSED
        assert after.status is ThreadStatus.CLOSED
        assert after.vendor_status
