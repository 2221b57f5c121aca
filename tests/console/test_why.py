"""`syncd why` says in its first line what really stops a reply, of a daemon that really is stopped."""

from syncd.console.context import CommandContext
from syncd.console.why import Asked, answer
from syncd.model.delivery import DeliveryState
from syncd.store import health
from syncd.store.lock import find_lock
from syncd.testing.sandbox_faults import redirect, refusal


async def test_a_parked_delivery_really_holds_its_thread(world):
    """In strict order a refused reply holds the next one; the ticket's link names it, its reason and the way out."""
    await world.begin(api_order="strict")
    lock = await find_lock(f"sqlite:///{world.folder}/syncd.db")
    context = CommandContext(world.parts.settings, world.database, world.clock, "anna")
    ticket = world.ticket()
    await world.link(ticket)
    await world.sync()
    world.sandbox.plan(refusal(400, "content too long"))
    for text in ("refused", "behind it"):
        world.helpdesk.customer_reply(ticket.id, text)
        await world.sync(20)
    first, second = await world.deliveries()
    (of_ticket,) = await answer(context, Asked(ticket.number, None, None))
    (of_second,) = await answer(context, Asked(None, None, second.id))
    assert (first.state, second.state) == ("parked", "pending")
    assert of_second.sentence.startswith(f"not delivered: waits behind delivery {first.id}, parked since ")
    assert "content too long" in of_second.sentence
    assert of_ticket.sentence.startswith(f"delivery {first.id} is not delivered: parked since ")
    assert of_ticket.needs_person
    assert f"syncd deliveries retry {first.id} --reason mended" in of_ticket.commands
    assert lock is not None
    await lock.release()


async def test_an_api_that_really_is_paused(world):
    """Something that is not the API answers: the reply says since when its api is paused; mended, all is delivered."""
    await world.begin()
    lock = await find_lock(f"sqlite:///{world.folder}/syncd.db")
    context = CommandContext(world.parts.settings, world.database, world.clock, "anna")
    ticket = world.ticket()
    link_id = await world.link(ticket)
    await world.sync()
    world.sandbox.plan(redirect("https://elsewhere.example/"))
    world.helpdesk.customer_reply(ticket.id, "hello")
    await world.sync(20)
    (paused,) = await answer(context, Asked(None, link_id, None))
    assert "api berlin is paused since" in paused.sentence
    assert "something else than the Open API answers" in paused.sentence
    assert paused.needs_person
    assert "syncd apis resume berlin" in paused.commands
    await world.database.write(lambda c: health.resume_api(c, "berlin"))
    await world.sync(60)
    (done,) = await answer(context, Asked(ticket.number, None, None))
    assert done.sentence.startswith("everything that is known of it is delivered; last at ")
    assert not done.needs_person
    assert lock is not None
    await lock.release()


def test_the_command(syncd):
    """The first line is the cause, then facts, then commands; the exit code says whether a person is needed."""
    link_id = syncd.link()
    delivery_id = syncd.deliver(link_id, "a", DeliveryState.PARKED, reason="no text\nError: forged")
    ran = syncd("why", "HD-1")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0].startswith(f"delivery {delivery_id} is not delivered: parked since 2026-05-01 ")
    assert lines[0].endswith("no text\\nError: forged")
    assert f"    syncd deliveries show {delivery_id}" in lines
    (told,) = syncd("why", "--delivery", delivery_id, "--json").json
    assert told["about"] == f"delivery {delivery_id}"
    assert told["needs_person"] is True
    assert told["facts"]["thread"] == "500 of customer 7 at berlin"


def test_what_a_number_may_be(syncd):
    """A number that is no ticket's is taken as a link's, with a notice; nothing of that name is exit code 2."""
    link_id = syncd.link()
    ran = syncd("why", link_id)
    assert ran.code == 1  # no worker runs
    assert f"this is about link {link_id}" in ran.err
    ran = syncd("why", "4711")
    assert ran.code == 2
    assert "nothing is linked to a ticket '4711'" in ran.err
    assert syncd("why").code == 2
    assert syncd("why", "HD-1", "--link", link_id).code == 2


def test_each_link_of_a_ticket(syncd):
    """A ticket that is linked twice has a sentence for each of its links."""
    ids = [syncd.link(500), syncd.link(501, api="hamburg")]
    told = syncd("why", "HD-1", "--json").json
    assert sorted(one["about"] for one in told) == [f"link {link_id}" for link_id in ids]
    assert all("no worker runs" in one["sentence"] for one in told)
