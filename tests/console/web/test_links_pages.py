"""The pages of links and backfills over HTTP: what they show, what they ask of the worker, and what they refuse."""

import re
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from syncd.model.delivery import DeliveryState, Outcome
from syncd.model.link import Cause, LinkState
from syncd.model.ticket import Ticket
from syncd.store import health, link_changes, requests
from syncd.store.requests import RequestKind, RequestState
from syncd.store.timeline import read_decisions
from syncd.sync.backfill import Wanted
from tests.console.web.conftest import Served
from tests.store.conftest import Filled

HOSTILE = '<script>alert("x")</script>\u202e'


@pytest_asyncio.fixture
async def filled(served: Served) -> Filled:
    """Return short ways to fill the database that is served."""
    return Filled(served.database, served.clock.now())


async def _post(served: Served, path: str, **form: str):
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    return await served.ask("POST", path, data=urlencode(form).encode(), headers=form_type)


async def _decisions(filled: Filled, subject: str) -> list[tuple[str, str]]:
    return [(one.action, one.reason) for one in await filled.database.read(lambda c: read_decisions(c, subject))]


async def test_links_are_found_and_paged(served, filled) -> None:
    """A search shows the links that fit; a list of more than a page leads to the rest, and nothing is shown twice."""
    for thread in range(1, 61):
        await filled.link(thread)
    first = (await served.get("/links")).text
    older = re.search(r'href="(/links\?before=\d+)" rel="next"', first)
    assert older is not None
    second = (await served.get(older[1])).text
    shown = re.findall(r'<a href="/links/(\d+)">', first + second)
    assert shown == [str(number) for number in range(60, 0, -1)]
    assert re.findall(r'<a href="/links/(\d+)">', (await served.get("/links?ticket=T7&state=active")).text) == ["7"]
    assert re.findall(r'<a href="/links/(\d+)">', (await served.get("/links?customer=7&thread=9")).text) == ["9"]
    assert "No link fits" in (await served.get("/links?ticket=T")).text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("customer=x", "Customer"),
        ("thread=99999999999999999999", "Thread"),
        ("state=gone", "is no state of a link"),
        ("before=-1", "Before"),
        ("ticket=" + "t" * 3000, "none of them is that long"),
    ],
)
async def test_a_search_that_makes_no_sense_is_told(served, query, said) -> None:
    """The form comes back with what is wrong, as a page with status 400."""
    answer = await served.get(f"/links?{query}")
    assert answer.status == 400
    assert said in answer.text
    assert "<form" in answer.text


async def test_a_link_shows_its_life_and_says_what_keeps_it(served, filled) -> None:
    """Each delivery with its hops, its communication or why not; above all what is the matter; foreign text is text."""
    link_id = await filled.link(1)
    ticket = Ticket(id="id-T1", number="T1", subject=HOSTILE)
    await filled.do(link_changes.set_ticket, link_id, ticket)
    await filled.enqueue(1, "a", "b", "c")
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED, communication_id=4711, duration_ms=120)
    why = "no answer within 30 s"
    await filled.end(2, Outcome.IN_DOUBT, DeliveryState.IN_DOUBT, reason=why, duration_ms=30_000)
    text = (await served.get(f"/links/{link_id}")).text
    for said in (
        "4711",
        "+0.12 s",
        why,
        "what keeps it stands above",
        "1 delivered, 1 in doubt, 1 pending",
        "is not delivered: in doubt",
    ):
        assert said in text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert (await served.get("/links/99")).status == 404


async def test_the_life_of_a_link_is_paged(served, filled) -> None:
    """All deliveries of a link stand on its pages, each once, newest first."""
    link_id = await filled.link(1)
    await filled.enqueue(1, *(f"r{number}" for number in range(60)))
    shown: list[str] = []
    path = f"/links/{link_id}"
    while path and len(shown) < 100:
        text = (await served.get(path)).text
        shown += re.findall(r'<li id="d(\d+)">', text)
        older = re.search(r'href="([^"]+)" rel="next"', text)
        path = older[1] if older else ""
    assert shown == [str(number) for number in range(60, 0, -1)]


async def test_what_is_done_to_a_link_is_asked_first_and_recorded(served, filled) -> None:
    """Resuming and removing say what they do, need a reason, and stand in the records with it."""
    link_id = await filled.link(1)
    await filled.enqueue(1, "a")
    await filled.do(link_changes.suspend, link_id, Cause.TICKET_GONE, "the ticket is gone")
    asked = await served.get(f"/links/{link_id}/resume")
    assert "the ticket is gone" in asked.text
    without = await _post(served, f"/links/{link_id}/resume", reason=" ")
    assert (without.status, 'name="reason"' in without.text) == (400, True)
    assert (await _post(served, f"/links/{link_id}/resume", reason="it is back")).status == 303
    assert (await filled.get_link(1)).state is LinkState.ACTIVE
    assert "1 waiting delivery is skipped" in (await served.get(f"/links/{link_id}/remove")).text
    assert (await _post(served, f"/links/{link_id}/remove", reason="over")).status == 303
    assert [item.state for item in await filled.items()] == ["skipped"]
    assert await _decisions(filled, f"link {link_id}") == [("resume", "it is back"), ("remove", "over")]
    assert served.poked == ["desk", "desk"]
    assert (await served.get(f"/links/{link_id}/resume")).status == 409
    assert (await _post(served, f"/links/{link_id}/resume", reason="again")).status == 409


async def test_the_worker_is_asked_to_poll_and_to_follow_a_merge(served, filled) -> None:
    """Both leave one request, however often they are asked for, and wake the worker; a paused system is not asked."""
    link_id = await filled.link(1)
    answer = await _post(served, f"/links/{link_id}/poll")
    assert answer.status == 303
    await _post(served, f"/links/{link_id}/poll")
    (poll,) = await filled.database.read(requests.open_requests)
    assert (poll.kind, poll.arguments, poll.who) == (RequestKind.POLL, {"tickets": ["T1"]}, "the control API")
    assert "asked for by the control API" in (await served.get(answer.headers["Location"])).text
    await filled.do(link_changes.suspend, link_id, Cause.TICKET_MERGED, "merged into T9", "T9")
    assert "merged into T9" in (await served.get(f"/links/{link_id}/follow")).text
    assert (await _post(served, f"/links/{link_id}/follow", reason="the same case")).status == 303
    assert [one.kind for one in await filled.database.read(requests.open_requests)] == ["poll", "follow"]
    assert await _decisions(filled, f"link {link_id}") == [("follow", "the same case")]
    assert (await _post(served, f"/links/{link_id}/poll")).status == 409
    await filled.do(health.pause_system, "desk", health.PERSON, "maintenance", filled.now)
    assert (await _post(served, f"/links/{link_id}/follow", reason="once more")).status == 409


async def test_a_backfill_shows_how_far_it_is_and_can_be_stopped(served, filled) -> None:
    """Links, replies, what it queued and what of it is delivered; stopping needs a reason, and what is queued stays."""
    await filled.link(1)
    wanted = Wanted(tickets=("T1",)).as_arguments()
    request_id = await filled.do(requests.ask, RequestKind.BACKFILL, "desk", wanted, "ann", filled.now)
    counts = {"links": 3, "of": 8, "found": 1234, "enqueued": 2, "failed": 1}
    await filled.do(requests.report, request_id, counts)
    await filled.do(requests.add_step, request_id, 1, 0, 0, "RetryLater")
    await filled.enqueue(1, "a", "b")
    await filled.do(lambda c: c.exec_driver_sql(f"UPDATE delivery SET request_id = {request_id}"))
    await filled.end(1, Outcome.DELIVERED, DeliveryState.DELIVERED)
    for path in ("/backfills", f"/backfills/{request_id}"):
        text = (await served.get(path)).text
        assert [said for said in ("3 of 8 links", "1,234", "T1") if said not in text] == []
    assert "1 of 2 delivered" in text
    assert 'href="/links/1"' in text
    assert "2, of which 1 is still to be sent" in (await served.get(f"/backfills/{request_id}/stop")).text
    assert (await _post(served, f"/backfills/{request_id}/stop", reason="")).status == 400
    assert (await _post(served, f"/backfills/{request_id}/stop", reason="too much")).status == 303
    found = await filled.database.read(lambda c: requests.find(c, request_id))
    assert found.state is RequestState.STOPPED
    assert [item.state for item in await filled.items()] == ["delivered", "pending"]
    assert "stopped" in (await served.get("/backfills")).text
    assert (await _post(served, f"/backfills/{request_id}/stop", reason="again")).status == 409
    assert (await served.get("/backfills/99")).status == 404


async def test_nothing_is_done_without_the_token(served, filled) -> None:
    """Who has not logged in may look at what would be done, and is refused when doing it; nothing changes."""
    link_id = await filled.link(1)
    for path in (f"/links/{link_id}/remove", f"/links/{link_id}/poll", "/backfills/1/stop"):
        assert (await served.ask("POST", path, token=None, data=b"reason=x")).status == 401
    assert "Log in to decide" in (await served.get(f"/links/{link_id}/remove", token=None)).text
    assert (await filled.get_link(1)).state is LinkState.ACTIVE
    assert await filled.database.read(requests.open_requests) == []
