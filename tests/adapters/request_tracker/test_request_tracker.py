"""Signing in and naming tickets, against a stand-in with the traps of the real one; each test names its trap."""

import pytest

from syncd.model.errors import InvalidTicketRef, PauseSystem
from syncd.model.ticket import TicketRef
from syncd.sources.http import VendorHttp
from tests.adapters.request_tracker.query import by_json, by_sql


async def counted(adapter, work):
    """Return what some work returns, and how many requests it took."""
    before = adapter.http.requests_sent
    return await work, adapter.http.requests_sent - before


async def test_check_tells_the_account_from_its_token(adapter):
    """RT has no "who am I"; the user id stands in the token."""
    identity = await adapter.check()
    assert (identity.account, identity.warnings) == ("syncd", ())
    assert identity.notes == ("Request Tracker 5.0.3+stand-in", "queues: Support")


async def test_check_warns_of_accounts_that_see_too_much_or_too_little(connect, server):
    """Root, customers, accounts without queues, and queues that are not seen are named."""
    assert "SuperUser" in "".join((await connect("1-14-root").check()).warnings)
    assert "not privileged" in "".join((await connect("1-39-customer").check()).warnings)
    assert "Billing" in "".join((await connect(queues=("Billing", "Support")).check()).warnings)
    server.accounts["1-37-reader"].queues = frozenset()
    assert "no queue" in "".join((await connect().check()).warnings)


async def test_check_works_with_a_token_that_hides_its_owner(connect, server):
    """A token of another shape still signs in."""
    server.accounts["opaque"] = server.accounts["1-37-reader"]
    assert (await connect("opaque").check()).account == "the owner of the token"


async def test_what_is_no_request_tracker_pauses(connect, server):
    """A path that leads elsewhere, a web page and an empty object are no RT."""
    with pytest.raises(PauseSystem, match="start page"):
        await connect(base_url=f"{server.base_url}/helpdesk").check()
    for body, kind in ((b"<html></html>", "text/html"), (b"{}", "application/json"), (b"[]", "application/json")):
        server.next_answers.append((200, {}, body, kind))
        with pytest.raises(PauseSystem, match="start page"):
            await connect().check()


async def test_the_base_url_may_name_the_api(connect, server):
    """People copy the address of the API; links are built without it."""
    ticket, _ = server.create_ticket("Printer", "Text")
    adapter = connect(base_url=f"{server.base_url}/REST/2.0/")
    found = await adapter.resolve(TicketRef(number=str(ticket)))
    assert found.link == f"{server.base_url}/Ticket/Display.html?id={ticket}"


async def test_a_cookie_or_a_browser_would_be_redirected(server, connect, clock):
    """RT answers 302 to what looks like a browser; the adapter's requests do not, and a redirect pauses."""
    adapter = connect()
    await adapter.check()
    for headers in ({"User-Agent": "Mozilla/5.0"}, {"Cookie": "RT_SID=1"}):
        with pytest.raises(PauseSystem):
            await adapter.http.get("/REST/2.0/rt", headers=headers)


@pytest.mark.parametrize(
    "text",
    [
        "Ticket/Display.html?id={}",
        "Ticket/Display.html?id={}#txn-456",
        "Ticket/History.html?ForceShowHistory=1&id={}",
        "Ticket/Display.html?Mark=1;id={};x=2",
        "SelfService/Display.html?id={}",
        "m/ticket/show?id={}",
        "rt/Ticket/Display.html?id={}",
    ],
)
async def test_every_link_of_its_pages_is_a_ticket(adapter, server, text):
    """Agents, customers and phones see different pages of one ticket."""
    ticket, _ = server.create_ticket("Printer", "Text")
    found = await adapter.resolve(TicketRef(link=f"{server.base_url}/{text.format(ticket)}"))
    assert found.id == str(ticket)


@pytest.mark.parametrize("number", ["0", "#", "#0", "-1", "1.5", "٣", "9" * 19, "id=3"])
async def test_what_is_no_number_is_refused(adapter, number):
    """Nothing is asked of RT for a number that it cannot have."""
    with pytest.raises(InvalidTicketRef):
        await adapter.resolve(TicketRef(number=number))
    assert adapter.http.requests_sent == 0


@pytest.mark.parametrize("path", ["Ticket/Display.html", "Ticket/Display.html?id=x", "Search/Results.html?id=3"])
async def test_other_links_are_refused(adapter, server, path):
    """A link of RT that names no ticket is told at once."""
    with pytest.raises(InvalidTicketRef):
        await adapter.resolve(TicketRef(link=f"{server.base_url}/{path}"))


async def test_merged_deleted_forbidden_and_missing_are_told_apart(adapter, server):
    """Searches show none of them; a merged one is answered with the other, a deleted one as if nothing were."""
    target, merged, deleted = (server.create_ticket(name, "Text")[0] for name in ("target", "merged", "deleted"))
    hidden, _ = server.create_ticket("hidden", "Text", queue="Billing")
    server.merge(merged, target)
    server.set_status(deleted, "deleted")
    ids = [str(key) for key in (target, merged, deleted, hidden, 99)]
    shown, *others = await adapter.tickets([*ids, "no id", ids[0]])
    assert (shown.id, shown.subject) == (str(target), "target")
    reasons = ["merged", "gone", "forbidden", "gone", "gone"]
    assert [(one.ticket_id, one.reason.value) for one in others] == list(zip([*ids[1:], "no id"], reasons, strict=True))
    assert others[0].merged_into == str(target)


async def test_a_hundred_tickets_cost_one_request(adapter, server):
    """RT gives a hundred rows a page, whatever was asked for."""
    ids = [str(server.create_ticket("Printer", "Text")[0]) for _ in range(150)]
    found, requests = await counted(adapter, adapter.tickets(ids))
    assert [ticket.id for ticket in found] == ids
    assert requests == 2


async def test_other_hosts_in_answers_are_never_called(adapter, server, clock):
    """`_url` and `next_page` name the host that RT believes in; pages are asked for by number."""
    server.most_rows = 2
    ids = [str(server.create_ticket("Printer", "Text")[0]) for _ in range(5)]
    assert [ticket.id for ticket in await adapter.tickets(ids)] == ids
    assert all(not url.is_absolute() for url in server.asked)


def test_the_pace_is_gentle_and_the_token_goes_out_as_rt_wants_it(connect):
    """RT knows the word `token`, not Bearer; a request costs it a quarter of a second of CPU."""
    adapter = connect("1-37-reader")
    connection = adapter.connection(adapter.options)
    assert (connection.authentication.scheme, connection.requests_per_minute) == ("token", 120)
    assert isinstance(adapter.http, VendorHttp)


def test_the_stand_in_reads_queries_as_rt_does(clock):
    """An ISO time is cut to its day, nonsense is 1970, unknown fields of JSON are dropped, broken SQL is refused."""
    noon = clock.now().replace(hour=12)
    fields = {"Created": lambda row: row, "id": lambda _: 7}
    assert by_sql(f"Created > '{noon:%Y-%m-%dT13:00:00Z}'", fields, noon.tzinfo)(noon)
    assert not by_sql(f"Created > '{noon:%Y-%m-%d 13:00:00}'", fields, noon.tzinfo)(noon)
    assert by_sql("Created > 'nonsense' AND ( id = 7 OR id = 8 )", fields, noon.tzinfo)(noon)
    assert by_json('[{"field": "Nonsense", "value": 1}]', fields)(noon)
    for broken in ("id >", "id = 7 AND", "( id = 7", "id = 7 )", "Foo = 1"):
        with pytest.raises(Exception, match=r"query|field"):
            by_sql(broken, fields, noon.tzinfo)
