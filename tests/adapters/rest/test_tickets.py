"""Tickets: found by number and link, read alone and in bulk, and what an answer that is none means."""

import pytest

from syncd.model.communication import ThreadStatus
from syncd.model.errors import InvalidTicketRef, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Ticket, TicketRef, Unavailability, Unavailable
from syncd.sources.adapter import Refused


@pytest.fixture
def ticket(desk):
    """The id of a ticket."""
    return desk.open_ticket(desk.clock.now(), owner="Anna Agent", state={"name": "open"})[0]


async def test_a_record_becomes_a_ticket(desk, describe, ticket):
    """Every field comes from its expression, the link from its template, the status from its table."""
    assert await describe(desk).resolve(TicketRef(number=f"#T-{ticket}")) == Ticket(
        id=str(ticket),
        number=f"T-{ticket}",
        link=f"{desk.base_url}/view/T-{ticket}",
        subject="Printer",
        vendor_status="open",
        status=ThreadStatus.ONGOING,
        assignee="Anna Agent",
        updated_at=desk.clock.now().replace(microsecond=0),
    )


async def test_a_search_takes_the_exact_number(desk, describe):
    """A search that finds parts of numbers gives the ticket whose number is the one asked for, or none."""
    for _ in range(900):
        desk._new_id()
    ticket, _ = desk.open_ticket(desk.clock.now())
    assert len(str(ticket)) == 4
    with pytest.raises(TicketUnavailable) as caught:
        await describe(desk).resolve(TicketRef(number=f"T-{str(ticket)[:3]}"))
    assert caught.value.unavailable == Unavailable(f"T-{str(ticket)[:3]}", Unavailability.GONE)


async def test_a_link_may_name_the_id(desk, describe, ticket):
    """A pattern with a group `id` asks by id."""
    adapter = describe(desk, {"ticket.link_pattern": "/by-id/(?P<id>[0-9]+)$"})
    assert (await adapter.resolve(TicketRef(link=f"{desk.base_url}/by-id/{ticket}"))).id == str(ticket)
    assert desk.count("/search") == 0
    with pytest.raises(InvalidTicketRef, match="write its number, or its link"):
        await adapter.resolve(TicketRef(link=f"{desk.base_url}/by-id/x"))


async def test_without_a_search_the_number_is_the_id(desk, describe, ticket):
    """Where number and id are the same, one request describes both."""
    changed = {"ticket.by_number": ..., "ticket.fields.number": "id", "ticket.number_pattern": "[0-9]+"}
    found = await describe(desk, changed).resolve(TicketRef(number=str(ticket)))
    assert (found.id, found.number) == (str(ticket), str(ticket))


async def test_the_record_of_another_ticket_is_a_failure(desk, describe, ticket):
    """A request that answers some other ticket (a filter that is ignored) never passes for the one asked for."""
    other, _ = desk.open_ticket(desk.clock.now())
    adapter = describe(desk, {"ticket.by_id.path": f"/tickets/{other}", "ticket.by_ids": ...})
    with pytest.raises(UnexpectedAnswer, match=f"answered another ticket than {ticket}"):
        await adapter.tickets([str(ticket)])


async def test_a_number_is_escaped_in_a_path(desk, describe):
    """What a number holds cannot lead to another path."""
    changed = {
        "ticket.number_pattern": ".+",
        "ticket.by_number": {"path": "/tickets/{number}", "record": "ticket"},
    }
    with pytest.raises(UnexpectedAnswer):
        await describe(desk, changed).resolve(TicketRef(number="1/messages?x=1"))
    assert desk.requests == [("/tickets/1/messages?x=1", {})]


async def test_many_tickets_cost_few_requests(desk, describe):
    """Ids are joined, so many to a request, and only what is left out is asked for alone."""
    made = [desk.open_ticket(desk.clock.now())[0] for _ in range(5)]
    desk.forbidden.add(made[0])
    desk.delete(made[1])
    told = await describe(desk).tickets([str(key) for key in made])
    assert {one.ticket_id: one.reason for one in told if isinstance(one, Unavailable)} == {
        str(made[0]): Unavailability.FORBIDDEN,
        str(made[1]): Unavailability.GONE,
    }
    assert {one.id for one in told if isinstance(one, Ticket)} == {str(key) for key in made[2:]}
    assert [path for path, _ in desk.requests].count("/tickets") == 2
    assert len(desk.requests) == 4


async def test_a_bulk_answer_that_ignores_the_ids(desk, describe, ticket):
    """Tickets that nobody asked for are left alone."""
    desk.open_ticket(desk.clock.now())
    desk.ignores_parameters, desk.paging = True, "none"
    adapter = describe(desk, {"ticket.by_ids.path": "/changes", "ticket.by_ids.params": {"n": "{ids}"}})
    assert [one.id for one in await adapter.tickets([str(ticket)])] == [str(ticket)]
    assert len(desk.requests) == 1


async def test_ids_that_differ_in_case_are_two_tickets(desk, describe):
    """Where ids are told apart by upper and lower case, one ticket is never taken for the other."""
    for key in ("aBc", "abc"):
        ticket, _ = desk.open_ticket(desk.clock.now(), key=key)
    by_id = {"path": "/search", "params": {"number": "T-"}, "rows": "rows"}
    changed = {"ticket.by_ids": ..., "ticket.by_id": by_id, "ticket.fields.id": "key"}
    assert [one.id for one in await describe(desk, changed).tickets(["abc"])] == ["abc"]
    desk.delete(ticket)
    assert await describe(desk, changed).tickets(["abc"]) == [Unavailable("abc", Unavailability.GONE)]


async def test_words_that_are_not_mapped_stay_words(desk, describe, ticket):
    """A status that no table has is told as the vendor's word alone; upper and lower case make no difference."""
    desk.change(ticket, state={"name": "Strange"})
    found = await describe(desk).resolve(TicketRef(number=f"T-{ticket}"))
    assert (found.vendor_status, found.status) == ("Strange", None)
    desk.change(ticket, state={"name": "DONE"})
    assert (await describe(desk).resolve(TicketRef(number=f"T-{ticket}"))).status is ThreadStatus.CLOSED


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"deleted": True}, (Unavailability.GONE, None)),
        ({"merged_into": 4711}, (Unavailability.MERGED, "4711")),
    ],
)
async def test_a_record_may_say_that_it_is_none(desk, describe, ticket, fields, expected):
    """A ticket that counts as deleted, or that was merged, is unavailable, and the survivor is named."""
    desk.change(ticket, **fields)
    with pytest.raises(TicketUnavailable) as caught:
        await describe(desk).resolve(TicketRef(number=f"T-{ticket}"))
    assert (caught.value.unavailable.reason, caught.value.unavailable.merged_into) == expected


async def test_a_forbidden_ticket_is_forbidden(desk, describe, ticket):
    """403 is one ticket's."""
    desk.forbidden.add(ticket)
    (told,) = await describe(desk).tickets([str(ticket)])
    assert told == Unavailable(str(ticket), Unavailability.FORBIDDEN)


async def test_a_404_of_somebody_else_is_no_absence(desk, describe, ticket):
    """A 404 that is not told as the system tells it, such as a proxy's page, is a failure and no missing ticket."""
    desk.next_answers.append((404, {}, "<html>no such host</html>", "text/html"))
    with pytest.raises(UnexpectedAnswer, match=r"ticket\.unavailable\.told_by"):
        await describe(desk, {"ticket.by_ids": ...}).tickets([str(ticket)])


async def test_without_a_sign_of_the_system_json_or_nothing_will_do(desk, describe, ticket):
    """Where the settings do not say how a 404 is told, one with JSON or without a body counts, and a page does not."""
    adapter = describe(desk, {"ticket.by_ids": ..., "ticket.unavailable": {}})
    desk.next_answers += [(404, {}, body, "text/html") for body in ("", "{}", "<html>no such host</html>")]
    told = [(await adapter.tickets([str(ticket)]))[0].reason for _ in range(2)]
    assert told == [Unavailability.GONE] * 2
    with pytest.raises(UnexpectedAnswer):
        await adapter.tickets([str(ticket)])


async def test_a_sign_of_the_system_may_be_a_text(desk, describe, ticket):
    """A 404 in plain text is told apart by what it says."""
    adapter = describe(desk, {"ticket.by_ids": ..., "ticket.unavailable.told_by": "contains(@, 'no such ticket')"})
    desk.next_answers.append((404, {}, "there is no such ticket", "text/plain"))
    assert (await adapter.tickets([str(ticket)]))[0].reason is Unavailability.GONE


async def test_a_status_that_means_nothing_is_refused(desk, describe, ticket):
    """A status that the settings do not name is neither gone nor forbidden."""
    desk.forbidden.add(ticket)
    with pytest.raises(Refused):
        await describe(desk, {"ticket.by_ids": ..., "ticket.unavailable.forbidden": []}).tickets([str(ticket)])


@pytest.mark.parametrize(
    ("place", "expression", "told"),
    [
        ("number", "number", r"ticket\.fields\.number gives nothing where an id is needed \(ticket {ticket}\)"),
        ("subject", "state", r"ticket\.fields\.subject gives an object where a text is needed \(ticket {ticket}\)"),
        ("updated_at", "title", r"ticket\.fields\.updated_at cannot be read as a time \(iso\) \(ticket {ticket}\)"),
        ("assignee", "join('', [id])", r"cannot be evaluated: join\(\) was given a number \(ticket"),
    ],
)
async def test_a_wrong_expression_is_told_by_its_place(desk, describe, ticket, place, expression, told):
    """What a wrong expression gives is told by place and ticket, and never by contents."""
    with pytest.raises(UnexpectedAnswer, match=told.format(ticket=ticket)) as caught:
        await describe(desk, {f"ticket.fields.{place}": expression}).tickets([str(ticket)])
    assert "Printer" not in str(caught.value)


async def test_a_ticket_that_cannot_be_read_stops_no_other(desk, describe, ticket):
    """A record of another shape fails by itself, and the others are told."""
    odd, _ = desk.open_ticket(desk.clock.now(), title={"en": "Printer"})
    assert [one.id for one in await describe(desk).tickets([str(odd), str(ticket)])] == [str(ticket)]
    with pytest.raises(UnexpectedAnswer, match=f"ticket {odd}"):
        await describe(desk).tickets([str(odd)])


async def test_an_odd_answer_about_one_ticket_stops_no_other(desk, describe, ticket):
    """Where tickets are asked for one by one, an answer that is none fails its ticket alone."""
    other, _ = desk.open_ticket(desk.clock.now())
    desk.next_answers.append((200, {}, "[]", "application/json"))
    assert [one.id for one in await describe(desk, {"ticket.by_ids": ...}).tickets([str(ticket), str(other)])] == [
        str(other)
    ]


async def test_parameters_may_be_true_numbers_and_lists(desk, describe, ticket):
    """True is written as the word, numbers as they are, and a list repeats its parameter."""
    changed = {"ticket.by_ids": ..., "ticket.by_id.params": {"with": True}}
    await describe(desk, changed).tickets([str(ticket)])
    assert desk.requests[-1] == (f"/tickets/{ticket}", {"with": "true"})
    await describe(desk, changed | {"ticket.by_id.params": {"with": [7, "{id}"]}}).tickets([str(ticket)])
    assert desk.requests[-1] == (f"/tickets/{ticket}", {"with": "7"})
