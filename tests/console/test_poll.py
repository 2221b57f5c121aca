"""`syncd poll` reads systems and tickets now, itself or by the worker."""

import asyncio
from functools import partial

from syncd.store import health


async def test_a_system_is_read(syncd, ends):
    """Without a worker the command reads itself: links are looked up and new replies are queued, nothing is sent."""
    ticket = ends.ticket("old")
    await ends.link(ticket)
    assert (await syncd.call("poll")).code == 0
    ends.helpdesk.customer_reply(ticket.id, "new")
    ran = await syncd.call("poll", "--system", "desk")
    assert ran.code == 0
    assert "desk: 1 tickets changed, 1 new deliveries" in ran.out
    assert await ends.states() == {"pending": 1}
    assert ends.sandbox.requests == 0


async def test_a_ticket_is_read_whether_it_changed_or_not(syncd, ends):
    """--ticket reads a ticket that the feed does not name, and asks for no other one."""
    one, other = ends.ticket(), ends.ticket()
    await ends.link(one, 500)
    await ends.link(other, 501)
    await syncd.call("poll")
    ends.helpdesk.requests.clear()
    ran = await syncd.call("poll", "--ticket", one.number)
    assert (ran.code, ran.out) == (0, "desk: 1 tickets read\n")
    assert [text for text in ends.helpdesk.requests if "replies" in text] == [
        next(text for text in ends.helpdesk.requests if f"/api/tickets/{one.id}/replies" in text)
    ]


async def test_a_ticket_without_a_link_is_refused(syncd, ends):
    """A ticket that no link has is a mistake of the caller, and the helpdesk is not asked."""
    ran = await syncd.call("poll", "--ticket", "HD-9")
    assert ran.code == 2
    assert "no link has a ticket HD-9" in ran.err
    assert ends.helpdesk.requests == []


async def test_a_system_that_cannot_be_read(syncd, ends):
    """Refused credentials are told with the reason, and the exit code is 1."""
    ends.configure(options='token = "wrong"')
    ran = await syncd.call("poll")
    assert ran.code == 1
    assert ran.out.startswith("desk: failed:")


async def test_a_paused_system_is_left_out(syncd, ends):
    """What a person has paused is not read: named it is refused, else it is left out and said so."""
    now = ends.clock.now()
    pause = partial(health.pause_system, system="desk", by=health.PERSON, reason="moving house", now=now)
    await asyncio.to_thread(syncd.stored, pause)
    named = await syncd.call("poll", "--system", "desk")
    assert named.code == 2
    assert "moving house" in named.err
    every = await syncd.call("poll")
    assert every.code == 0
    assert "left out" in every.err
    assert ends.helpdesk.requests == []
