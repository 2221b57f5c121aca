"""Tickets that are read again for the workers that own apis: what fails keeps nobody waiting."""

from syncd.model.errors import RetryLater
from syncd.service.reading_again import read_again_for_others
from syncd.store import requests
from syncd.store.requests import RequestKind


async def test_a_ticket_that_fails_does_not_stand_before_the_others(world) -> None:
    """What could not be read is asked for again by its delivery, behind those that wait."""
    tickets = [world.ticket(name) for name in ("bad", "good")]
    await world.begin(api_mode="hold")
    links = [await world.link(ticket) for ticket in tickets]
    await world.sync()
    for ticket in tickets:
        world.helpdesk.customer_reply(ticket.id, "waits")
    await world.sync()
    adapter = world.lane.system.adapter

    class Broken(type(adapter)):
        async def replies(self, ticket, since):
            if ticket.id == tickets[0].id:
                raise RetryLater("status 500")
            async for reply in super().replies(ticket, since):
                yield reply

    world.lane.system.adapter = Broken(adapter.options, adapter.http)
    now = world.clock.now()
    for link in links:
        arguments = {"link": link}
        await world.database.write(lambda c: requests.ask(c, RequestKind.REFRESH, "desk", arguments, "syncd", now))  # noqa: B023

    async def asked():
        found = await world.database.read(requests.open_requests)
        return [one.arguments["link"] for one in found]

    assert await asked() == links
    for left in (links[1:], []):
        await read_again_for_others(world.lane.system, await world.database.read(requests.open_requests))
        assert await asked() == left
