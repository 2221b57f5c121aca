"""The trail of a reply through the log: from the vendor's id to the id of the communication."""

import io
from collections.abc import Iterator

import orjson
import pytest
from loguru import logger

from syncd.service.log import configure_log


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return what is logged from here on, as the journal would have it."""
    stream = io.StringIO()
    configure_log("INFO", "json", stream)
    yield stream
    logger.remove()


async def test_a_reply_is_followed_from_the_vendor_to_the_communication(world, log):
    """One line ties the vendor's reply to a delivery, one the delivery to its communication, by the same two ids."""
    await world.begin()
    ticket = world.ticket()
    link = await world.link(ticket)
    one = world.helpdesk.customer_reply(ticket.id, "a text that no log may hold")
    two = world.helpdesk.agent_reply(ticket.id, "nor this")
    await world.sync()
    lines = [orjson.loads(line) for line in log.getvalue().splitlines()]
    taken = [line for line in lines if line["message"] == "replies taken in" and one.id in line["replies"]]
    attempts = {line["reply"]: line for line in lines if line["message"] == "delivery attempted"}
    assert len(taken) == 1, "one line for the ticket, not one for each reply"
    assert taken[0]["link"] == link
    pairs = dict(zip(taken[0]["replies"], taken[0]["deliveries"], strict=True))
    known = {sent.communication_id for sent in world.sandbox.communications}
    for reply in (one, two):
        assert attempts[reply.id]["delivery"] == pairs[reply.id]
        assert attempts[reply.id]["communication_id"] in known
    assert "no log may hold" not in log.getvalue()


async def test_what_was_taken_in_is_told_once(world, log):
    """A ticket that is read again tells nothing anew: the log names each delivery of the database once."""
    await world.begin()
    ticket = world.ticket()
    await world.link(ticket)
    world.helpdesk.customer_reply(ticket.id, "one")
    await world.sync()
    await world.sync()
    lines = [orjson.loads(line) for line in log.getvalue().splitlines()]
    told = [one for line in lines if line["message"] == "replies taken in" for one in line["deliveries"]]
    assert sorted(told) == [item.id for item in await world.deliveries()]
