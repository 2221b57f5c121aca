"""`syncd preview` shows the bodies as they would leave, and sends, stores and tells nothing else."""

import asyncio

from syncd.model.delivery import DeliveryState
from syncd.store import lists
from syncd.testing.helpdesk import DeskFile


async def queued(syncd, ends):
    """Link a ticket with an old reply, let new ones be queued for it, and return it."""
    ticket = ends.ticket("an old one")
    await ends.link(ticket)
    await syncd.call("poll")
    ends.helpdesk.customer_reply(ticket.id, "a new one", files=(DeskFile("photo.jpg", 2048),))
    ends.helpdesk.agent_reply(ticket.id, "<p>an <b>answer</b></p>", html=True)
    ends.helpdesk.internal_note(ticket.id, "between us alone")
    await syncd.call("poll")
    return ticket


async def test_what_waits_is_shown_as_it_leaves(syncd, ends):
    """The bodies and paths that preview prints are those that the API then gets, to the letter."""
    ticket = await queued(syncd, ends)
    ran = await syncd.call("preview", ticket.number, "--json")
    assert ran.code == 0
    shown = [(one["path"], one["body"]) for one in ran.json if one["body"]]
    once = await asyncio.to_thread(syncd.process, "run", "--once")
    assert once.code == 0, once.err
    sent = [
        (f"/v1/communications/{one.customer_id}/threads/{one.thread_id}", dict(one.body))
        for one in ends.sandbox.communications
    ]
    assert shown == sent
    assert len(sent) == 2


async def test_nothing_of_internal_notes(syncd, ends):
    """Internal notes are counted; their text is in no answer, live or not."""
    ticket = await queued(syncd, ends)
    ran = await syncd.call("preview", ticket.number)
    assert "1 internal and withheld, 2 older than the link" in ran.out
    assert "2 communications would be sent. Nothing was." in ran.out
    live = await syncd.call("preview", ticket.number, "--live")
    assert "internal, so it stays here" in live.out
    for said in (ran, live, await syncd.call("preview", ticket.number, "--live", "--json")):
        assert "between us alone" not in said.out + said.err


async def test_live_is_what_is_stored_and_more(syncd, ends):
    """--live maps every public reply: the waiting ones to the same bodies, the older ones with their reason."""
    ticket = await queued(syncd, ends)
    stored = [one["body"] for one in (await syncd.call("preview", ticket.number, "--json")).json if one["body"]]
    ran = await syncd.call("preview", ticket.number, "--live", "--json")
    assert [one["body"] for one in ran.json if one["body"]] == stored
    assert [one["what"] for one in ran.json if "older" in one["what"]] == [
        "older than the link; `syncd backfill` would send it"
    ] * 2


async def test_live_needs_no_link(syncd, ends):
    """A ticket that is not linked is mapped all the same; neither a link nor a delivery is stored."""
    ticket = ends.ticket("hello", "again")
    ran = await syncd.call("preview", ends.helpdesk.link(ticket), "--live", "--json")
    assert ran.code == 0
    assert [one["body"]["content"] for one in ran.json] == ["the first message", "hello", "again"]
    assert {one["link_id"] for one in ran.json} == {None}
    assert "not linked" in ran.err
    counts = await asyncio.to_thread(syncd.stored, lists.count_all)
    assert counts.links == counts.deliveries == {}
    assert ends.sandbox.requests == 0


async def test_live_of_a_ticket_that_is_not_there(syncd, ends):
    """An unknown ticket is told as such, with exit code 1; what cannot be a ticket, with 2."""
    gone = await syncd.call("preview", "HD-77", "--live")
    assert gone.code == 1
    assert "HD-77 is gone" in gone.err
    assert (await syncd.call("preview", "what?", "--live")).code == 2


async def test_a_ticket_without_a_link(syncd, ends):
    """Without --live a ticket that no link has is refused, and the helpdesk is not asked."""
    ran = await syncd.call("preview", "HD-1")
    assert ran.code == 2
    assert "no link has a ticket HD-1" in ran.err
    assert ends.helpdesk.requests == []


async def test_why_the_rest_is_not_sent(syncd, ends):
    """Parked, doubtful and skipped ones have their reason and no body; delivered ones are counted."""
    link_id = await asyncio.to_thread(syncd.link)
    for number, state in enumerate((DeliveryState.PARKED, DeliveryState.IN_DOUBT, DeliveryState.DELIVERED)):
        await asyncio.to_thread(syncd.deliver, link_id, f"r{number}", state, reason=f"because {number}")
    ran = await syncd.call("preview", "HD-1", "--json")
    assert [one["body"] for one in ran.json] == [None, None]
    assert [one["what"].endswith(f"because {number}") for number, one in enumerate(ran.json)] == [True, True]
    assert "1 delivered" in ran.err


async def test_a_held_api(syncd, ends):
    """With mode hold the bodies are shown, and that nothing is sent yet."""
    ends.configure(api='mode = "hold"')
    ticket = await queued(syncd, ends)
    ran = await syncd.call("preview", ticket.number)
    assert "syncd apis release berlin" in ran.out
    assert ran.out.count("PUT /v1/communications/7/threads/500") == 2
