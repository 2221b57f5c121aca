"""What one system has in great numbers keeps no other waiting."""

from syncd.model.link import THE_START
from tests.isolation.town import PROMPT_SECONDS, show


async def test_a_system_with_a_great_many_new_replies_delays_no_other_at_its_api(town) -> None:
    """While one system's replies fill the api's pace for minutes, another's arrive as if it was not there."""
    await town.begin(api_requests_per_minute=120)
    (calm,) = await town.tickets("calm", 1, "berlin")
    wild = await town.tickets("wild", 40, "berlin")
    await town.pass_time(15)
    show("undisturbed", await town.converse("calm", calm, times=3))
    for ticket in wild:
        for number in range(4):
            town.write("wild", ticket, f"wild {ticket.number} {number}")
    await town.pass_time(12)
    disturbed = await town.converse("calm", calm, times=4)
    show("beside 160 replies that take 80 s", disturbed)
    assert len(town.arrived("wild ")) < 160, "the api was free again, so this shows nothing"
    assert max(disturbed) <= PROMPT_SECONDS


async def test_a_history_that_is_asked_for_from_the_start_delays_no_other(town) -> None:
    """The first reading of links from the start is live work too, and another system's replies do not wait for it."""
    await town.begin(api_requests_per_minute=60)
    (calm,) = await town.tickets("calm", 1, "berlin")
    await town.pass_time(20)
    await town.tickets("wild", 60, "berlin", from_at=THE_START)
    await town.pass_time(10)
    disturbed = await town.converse("calm", calm, times=3)
    show("beside 60 first readings that take a minute", disturbed)
    assert 0 < len(town.arrived("first message")) < 60
    assert max(disturbed) <= PROMPT_SECONDS


async def test_thousands_of_links_due_at_once_keep_no_other_system_from_its_sweeps(town) -> None:
    """While a slow vendor is asked for a great many new tickets, another system is swept in its rhythm."""
    await town.begin(requests_per_minute=120)
    (calm,) = await town.tickets("calm", 1, "berlin")
    await town.pass_time(20)
    await town.tickets("wild", 2000, "berlin")
    await town.pass_time(5)
    disturbed = await town.converse("calm", calm, times=3)
    show("beside 2000 links that are being looked up", disturbed)
    assert len(town.desks["wild"].requests) < 2000, "all were looked up before"
    assert max(disturbed) <= PROMPT_SECONDS
