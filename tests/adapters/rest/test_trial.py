"""The trial: what the settings make of a real ticket, field by field, for who writes them."""

import pytest

from syncd.model.errors import InvalidTicketRef, TicketUnavailable
from syncd.model.ticket import TicketRef


@pytest.fixture
def ticket(desk):
    """The id of a ticket with a note and a reply."""
    ticket, _ = desk.open_ticket(desk.clock.now(), "hello")
    desk.write(ticket, "for colleagues", public=False)
    desk.write(ticket, "Is it on?")
    return ticket


@pytest.fixture
def attempt(desk, describe, ticket):
    """Return what tries settings out and returns the fields by place."""

    async def tried(changed=None, ref=None, **where):
        found = await describe(desk, changed, **where).trial(ref or TicketRef(number=f"T-{ticket}"))
        return {one.place: one for one in found}

    return tried


async def test_each_expression_is_shown_with_what_it_made(attempt, ticket):
    """Place, expression, what was found and what it became stand beside each other, for the ticket and each reply."""
    tried = await attempt()
    assert [one.problem for one in tried.values() if one.problem] == []
    status = tried["ticket.status"]
    assert (status.expression, status.found, status.made) == ("state.name", "new", "new = CREATED")
    assert tried["ticket.link"].made.endswith(f"/view/T-{ticket}")
    assert [tried[f"replies[{number}].body"].made for number in range(3)] == ["hello", "for colleagues", "Is it on?"]
    assert [tried[f"replies[{number}].public"].made for number in range(3)] == ["public", "internal", "public"]
    assert tried["replies[2].author_kind"].made == "agent"
    assert tried["replies[2].channel"].made == "mail = EMAIL"


async def test_fields_come_in_the_order_of_the_settings(attempt):
    """The ticket comes first, and then its replies, oldest first, field by field."""
    places = list(await attempt())
    assert places[:4] == ["ticket.id", "ticket.number", "ticket.link", "ticket.subject"]
    replies = [place for place in places if place.startswith("replies[")]
    assert replies == sorted(replies, key=lambda place: place.split(".")[0])
    assert replies[:4] == ["replies[0].id", "replies[0].author", "replies[0].author_kind", "replies[0].public"]


async def test_one_problem_stops_no_other_field(attempt):
    """Wrong expressions are told one by one, beside what the others make."""
    tried = await attempt(
        {
            "ticket.fields.subject": "state",
            "ticket.fields.updated_at": "nr",
            "replies.fields.created_at": "at",
            "replies.fields.author": "join('', [author])",
            "replies.fields.public": "visible",
        }
    )
    assert tried["ticket.subject"].problem == "gives an object where a text is needed"
    assert tried["ticket.updated_at"].problem == "cannot be read as a time (iso)"
    assert tried["ticket.status"].made == "new = CREATED"
    assert tried["replies[0].created_at"].problem == "gives nothing where a time is needed"
    assert tried["replies[0].author"].problem == "cannot be evaluated: join() was given an object"
    assert tried["replies[0].public"].problem == "gives nothing, which counts as false"
    assert tried["replies[0].body"].made == "hello"


async def test_words_without_a_meaning_are_told(attempt):
    """A word that no table has is no failure, and worth a word."""
    tried = await attempt({"ticket.statuses": {}, "replies.fields.author_kind": "via"})
    assert tried["ticket.status"].problem == "is a word that ticket.statuses does not have"
    assert tried["replies[0].author_kind"].problem == "is a word that replies.author_kinds does not have"


async def test_it_works_without_an_id_and_a_number(attempt, ticket):
    """The trial is there for settings that are wrong: replies are tried though the ticket cannot be read."""
    changed = {"ticket.by_number": ..., "ticket.number_pattern": "T-(?P<number>[0-9]+)"}
    tried = await attempt({**changed, "ticket.fields.id": "key", "ticket.fields.number": "no"})
    assert tried["ticket.id"].problem == "gives nothing where an id is needed"
    assert tried["replies[2].body"].made == "Is it on?"


async def test_a_record_that_is_not_found_is_told(attempt, ticket):
    """Where the record of the ticket is wrong, what was answered is shown."""
    tried = await attempt({"ticket.by_number": {"path": "/search", "params": {"number": "{number}"}, "rows": "hits"}})
    (one,) = tried.values()
    assert one.place == "ticket.by_number"
    assert "ticket.by_number.rows gives nothing where a list is needed" in one.problem
    assert one.found["rows"][0]["id"] == ticket


async def test_replies_that_are_not_found_are_told(attempt):
    """Where the list of replies is wrong, the ticket is shown all the same."""
    tried = await attempt({"replies.rows": "messages"})
    assert "replies.rows gives nothing where a list is needed" in tried["replies"].problem
    assert tried["ticket.subject"].made == "Printer"


async def test_a_first_message_and_what_is_skipped(attempt, desk, ticket):
    """A message inside the ticket is tried as the first reply; what is skipped is told so."""
    desk.write(ticket, "status")
    tried = await attempt(replies="first")
    assert tried["replies[0].id"].made == f"first-T-{ticket}"
    assert tried["replies[4].skip"].made == "true"
    assert "replies[4].body" not in tried


async def test_what_is_no_ticket_is_refused_as_usual(attempt, desk, ticket):
    """A number that cannot be, and a ticket that is gone, are told as everywhere."""
    with pytest.raises(InvalidTicketRef):
        await attempt(ref=TicketRef(number="nonsense"))
    desk.delete(ticket)
    with pytest.raises(TicketUnavailable):
        await attempt()


async def test_contents_stay_out_of_reprs(attempt):
    """What the trial holds is for the operator's eyes."""
    assert "hello" not in repr(list((await attempt()).values()))
