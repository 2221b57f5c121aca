"""Finding links: by whatever people know of one, from indexes, newest first."""

from datetime import timedelta

from syncd.model.communication import Thread
from syncd.model.link import NewLink
from syncd.model.ticket import Ticket, TicketRef
from syncd.store import link_changes, links
from syncd.store.link_search import Configured, LinkSearch, search_links

CONFIGURED = Configured(("berlin", "hamburg"), ("desk", "phone"))
ADDRESS = "https://desk.example/agent/tickets/T1"
LONGEST = "https://desk.example/" + "t" * 9000


async def _fill(filled) -> None:
    """Register seven links: three threads at two apis, one ticket in two of them, one not looked up yet."""
    await filled.link(501, number="T1")
    await filled.link(502, number="T2")
    await filled.link(501, api="hamburg", number="T1")
    ticket = Ticket(id="id-T1", number="T1", link=ADDRESS)
    for link_id in (1, 3):
        await filled.do(link_changes.set_ticket, link_id, ticket)
    for thread, ref, system in (
        (Thread("berlin", 8, 601), TicketRef(number="T9"), "phone"),
        (Thread("berlin", 8, 602), TicketRef(link=LONGEST), "desk"),
        (Thread("hamburg", 9, 501), TicketRef(number="T1"), "phone"),
    ):
        await filled.do(links.add, NewLink(thread, system, ref, filled.now), filled.now)
    await filled.do(link_changes.remove, 2, filled.now + timedelta(hours=1))


SEARCHES: list[tuple[LinkSearch, list[int]]] = [
    (LinkSearch(), [6, 5, 4, 3, 2, 1]),
    (LinkSearch(ticket="T1"), [6, 3, 1]),
    (LinkSearch(ticket="#T9"), [4]),
    (LinkSearch(ticket="id-T2"), [2]),
    (LinkSearch(ticket=ADDRESS), [3, 1]),
    (LinkSearch(ticket=LONGEST), [5]),
    (LinkSearch(ticket="T"), []),
    (LinkSearch(customer=7), [3, 2, 1]),
    (LinkSearch(customer=7, api="hamburg"), [3]),
    (LinkSearch(customer=7, thread=502), [2]),
    (LinkSearch(thread=501), [6, 3, 1]),
    (LinkSearch(thread=501, system="phone"), [6]),
    (LinkSearch(ticket="T1", customer=7, api="berlin"), [1]),
    (LinkSearch(api="hamburg"), [6, 3]),
    (LinkSearch(system="phone"), [6, 4]),
    (LinkSearch(state="removed"), [2]),
    (LinkSearch(state="unresolved", system="desk"), [5]),
    (LinkSearch(state="active", api="berlin"), [1]),
    (LinkSearch(customer=2**63 - 1), []),
]


async def test_links_are_found_by_whatever_is_known_of_them(filled) -> None:
    """Number, address, id, customer, thread, api, system and state find the links that have them all, newest first."""
    await _fill(filled)
    for search, expected in SEARCHES:
        found = await filled.database.read(lambda c: search_links(c, search, CONFIGURED, before=None, limit=50))  # noqa: B023
        assert [link.id for link in found] == expected, search


async def test_a_list_goes_on_where_its_page_ended(on_sqlite) -> None:
    """Pages of one link each hold the same links, in the same order, as one page of all."""
    await _fill(on_sqlite)
    read = on_sqlite.database.read
    for search in (LinkSearch(state="active"), LinkSearch(thread=501)):

        async def page(before: int | None, limit: int, search: LinkSearch = search) -> list[int]:
            return [
                one.id for one in await read(lambda c: search_links(c, search, CONFIGURED, before=before, limit=limit))
            ]

        pages: list[int] = []
        while len(pages) < 20 and (some := await page(pages[-1] if pages else None, 1)):
            pages += some
        assert pages == await page(None, 50) != []


async def test_no_search_for_a_few_looks_at_all(on_sqlite) -> None:
    """A search for a ticket, a customer or a thread goes by indexes alone, whatever number of links there are."""
    await _fill(on_sqlite)
    plans: list[str] = []
    searches = [
        LinkSearch(ticket="T1"),
        LinkSearch(customer=7),
        LinkSearch(thread=501),
        LinkSearch(customer=7, thread=1),
    ]

    def explained(connection) -> None:
        statements: list[str] = []
        driver = connection.connection.driver_connection
        driver.set_trace_callback(statements.append)
        for search in searches:
            search_links(connection, search, CONFIGURED, before=None, limit=50)
        driver.set_trace_callback(None)
        for statement in statements:
            plans.extend(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}"))

    await on_sqlite.do(explained)
    assert plans
    assert not [plan for plan in plans if plan.startswith("SCAN")]
