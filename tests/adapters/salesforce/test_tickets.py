"""Cases: how they are named, and what they are like."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from adapters._salesforce_records import parse_id
from adapters._salesforce_soql import quoted
from adapters.salesforce import Salesforce, SalesforceConfig
from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import TicketRef, Unavailability, Unavailable
from tests.adapters.salesforce.soql import Query
from tests.adapters.salesforce.stand_in import AGENT, BLANKS


class TestNumbers:
    """Case numbers are texts with zeros before them."""

    async def test_zeros_left_out(self, adapter, salesforce):
        """People leave the zeros out; the number is told with them."""
        case_id = salesforce.open_case()
        number = salesforce.number(case_id)
        ticket = await adapter.resolve(TicketRef(number=f"#{number.lstrip('0')}"))
        assert (ticket.id, ticket.number) == (case_id, number)
        assert len(number) == 8

    async def test_other_width(self, adapter, salesforce):
        """Where numbers have another width, one without its zeros is found all the same, and no longer one instead."""
        salesforce.width = 10
        case_id = salesforce.open_case()
        short = salesforce.number(case_id).lstrip("0")
        salesforce.open_case(CaseNumber="7" + salesforce.number(case_id)[1:])
        assert (await adapter.resolve(TicketRef(number=short))).id == case_id

    async def test_longer_number_is_another(self, adapter, salesforce):
        """A number that only ends in the same digits is another case's."""
        case_id = salesforce.open_case()
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(number=salesforce.number(case_id)[-3:]))

    async def test_zero(self, adapter):
        """A number of zeros alone does not search for everything."""
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(number="0"))

    @pytest.mark.parametrize("number", ["' OR Id != '", "1'", "1\\", "1%", "१२३", "abc", "1" * 40])
    async def test_impossible(self, adapter, salesforce, number):
        """What could be more than a number is refused before anything is asked."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(number=number))
        assert salesforce.requests == []

    @pytest.mark.parametrize("text", ["it's", "\\", "\\'", "a' OR Id != '", "\\\\'"])
    def test_quoting(self, text):
        """A text in a query stays one text, whatever is in it."""
        query = Query(f"SELECT Id FROM Case WHERE Subject = {quoted(text)}", lambda row, name: row[name])
        rows = [BLANKS["Case"] | {"Id": "1", "Subject": text}, BLANKS["Case"] | {"Id": "2"}]
        assert [row["Id"] for row in query.run(rows)] == ["1"]


class TestIds:
    """Ids have 15 characters, or 18 whose last three tell upper from lower case."""

    @pytest.mark.parametrize(
        ("short", "whole"),
        [
            ("001D000000IqhSL", "001D000000IqhSLIAZ"),
            ("500Ac0000012345", "500Ac0000012345IAA"),
            ("0" * 15, "0" * 15 + "AAA"),
        ],
    )
    def test_long_form(self, short, whole):
        """The short form becomes the long one, and the long one stays."""
        assert parse_id(short) == parse_id(whole) == whole

    @pytest.mark.parametrize("text", ["", "500", "500Ac00000123456", "500Ac000001234\n", "500Ac00000123é5"])
    def test_no_id(self, text):
        """Anything else is no id."""
        with pytest.raises(UnexpectedAnswer):
            parse_id(text)

    async def test_case_matters(self, adapter, salesforce):
        """Two ids that differ in upper and lower case alone are two cases."""
        case_id = salesforce.open_case()
        other = case_id[:15].swapcase()
        assert other != case_id[:15]
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(number=other.replace(other[:3], "500")))

    async def test_id_as_number(self, adapter, salesforce):
        """An id in the place of a number names its case, in both lengths."""
        case_id = salesforce.open_case()
        for ref in (case_id, case_id[:15]):
            assert (await adapter.resolve(TicketRef(number=ref))).id == case_id


class TestLinks:
    """Every web app has its own."""

    @pytest.mark.parametrize(
        "path",
        [
            "/lightning/r/Case/{long}/view",
            "/lightning/r/{long}/view",
            "/lightning/r/Account/001Ac00000000aaIAA/view?ws=%2Flightning%2Fr%2FCase%2F{long}%2Fview",
            "/{short}",
            "/{long}?nooverride=1",
            "/help/s/case/{long}/my-locker",
            "/one/one.app#/sObject/{long}/view",
        ],
    )
    async def test_forms(self, adapter, salesforce, path):
        """Links of Lightning, of its console, of the classic app and of portals name the case."""
        case_id = salesforce.open_case()
        link = salesforce.base_url + path.format(long=case_id, short=case_id[:15])
        assert (await adapter.resolve(TicketRef(link=link))).id == case_id

    @pytest.mark.parametrize("path", ["/lightning/r/Account/001Ac00000000aaIAA/view", "/lightning/o/Case/list", "/500"])
    async def test_something_else(self, adapter, salesforce, path):
        """A link to anything but a case is refused before anything is asked."""
        with pytest.raises(InvalidTicketRef):
            await adapter.resolve(TicketRef(link=salesforce.base_url + path))
        assert salesforce.requests == []

    @pytest.mark.parametrize(
        ("base_url", "host"),
        [
            ("https://acme.my.salesforce.com", "acme.lightning.force.com"),
            ("https://acme--dev.sandbox.my.salesforce.com", "acme--dev.sandbox.lightning.force.com"),
        ],
    )
    def test_lightning_host(self, base_url, host):
        """The host of Lightning belongs to the organisation, whose links people copy, also in a sandbox."""
        options = SalesforceConfig(base_url=base_url, client_id="a", client_secret="b")
        assert host in Salesforce(options, None).link_hosts

    def test_other_host(self, sign_in):
        """An address that is not of My Domain allows no other host by itself."""
        assert sign_in(["help.acme.test"]).link_hosts == {"help.acme.test"}

    async def test_own_link(self, adapter, salesforce):
        """The link that is told leads to the case from every app, and names it again."""
        case_id = salesforce.open_case()
        (ticket,) = await adapter.tickets([case_id])
        assert urlsplit(ticket.link).path == f"/{case_id}"
        assert await adapter.resolve(TicketRef(link=ticket.link)) == ticket


class TestStates:
    """What becomes of a case."""

    @pytest.mark.parametrize(
        ("status", "closed", "expected"),
        [
            ("New", False, ThreadStatus.CREATED),
            ("Working", False, ThreadStatus.ONGOING),
            ("Wartet auf Kunden", False, ThreadStatus.ONGOING),
            ("Gelöst", True, ThreadStatus.CLOSED),
            ("New", True, ThreadStatus.CLOSED),
        ],
    )
    async def test_status(self, adapter, salesforce, status, closed, expected):
        """Words for statuses are the organisation's own; whether they mean closed stands beside them."""
        case_id = salesforce.open_case(Status=status, IsClosed=closed)
        (ticket,) = await adapter.tickets([case_id])
        assert (ticket.status, ticket.vendor_status) == (expected, status)

    async def test_assignee(self, adapter, salesforce):
        """An owner is the assignee if it is a person; a queue is nobody."""
        ids = [salesforce.open_case(OwnerId=AGENT), salesforce.open_case()]
        assert [ticket.assignee for ticket in await adapter.tickets(ids)] == ["Änne Agent", None]

    async def test_deleted(self, adapter, salesforce):
        """A case in the recycle bin is gone, by its number, too; and so is one that was purged."""
        case_id, other = salesforce.open_case(), salesforce.open_case()
        salesforce.change("Case", case_id, IsDeleted=True)
        gone = Unavailable(case_id, Unavailability.GONE)
        assert await adapter.tickets([case_id]) == [gone]
        with pytest.raises(TicketUnavailable, match="gone"):
            await adapter.resolve(TicketRef(number=salesforce.number(case_id)))
        salesforce.purge("Case", case_id)
        assert (await adapter.tickets([case_id, other]))[0] == gone

    @pytest.mark.parametrize("keeps", [False, True])
    async def test_merged(self, adapter, salesforce, keeps):
        """A merged case names the one that remains, whether the organisation keeps merged cases or deletes them."""
        loser, winner = salesforce.open_case(), salesforce.open_case()
        salesforce.merge(loser, winner, keeps=keeps)
        (state,) = await adapter.tickets([loser])
        assert state == Unavailable(loser, Unavailability.MERGED, winner)
        with pytest.raises(TicketUnavailable):
            await adapter.resolve(TicketRef(number=salesforce.number(loser)))

    async def test_not_shared(self, adapter, salesforce):
        """A case that is not shared is silently missing: it looks gone, and stops no other."""
        hidden, shown = salesforce.open_case(), salesforce.open_case()
        salesforce.invisible = {hidden}
        assert [type(one).__name__ for one in await adapter.tickets([hidden, shown])] == ["Unavailable", "Ticket"]

    async def test_foreign_ids(self, adapter, salesforce):
        """An id that is none of a case is gone, and never gets into a query."""
        case_id = salesforce.open_case()
        found = await adapter.tickets(["x') OR Id != null", case_id])
        assert [type(one).__name__ for one in found] == ["Unavailable", "Ticket"]

    async def test_many(self, adapter, salesforce, clock):
        """A hundred cases are one request, and its address stays below the 16 KB that Salesforce takes."""
        ids = [salesforce.open_case(clock.now() - timedelta(days=1)) for _ in range(250)]
        await adapter.tickets(ids[:1])
        salesforce.forget()
        assert [ticket.id for ticket in await adapter.tickets(ids)] == ids
        assert salesforce.count("queryAll") == 3
